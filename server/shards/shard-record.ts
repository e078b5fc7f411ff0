/**
 * A further shard of a log: a data directory of its own below that of the first one.
 *
 *     DATA/shards/ORIGIN/shard.json               origin, URL, place of the keys, verifier keys, and the shard before it
 *     DATA/shards/ORIGIN/predecessor.checkpoint   the last checkpoint of the shard before it (pin.ts)
 *     DATA/shards/ORIGIN/key.pem, stele.json, …   as in any data directory (dir/layout.ts); stele.json once the shard has begun
 */
import { isAbsolute, join, relative, resolve } from 'node:path';
import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';
import { decodeUtf8, encodeUtf8 } from '../../merkle/bytes.ts';
import { parsePublicUrl } from '../../merkle/runtime/config/public-url.ts';
import { isThere, namesIn, readWithStats, writeFileDurable } from '../../merkle/runtime/disk/files.ts';
import { HOST_NAME } from '../config/schema.ts';
import { isKeyOf } from '../dir/identity.ts';
import { ServerError } from '../errors.ts';
import { Key, type Secret, type ShardKey, Text } from './shard-order.ts';

const FORMAT = 1;
/** Bytes. */
export const MAX_SHARD_FILE = 64 * 1024;
/** A log that has had so many keys is a mistake. */
const MAX_SHARDS = 1000;

const ShardFile = Type.Object(
  {
    format: Type.Literal(FORMAT),
    origin: Type.String({ pattern: HOST_NAME }),
    url: Text,
    key: Key,
    ed25519Key: Type.Optional(Key),
    mldsaKey: Type.Optional(Text),
    /** The own key first. Another key does not open the shard: others may trust this one already. */
    verifierKeys: Type.Array(Text, { minItems: 1, maxItems: 8 }),
    /** The origin of the shard before it. */
    predecessor: Type.String({ minLength: 1, maxLength: 255 }),
  },
  { additionalProperties: false },
);

/** What `shard.json` says. Paths are absolute here, and relative to the directory in the file. */
export type ShardRecord = Readonly<Omit<Static<typeof ShardFile>, 'format'>>;

/** The directory of all further shards of the log in `data`. */
export function shardsDir(data: string): string {
  return join(data, 'shards');
}

/** The directory of one further shard. @throws ServerError `config` where no shard can have this origin */
export function shardDir(data: string, origin: string): string {
  checkOrigin(origin);
  return join(shardsDir(data), origin);
}

function checkOrigin(origin: string): void {
  if (HOST_NAME.test(origin)) return;
  throw new ServerError(
    'config',
    `"${origin}" is no origin of a shard: take the bare host name in lower case by which clients reach it, such as log2.example.com.`,
  );
}

export function shardFilePath(dir: string): string {
  return join(dir, 'shard.json');
}

/** The origins below `shards/`, in no order. @throws ServerError `corrupt`; RuntimeError `file` */
export async function shardNames(data: string): Promise<string[]> {
  const dir = shardsDir(data);
  // What a crash left before it had a name is not a shard.
  const names = (await namesIn(dir)).filter((name) => !name.startsWith('.'));
  for (const name of names) {
    if (!HOST_NAME.test(name)) throw new ServerError('corrupt', `${join(dir, name)} is no shard: move it elsewhere.`);
  }
  if (names.length > MAX_SHARDS) throw new ServerError('corrupt', `${dir} has more than ${MAX_SHARDS} shards.`);
  return names;
}

/**
 * The record of the shard in `dir`; undefined where there is none.
 * @throws ServerError `corrupt` where it has another form, or others may write it; RuntimeError `file`
 */
export async function readShardRecord(dir: string): Promise<ShardRecord | undefined> {
  const path = shardFilePath(dir);
  const found = await readWithStats(path, MAX_SHARD_FILE);
  if (found === undefined) return undefined;
  // It names a module that runs inside this process, and the key that signs.
  if ((Number(found.stats.mode) & 0o022) !== 0 && process.platform !== 'win32') {
    throw new ServerError(
      'corrupt',
      `${path} can be written by others: look at it, and then run \`chmod 600 ${path}\`.`,
    );
  }
  let value: unknown;
  try {
    value = JSON.parse(decodeUtf8(found.bytes));
  } catch {
    throw new ServerError('corrupt', `${path} is not JSON. Put the file back from a backup.`);
  }
  if (!Value.Check(ShardFile, value) || !isSound(value)) {
    throw new ServerError('corrupt', `${path} does not have the expected fields. Put it back from a backup.`);
  }
  const { format: _, key, ed25519Key, ...rest } = value;
  return {
    ...rest,
    ...(rest.mldsaKey !== undefined && { mldsaKey: resolve(dir, rest.mldsaKey) }),
    key: withPaths(key, (path) => resolve(dir, path)),
    ...(ed25519Key && { ed25519Key: withPaths(ed25519Key, (path) => resolve(dir, path)) }),
  };
}

export async function writeShardRecord(dir: string, record: ShardRecord): Promise<void> {
  // The directory may move, with the key in it.
  const stored = (path: string) => {
    const below = relative(dir, path);
    return below.startsWith('..') || isAbsolute(below) ? path : below;
  };
  const file: Static<typeof ShardFile> = {
    format: FORMAT,
    ...record,
    ...(record.mldsaKey !== undefined && { mldsaKey: stored(record.mldsaKey) }),
    key: withPaths(record.key, stored),
    ...(record.ed25519Key && { ed25519Key: withPaths(record.ed25519Key, stored) }),
  };
  await writeFileDurable(shardFilePath(dir), encodeUtf8(`${JSON.stringify(file, undefined, 2)}\n`), { mode: 0o600 });
}

/** @throws ServerError `config` where `dir` is a further shard: it is served together with the log that it belongs to */
export async function refuseShard(dir: string): Promise<void> {
  if (!(await isThere(shardFilePath(dir)))) return;
  const first = resolve(dir, '..', '..');
  throw new ServerError(
    'config',
    `${dir} is a shard of the log in ${first}, which decides when it takes entries: set \`data\` to ${first}.`,
  );
}

function isSound({ origin, url, verifierKeys }: Static<typeof ShardFile>): boolean {
  return isUrlOf(url, origin) && verifierKeys.every((key) => isKeyOf(origin, key));
}

/** @throws ServerError `config` where no shard can have this origin, or the URL does not lead to it */
export function checkShardUrl({ origin, url }: Pick<ShardRecord, 'origin' | 'url'>): void {
  checkOrigin(origin);
  if (isUrlOf(url, origin)) return;
  throw new ServerError(
    'config',
    `${url} does not lead to the shard "${origin}": clients name the host of the URL, which chooses the shard. Give an https or ` +
      `http URL with the host ${origin}, without a slash at its end.`,
  );
}

/** Whether clients that call the URL name the origin as its host. */
function isUrlOf(url: string, origin: string): boolean {
  return parsePublicUrl(url) === url && new URL(url).hostname === origin;
}

/** The key with each path in it changed. A bare name of a module stays: it is looked for where such modules are. */
function withPaths(key: ShardKey, change: (path: string) => string): ShardKey {
  const secret = (source: Secret): Secret => ('file' in source ? { file: change(source.file) } : source);
  if ('pkcs11' in key) {
    const { module, pin } = key.pkcs11;
    const isPath = module.includes('/');
    return { pkcs11: { ...key.pkcs11, module: isPath ? change(module) : module, pin: secret(pin) } };
  }
  if ('agent' in key) {
    const { socket } = key.agent;
    return { agent: { key: key.agent.key, ...(socket !== undefined && { socket: change(socket) }) } };
  }
  return { file: change(key.file), ...(key.passphrase && { passphrase: secret(key.passphrase) }) };
}

/**
 * Prepares the start of the processes of `stele up`: makes the keys once, writes the list of logs of each witness and the
 * policy of the log. All is below the log's data directory, which `stele serve` and `stele log` can use as it is:
 *
 *     witness-1 … witness-3   the data directory of each witness, with its key and its list of logs
 *     policy                  the policy of the log
 *     trust/                  files for others (trust/trust-files.ts)
 *     trust-repository/       the same in a TUF repository (up-trust.ts)
 */
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { decodeUtf8, encodeUtf8 } from '../../../merkle/bytes.ts';
import {
  ecdsaVerifierKey,
  ed25519VerifierKey,
  formatVerifierKey,
  KEY_TYPE,
  makeVerifierKey,
  type VerifierKey,
} from '../../../merkle/note.ts';
import { parseSpki, pointOf } from '../../../merkle/rekor/spki.ts';
import { isThere, makeDirDurable, readFileIfThere, writeFileDurable } from '../../../merkle/runtime/disk/files.ts';
import { createKeyFile } from '../../../merkle/runtime/keys/keyfile.ts';
import { openSigner } from '../../../merkle/runtime/keys/open-signer.ts';
import type { KeySpec, PublicKey } from '../../../merkle/runtime/keys/types.ts';
import { ClientError } from '../../errors.ts';
import { knownStart, servicesBeside, trustFiles } from '../../trust/trust-files.ts';
import { describeShards, type ShardInfo } from '../rotate/described-shards.ts';

export const WITNESSES = 3;
export const THRESHOLD = 2;

interface PolicyWitness {
  readonly name: string;
  readonly vkey: string;
  readonly url: string;
}

/** The part of a log's configuration that is needed here. */
interface LogConfig {
  readonly origin: string;
  readonly data: string;
  readonly entries: 'signed' | 'raw';
  readonly key: KeySpec;
  readonly createKey: boolean;
  readonly ed25519Key?: KeySpec;
}

export interface PreparedWitness extends PolicyWitness {
  readonly keyName: string;
  readonly data: string;
  readonly logs: string;
  readonly port: number;
}

export interface Prepared {
  readonly policy: string;
  readonly witnesses: readonly PreparedWitness[];
  /** The log's own key first. */
  readonly logKeys: readonly [VerifierKey, ...VerifierKey[]];
}

const MAX_FILE = 1024 * 1024;

/**
 * @param firstPort of the witnesses' consecutive ports; 0 takes free ones
 * @throws RuntimeError `key-…`, `pkcs11-…`, `secret`, `file`
 */
export async function prepare(config: LogConfig, firstPort: number): Promise<Prepared> {
  await makeDirDurable(config.data);
  const logKeys = await openLogKeys(config);
  const ports = firstPort === 0 ? await freePorts(WITNESSES) : undefined;
  const witnesses: PreparedWitness[] = [];
  for (let i = 0; i < WITNESSES; i++) {
    witnesses.push(await prepareWitness(config, logKeys, i + 1, ports?.[i] ?? firstPort + i));
  }
  const policy = policyOf(config.data);
  const prepared = { policy, witnesses, logKeys };
  await writePolicy(prepared);
  return prepared;
}

interface WrittenTrust {
  /** The directory of the files for others. */
  readonly dir: string;
  /** The files that others need, for a TUF repository: with the policy as others need it. */
  readonly files: readonly { readonly name: string; readonly text: string }[];
}

/**
 * Writes the files for others, now that the log's URL is known.
 * @param shards all shards of the log with their URLs; empty where it has but one
 */
export async function writeTrust(
  config: LogConfig,
  prepared: Prepared,
  url: string,
  shards: readonly ShardInfo[],
): Promise<WrittenTrust> {
  const dir = join(config.data, 'trust');
  const { logKeys: keys } = prepared;
  await makeDirDurable(dir);
  const policy = policyText(prepared);
  const before = await readFileIfThere(join(dir, 'trusted_root.json'), MAX_FILE);
  const start = (before && knownStart(before, keys[0])) ?? Date.now() - 60_000;
  const { origin, entries } = config;
  const own = { origin, url, keys, rekor: entries === 'signed', policy, start };
  const beside = await servicesBeside((name) => readFileIfThere(join(dir, name), MAX_FILE));
  const described = shards.length === 0 ? ([own] as const) : describeShards(shards, { entries, policy, before, start });
  const files = trustFiles(described, beside);
  for (const { name, text } of files) {
    // `stele up --monitor` makes a configuration of its own.
    if (name !== 'monitor.yaml') await write(join(dir, name), text);
  }
  return { dir, files };
}

async function writePolicy(prepared: Prepared): Promise<void> {
  await write(prepared.policy, policyText(prepared));
}

function policyText(prepared: Pick<Prepared, 'witnesses'>): string {
  return [...quorumLines(prepared), ''].join('\n');
}

/** Of a policy: the witnesses and their quorum. */
export function quorumLines({ witnesses }: Pick<Prepared, 'witnesses'>): string[] {
  const names = witnesses.map(({ name }) => name).join(' ');
  return [
    '# Written by `stele up` at each start. A checkpoint needs cosignatures of these witnesses.',
    ...witnesses.map(({ name, vkey, url }) => `witness ${name} ${vkey} ${url}`),
    `group witnesses ${THRESHOLD} ${names}`,
    'quorum witnesses',
  ];
}

async function openLogKeys(config: LogConfig): Promise<[VerifierKey, ...VerifierKey[]]> {
  const { origin, data, key, createKey, ed25519Key } = config;
  // A log that has begun has lost its key where the file is missing; it says so itself when it starts.
  if (createKey && 'file' in key && !(await isThere(key.file)) && !(await isThere(join(data, 'stele.json')))) {
    await createKeyFile(key.file, 'ed25519');
  }
  const own = verifierKey(origin, await publicKey(key));
  return ed25519Key === undefined ? [own] : [own, verifierKey(origin, await publicKey(ed25519Key))];
}

export async function publicKey(spec: KeySpec): Promise<PublicKey> {
  const signer = await openSigner(spec);
  await signer.close();
  return signer;
}

export function verifierKey(origin: string, { algorithm, publicKey }: PublicKey): VerifierKey {
  return algorithm === 'ed25519'
    ? ed25519VerifierKey(origin, pointOf(parseSpki(publicKey)))
    : ecdsaVerifierKey(origin, publicKey);
}

async function prepareWitness(
  { origin, data }: LogConfig,
  logKeys: readonly VerifierKey[],
  number: number,
  port: number,
): Promise<PreparedWitness> {
  const name = `witness-${number}`;
  const { dir, keyFile, isNew } = await keyPlace(data, number);
  await makeDirDurable(dir);
  if (isNew) await createKeyFile(keyFile, 'ed25519');
  const { publicKey: spki } = await publicKey({ file: keyFile });
  const keyName = `${origin}/${name}`;
  const key = makeVerifierKey(keyName, KEY_TYPE.cosignature, pointOf(parseSpki(spki)));
  const logs = join(dir, 'logs');
  await addLogs(logs, logKeys);
  return { name, keyName, vkey: formatVerifierKey(key), url: `http://localhost:${port}`, data: dir, logs, port };
}

/** The policy of the log: its witnesses with their addresses, for any of its shards. */
export function policyOf(data: string): string {
  return join(data, 'policy');
}

export function witnessDir(data: string, number: number): string {
  return join(data, `witness-${number}`);
}

/** Opens the keys of the witnesses that are there. @throws ClientError `file`, RuntimeError `key-…` */
export async function checkWitnesses(data: string): Promise<void> {
  for (let number = 1; number <= WITNESSES; number++) {
    const { keyFile, isNew } = await keyPlace(data, number);
    if (!isNew) await publicKey({ file: keyFile });
  }
}

async function keyPlace(data: string, number: number): Promise<{ dir: string; keyFile: string; isNew: boolean }> {
  const dir = witnessDir(data, number);
  const keyFile = join(dir, 'key.pem');
  const isNew = !(await isThere(keyFile));
  // A witness that has cosigned refuses to start without its key, and a new key made here would hide the loss.
  if (isNew && (await isThere(join(dir, 'witness.json')))) {
    throw new ClientError(
      'file',
      `the key ${keyFile} is missing, and this witness has signed with it: put it back, or remove ${dir} to begin with ` +
        'a new witness in its place',
    );
  }
  return { dir, keyFile, isNew };
}

/** Adds the log to the witness's list, whose other lines stay as they are. */
export async function addLogs(file: string, keys: readonly VerifierKey[]): Promise<void> {
  const bytes = await readFileIfThere(file, MAX_FILE);
  const text = bytes === undefined ? '' : decodeUtf8(bytes);
  const missing = keys.map(formatVerifierKey).filter((vkey) => !text.includes(vkey));
  if (missing.length > 0) await write(file, `${text}${missing.map((vkey) => `log ${vkey}\n`).join('')}`);
}

/** Below those that systems give to outgoing connections, and to programs that take any port: none of these takes one meanwhile. */
const [LOWEST_PORT, HIGHEST_PORT] = [10_240, 32_767];
const PORT_TRIES = 100;

/** Ports that were free a moment ago. @throws the error of `listen` */
export async function freePorts(count: number): Promise<number[]> {
  const servers: Server[] = [];
  try {
    for (let tries = 1; servers.length < count; tries++) {
      const server = createServer().listen(randomInt(LOWEST_PORT, HIGHEST_PORT + 1), '127.0.0.1');
      try {
        await once(server, 'listening');
        servers.push(server);
      } catch (error) {
        if (tries === PORT_TRIES || (error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
      }
    }
    return servers.map((server) => (server.address() as AddressInfo).port);
  } finally {
    await Promise.all(servers.map((server) => once(server.close(), 'close')));
  }
}

/** Writes a file that all may read: it holds no secret. */
async function write(path: string, text: string): Promise<void> {
  await writeFileDurable(path, encodeUtf8(text), { mode: 0o644 });
}

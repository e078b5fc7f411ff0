/** Prepares the next shard of a log: its directory, its key and its record. Nothing is signed, and no entry is taken. */
import { join } from 'node:path';
import { equal } from '../../merkle/bytes.ts';
import { parseVerifierKey, type VerifierKey } from '../../merkle/note.ts';
import type { Policy } from '../../merkle/policy.ts';
import { makeDirDurable } from '../../merkle/runtime/disk/files.ts';
import type { Logger } from '../../merkle/runtime/service/logger.ts';
import type { Config } from '../config/load.ts';
import { endpointsOf, readPolicy } from '../cosign/policy.ts';
import { type LogIdentity, readIdentity } from '../dir/identity.ts';
import { openSigners } from '../dir/keys.ts';
import { ServerError } from '../errors.ts';
import { type FurtherShard, readChain, shardConfig } from './chain.ts';
import type { ShardOrder } from './shard-order.ts';
import { checkShardUrl, type ShardRecord, shardDir, writeShardRecord } from './shard-record.ts';

/**
 * Makes the next shard of the log in `config.data`, whose lock the process has. Repeats what a crash cut off; a shard that was
 * prepared before keeps its keys, and gets the URL of `order`.
 * @throws ServerError `config` where the order cannot be followed, `key-mismatch` where the shard has another key; what opening a
 *   key and reading the policy throws
 */
export async function prepareIn(config: Config, order: ShardOrder, logger: Logger): Promise<FurtherShard> {
  const { origin, url } = order;
  checkShardUrl(order);
  const dir = shardDir(config.data, origin);
  const chain = await readChain(config.data);
  const found = chain.find(({ record }) => record.origin === origin);
  const before = await predecessorOf(config, order, chain, found);
  const first = await readIdentity(config.data);
  const others = [first, ...chain.map(({ identity }) => identity)].flatMap((one) =>
    one && one.origin !== origin ? [one] : [],
  );
  if (order.key === undefined && found === undefined) {
    checkPlainKey(chain.find(({ record }) => record.origin === before)?.record.key ?? config.key, before);
  }
  const record = await withKeys(config, { ...order, predecessor: before }, found?.record, dir, others, logger);
  if (found === undefined || found.record.url !== url) await writeShardRecord(dir, record);
  // A crash here: the shard is prepared.
  return { dir, identity: found?.identity, pin: found?.pin, record };
}

async function predecessorOf(
  config: Config,
  { origin, url }: ShardOrder,
  chain: readonly FurtherShard[],
  found: FurtherShard | undefined,
): Promise<string> {
  if (found !== undefined) return found.record.predecessor;
  const first = await readIdentity(config.data);
  if (first === undefined) {
    throw new ServerError(
      'config',
      `${config.data} holds no log yet: start it once before you prepare its next shard.`,
    );
  }
  if (first.origin === origin) {
    throw new ServerError('config', `"${origin}" is the first shard of this log: give the next one another origin.`);
  }
  const host = config.publicUrl && new URL(config.publicUrl).hostname;
  if (host === origin) {
    throw new ServerError(
      'config',
      `${url} leads to the first shard, whose \`publicUrl\` is ${config.publicUrl}: give the next one another host name.`,
    );
  }
  const last = chain.at(-1);
  if (last !== undefined && last.identity === undefined) {
    throw new ServerError(
      'config',
      `the shard "${last.record.origin}" was prepared before and has not begun: open it first, or remove ${last.dir} if nobody ` +
        'was told of its key.',
    );
  }
  return last?.record.origin ?? first.origin;
}

/** Opens the keys, checks that the shard can open with them, and makes the default one where it is new. */
async function withKeys(
  config: Config,
  order: ShardOrder & { readonly predecessor: string },
  found: ShardRecord | undefined,
  dir: string,
  others: readonly LogIdentity[],
  logger: Logger,
): Promise<ShardRecord> {
  const { origin, url, predecessor } = order;
  const own = order.key ?? found?.key ?? { file: join(dir, 'key.pem') };
  const ed25519Key = order.ed25519Key ?? found?.ed25519Key;
  const mldsaKey = order.mldsaKey ?? found?.mldsaKey;
  const places = {
    key: own,
    ...(ed25519Key && { ed25519Key }),
    ...(mldsaKey !== undefined && { mldsaKey }),
  };
  const draft: ShardRecord = { origin, url, predecessor, verifierKeys: [], ...places };
  const policy = config.policy === undefined ? undefined : await readPolicy(config.policy);
  const { signer, save } = await openShardSigner(config, { dir, record: draft }, policy, {
    logger,
    // The key of a shard that was prepared is lost where its file is missing.
    createKey: order.key === undefined && found === undefined,
  });
  try {
    const { verifierKeys } = signer;
    if (policy?.witnesses.length) endpointsOf(policy, signer.keys);
    checkOwnKey(signer.keys[0]!, others);
    if (found !== undefined && found.verifierKeys.join() !== verifierKeys.join()) {
      throw new ServerError(
        'key-mismatch',
        `the shard "${origin}" was prepared with the key ${without(found.verifierKeys, verifierKeys)}, which others may trust ` +
          `already, and now has in its place ${without(verifierKeys, found.verifierKeys)}: give the same keys again, or none.`,
      );
    }
    // What is refused leaves nothing behind.
    await makeDirDurable(dir, { mode: 0o700 });
    await save();
    return { ...draft, verifierKeys: [...verifierKeys], ...(found && placesOf(found)) };
  } finally {
    await signer.close();
  }
}

/** A key that was protected must not be followed by a plain one that nobody asked for. @throws ServerError `config` */
function checkPlainKey(key: Config['key'], origin: string): void {
  if ('file' in key && key.passphrase === undefined) return;
  throw new ServerError(
    'config',
    `the key of "${origin}" is in a token, an agent or an encrypted file, and the next key would be in a plain file: name the place ` +
      'of the next key (`stele log rotate --next-pkcs11-module …`, `--next-key-file …`).',
  );
}

/** A thief of the key of one shard must not be able to sign as another. @throws ServerError `config` */
function checkOwnKey({ key }: VerifierKey, others: readonly LogIdentity[]): void {
  const other = others.find(({ verifierKeys }) => verifierKeys.some((text) => equal(parseVerifierKey(text).key, key)));
  if (other === undefined) return;
  throw new ServerError(
    'config',
    `the key that was given is one of "${other.origin}": a shard has a key of its own, so that the key of the one before it can ` +
      'end. Make another key.',
  );
}

/** For people: the keys that are not among the others. */
function without(keys: readonly string[], others: readonly string[]): string {
  return keys.filter((key) => !others.includes(key)).join(', ') || 'none';
}

function placesOf({ key, ed25519Key, mldsaKey }: ShardRecord) {
  return { key, ...(ed25519Key && { ed25519Key }), ...(mldsaKey !== undefined && { mldsaKey }) };
}

/** The keys of a shard that has not begun. The caller closes the signer. */
export async function openShardSigner(
  config: Config,
  shard: Pick<FurtherShard, 'dir' | 'record'>,
  policy: Policy | undefined,
  { logger, createKey = false }: { readonly logger: Logger; readonly createKey?: boolean },
): ReturnType<typeof openSigners> {
  const own = { ...shardConfig(config, shard), createKey };
  return await openSigners({ config: own, policy, existing: !createKey, logger, onError: () => {} });
}

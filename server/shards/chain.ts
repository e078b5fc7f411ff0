/**
 * The shards of one log, as they stand in its data directory: the first one in the directory itself, and each further one after
 * the shard that its record names.
 */
import { join } from 'node:path';
import { isThere } from '../../merkle/runtime/disk/files.ts';
import type { Config } from '../config/load.ts';
import { type LogIdentity, readIdentity } from '../dir/identity.ts';
import { layout } from '../dir/layout.ts';
import { ServerError } from '../errors.ts';
import { type Pin, readPin } from './pin.ts';
import { readShardRecord, type ShardRecord, shardDir, shardFilePath, shardNames } from './shard-record.ts';

/** A further shard. */
export interface FurtherShard {
  readonly dir: string;
  readonly record: ShardRecord;
  /** Undefined until the shard has begun: nothing was signed with its key before. */
  readonly identity: LogIdentity | undefined;
  /** Undefined until the shard before it has ended. */
  readonly pin: Pin | undefined;
}

/**
 * The further shards of the log in `data`, each after the one before it. Writes nothing.
 * @throws ServerError `corrupt` where they are no chain, or a shard has begun without a pin; as `readIdentity`
 */
export async function readChain(data: string): Promise<FurtherShard[]> {
  const records = new Map<string, { dir: string; record: ShardRecord }>();
  for (const name of await shardNames(data)) {
    const dir = shardDir(data, name);
    const record = await readShardRecord(dir);
    // A crash came before the shard was prepared: the next try goes on.
    if (record === undefined) {
      if ((await readIdentity(dir)) !== undefined) throw lost(dir);
      continue;
    }
    if (record.origin !== name) throw wrong(dir, `names the origin "${record.origin}"`);
    if (records.has(record.predecessor)) throw wrong(dir, `follows "${record.predecessor}", as another shard does`);
    records.set(record.predecessor, { dir, record });
  }
  const chain: FurtherShard[] = [];
  if (records.size === 0) return chain;
  let before = await readIdentity(data);
  if (before === undefined) throw lost(data);
  for (let next = records.get(before.origin); next !== undefined; ) {
    const { dir, record } = next;
    records.delete(record.predecessor);
    const identity = await readIdentity(dir);
    if (identity === undefined && (await hasTree(dir))) throw lost(dir);
    const pin = before === undefined ? undefined : await readPin(dir, before);
    if (identity !== undefined && pin === undefined) {
      throw wrong(dir, `has begun, and the last checkpoint of "${record.predecessor}" is missing beside it`);
    }
    if (identity !== undefined && identity.origin !== record.origin) throw wrong(dir, `is not of "${identity.origin}"`);
    chain.push({ dir, record, identity, pin });
    before = identity;
    next = records.get(record.origin);
  }
  const [other] = records.values();
  if (other !== undefined)
    throw wrong(other.dir, `follows "${other.record.predecessor}", which is no shard of this log`);
  return chain;
}

/** The configuration of a further shard: the settings of the log, with what is the shard's own. */
export function shardConfig(
  config: Config,
  { dir, record }: Pick<FurtherShard, 'dir' | 'record'>,
): Config & { origin: string } {
  const { ed25519Key: _, mldsaKey: _mldsa, secondPlace, secondPlaceS3, ...shared } = config;
  const { origin, url, key, ed25519Key, mldsaKey } = record;
  return {
    ...shared,
    origin,
    publicUrl: url,
    data: dir,
    key,
    createKey: false,
    ...(ed25519Key && { ed25519Key }),
    ...(mldsaKey !== undefined && { mldsaKey }),
    ...(secondPlace !== undefined && { secondPlace: join(secondPlace, 'shards', origin) }),
    ...(secondPlaceS3 && {
      secondPlaceS3: {
        ...secondPlaceS3,
        // The origin is the prefix where none is set.
        ...(secondPlaceS3.prefix !== undefined && { prefix: `${secondPlaceS3.prefix}-${origin}` }),
      },
    }),
  };
}

async function hasTree(dir: string): Promise<boolean> {
  return (await isThere(layout.state(dir))) || (await isThere(layout.public(dir)));
}

function wrong(dir: string, what: string): ServerError {
  return new ServerError('corrupt', `${shardFilePath(dir)} ${what}. Put the directory back from a backup.`);
}

function lost(dir: string): ServerError {
  return new ServerError(
    'corrupt',
    `${dir} has lost the file that says which log it is: put it back from a backup, or restore the whole log with \`stele log restore\`.`,
  );
}

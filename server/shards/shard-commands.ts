/** The operator's commands on the shards of a log, whether it runs or not. `stele log rotate` is made of them. */

import { decodeUtf8 } from '../../merkle/bytes.ts';
import { parseCheckpoint } from '../../merkle/checkpoint.ts';
import { parseNote } from '../../merkle/note.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import type { Config } from '../config/load.ts';
import { readIdentity } from '../dir/identity.ts';
import { openDirStores } from '../dir/layout.ts';
import { ServerError } from '../errors.ts';
import { type CommandOptions, locked, whereItRuns, withShards } from '../tools/commands.ts';
import { CommittedTree } from '../tree/committed.ts';
import { readChain } from './chain.ts';
import { prepareIn } from './prepare-shard.ts';
import type { ShardOrder } from './shard-order.ts';
import type { ShardInfo } from './shards.ts';
import { askWitnessesOf, type WitnessesKnow } from './witnesses-know.ts';

/**
 * Makes the directory, the key and the record of the next shard, and resolves with its verifier keys. The shard takes no entry
 * and signs nothing before `openShard`. May be repeated; a repeat with another URL changes the URL.
 * @throws ServerError `config` where the order cannot be followed, `key-mismatch`, `policy`; RuntimeError of the key
 */
export async function prepareShard({ config, logger }: CommandOptions, order: ShardOrder): Promise<ShardInfo> {
  return await whereItRuns(
    config,
    () =>
      locked(config, async () => {
        const { record, dir } = await prepareIn(config, order, logger);
        return (await shardsOf(config)).find(({ origin }) => origin === record.origin) ?? unknown(dir);
      }),
    (admin) => admin('POST', '/shards/prepare', order),
  );
}

/**
 * Lets a prepared shard take entries. The shard before it must be frozen. May be repeated.
 * @throws ServerError `config` where that shard is not frozen; `rollback` where it ended in another way than the shard has pinned
 */
export async function openShard(options: CommandOptions, shard: string): Promise<ShardInfo> {
  return await whereItRuns(
    options.config,
    () => withShards(options, (shards) => shards.openShard(shard)),
    (admin) => admin('POST', '/shards/open', { shard }),
  );
}

/** Every shard of the log, each after the one before it. Signs and changes nothing. */
export async function listShards({ config }: CommandOptions): Promise<readonly ShardInfo[]> {
  return await whereItRuns(
    config,
    () => locked(config, () => shardsOf(config)),
    async (admin) => (await admin<{ shards: ShardInfo[] }>('POST', '/shards')).shards,
  );
}

/**
 * Whether the witnesses of the policy know a shard that was prepared, before anything is frozen for it. No witness stores
 * anything.
 */
export async function witnessesKnow({ config, logger }: CommandOptions, shard: string): Promise<WitnessesKnow> {
  return await whereItRuns(
    config,
    () =>
      locked(config, async () => {
        const found = (await readChain(config.data)).find(({ record }) => record.origin === shard);
        if (found !== undefined && found.identity === undefined) return await askWitnessesOf(config, found, logger);
        throw new ServerError('config', `${config.data} has no shard "${shard}" that was prepared and has not begun.`);
      }),
    (admin) => admin('POST', '/shards/witnesses', { shard }),
  );
}

async function shardsOf(config: Config): Promise<ShardInfo[]> {
  const chain = await readChain(config.data);
  const first = (await readIdentity(config.data))!;
  const { publicUrl } = config;
  const infos: ShardInfo[] = [
    {
      origin: first.origin,
      ...(publicUrl !== undefined && { url: publicUrl }),
      verifierKeys: first.verifierKeys,
      ...(await stateOf(config.data)),
    },
  ];
  for (const { dir, record, identity } of chain) {
    const { origin, url, predecessor } = record;
    const state = identity === undefined ? ({ status: 'prepared', size: 0 } as const) : await stateOf(dir);
    infos.push({ origin, url, predecessor, verifierKeys: identity?.verifierKeys ?? record.verifierKeys, ...state });
  }
  return infos;
}

async function stateOf(dir: string): Promise<Pick<ShardInfo, 'status' | 'size' | 'lastCheckpoint'>> {
  const tree = await CommittedTree.open(await openDirStores(dir), fastSha256);
  try {
    const { status, lastCheckpoint } = tree.state;
    const shown = lastCheckpoint ?? tree.checkpoint;
    const size = shown === undefined ? 0 : parseCheckpoint(parseNote(shown).text).size;
    return { status, size, ...(lastCheckpoint !== undefined && { lastCheckpoint: decodeUtf8(lastCheckpoint) }) };
  } finally {
    await tree.close();
  }
}

function unknown(dir: string): never {
  throw new ServerError('corrupt', `${dir} was prepared, and is no shard of the log.`);
}

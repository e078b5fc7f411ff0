/** The operator's commands on a data directory. If its log is running, the admin port of that process does the work. */
import { join, resolve } from 'node:path';
import { decodeUtf8 } from '../../merkle/bytes.ts';
import { parseVerifierKey } from '../../merkle/note.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { isThere, makeDirDurable } from '../../merkle/runtime/disk/files.ts';
import { withDirLock } from '../../merkle/runtime/disk/lock.ts';
import { type AdminCall, offlineOr } from '../../merkle/runtime/service/admin-client.ts';
import type { Logger } from '../../merkle/runtime/service/logger.ts';
import type { Config } from '../config/load.ts';
import { checkOrigin, type LogIdentity, readIdentity } from '../dir/identity.ts';
import { layout, openDirStores } from '../dir/layout.ts';
import { ServerError } from '../errors.ts';
import { openPublished } from '../log/published.ts';
import { readChain } from '../shards/chain.ts';
import { type CopiedShards, copied, copyShardFiles } from '../shards/shard-copy.ts';
import { shardDir } from '../shards/shard-record.ts';
import { Shards } from '../shards/shards.ts';
import { CommittedTree } from '../tree/committed.ts';
import { backupTree, emptyDir, exportTree } from './backup.ts';
import type { OnProgress } from './copy.ts';

export interface CommandOptions {
  readonly config: Config;
  readonly logger: Logger;
  /** Called only where this process does the work. */
  readonly onProgress?: OnProgress;
}

interface ShardOption {
  /** Origin of the shard; by default the newest one that has begun. */
  readonly shard?: string | undefined;
}

/**
 * Freezes a shard for ever and resolves with its last checkpoint, which the next shard pins where it is prepared. A second run
 * with the same shard goes on where the first was cut off.
 */
export async function freezeLog(
  options: CommandOptions & ShardOption,
): Promise<{ origin: string; checkpoint: string }> {
  const { config, shard } = options;
  return await whereItRuns(
    config,
    () => withShards(options, (shards) => shards.freeze(shard)),
    (admin) => admin('POST', '/freeze', { ...(shard !== undefined && { shard }) }),
  );
}

/** Opens the shards for one step, where no process runs them. */
export async function withShards<T>(
  { config, logger }: CommandOptions,
  step: (shards: Shards) => Promise<T>,
): Promise<T> {
  await existing(config);
  const shards = await Shards.open({ config, logger, onFatal: () => {} });
  try {
    return await step(shards);
  } finally {
    await shards.close();
  }
}

/**
 * Copies every shard of the log into `dir`, empty or missing; resolves with the number of entries copied, of the newest shard.
 * A shard that has not published anything is copied as one that has not begun.
 */
export async function backupLog(dir: string, options: CommandOptions): Promise<CopiedShards> {
  const { config, onProgress } = options;
  return await whereItRuns(
    config,
    () =>
      locked(config, async () => {
        const chain = await readChain(config.data);
        await emptyDir(dir);
        const shards: { origin: string; size: number }[] = [];
        // The first one last, with the file that makes the copy whole.
        for (const shard of chain.toReversed()) {
          const to = shardDir(dir, shard.record.origin);
          await makeDirDurable(to, { mode: 0o700 });
          await copyShardFiles(shard.dir, to);
          if (shard.identity === undefined || !(await hasPublished(shard.dir))) continue;
          const size = await copyOf(shard.dir, to, shard.identity, onProgress);
          shards.unshift({ origin: shard.record.origin, size });
        }
        const first = await existing(config);
        shards.unshift({ origin: first.origin, size: await copyOf(config.data, dir, first, onProgress) });
        return copied(shards);
      }),
    (admin) => admin('POST', '/backup', { dir: resolve(dir) }),
  );
}

async function copyOf(
  from: string,
  to: string,
  { copy: _, ...identity }: LogIdentity,
  onProgress: OnProgress | undefined,
): Promise<number> {
  return await withTree(from, (tree, checkpoint) =>
    backupTree(to, tree, checkpoint, identity, { onProgress, isMade: true }),
  );
}

/** Writes the published tree of a shard into `dir` as static files; resolves with its size. */
export async function exportLog(dir: string, options: CommandOptions & ShardOption): Promise<{ size: number }> {
  const { config, onProgress, shard } = options;
  return await whereItRuns(
    config,
    () =>
      locked(config, async () => {
        const { from, identity } = await shardNamed(config, shard);
        return await withTree(from, async (tree) => {
          const published = await publishedOf(tree, identity);
          return { size: await exportTree(dir, published, tree.tileStore(), onProgress) };
        });
      }),
    (admin) => admin('POST', '/export', { dir: resolve(dir), ...(shard !== undefined && { shard }) }),
  );
}

/** The directory of a shard, by default of the newest one that has begun. @throws ServerError `config` */
async function shardNamed(
  config: Config,
  origin: string | undefined,
): Promise<{ readonly from: string; readonly identity: LogIdentity }> {
  const first = { from: config.data, identity: await existing(config) };
  const begun = (await readChain(config.data)).flatMap(({ dir: from, identity }) =>
    identity ? [{ from, identity }] : [],
  );
  const found =
    origin === undefined
      ? [first, ...begun].at(-1)
      : [first, ...begun].find(({ identity }) => identity.origin === origin);
  if (found !== undefined) return found;
  throw new ServerError('config', `${config.data} has no shard "${origin}" that has begun.`);
}

/** Whether a shard has a checkpoint: one with witnesses has none before its first entries. */
async function hasPublished(dir: string): Promise<boolean> {
  return await isThere(join(layout.public(dir), 'checkpoint'));
}

async function publishedOf(tree: CommittedTree, identity: LogIdentity) {
  const keys = identity.verifierKeys.map(parseVerifierKey);
  return (await openPublished(tree, { origin: identity.origin, keys }))!;
}

async function withTree<T>(dir: string, work: (tree: CommittedTree, checkpoint: string) => Promise<T>): Promise<T> {
  const tree = await CommittedTree.open(await openDirStores(dir), fastSha256);
  try {
    const { checkpoint, state } = tree;
    if (checkpoint !== undefined) return await work(tree, decodeUtf8(checkpoint));
    if (state.size === 0 || state.unpublished === true) {
      throw new ServerError(
        'config',
        `the log in ${dir} has not published a checkpoint yet, so there is nothing to copy. Start it, and log an entry.`,
      );
    }
    throw new ServerError('corrupt', `${dir} has no published checkpoint. Start the log once.`);
  } finally {
    await tree.close();
  }
}

/** Runs `work` on a data directory that no other process has. */
export async function locked<T>({ data }: Config, work: () => Promise<T>): Promise<T> {
  return await withDirLock(data, work);
}

/** The log of the data directory, which must be the configured one where an origin is configured. */
async function existing({ data: dir, origin }: Config): Promise<LogIdentity> {
  const identity = await readIdentity(dir);
  if (identity !== undefined) {
    checkOrigin(dir, identity, origin);
    return identity;
  }
  throw new ServerError('config', `${dir} holds no log. Name its data directory with --data or --config.`);
}

export async function whereItRuns<T>(
  config: Config,
  offline: () => Promise<T>,
  online: (admin: AdminCall) => Promise<T>,
): Promise<T> {
  // Taking the lock would make the directory, and a mistyped name must not make one.
  await existing(config);
  const { data: dir } = config;
  const owned = {
    dir,
    tokenFile: layout.adminToken(dir),
    service: 'log',
    error: (message: string, status: number | undefined, options?: ErrorOptions) =>
      new ServerError('config', status === undefined ? message : `the running log refuses: ${message}`, options),
  };
  return await offlineOr(owned, offline, online);
}

/** The operator's commands on a data directory. If its log is running, the admin port of that process does the work. */
import { resolve } from 'node:path';
import { decodeUtf8 } from '../../merkle/bytes.ts';
import { parseVerifierKey } from '../../merkle/note.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { lockDir } from '../../merkle/runtime/disk/lock.ts';
import { type AdminCall, offlineOr } from '../../merkle/runtime/service/admin-client.ts';
import type { Logger } from '../../merkle/runtime/service/logger.ts';
import type { Config } from '../config/load.ts';
import { checkOrigin, type LogIdentity, readIdentity } from '../dir/identity.ts';
import { layout, openDirStores } from '../dir/layout.ts';
import { ServerError } from '../errors.ts';
import { openPublished } from '../log/published.ts';
import { openLog } from '../open.ts';
import { CommittedTree } from '../tree/committed.ts';
import { backupTree, exportTree } from './backup.ts';
import type { OnProgress } from './copy.ts';

export interface CommandOptions {
  readonly config: Config;
  readonly logger: Logger;
  /** Called only where this process does the work. */
  readonly onProgress?: OnProgress;
}

/** Freezes the log for ever and resolves with its last checkpoint. A second run goes on where the first was cut off. */
export async function freezeLog({ config, logger }: CommandOptions): Promise<{ checkpoint: string }> {
  return await whereItRuns(
    config,
    async () => {
      await existing(config);
      const opened = await openLog({ config, logger, onFatal: () => {} });
      try {
        return { checkpoint: await opened.log.freeze() };
      } finally {
        await opened.close();
      }
    },
    (admin) => admin('POST', '/freeze', {}),
  );
}

/** Copies the log into `dir`, empty or missing; resolves with the number of entries copied. */
export async function backupLog(dir: string, options: CommandOptions): Promise<{ size: number }> {
  const { config, onProgress } = options;
  return await whereItRuns(
    config,
    () =>
      withTree(config, async (tree, checkpoint, { copy: _, ...identity }) => ({
        size: await backupTree(dir, tree, checkpoint, identity, onProgress),
      })),
    (admin) => admin('POST', '/backup', { dir: resolve(dir) }),
  );
}

/** Writes the published tree into `dir` as static files; resolves with its size. */
export async function exportLog(dir: string, options: CommandOptions): Promise<{ size: number }> {
  const { config, onProgress } = options;
  return await whereItRuns(
    config,
    () =>
      withTree(config, async (tree, _checkpoint, identity) => {
        const published = await publishedOf(tree, identity);
        return { size: await exportTree(dir, published, tree.tileStore(), onProgress) };
      }),
    (admin) => admin('POST', '/export', { dir: resolve(dir) }),
  );
}

async function publishedOf(tree: CommittedTree, identity: LogIdentity) {
  const keys = identity.verifierKeys.map(parseVerifierKey);
  return (await openPublished(tree, { origin: identity.origin, keys }))!;
}

async function withTree<T>(
  config: Config,
  work: (tree: CommittedTree, checkpoint: string, identity: LogIdentity) => Promise<T>,
): Promise<T> {
  const { data: dir } = config;
  const lock = await lockDir(dir);
  try {
    const identity = await existing(config);
    const tree = await CommittedTree.open(await openDirStores(dir), fastSha256);
    try {
      const { checkpoint, state } = tree;
      if (checkpoint !== undefined) return await work(tree, decodeUtf8(checkpoint), identity);
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
  } finally {
    await lock.release();
  }
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

async function whereItRuns<T>(
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

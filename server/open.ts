/** Opens the log of a configuration: data directory, keys, worker pool and log, without a network. */
import { randomBytes } from 'node:crypto';
import { readFileIfThere, writeFileDurable } from '../merkle/runtime/files.ts';
import { type DirLock, lockDir } from '../merkle/runtime/lock.ts';
import type { RetryingSigner } from '../merkle/runtime/signer.ts';
import type { Config } from './config/load.ts';
import { checkIdentity, FORMAT, readIdentity, writeIdentity } from './identity.ts';
import { createIngest } from './ingest/ingest.ts';
import { openKeys } from './keys.ts';
import { layout, openDirStores } from './layout.ts';
import { Log, type Logger } from './log.ts';
import { Metrics } from './metrics.ts';
import { CheckpointSigner } from './sign.ts';
import { backupTree, exportTree } from './tools/backup.ts';

/** An open log with what it stands on; without a network. */
export interface OpenLog {
  readonly log: Log;
  readonly metrics: Metrics;
  readonly lock: DirLock;
  readonly adminToken: string;
  close(): Promise<void>;
}

export interface OpenLogOptions {
  readonly config: Config;
  readonly logger: Logger;
  /** Told once where the log cannot go on. */
  readonly onFatal: (error: unknown) => void;
}

/** Takes the data directory of `config` and opens its log. Throws `ServerError` and `RuntimeError`. */
export async function openLog({ config, logger, onFatal }: OpenLogOptions): Promise<OpenLog> {
  const closers: (() => Promise<unknown>)[] = [];
  const closeAll = async () => {
    for (const close of closers.reverse()) await close();
  };
  try {
    const lock = await lockDir(config.data);
    closers.push(() => lock.release());
    const metrics = new Metrics();
    const found = await readIdentity(config.data);
    const keys = await openKeys({
      config,
      existing: found !== undefined,
      logger,
      onError: () => metrics.signerErrors.inc(),
    });
    const signer = new CheckpointSigner(config.origin, keys);
    closers.push(() => signer.close());
    const identity = { format: FORMAT, origin: config.origin, verifierKeys: signer.verifierKeys };
    if (found === undefined) await writeIdentity(config.data, { ...identity, copy: false });
    else checkIdentity(config.data, found, identity);
    const adminToken = await openAdminToken(config.data);

    const ingest = createIngest({
      threads: config.ingest.threads,
      limits: { bulkItems: config.limits.bulkItems },
    });
    closers.push(() => ingest.close());
    // The threads load while the store opens, not while the first client waits.
    void ingest.ingest(new Uint8Array(0), 'json');
    if (!ingest.fast.fast) logger.warn({ why: ingest.fast.why }, 'signatures over digests are checked the slow way');
    const log = await Log.open({
      openStores: () => openDirStores(config.data),
      signer,
      signerHealthy: () => keys.every((key: RetryingSigner) => key.healthy),
      ingest,
      batch: { maxSize: config.batch.maxSize, maxAgeMs: config.batch.maxAge },
      limits: {
        outstanding: config.limits.outstanding,
        unpublished: config.limits.unpublished,
        publishTimeoutMs: config.limits.publishTimeout,
        maxCheckpointDelayMs: config.readiness.maxCheckpointDelay,
      },
      metrics,
      logger,
      onFatal,
      copyTo: {
        backup: (dir, tree, checkpoint) => backupTree(dir, tree, checkpoint, identity),
        export: (dir, reader, store, checkpoint) => exportTree(dir, reader, store, checkpoint),
      },
    });
    closers.push(() => log.close());
    metrics.watchPoolQueue(() => ingest.queue.waiting);
    return { log, metrics, lock, adminToken, close: closeAll };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

const TOKEN_FORM = /^[A-Za-z0-9_-]{43}$/;

/** Whoever can read this file may freeze and copy the log through the admin port. */
async function openAdminToken(dir: string): Promise<string> {
  const path = layout.adminToken(dir);
  const stored = await readFileIfThere(path, 1024);
  const token = stored === undefined ? '' : Buffer.from(stored).toString().trim();
  if (TOKEN_FORM.test(token)) return token;
  const made = randomBytes(32).toString('base64url');
  await writeFileDurable(path, Buffer.from(`${made}\n`), { mode: 0o600 });
  return made;
}

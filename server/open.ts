/** Opens the log of a configuration: data directory, keys, worker pool and log, without a network. */
import { dirname, join } from 'node:path';
import { decodeUtf8 } from '../merkle/bytes.ts';
import type { Policy } from '../merkle/policy.ts';
import { isThere, makeDirDurable, readFileIfThere, writeFileDurable } from '../merkle/runtime/disk/files.ts';
import { type DirLock, lockDir } from '../merkle/runtime/disk/lock.ts';
import { type Outgoing, openConfiguredOutgoing } from '../merkle/runtime/identity/outgoing.ts';
import type { RetryingSigner } from '../merkle/runtime/keys/retrying.ts';
import { openAdminToken } from '../merkle/runtime/service/admin-token.ts';
import { Closers } from '../merkle/runtime/service/ends.ts';
import type { Logger } from '../merkle/runtime/service/logger.ts';
import type { Config } from './config/load.ts';
import { Cosigner } from './cosign/cosign.ts';
import { checkWitnessIds, readPolicy } from './cosign/policy.ts';
import { witnessMetrics } from './cosign/witness-metrics.ts';
import { openFullDisk } from './dir/full-disk.ts';
import {
  checkEntries,
  checkKeys,
  checkOwner,
  FORMAT,
  identityPath,
  originOf,
  readIdentity,
  writeIdentity,
} from './dir/identity.ts';
import { openSigners } from './dir/keys.ts';
import { layout, openDirStores } from './dir/layout.ts';
import { ServerError } from './errors.ts';
import { createIngest, type Ingest } from './ingest/ingest.ts';
import { readKnown } from './log/known-head.ts';
import { Log } from './log/log.ts';
import { directoryPlace } from './log/place-directory.ts';
import { S3Place } from './log/place-s3.ts';
import { SecondPlace } from './log/second-place.ts';
import { CheckpointSigner } from './log/sign.ts';
import type { LogLimits } from './log/types.ts';
import { Metrics } from './metrics.ts';
import type { Pin } from './shards/pin.ts';
import { refuseShard, type ShardRecord, shardsDir } from './shards/shard-record.ts';

/** An open log and the parts below it, without a network. */
export interface OpenLog {
  readonly log: Log;
  readonly metrics: Metrics;
  readonly lock: DirLock;
  /** Undefined where `admin.token` is false, and for a further shard. */
  readonly adminToken: string | undefined;
  /** Read at each use, and so replaced in place. */
  readonly limits: { -readonly [Name in keyof LogLimits]: LogLimits[Name] };
  /** Undefined without witnesses. */
  readonly cosigner: Cosigner | undefined;
  readonly ingest: Ingest;
  /** What is wrong with the connections to witnesses, one sentence each. */
  outgoingProblems(): string[];
  /**
   * Reaches the witnesses as these settings say, from the next request on.
   * @throws RuntimeError as `openConfiguredOutgoing`: the connections before stay
   */
  useOutgoing(settings: Config['outgoing']): Promise<void>;
  close(): Promise<void>;
}

interface OpenLogOptions {
  readonly config: Config;
  readonly logger: Logger;
  /** Called once if the log cannot go on. */
  readonly onFatal: (error: unknown) => void;
  /** File with a checkpoint of the log: the log does not start with less. */
  readonly atLeast?: string | undefined;
  /** Reads the last checkpoint of this log that the next shard has pinned, once the directory is locked; undefined where there is none. */
  readonly readPin?: () => Promise<Pin | undefined>;
  /** `config` is of a further shard: its directory, its keys and its record were made before (shards/prepare-shard.ts). */
  readonly further?: ShardRecord;
  /** The worker pool of the other shards; by default the log has its own. The caller closes it. */
  readonly ingest?: Ingest | undefined;
  /** Default: new ones. */
  readonly metrics?: Metrics;
  /** Called once all that is configured was read and checked, and before anything is made. What it throws ends the start. */
  readonly beforeMaking?: () => Promise<void>;
}

/**
 * Locks the data directory of `config` and opens its log. A start that fails on its configuration leaves no directory, no
 * key and no origin behind: what can never be changed later must not come from a mistake.
 * @throws ServerError, RuntimeError
 */
export async function openLog(options: OpenLogOptions): Promise<OpenLog> {
  const { config: given, logger, onFatal, atLeast, beforeMaking, further } = options;
  if (further === undefined) await refuseShard(given.data);
  const config = { ...given, origin: await originOf(given.data, given.origin) };
  const closers = new Closers();
  try {
    const take = async () => {
      const taken = await lockDir(config.data, (warning) => logger.warn({}, warning));
      closers.add(() => taken.release());
      return taken;
    };
    // To lock a directory makes it.
    const existing = await isThere(identityPath(config.data));
    let lock = existing ? await take() : undefined;
    await checkHalted(config.data);
    if (existing) await checkState(config.data);
    const { metrics = new Metrics() } = options;
    const found = await readIdentity(config.data);
    const pin = await options.readPin?.();
    if (found === undefined) {
      if (atLeast !== undefined) throw nothingThere(config.data, atLeast);
      await checkNew(config.data, further !== undefined);
    } else {
      checkOwner(config.data, found, config.origin);
      checkEntries(config.data, found, config.entries);
    }
    // A log that has ended signs nothing: it needs no key, no witness and no second place.
    const ended = pin !== undefined && found !== undefined;
    const policy = ended || config.policy === undefined ? undefined : await readPolicy(config.policy);
    const onSignerError = () => metrics.signerErrors.inc();
    const { signer, keys, save } = ended
      ? { signer: CheckpointSigner.ended(config.origin, found.verifierKeys), keys: [], save: async () => {} }
      : await openSigners({ config, policy, existing, logger, onError: onSignerError });
    closers.add(() => signer.close());
    const identity = {
      format: FORMAT,
      origin: config.origin,
      verifierKeys: [...signer.verifierKeys],
      ...(config.entries === 'raw' ? { entries: config.entries } : {}),
    };
    const expected = found ?? (further && { ...identity, verifierKeys: [...further.verifierKeys], copy: false });
    if (expected !== undefined) checkKeys(config.data, expected, identity.verifierKeys);
    const known = atLeast === undefined ? undefined : await readKnown(atLeast, config.origin, identity.verifierKeys);
    const place = ended ? undefined : await openPlace(config, further !== undefined && found === undefined);
    const secondPlace =
      place === undefined
        ? undefined
        : new SecondPlace(place, config.origin, logger, () => metrics.secondPlaceFailures.inc());
    if (secondPlace !== undefined) {
      if (found === undefined) await secondPlace.checkReached();
      signer.record = (head) => secondPlace.record(head);
      closers.add(async () => secondPlace.close());
    }
    if (policy !== undefined) checkWitnessIds(policy, config.outgoing.witnessIds);
    let outgoing = policy?.witnesses.length ? await openConfiguredOutgoing(config.outgoing, logger) : undefined;
    closers.add(async () => await outgoing?.close());
    const cosigner = policy?.witnesses.length
      ? makeCosigner(config, policy, signer, metrics, logger, outgoing)
      : undefined;
    if (cosigner !== undefined) closers.add(async () => cosigner.close());
    await beforeMaking?.();
    lock ??= await take();
    if (!existing) await checkStillNew(config.data);
    await save();
    if (found?.verifierKeys.join() !== identity.verifierKeys.join()) {
      await writeIdentity(config.data, { ...identity, copy: false });
    }
    // The operator calls the port of the whole log.
    const hasToken = further === undefined && config.admin.token;
    const adminToken = hasToken ? await openAdminToken(layout.adminToken(config.data)) : undefined;

    const ingest = options.ingest ?? startIngest(config, logger);
    if (options.ingest === undefined) closers.add(() => ingest.close());
    if (!ended && policy?.quorum === undefined && known === undefined && secondPlace === undefined) {
      logger.warn(
        {},
        'nothing tells whether this data directory is an old copy, which would begin a second history: name witnesses in `policy`, or a directory on another disk in `secondPlace`, or a bucket in `secondPlaceS3`, or give the newest checkpoint that you can find with --at-least',
      );
    }
    const { outstanding, unpublished, publishTimeout } = config.limits;
    const limits = { outstanding, unpublished, publishTimeout, ...config.readiness };
    const log = await Log.open({
      openStores: () => openDirStores(config.data),
      openFullDisk: () => openFullDisk(config.data),
      tree: { ...config.limits, pathOf: (name) => join(layout.public(config.data), name) },
      signer,
      signerHealthy: () => keys.every((key: RetryingSigner) => key.healthy),
      cosigner,
      isNew: found === undefined,
      atLeast: known,
      pin,
      secondPlace,
      minPublishIntervalMs: config.publish.minInterval ?? defaultMinInterval(config, cosigner),
      keepPlain: (note) =>
        writeFileDurable(layout.plain(layout.public(config.data)), Buffer.from(note), { mode: 0o644 }),
      onConflict: (error, evidence) =>
        writeFileDurable(layout.halted(config.data), Buffer.from(`${error.message}\n\n${evidence}`)).catch((cause) =>
          logger.error({ err: cause }, 'the reason to stop could not be stored'),
        ),
      entries: config.entries,
      ingest,
      scrub: { intervalMs: config.scrub.interval, path: layout.scrub(config.data) },
      filter: { maxBytes: config.limits.filterBytes, path: layout.leafFilter(config.data) },
      batch: config.batch,
      limits,
      metrics,
      logger,
      onFatal,
      identity,
    });
    closers.add(() => log.close());
    metrics.ended = () => log.info.status === 'frozen';
    if (further === undefined) metrics.poolQueue = () => ingest.queue.waiting;
    const outgoingProblems = () => outgoing?.problems() ?? [];
    const useOutgoing = async (settings: Config['outgoing']) => {
      if (cosigner === undefined) return;
      const before = outgoing;
      outgoing = await openConfiguredOutgoing(settings, logger);
      cosigner.useConnections(outgoing);
      await before?.close();
    };
    const close = () => closers.close();
    return { log, metrics, lock, adminToken, limits, cosigner, ingest, outgoingProblems, useOutgoing, close };
  } catch (error) {
    await closers.close();
    throw error;
  }
}

/**
 * `publish.minInterval` if it is not set, in milliseconds. Opaque entries are answered before their checkpoint. With one
 * checkpoint for each batch such a log took 12 % more processor time an entry, measured with 256 clients.
 */
function defaultMinInterval({ entries }: Config, cosigner: Cosigner | undefined): number {
  if (cosigner !== undefined && !cosigner.loopback) return 1000;
  return entries === 'raw' ? 200 : 0;
}

function startIngest(config: Config, logger: Logger): Ingest {
  const ingest = createIngest({
    // Opaque entries need no checks.
    threads: config.entries === 'raw' ? 1 : config.ingest.threads,
    limits: {
      bulkItems: config.limits.bulkItems,
      anyCertificate: config.ingest.anyCertificate,
      facts: config.identity !== undefined,
    },
    onError: (error) => logger.error({ err: error }, 'the check of a batch of requests failed'),
  });
  // The threads load while the store opens, not while the first client waits.
  void ingest.ingest(new Uint8Array(0), 'json');
  if (!ingest.fast.fast) logger.warn({ why: ingest.fast.why }, 'signatures over digests are checked the slow way');
  return ingest;
}

/** @param isNew a further shard begins: its place is made below that of the first one, which must be there */
async function openPlace(
  { secondPlace, secondPlaceS3: s3, origin }: Config & { readonly origin: string },
  isNew: boolean,
) {
  if (secondPlace !== undefined) {
    const first = dirname(dirname(secondPlace));
    if (isNew && (await isThere(first))) await makeDirDurable(secondPlace);
    return directoryPlace(secondPlace);
  }
  return s3 === undefined ? undefined : await S3Place.open({ prefix: origin, region: 'us-east-1', ...s3 });
}

function makeCosigner(
  { origin, publish }: Config & { readonly origin: string },
  policy: Policy,
  { keys }: CheckpointSigner,
  metrics: Metrics,
  logger: Logger,
  outgoing: Outgoing | undefined,
): Cosigner {
  const { witnessTimeout, refreshInterval, witnessClockSkew, failOpen } = publish;
  const settings = { timeoutMs: witnessTimeout, refreshMs: refreshInterval, clockSkewMs: witnessClockSkew, failOpen };
  return new Cosigner({ policy, origin, keys, settings, metrics: witnessMetrics(metrics), logger, outgoing });
}

/**
 * Refuses a directory with stores and without `stele.json`, which a log writes first and a copy last. A log that starts on
 * a copy that was cut off shows two histories.
 */
async function checkNew(dir: string, further: boolean): Promise<void> {
  for (const stored of [layout.state(dir), layout.public(dir), ...(further ? [] : [shardsDir(dir)])]) {
    if (!(await isThere(stored))) continue;
    throw new ServerError(
      'copy',
      `${stored} is there, and ${identityPath(dir)} is not: the directory is a backup or a restore that was cut off, or it ` +
        'has lost that file. Copy or restore again into another directory, or put the file back.',
    );
  }
}

/** Refuses a directory that has lost the state of its tree: an empty one would begin a second history. */
async function checkState(dir: string): Promise<void> {
  if ((await isThere(layout.state(dir))) || (await isThere(layout.rebuiltState(dir)))) return;
  // A first start that was cut off has made none of these yet.
  for (const path of [layout.leafFilter(dir), layout.scrub(dir), join(layout.public(dir), 'tile')]) {
    if (!(await isThere(path))) continue;
    throw new ServerError(
      'corrupt',
      `${layout.state(dir)} is lost: ${path} shows that the log had a tree there. Restore the directory from a backup with ` +
        '`stele log restore`.',
    );
  }
}

/** Another start may have begun a log there while this one read its configuration. */
async function checkStillNew(dir: string): Promise<void> {
  if (!(await isThere(identityPath(dir)))) return;
  throw new ServerError('locked', `another process has just begun a log in ${dir}. Start again.`);
}

/** Refuses to open a log that a witness has halted. The operator removes the file once it is clear what happened. */
async function checkHalted(dir: string): Promise<void> {
  const path = layout.halted(dir);
  const why = await readFileIfThere(path, MAX_HALTED);
  if (why === undefined) return;
  throw new ServerError(
    'rollback',
    `this log stopped before: ${decodeUtf8(why).split('\n', 1)[0] || 'the reason is lost.'} The evidence is in ${path}; remove the file when that ` +
      'is done.',
  );
}

function nothingThere(dir: string, atLeast: string): ServerError {
  return new ServerError(
    'rollback',
    `${dir} holds no log, and ${atLeast} shows that the log is there already: name its data directory, or restore it with ` +
      '`stele log restore`.',
  );
}

const MAX_HALTED = 4 * 1024 * 1024;

/**
 * Makes a monitor and all of its parts from its configuration. Its directory:
 *
 *     <state>/lock/       one process at a time; owner.json says which
 *             follow/     how far the monitor has come with each log (store/state-store.ts)
 *             queue/      alerts that a sink has yet to take (alerts/alert-queue.ts)
 *             acks/       acknowledgements, and the alerts that can be acknowledged (store/ack-store.ts)
 *             repositories/  for each watched TUF repository what was accepted of it, and what was reported
 *             indexes/    how far it has come with each log that an index watches (store/index-state-store.ts)
 *             evidence/   evidence to show to others (store/evidence-files.ts)
 */
import { join } from 'node:path';
import { encodeHex, encodeUtf8 } from '../../merkle/bytes.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { isThere } from '../../merkle/runtime/disk/files.ts';
import { lockDir } from '../../merkle/runtime/disk/lock.ts';
import { Closers } from '../../merkle/runtime/service/ends.ts';
import { ClientError, usage } from '../errors.ts';
import { readLocation } from '../follow/store/read-location.ts';
import { openSource } from '../tiles/tiles.ts';
import type { TileSource } from '../tiles/types.ts';
import { LastingQueue } from './alerts/lasting.ts';
import type { QueueEvent } from './alerts/sink-line.ts';
import { openSinks } from './alerts/sinks/open-sinks.ts';
import type { MonitorConfig } from './config/types.ts';
import { LookupFollower } from './lookup-follower.ts';
import { createMatcher } from './matcher.ts';
import { MonitorMetrics } from './monitor-metrics.ts';
import { keysOfRules } from './rules/rule-keys.ts';
import { Monitor, type MonitorEvent } from './run.ts';
import { AckStore } from './store/ack-store.ts';
import { EvidenceFiles } from './store/evidence-files.ts';
import { IndexStateStore } from './store/index-state-store.ts';
import { StateStore } from './store/state-store.ts';
import { TrustWatch } from './trust-watch.ts';

export interface OpenMonitorOptions {
  /** Where a log begins that has no state. Without it, a missing state is an error. */
  readonly start?: 'now' | 'start';
  /** One look only: entries of a bundle that is not full do not wait. */
  readonly once?: boolean;
  readonly onEvent?: (event: MonitorEvent) => void;
  readonly onDelivery?: (event: QueueEvent) => void;
  /** Receives a sentence about trouble that the monitor has dealt with, such as a damaged state that it put aside. */
  readonly onWarning?: (message: string) => void;
  readonly metrics?: MonitorMetrics;
  /** Called once all that is configured was read and checked, and before anything is made. What it throws ends the start. */
  readonly beforeMaking?: () => Promise<void>;
  /** Reaches logs, peers and signing configurations; Node's `fetch` by default. */
  readonly fetch?: typeof fetch | undefined;
  /** Opens logs and peers; `openSource` by default. */
  readonly open?: (location: string) => TileSource;
}

export interface OpenMonitor {
  readonly monitor: Monitor;
  readonly metrics: MonitorMetrics;
  /** How many deliveries remain. */
  pending(): number;
  /** Closes every part and releases the state. Call it when `run` or `once` has ended. */
  close(): Promise<void>;
}

/** For one file. The monitor tries whole rounds again. */
const REQUEST = { timeoutMs: 20_000, retries: 1, userAgent: 'stele-monitor' };

/**
 * Locks the state, reads it, and opens every part. It sends no request to a log. A start that fails on its configuration
 * leaves no directory behind.
 *
 * @throws ClientError `state`, `usage`; RuntimeError `locked`, `store`, `file`
 */
export async function openMonitor(config: MonitorConfig, options: OpenMonitorOptions = {}): Promise<OpenMonitor> {
  const { start, fetch, onEvent, onWarning = () => {}, metrics = new MonitorMetrics() } = options;
  const closers = new Closers();
  try {
    // Before the lock, which makes the directory: a wrong path must not leave a directory behind.
    if (start === undefined && !(await isThere(config.state)))
      await StateStore.open(join(config.state, 'follow'), false);
    const take = async () => {
      const lock = await lockDir(config.state, onWarning);
      closers.add(() => lock.release());
    };
    const existing = await isThere(join(config.state, 'follow'));
    if (existing) await take();
    const sinks = await openSinks(config.sinks).catch((error: unknown) => {
      // Nothing was delivered yet, nor tried: the configuration is wrong.
      throw error instanceof ClientError ? usage(error.message) : error;
    });
    closers.add(async () => {
      for (const sink of sinks) sink.close?.();
    });
    await options.beforeMaking?.();
    if (!existing) await take();
    const queueDir = join(config.state, 'queue');
    const queueThere = await isThere(join(queueDir, 'CURRENT'));
    const { store, aside } = await StateStore.open(join(config.state, 'follow'), start !== undefined);
    closers.add(() => store.close());
    if (aside !== undefined) onWarning(`the old state is damaged and was put aside: ${aside}`);
    if (!queueThere && !(await store.isEmpty())) {
      const why = `the queue of alerts, ${queueDir}, is lost, and with it the alerts that had not been delivered`;
      if (start === undefined) {
        const again = 'To look at every entry again, move the state away and give --from-start';
        throw new ClientError('state', `${why}. ${again}; to go on, give --from-now`);
      }
      onWarning(why);
    }
    const queue = await LastingQueue.open(queueDir, {
      sinks,
      onTrouble: onWarning,
      onEvent: (event) => {
        metrics.delivery(event);
        options.onDelivery?.(event);
      },
    });
    closers.add(() => queue.close());
    metrics.watchQueue(() => queue.state());
    metrics.expect({ rules: config.rules.map(({ name }) => name), sinks: sinks.map(({ name }) => name) });
    const acknowledged = new AckStore(config.state, { onProblem: onWarning });
    const matcher = createMatcher(config.rules, {
      threads: config.threads,
      ...(config.authorities && { authorities: config.authorities }),
      acknowledged,
    });
    closers.add(() => matcher.close());
    const monitor: Monitor = new Monitor({
      logs: config.logs,
      shards: config.shards,
      trusts: config.repositories.map(
        (watched) =>
          new TrustWatch(watched, {
            settings: config.follow,
            dir: join(config.state, 'repositories', encodeHex(fastSha256(encodeUtf8(watched.url))).slice(0, 16)),
            queue,
            fetch,
          }),
      ),
      settings: options.once === true ? { ...config.follow, partialMs: 0 } : config.follow,
      store,
      evidence: new EvidenceFiles(join(config.state, 'evidence')),
      matcher,
      queue,
      byIndex: (log, own) => {
        const index = config.indexes.find((one) => one.log === log.origin);
        if (index === undefined) return undefined;
        const keys = keysOfRules(config.rules, log.origin);
        return new LookupFollower(log, {
          ...own,
          index,
          keys,
          store: new IndexStateStore(join(config.state, 'indexes'), log),
          fetch,
        });
      },
      open: options.open ?? ((location) => openSource(location, { ...REQUEST, fetch })),
      read: (location, limit, signal) => readLocation(location, limit, signal, fetch),
      ...(start !== undefined && { start }),
      onEvent: (event) => {
        measure(metrics, monitor, event);
        onEvent?.(event);
      },
    });
    closers.add(() => monitor.close());
    await monitor.load();
    return { monitor, metrics, pending: () => queue.pending(), close: () => closers.close() };
  } catch (error) {
    await closers.close();
    throw error;
  }
}

function measure(metrics: MonitorMetrics, monitor: Monitor, event: MonitorEvent): void {
  if (event.type === 'alerts') for (const { kind, rule } of event.alerts) metrics.alert(kind, rule);
  else if (event.type === 'progress') metrics.progress(event.log, event.through, event.count);
  else if (event.type === 'round') {
    metrics.round(event.log, event.ok);
    const report = monitor.reports.find(({ log }) => log === event.log);
    if (event.ok && report?.size !== undefined) metrics.checkpoint(event.log, report.size, Date.now());
  }
}

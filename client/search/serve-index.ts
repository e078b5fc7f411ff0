/** `stele index` as a service: the plain index and its other parts behind one public port, and the operator's port. */
import { join } from 'node:path';
import { settingsOf } from '../../merkle/runtime/config/settings.ts';
import { freeSpace } from '../../merkle/runtime/disk/free-space.ts';
import { lockDir } from '../../merkle/runtime/disk/lock.ts';
import { jsonAnswer } from '../../merkle/runtime/service/app.ts';
import { ClientAddresses } from '../../merkle/runtime/service/client-address.ts';
import { Closers, failure } from '../../merkle/runtime/service/ends.ts';
import { type Logger, makeLogger } from '../../merkle/runtime/service/logger.ts';
import { createOperatorApp } from '../../merkle/runtime/service/operator-app.ts';
import { drainApp, openPorts, tryPorts } from '../../merkle/runtime/service/ports.ts';
import { differing, type Reloaded, Reloads } from '../../merkle/runtime/service/reloads.ts';
import { ServedTls } from '../../merkle/runtime/service/served-tls.ts';
import { readLocation } from '../follow/store/read-location.ts';
import { openSource } from '../tiles/tiles.ts';
import { openPlainIndex } from './index/open-plain-index.ts';
import { createIndexApp } from './index-app.ts';
import { type IndexConfig, IndexSchema, type LiveIndex } from './index-config.ts';
import { IndexEvents } from './index-events.ts';
import { IndexMetrics } from './index-metrics.ts';
import type { IndexPart, OpenPart, PartContext } from './index-parts.ts';
import { QueryTurns } from './query-turns.ts';
import { searchRoutes } from './search-routes.ts';
import type { IndexedLogStatus } from './types.ts';

/** Milliseconds that a shutdown waits for the requests under way. */
const DRAIN_MS = 30_000;
/** For one file of a log. The index tries whole rounds again. */
const REQUEST = { timeoutMs: 20_000, retries: 1, userAgent: 'stele-index' };

const ABOUT = [
  'GET  /stele/v1/index       which logs, and through which size',
  'GET  /stele/v1/search      entries by digest, key, identity, issuer, extension and kind, each with a proof',
];

interface IndexServer {
  /** Where it listens, as `http://localhost:3400`. */
  readonly url: string;
  readonly publicUrl: string | undefined;
  readonly adminUrl: string;
  /** Origins of the logs so far. */
  readonly logs: readonly string[];
  /** The parts that are on, beside search. */
  readonly parts: readonly string[];
  /** Rejects where the service cannot go on. */
  readonly failed: Promise<never>;
  readonly logger: Logger;
  /** Reads limits and certificate anew. Never rejects: what is wrong is logged, and stays an alarm. */
  reload(): Promise<void>;
  /** Takes no new requests, answers those under way, and closes. */
  close(): Promise<void>;
}

interface ServeIndexOptions {
  readonly config: IndexConfig;
  /** Reads the configuration of a reload. */
  readonly reread: () => IndexConfig;
  /** Reaches logs and configurations of shards; Node's `fetch` by default. */
  readonly fetch?: typeof fetch | undefined;
}

/** What `GET /status` of the operator's port says. */
export interface IndexStatus {
  readonly logs: readonly Omit<IndexedLogStatus, 'answers'>[];
}

/** The parts that the configuration turns on, each loaded only then. */
function partsOf({ store, maps }: IndexConfig): readonly (readonly [dir: string, open: OpenPart])[] {
  const parts: (readonly [dir: string, open: OpenPart])[] = [];
  if (maps.length > 0) parts.push(['map', async (context) => (await import('./map-part.ts')).openMapPart(context)]);
  if (store.enabled) {
    parts.push(['store', async (context) => (await import('./store-part.ts')).openStorePart(context)]);
  }
  return parts;
}

/** @throws ClientError, RuntimeError */
export async function serveIndex({ config, reread, fetch }: ServeIndexOptions): Promise<IndexServer> {
  const logger = makeLogger(config.log);
  const { failed, fail } = failure();
  const closers = new Closers();
  try {
    let made: Reloads | undefined;
    const tls = config.tls && (await ServedTls.open(config.tls, { logger, reloads: () => made }));
    closers.add(async () => tls?.close());
    await tryPorts([
      ['listen', config.listen],
      ['admin', config.admin],
    ]);
    const lock = await lockDir(config.data, (warning) => logger.warn({}, warning));
    closers.add(() => lock.release());
    const metrics = new IndexMetrics();
    const live: LiveIndex = { limits: config.limits, rateLimit: config.rateLimit, store: config.store };
    const clients = new ClientAddresses(config.trustProxy);
    const turns = new QueryTurns(() => live.limits);
    metrics.underWay = () => turns.underWay;
    const { open, read } = sourcesOf(fetch);
    const events = new IndexEvents(logger, metrics);
    const index = await openPlainIndex({ ...plainOptions(config), open, read, onEvent: (event) => events.take(event) });
    closers.add(() => index.close());
    metrics.logs = () => index.status().map(gaugeOf);

    const context = { config, live, metrics, logger, clients, turns, open, read, fetch };
    const parts = await openParts(context, closers);
    const named = () => Object.fromEntries(parts.map((part) => [part.name, part.describe()]));
    const { kinds } = config.index;
    const routes = [
      ...searchRoutes({ index, kinds, parts: named, clients, turns, metrics }),
      ...parts.flatMap((part) => part.routes),
    ];
    const about = [...ABOUT, ...parts.flatMap((part) => part.about)];
    const app = createIndexApp({
      routes,
      clients,
      about,
      publicUrl: config.publicUrl,
      live,
      tls: tls?.pair,
      metrics,
      logger,
    });
    tls?.serve(app.server);
    const reloads = indexReloads({ config, reread, live, tls, metrics, logger });
    made = reloads;
    closers.add(() => reloads.close());
    const disk = freeSpace(config.data, config.readiness.minFree, 'readiness.minFree');
    metrics.diskFree = disk.bytes;
    metrics.certificateEnd = () => (tls === undefined ? 0 : Date.parse(tls.facts.notAfter) / 1000);
    let closing = false;
    const started = Date.now();
    const admin = createOperatorApp({
      metrics,
      prefix: 'stele_index',
      hosts: [config.admin.host, ...config.admin.hosts],
      notReady: () => [
        ...(closing ? ['it is shutting down'] : []),
        ...lateLogs(index.status(), (log) => events.followed(log), started, config.readiness.maxLag),
        ...parts.flatMap((part) => part.notReady?.() ?? []),
        ...disk.reasons(),
        ...(tls?.problems() ?? []),
      ],
      alarms: () => [
        ...reloads.alarms(),
        ...faultyLogs(index.status()),
        ...events.alarms(),
        ...parts.flatMap((part) => part.alarms?.() ?? []),
      ],
      calls: callsOf(parts),
      routes: [{ method: 'GET', path: '/status', answer: () => jsonAnswer(200, statusJson(index.status()), FRESH) }],
    });

    const stopping = new AbortController();
    const ports = {
      public: { app, at: config.listen, tls: tls !== undefined },
      admin: { app: admin, at: config.admin },
    };
    const urls = await openPorts(ports, lock);
    const running = [index.run(stopping.signal), ...parts.map((part) => part.run?.(stopping.signal))];
    for (const work of running) work?.catch(fail);
    closers.add(async () => {
      stopping.abort();
      await Promise.allSettled(running);
    });
    closers.add(async () => {
      closing = true;
      await drainApp(app, DRAIN_MS);
      await drainApp(admin, DRAIN_MS);
    });
    const close = async () => {
      await closers.close();
      logger.info({}, 'closed');
    };
    return {
      ...urls,
      publicUrl: config.publicUrl,
      logs: index.status().map(({ origin }) => origin),
      parts: parts.map(({ name }) => name),
      failed,
      logger,
      reload: () => reloads.request(),
      close,
    };
  } catch (error) {
    await closers.close();
    throw error;
  }
}

const FRESH = { 'cache-control': 'no-store' };

/** Reads logs, their copies and configurations of shards. */
export function sourcesOf(fetch: typeof globalThis.fetch | undefined): Pick<PartContext, 'open' | 'read'> {
  return {
    open: (location) => openSource(location, { ...REQUEST, fetch }),
    read: (location, limit, signal) => readLocation(location, limit, signal, fetch),
  };
}

/** The directory of the plain index, and what it follows. */
export function plainOptions({ data, logs, shards, index: { kinds }, reading, threads }: IndexConfig) {
  return { dir: join(data, 'plain'), logs, shards, kinds, settings: reading, threads };
}

async function openParts(context: Omit<PartContext, 'dir'>, closers: Closers): Promise<readonly IndexPart[]> {
  const parts: IndexPart[] = [];
  for (const [name, open] of partsOf(context.config)) {
    const part = await open({ ...context, dir: join(context.config.data, name) });
    closers.add(() => part.close());
    parts.push(part);
  }
  return parts;
}

/** The admin token is one of the service. */
function callsOf(parts: readonly IndexPart[]): IndexPart['calls'] {
  const calls = parts.flatMap((part) => part.calls ?? []);
  const [first] = calls;
  return first && { ...first, routes: calls.flatMap(({ routes }) => routes) };
}

function gaugeOf({ origin, answers, completeThrough, accepted, followed, fault }: IndexedLogStatus) {
  return {
    log: origin,
    answered: answers?.size ?? 0,
    through: completeThrough,
    size: accepted,
    followed: followed === undefined ? 0 : followed / 1000,
    faulty: fault !== undefined,
  };
}

/**
 * Why the index does not do its work for a log. One that is new, and has no checkpoint yet, has nothing to answer.
 *
 * @param followed when the log was last followed without a fault, in ms since 1970
 * @param started when the process did
 */
function lateLogs(
  logs: readonly IndexedLogStatus[],
  followed: (log: string) => number | undefined,
  started: number,
  maxLag: number,
): string[] {
  return logs.flatMap(({ origin, answers, completeThrough, accepted, fault }) => {
    const last = followed(origin);
    const late = Date.now() - (last ?? started);
    const read = `${completeThrough} of ${accepted} entries`;
    if (fault?.proven === true) return [`the log ${origin} lies: ${fault.message}`];
    if (late > maxLag) {
      const why = fault === undefined ? `it has read ${read}` : fault.message;
      return [`the log ${origin} was not followed for ${Math.floor(late / 1000)} s: ${why}`];
    }
    const isNew = last !== undefined && accepted === 0;
    return answers === undefined && !isNew ? [`no whole tree of the log ${origin} was read yet: ${read}`] : [];
  });
}

function faultyLogs(logs: readonly IndexedLogStatus[]): string[] {
  return logs.flatMap(({ origin, fault }) =>
    fault === undefined || fault.proven ? [] : [`the log ${origin} cannot be followed now: ${fault.message}`],
  );
}

/** For the operator: with locations and the texts of faults. */
export function statusJson(logs: readonly IndexedLogStatus[]): object {
  return {
    logs: logs.map(({ answers, followed, fault, ...log }) => ({
      ...log,
      ...(answers && { answered: answers.size }),
      ...(followed !== undefined && { followed: new Date(followed).toISOString() }),
      ...(fault && { fault: { ...fault, since: new Date(fault.since).toISOString() } }),
    })),
  };
}

interface IndexReload extends ServeIndexOptions {
  readonly live: LiveIndex;
  readonly tls: ServedTls | undefined;
  readonly metrics: IndexMetrics;
  readonly logger: Logger;
}

const SETTINGS = settingsOf(IndexSchema, '');
const LIVE: readonly string[] = ['limits', 'rateLimit', 'store'];
/** Read once, although they belong to a group that is live. */
const FIXED: readonly string[] = ['store.enabled', 'store.trustedRoot', 'store.log'];

function indexReloads({ config, reread, live, tls, metrics, logger }: IndexReload): Reloads {
  let used = config;
  const run = async (reloads: Reloads): Promise<Reloaded> => {
    const next = reread();
    reloads.good('configuration');
    await reloads.take('certificate', () => next.tls && tls?.use(next.tls));
    const differ = differing(used, next, SETTINGS);
    const changed = differ.filter((name) => LIVE.includes(name.split('.')[0]!) && !FIXED.includes(name));
    const restart = differ.filter((name) => !changed.includes(name));
    const { limits, rateLimit, store: following } = next;
    const { enabled, trustedRoot, log } = used.store;
    const { trustedRoot: _root, log: _log, ...rest } = following;
    const store = {
      ...rest,
      enabled,
      ...(trustedRoot !== undefined && { trustedRoot }),
      ...(log !== undefined && { log }),
    };
    used = { ...used, limits, rateLimit, store };
    live.limits = limits;
    live.rateLimit = rateLimit;
    live.store = store;
    return { changed, restart };
  };
  const reloads = new Reloads({ run, logger, onEnd: (result) => metrics.reloads.inc({ result }) });
  metrics.reloadFailed = () => reloads.failed;
  return reloads;
}

/** Starts a witness as a server. The command line loads this file, and with it the operator's commands. */
import { freeSpace } from '../merkle/runtime/disk/free-space.ts';
import { openGate } from '../merkle/runtime/identity/open-gate.ts';
import { openConfiguredOutgoing } from '../merkle/runtime/identity/outgoing.ts';
import type { AccessAction } from '../merkle/runtime/policy/access/types.ts';
import { Closers, failure } from '../merkle/runtime/service/ends.ts';
import { type Logger, makeLogger } from '../merkle/runtime/service/logger.ts';
import { drainApp, openPorts, tryPorts } from '../merkle/runtime/service/ports.ts';
import type { Reloads } from '../merkle/runtime/service/reloads.ts';
import { ServedTls } from '../merkle/runtime/service/served-tls.ts';
import { createAdminApp } from './admin.ts';
import { type Config, SETTINGS } from './config.ts';
import { createApp } from './http.ts';
import type { Judge } from './judge.ts';
import { ListUpdates } from './list-updates.ts';
import { listLogs } from './listing.ts';
import { openWitness } from './open.ts';
import { Poller } from './poll.ts';
import { witnessReloads } from './reload.ts';

export { addLog, checkEvidence, disableLog, type EvidenceReport, listKnownLogs } from './commands.ts';
export { type Config, configOf, type Decoded, loadConfig, SETTINGS, WitnessSchema } from './config.ts';
export type { Judge } from './judge.ts';
export type { Listing } from './listing.ts';

/** Milliseconds that a shutdown waits for the replies under way. */
const DRAIN_MS = 10_000;

/** What a caller can ask of a witness. */
const actions: readonly AccessAction[] = ['cosign', 'admin', 'read'];

/** A running witness, for the command line to print and to stop. */
export interface WitnessServer {
  /** Where it listens, as `http://localhost:3100`. */
  readonly url: string;
  /** Where logs reach it, if that is configured. */
  readonly publicUrl: string | undefined;
  readonly adminUrl: string;
  readonly name: string;
  /** One of type 4, one of type 6, or both. */
  readonly verifierKeys: readonly string[];
  /** How many logs are witnessed. */
  readonly logs: number;
  /** Rejects where the witness cannot go on. The process should then end with an error. */
  readonly failed: Promise<never>;
  readonly logger: Logger;
  /** Reaches others as the configuration says (`outgoing`); undefined where it says nothing. */
  readonly fetch: typeof fetch | undefined;
  /** Reads the list of logs and the limits anew. Never rejects: what is wrong is logged, and stays an alarm. */
  reload(): Promise<void>;
  /** Takes no new requests, answers those under way, and closes. */
  close(): Promise<void>;
}

interface ServeOptions {
  readonly config: Config;
  /** The clock of this start is right, whatever the newest cosignature says. */
  readonly acceptClock?: boolean;
  /** Reads the configuration of a reload; by default it is the one of the start. */
  readonly reread?: () => Config;
  /** What must hold beyond the rules of a witness. */
  readonly judge?: Judge;
}

/** Starts the witness of `config` on its public and its admin port. Throws `WitnessError` and `RuntimeError`. */
export async function serveWitness({
  config,
  acceptClock = false,
  reread = () => config,
  judge,
}: ServeOptions): Promise<WitnessServer> {
  const logger = makeLogger(config.log);
  const { failed, fail } = failure();
  let reloads: Reloads | undefined;
  const askClients = config.identity !== undefined;
  const closers = new Closers();
  const ending = async (error: unknown): Promise<never> => {
    await closers.close();
    throw error;
  };
  const tls = config.tls && (await ServedTls.open(config.tls, { askClients, logger, reloads: () => reloads }));
  closers.add(async () => await tls?.close());
  const guarded = config.identity && (await openGate(config.identity, { actions, logger }).catch(ending));
  closers.add(async () => await guarded?.close());
  const gate = guarded?.gate;
  const outgoing = await openConfiguredOutgoing(config.outgoing, logger).catch(ending);
  closers.add(async () => await outgoing?.close());
  const opened = await openWitness({
    config,
    logger,
    onFatal: fail,
    acceptClock,
    judge,
    beforeMaking: () =>
      tryPorts([
        ['listen', config.listen],
        ['admin', config.admin],
      ]),
  }).catch(ending);
  const { witness, logs, store, metrics, live, lock, adminToken, name, verifierKeys } = opened;
  try {
    for (const vkey of judge?.logs ?? []) await logs.add(vkey);
    const app = createApp(witness, live, { ...config, name, tls: tls?.pair, gate }, metrics, logger);
    tls?.serve(app.server);
    if (tls !== undefined) metrics.certificateEnd = () => Date.parse(tls.facts.notAfter) / 1000;
    const list = () => listLogs(logs, store.current);
    const fetch = outgoing?.pool.fetch;
    const { sources, refresh: refreshMs } = config.lists;
    const lists = new ListUpdates({ sources, refreshMs, logs, store, metrics, logger, fetch });
    const used = witnessReloads({ config, settings: SETTINGS, reread, opened, lists, tls, gate: guarded, logger });
    reloads = used;
    const hosts = [config.admin.host, ...config.admin.hosts];
    const alarms = () => [
      ...used.alarms(),
      ...(guarded?.problems() ?? []),
      ...(outgoing?.problems() ?? []),
      ...(judge?.alarms() ?? []),
    ];
    const disk = freeSpace(config.data, config.readiness.minFree, 'readiness.minFree');
    metrics.diskFree = disk.bytes;
    const secure = config.admin.tls ? { gate, tls: tls?.pair } : {};
    const notReady = () => [...disk.reasons(), ...(tls?.problems() ?? []), ...(judge?.notReady() ?? [])];
    const options = { token: adminToken, ...secure, hosts, list, lists, alarms, notReady };
    const admin = createAdminApp(witness, logs, options, metrics, logger);
    if (config.admin.tls) tls?.serve(admin.server);
    const ports = {
      public: { app, at: config.listen, tls: tls !== undefined },
      admin: { app: admin, at: config.admin, tls: config.admin.tls },
    };
    const { url, adminUrl } = await openPorts(ports, lock);
    lists.start();
    const poller =
      config.poll > 0 ? new Poller({ witness, logs, intervalMs: config.poll, metrics, logger, fetch }) : undefined;
    return {
      url,
      publicUrl: config.publicUrl,
      adminUrl,
      name,
      verifierKeys,
      logs: logs.count,
      failed,
      logger,
      fetch,
      reload: () => used.request(),
      close: async () => {
        await used.close();
        await Promise.all([drainApp(app, DRAIN_MS), poller?.close(), lists.close()]);
        await admin.close();
        await opened.close();
        await closers.close();
        logger.info({}, 'closed');
      },
    };
  } catch (error) {
    await opened.close();
    await closers.close();
    throw error;
  }
}

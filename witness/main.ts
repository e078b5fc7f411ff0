/** Starts a witness as a server. The command line loads this file, and with it the operator's commands. */
import { freeSpace } from '../merkle/runtime/disk/free-space.ts';
import { failure } from '../merkle/runtime/service/ends.ts';
import { type Logger, makeLogger } from '../merkle/runtime/service/logger.ts';
import { drainApp, openPorts, tryPorts } from '../merkle/runtime/service/ports.ts';
import { createAdminApp } from './admin.ts';
import { type Config, SETTINGS } from './config.ts';
import { createApp } from './http.ts';
import { ListUpdates } from './list-updates.ts';
import { listLogs } from './listing.ts';
import { openWitness } from './open.ts';
import { Poller } from './poll.ts';
import { witnessReloads } from './reload.ts';

export { addLog, checkEvidence, disableLog, type EvidenceReport, listKnownLogs } from './commands.ts';
export { type Config, loadConfig, SETTINGS } from './config.ts';
export type { Listing } from './listing.ts';

/** Milliseconds that a shutdown waits for the replies under way. */
const DRAIN_MS = 10_000;

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
}

/** Starts the witness of `config` on its public and its admin port. Throws `WitnessError` and `RuntimeError`. */
export async function serveWitness({
  config,
  acceptClock = false,
  reread = () => config,
}: ServeOptions): Promise<WitnessServer> {
  const logger = makeLogger(config.log);
  const { failed, fail } = failure();
  const opened = await openWitness({
    config,
    logger,
    onFatal: fail,
    acceptClock,
    beforeMaking: () =>
      tryPorts([
        ['listen', config.listen],
        ['admin', config.admin],
      ]),
  });
  const { witness, logs, store, metrics, live, lock, adminToken, name, verifierKeys } = opened;
  try {
    const app = createApp(witness, live, { ...config, name }, metrics, logger);
    const list = () => listLogs(logs, store.current);
    const { sources, refresh: refreshMs } = config.lists;
    const lists = new ListUpdates({ sources, refreshMs, logs, store, metrics, logger });
    const reloads = witnessReloads({ config, settings: SETTINGS, reread, opened, lists, logger });
    const hosts = [config.admin.host, ...config.admin.hosts];
    const alarms = () => reloads.alarms();
    const disk = freeSpace(config.data, config.readiness.minFree, 'readiness.minFree');
    metrics.diskFree = disk.bytes;
    const admin = createAdminApp(
      witness,
      logs,
      { token: adminToken, hosts, list, lists, alarms, notReady: disk.reasons },
      metrics,
      logger,
    );
    const ports = { public: { app, at: config.listen }, admin: { app: admin, at: config.admin } };
    const { url, adminUrl } = await openPorts(ports, lock);
    lists.start();
    const poller =
      config.poll > 0 ? new Poller({ witness, logs, intervalMs: config.poll, metrics, logger }) : undefined;
    return {
      url,
      publicUrl: config.publicUrl,
      adminUrl,
      name,
      verifierKeys,
      logs: logs.count,
      failed,
      logger,
      reload: () => reloads.request(),
      close: async () => {
        await reloads.close();
        await Promise.all([drainApp(app, DRAIN_MS), poller?.close(), lists.close()]);
        await admin.close();
        await opened.close();
        logger.info({}, 'closed');
      },
    };
  } catch (error) {
    await opened.close();
    throw error;
  }
}

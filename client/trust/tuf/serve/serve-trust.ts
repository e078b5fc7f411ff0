/** `stele trust serve` as a service: keeps a repository fresh, and serves its files. */
import { freeSpace } from '../../../../merkle/runtime/disk/free-space.ts';
import { openSigner } from '../../../../merkle/runtime/keys/open-signer.ts';
import type { Signer } from '../../../../merkle/runtime/keys/types.ts';
import { failure } from '../../../../merkle/runtime/service/ends.ts';
import { type Logger, makeLogger } from '../../../../merkle/runtime/service/logger.ts';
import { Mirror } from '../../../../merkle/runtime/service/mirror.ts';
import { createOperatorApp } from '../../../../merkle/runtime/service/operator-app.ts';
import { drainApp, listen, tryPorts } from '../../../../merkle/runtime/service/ports.ts';
import { differing, type Reloaded, Reloads } from '../../../../merkle/runtime/service/reloads.ts';
import { ServedTls } from '../../../../merkle/runtime/service/served-tls.ts';
import { Refresher } from './refresher.ts';
import { createMirrorApp } from './trust-app.ts';
import { TrustMetrics } from './trust-metrics.ts';
import { type LiveTrustServe, TRUST_SERVE_SETTINGS, type TrustServeConfig } from './trust-serve-config.ts';
import type { ServedRole } from './types.ts';

/** Milliseconds that a shutdown waits for the replies under way. */
const DRAIN_MS = 10_000;

/** A running service, for the command line to print and to stop. */
interface TrustServer {
  /** Where it listens, as `http://localhost:3200`; undefined where it only refreshes. */
  readonly url: string | undefined;
  readonly adminUrl: string;
  readonly roles: readonly ServedRole[];
  /** Rejects where the service cannot go on. */
  readonly failed: Promise<never>;
  readonly logger: Logger;
  /** Reads limits and key anew, and looks at the repository. Never rejects: what is wrong is logged, and stays an alarm. */
  reload(): Promise<void>;
  /** Takes no new requests, answers those under way, and closes. */
  close(): Promise<void>;
}

interface ServeTrustOptions {
  readonly config: TrustServeConfig;
  /** Reads the configuration of a reload. */
  readonly reread: () => TrustServeConfig;
  /** Without the public port, for a log that serves the same directory. */
  readonly refreshOnly: boolean;
}

/**
 * Starts the service. A repository or a configuration that can never be served stops the start; a key that is away, as a
 * token may be, is a reason not to be ready, and the files are served meanwhile.
 * @throws ClientError, RuntimeError
 */
export async function serveTrust({ config, reread, refreshOnly }: ServeTrustOptions): Promise<TrustServer> {
  const logger = makeLogger(config.log);
  const { failed } = failure();
  await tryPorts(
    refreshOnly
      ? [['admin', config.admin]]
      : [
          ['listen', config.listen],
          ['admin', config.admin],
        ],
  );
  const metrics = new TrustMetrics();
  const { directory, check: checkMs } = config;
  const refresher = new Refresher({ directory, signers: await openAll(config), checkMs, metrics, logger });
  let made: Reloads | undefined;
  let tls: ServedTls | undefined;
  try {
    if (config.tls !== undefined && !refreshOnly) {
      tls = await ServedTls.open(config.tls, { logger, reloads: () => made });
    }
    await refresher.start();
    metrics.roles = () => refresher.roles;
    const live: LiveTrustServe = { limits: config.limits, rateLimit: config.rateLimit };
    const reloads = trustReloads({ config, reread, live, refresher, tls, metrics, logger });
    made = reloads;
    const disk = freeSpace(config.directory, config.readiness.minFree, 'readiness.minFree');
    metrics.diskFree = disk.bytes;
    const admin = createOperatorApp({
      metrics,
      prefix: 'stele_trust',
      hosts: [config.admin.host, ...config.admin.hosts],
      notReady: () => [...refresher.reasons(), ...disk.reasons(), ...(tls?.problems() ?? [])],
      alarms: () => [...refresher.alarms(), ...reloads.alarms()],
    });
    const app = refreshOnly
      ? undefined
      : createMirrorApp(new Mirror(config.directory), live, config, metrics, logger, tls?.pair);
    if (app !== undefined) tls?.serve(app.server);
    const close = async () => {
      await reloads.close();
      if (app !== undefined) await drainApp(app, DRAIN_MS);
      await drainApp(admin, DRAIN_MS);
      await refresher.close();
      await tls?.close();
      logger.info({}, 'closed');
    };
    try {
      const adminUrl = await listen(admin, config.admin, 'admin');
      const url = app && (await listen(app, config.listen, 'listen', tls !== undefined));
      return { url, adminUrl, roles: refresher.roles, failed, logger, reload: () => reloads.request(), close };
    } catch (error) {
      await Promise.allSettled([app?.close(), admin.close()]);
      throw error;
    }
  } catch (error) {
    await tls?.close();
    await refresher.close();
    throw error;
  }
}

/** Renews what is due, once. Resolves with the roles as they are published, and the names of those that are new. */
export async function refreshOnce(
  config: TrustServeConfig,
): Promise<{ readonly roles: readonly ServedRole[]; readonly renewed: readonly string[] }> {
  const { directory, check: checkMs } = config;
  const metrics = new TrustMetrics({ process: false });
  const logger = makeLogger(config.log);
  const refresher = new Refresher({ directory, signers: await openAll(config), checkMs, metrics, logger });
  try {
    const renewed = await refresher.look();
    return { roles: refresher.roles, renewed };
  } finally {
    await refresher.close();
  }
}

async function openAll({ key, secondKey }: Pick<TrustServeConfig, 'key' | 'secondKey'>): Promise<readonly Signer[]> {
  const first = await openSigner(key);
  try {
    return secondKey === undefined ? [first] : [first, await openSigner(secondKey)];
  } catch (error) {
    await first.close();
    throw error;
  }
}

const LIVE: readonly string[] = ['limits', 'rateLimit'];
const KEYS: readonly string[] = ['key', 'secondKey'];
/** It belongs to `limits`, and Node's server takes it when it is made. */
const FIXED = 'limits.requestTimeout';

interface TrustReload extends Pick<ServeTrustOptions, 'config' | 'reread'> {
  readonly live: LiveTrustServe;
  readonly refresher: Refresher;
  readonly tls: ServedTls | undefined;
  readonly metrics: TrustMetrics;
  readonly logger: Logger;
}

function trustReloads({ config, reread, live, refresher, tls, metrics, logger }: TrustReload): Reloads {
  /** What is in use. */
  let used = config;
  const run = async (reloads: Reloads): Promise<Reloaded> => {
    const next = reread();
    reloads.good('configuration');
    const isOpen = await useKeys(next, refresher, reloads);
    refresher.hurry();
    await reloads.take('certificate', () => next.tls && tls?.use(next.tls));
    const differ = differing(used, next, TRUST_SERVE_SETTINGS);
    const isKey = (name: string) => KEYS.includes(name.split('.')[0]!);
    const changed = differ.filter((name) =>
      isKey(name) ? isOpen : LIVE.includes(name.split('.')[0]!) && name !== FIXED,
    );
    const restart = differ.filter((name) => !changed.includes(name) && !isKey(name));
    const { requestTimeout } = used.limits;
    const { key, secondKey: second } = isOpen ? next : used;
    const { secondKey: _, ...rest } = used;
    const { rateLimit } = next;
    used = {
      ...rest,
      key,
      ...(second && { secondKey: second }),
      limits: { ...next.limits, requestTimeout },
      rateLimit,
    };
    live.limits = used.limits;
    live.rateLimit = used.rateLimit;
    return { changed, restart };
  };
  const reloads = new Reloads({ run, logger, onEnd: (result) => metrics.reloads.inc({ result }) });
  metrics.reloadFailed = () => reloads.failed;
  return reloads;
}

/** Opens the keys again, also where the settings are the same: another key may stand in a file of the same name. */
async function useKeys(config: TrustServeConfig, refresher: Refresher, reloads: Reloads): Promise<boolean> {
  return await reloads.take('key', async () => refresher.use(await openAll(config)));
}

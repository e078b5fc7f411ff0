/** What a running witness reads anew, and what needs a restart. */
import type { Setting } from '../merkle/runtime/config/settings.ts';
import type { OpenedGate } from '../merkle/runtime/identity/open-gate.ts';
import type { Logger } from '../merkle/runtime/service/logger.ts';
import { differing, type Reloaded, Reloads } from '../merkle/runtime/service/reloads.ts';
import type { ServedTls } from '../merkle/runtime/service/served-tls.ts';
import type { Config } from './config.ts';
import type { ListUpdates } from './list-updates.ts';
import type { OpenWitness } from './open.ts';

const LIVE: readonly string[] = ['limits', 'rateLimit'];
/** They belong to `limits`, and Node's server takes them when it is made. */
const FIXED: readonly string[] = ['limits.requestTimeout'];

interface WitnessReload {
  readonly config: Config;
  readonly settings: readonly Setting[];
  /** Reads the configuration from where this start read it. */
  readonly reread: () => Config;
  readonly opened: Pick<OpenWitness, 'live' | 'logs' | 'metrics'>;
  readonly lists: Pick<ListUpdates, 'refresh'>;
  /** Undefined without TLS. */
  readonly tls?: ServedTls | undefined;
  /** Undefined where everybody may call. */
  readonly gate?: Pick<OpenedGate, 'reload'> | undefined;
  readonly logger: Logger;
}

export function witnessReloads({ config, settings, reread, opened, lists, tls, gate, logger }: WitnessReload): Reloads {
  const { live, logs, metrics } = opened;
  /** What is in use. */
  let used = config;
  const run = async (reloads: Reloads): Promise<Reloaded> => {
    const next = reread();
    reloads.good('configuration');
    await reloads.take('list of logs', async () => {
      await logs.reload();
      metrics.logs.set(logs.count);
    });
    await reloads.take('certificate', () => next.tls && tls?.use(next.tls));
    await reloads.take('access policy', () => gate?.reload());
    // A list that does not answer says so itself.
    void lists.refresh().catch((error: unknown) => logger.error({ err: error }, 'the lists were not read'));
    const differ = differing(used, next, settings);
    const changed = differ.filter((name) => LIVE.includes(name.split('.')[0]!) && !FIXED.includes(name));
    const { requestTimeout } = used.limits;
    used = { ...used, limits: { ...next.limits, requestTimeout }, rateLimit: next.rateLimit };
    live.limits = used.limits;
    live.rateLimit = used.rateLimit;
    return { changed, restart: differ.filter((name) => !changed.includes(name)) };
  };
  const reloads = new Reloads({ run, logger, onEnd: (result) => metrics.reloads.inc({ result }) });
  metrics.reloadFailed = () => reloads.failed;
  return reloads;
}

/** `stele admission` as a service: the webhook's port, the operator's port, and what is read again while it runs. */
import { stampOf } from '../../merkle/runtime/disk/file-stamps.ts';
import { type OpenedGate, openGate } from '../../merkle/runtime/identity/open-gate.ts';
import { failure } from '../../merkle/runtime/service/ends.ts';
import { type Logger, makeLogger } from '../../merkle/runtime/service/logger.ts';
import { createOperatorApp } from '../../merkle/runtime/service/operator-app.ts';
import { drainApp, listen, tryPorts } from '../../merkle/runtime/service/ports.ts';
import { differing, type Reloaded, Reloads } from '../../merkle/runtime/service/reloads.ts';
import { ServedTls } from '../../merkle/runtime/service/served-tls.ts';
import { formatImageName } from '../evidence/image-name.ts';
import type { EvidenceSource } from '../evidence/types.ts';
import { ADMISSION_SETTINGS, type AdmissionConfig, type LiveAdmission } from './admission-config.ts';
import { AdmissionMetrics } from './admission-metrics.ts';
import { EvidenceMemory } from './evidence-memory.ts';
import { ImageVerdicts } from './image-verdicts.ts';
import { LookupTurns } from './lookup-turns.ts';
import { StrictDecider } from './strict-decider.ts';
import { type AskRegistry, tagDigests } from './tag-digests.ts';
import type { ReloadingDecider } from './types.ts';
import { createWebhookApp } from './webhook-app.ts';

/** Milliseconds that a shutdown waits for the reviews under way: the longest time-out of a webhook. */
const DRAIN_MS = 30_000;
/** How often the files of policy and trust are looked at, in milliseconds. */
const WATCH_MS = 2000;
/** And how often they are read although they look the same: what is followed may have expired meanwhile. */
const READ_MS = 60_000;

const UNUSABLE = 'the policy or the trust cannot be used, and everything is denied';

interface AdmissionServer {
  /** Where it listens, as `https://localhost:8443`. */
  readonly url: string;
  readonly adminUrl: string;
  /** Rejects where the service cannot go on. */
  readonly failed: Promise<never>;
  readonly logger: Logger;
  /** Reads limits, policy, trust and certificate anew. Never rejects: what is wrong is logged, and stays an alarm. */
  reload(): Promise<void>;
  /** Takes no new reviews, answers those under way, and closes. */
  close(): Promise<void>;
}

interface ServeAdmissionOptions {
  readonly config: AdmissionConfig;
  /** Reads the configuration of a reload. */
  readonly reread: () => AdmissionConfig;
  readonly decider: ReloadingDecider;
  readonly source: EvidenceSource;
  /** Without it, no tag is replaced. */
  readonly askRegistry?: AskRegistry | undefined;
  /** What is wrong with the sources, one sentence each. */
  readonly problems?: () => readonly string[];
  /** Default 2,000. */
  readonly watchMs?: number;
}

/** @throws RuntimeError `config`, `file` */
export async function serveAdmission(options: ServeAdmissionOptions): Promise<AdmissionServer> {
  const { config, source, askRegistry: ask } = options;
  const decider = new StrictDecider(options.decider);
  const logger = makeLogger(config.log);
  const { failed } = failure();
  let made: Reloads | undefined;
  const askClients = config.identity !== undefined;
  const tls = await ServedTls.open(config.tls, { askClients, logger, reloads: () => made });
  const opening = config.identity && openGate(config.identity, { actions: ['admit'], logger });
  const guarded = await opening?.catch(async (error: unknown) => {
    await tls.close();
    throw error;
  });
  await tryPorts([
    ['listen', config.listen],
    ['admin', config.admin],
  ]);
  await decider.warm();
  const metrics = new AdmissionMetrics();
  const live: LiveAdmission = { cache: config.cache, limits: config.limits };
  const turns = new LookupTurns(() => live.limits.lookups);
  const memory = new EvidenceMemory(() => live.limits.evidenceBytes);
  const verdicts = new ImageVerdicts({
    decider,
    source,
    keep: () => live.cache,
    turns,
    memory,
    onVerdict: (image, digest, { allowed, why, policy }, seconds) => {
      const verdict = allowed ? 'allowed' : 'denied';
      metrics.decisions.labels(verdict).observe(seconds);
      const named = formatImageName({ domain: image.domain, path: image.path, digest });
      logger.info({ image: named, verdict, policy, ...(allowed ? {} : { why }) }, 'decided');
    },
  });
  metrics.kept = () => ({ verdicts: verdicts.size, hits: verdicts.hits });
  const resolveTag = ask === undefined ? undefined : tagDigests({ decider, ask, turns, memory });
  const admitting = { verdicts, versions: () => decider.versions, resolveTag, maxImages: () => live.limits.images };
  const app = createWebhookApp({ admitting, live, tls: tls.pair, gate: guarded?.gate, metrics, logger });
  tls.serve(app.server);
  metrics.certificateEnd = () => Date.parse(tls.facts.notAfter) / 1000;
  const reloads = admissionReloads(options, { live, decider, port: tls, gate: guarded, metrics, logger });
  made = reloads;
  const watch = watchFiles(decider, logger, options.watchMs);
  const admin = createOperatorApp({
    metrics,
    prefix: 'stele_admission',
    hosts: [config.admin.host, ...config.admin.hosts],
    notReady: () => (closing ? ['it is shutting down'] : tls.problems()),
    alarms: () => [
      ...reloads.alarms(),
      ...(guarded?.problems() ?? []),
      ...(options.problems?.() ?? []),
      ...(decider.problem === undefined ? [] : [`${UNUSABLE}: ${decider.problem}`]),
    ],
  });
  let closing = false;
  const close = async () => {
    closing = true;
    clearInterval(watch);
    await tls.close();
    await reloads.close();
    await drainApp(app, DRAIN_MS);
    await drainApp(admin, DRAIN_MS);
    await guarded?.close();
    await decider.close();
    logger.info({}, 'closed');
  };
  try {
    const adminUrl = await listen(admin, config.admin, 'admin');
    const url = await listen(app, config.listen, 'listen', true);
    return { url, adminUrl, failed, logger, reload: () => reloads.request(), close };
  } catch (error) {
    clearInterval(watch);
    await tls.close();
    await Promise.allSettled([app.close(), admin.close()]);
    throw error;
  }
}

interface Parts {
  readonly decider: StrictDecider;
  readonly live: LiveAdmission;
  readonly port: ServedTls;
  readonly gate: OpenedGate | undefined;
  readonly metrics: AdmissionMetrics;
  readonly logger: Logger;
}

const LIVE: readonly string[] = ['cache', 'limits'];

function admissionReloads({ config, reread }: ServeAdmissionOptions, parts: Parts): Reloads {
  const { live, decider, port, gate, metrics, logger } = parts;
  let used = config;
  const run = async (reloads: Reloads): Promise<Reloaded> => {
    const next = reread();
    reloads.good('configuration');
    await reloadDecider(decider, logger);
    await reloads.take('certificate', () => port.use(next.tls));
    await reloads.take('access policy', () => gate?.reload());
    const differ = differing(used, next, ADMISSION_SETTINGS);
    const changed = differ.filter((name) => LIVE.includes(name.split('.')[0]!));
    const restart = differ.filter((name) => !changed.includes(name));
    used = { ...used, cache: next.cache, limits: next.limits };
    live.cache = next.cache;
    live.limits = next.limits;
    return { changed, restart };
  };
  const reloads = new Reloads({ run, logger, onEnd: (result) => metrics.reloads.inc({ result }) });
  metrics.reloadFailed = () => reloads.failed || decider.problem !== undefined;
  return reloads;
}

async function reloadDecider(decider: StrictDecider, logger: Logger): Promise<void> {
  const before = decider.problem;
  const problem = await decider.reload();
  if (problem === before) return;
  if (problem === undefined) logger.info({}, 'policy and trust can be used again');
  else logger.error({ reason: problem }, UNUSABLE);
}

/** Reads policy and trust again soon after a file of theirs has changed. */
function watchFiles(decider: StrictDecider, logger: Logger, watchMs = WATCH_MS): NodeJS.Timeout {
  let seen: string | undefined;
  let read = 0;
  let looking = false;
  const look = async () => {
    if (looking) return;
    looking = true;
    try {
      const stamp = await stampOf(decider.files);
      // At the first look too: a file may have changed since it was opened.
      if (stamp !== seen || performance.now() - read >= READ_MS) {
        read = performance.now();
        await reloadDecider(decider, logger);
      }
      seen = stamp;
    } finally {
      looking = false;
    }
  };
  void look();
  return setInterval(() => void look(), watchMs).unref();
}

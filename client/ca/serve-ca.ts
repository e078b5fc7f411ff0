/** `stele ca serve` as a service: the public port, the operator's port, and what is read again while it runs. */
import { join } from 'node:path';
import { settingsOf } from '../../merkle/runtime/config/settings.ts';
import { freeSpace } from '../../merkle/runtime/disk/free-space.ts';
import { lockDir } from '../../merkle/runtime/disk/lock.ts';
import { openUsedTokens } from '../../merkle/runtime/identity/tokens/used-tokens.ts';
import { AccessRates } from '../../merkle/runtime/policy/access/judge-access.ts';
import { Closers, failure } from '../../merkle/runtime/service/ends.ts';
import { type Logger, makeLogger } from '../../merkle/runtime/service/logger.ts';
import { createOperatorApp } from '../../merkle/runtime/service/operator-app.ts';
import { drainApp, openPorts, tryPorts } from '../../merkle/runtime/service/ports.ts';
import { differing, type Reloaded, Reloads } from '../../merkle/runtime/service/reloads.ts';
import { ServedTls } from '../../merkle/runtime/service/served-tls.ts';
import { createCaApp } from './ca-app.ts';
import { CaClock } from './ca-clock.ts';
import { type CaConfig, CaSchema, type LiveCa } from './ca-config.ts';
import { CaMetrics } from './ca-metrics.ts';
import { type CaParts, openParts } from './ca-parts.ts';
import { CertificateLog } from './certificate-log.ts';
import { Issuance } from './issuance.ts';
import { logTrustOf } from './log-trust.ts';
import { PromiseStore } from './promise-store.ts';

/** Milliseconds that a shutdown waits for the requests under way. */
const DRAIN_MS = 30_000;
/** Milliseconds between looks whether a log that is away has come back. */
const LOOK_EVERY_MS = 5_000;

interface CaServer {
  /** Where it listens, as `https://localhost:3300`. */
  readonly url: string;
  readonly adminUrl: string;
  readonly teams: readonly string[];
  /** Rejects where the service cannot go on. */
  readonly failed: Promise<never>;
  readonly logger: Logger;
  /** Reads limits, teams, keys, identities and access anew. Never rejects: what is wrong is logged, and stays an alarm. */
  reload(): Promise<void>;
  /** Takes no new requests, answers those under way, and closes. */
  close(): Promise<void>;
}

interface ServeCaOptions {
  readonly config: CaConfig;
  /** Reads the configuration of a reload. */
  readonly reread: () => CaConfig;
}

/** @throws RuntimeError, ClientError */
export async function serveCa({ config, reread }: ServeCaOptions): Promise<CaServer> {
  const logger = makeLogger(config.log);
  const { failed, fail } = failure();
  const closers = new Closers();
  try {
    let made: Reloads | undefined;
    const tls = config.tls && (await ServedTls.open(config.tls, { askClients: true, logger, reloads: () => made }));
    closers.add(async () => tls?.close());
    await tryPorts([
      ['listen', config.listen],
      ['admin', config.admin],
    ]);
    const lock = await lockDir(config.data, (warning) => logger.warn({}, warning));
    closers.add(() => lock.release());
    const store = await PromiseStore.open(join(config.data, 'promises'), fail);
    closers.add(() => store.close());
    const usedTokens = await openUsedTokens(join(config.data, 'tokens'));
    closers.add(() => usedTokens.close());
    const clock = new CaClock({ store });
    const log = new CertificateLog({ ...(await logTrustOf(config.transparencyLog)), logger });
    closers.add(async () => log.close());
    const rates = new AccessRates();
    let parts = await openParts(config, { logger, rates });
    closers.add(() => parts.close());

    const metrics = new CaMetrics();
    const live: LiveCa = { limits: config.limits, leaf: config.leaf };
    const issuance = new Issuance({
      parts: () => parts,
      live,
      log,
      store,
      clock,
      usedTokens,
      logger,
      onIssued: (team) => metrics.issued.inc({ team }),
    });
    const app = createCaApp({
      issuance,
      teams: () => parts.teams,
      issuers: () => parts.issuers,
      live,
      tls: tls?.pair,
      metrics,
      logger,
      trustProxy: config.trustProxy,
    });
    tls?.serve(app.server);
    const reloads = caReloads({ config, reread, live, tls, metrics, logger }, async (next) => {
      const before = parts;
      parts = await openParts(next, { logger, rates });
      // Requests under way end with the keys that they began with.
      void issuance.unused(before).then(() => before.close());
    });
    made = reloads;
    closers.add(() => reloads.close());
    const disk = freeSpace(config.data, config.readiness.minFree, 'readiness.minFree');
    const look = setInterval(() => void log.look().catch(() => {}), LOOK_EVERY_MS).unref();
    closers.add(async () => clearInterval(look));
    let closing = false;
    const admin = createOperatorApp({
      metrics,
      prefix: 'stele_ca',
      hosts: [config.admin.host, ...config.admin.hosts],
      notReady: () => [
        ...(closing ? ['it is shutting down'] : []),
        ...(log.problem === undefined ? [] : [`the log takes no certificates: ${log.problem}`]),
        ...(clock.problem === undefined ? [] : [clock.problem]),
        ...(tls === undefined ? [] : [tls.problem() ?? []].flat()),
        ...endedTeams(parts, live.leaf.lifetime),
        ...disk.reasons(),
      ],
      alarms: () => [...reloads.alarms(), ...parts.problems()],
    });
    metrics.pending = () => log.open;
    metrics.logIsAway = () => log.problem !== undefined;
    metrics.clockIsWrong = () => clock.problem !== undefined;
    metrics.authorityEnd = () =>
      Math.min(...parts.teams.flatMap(({ chain }) => chain.map(({ notAfter }) => notAfter))) / 1000;
    metrics.certificateEnd = () => (tls === undefined ? 0 : Date.parse(tls.facts.notAfter) / 1000);

    // The promises of the process before: nobody got these certificates, and the log gets each of them.
    if (store.unfinished.length > 0) {
      logger.info(
        { certificates: store.unfinished.length },
        'bringing certificates into the log that were promised before',
      );
    }
    for (const promise of store.unfinished) void issuance.complete(promise).catch(() => {});
    void log.look().catch(() => {});

    const ports = {
      public: { app, at: config.listen, tls: tls !== undefined },
      admin: { app: admin, at: config.admin },
    };
    const urls = await openPorts(ports, lock);
    closers.add(async () => {
      closing = true;
      await drainApp(app, DRAIN_MS);
      await drainApp(admin, DRAIN_MS);
    });
    const close = async () => {
      await closers.close();
      logger.info({}, 'closed');
    };
    const teams = parts.teams.map(({ name }) => name);
    return { ...urls, teams, failed, logger, reload: () => reloads.request(), close };
  } catch (error) {
    await closers.close();
    throw error;
  }
}

function endedTeams({ teams }: CaParts, lifetime: number): string[] {
  const end = Date.now() + lifetime;
  return teams
    .filter(({ chain }) => chain.some(({ notAfter }) => notAfter < end))
    .map(({ name }) => `the authority of the team ${name} ends too soon to issue certificates`);
}

interface CaReload extends ServeCaOptions {
  readonly live: LiveCa;
  readonly tls: ServedTls | undefined;
  readonly metrics: CaMetrics;
  readonly logger: Logger;
}

const SETTINGS = settingsOf(CaSchema, '');
const LIVE: readonly string[] = ['limits', 'leaf'];
const PARTS: readonly string[] = ['teams', 'ct', 'identity', 'tokens', 'access'];
const PARTS_NAME = 'setup of teams and callers';

/** @param use opens keys, identities and access anew, and takes them into use */
function caReloads(
  { config, reread, live, tls, metrics, logger }: CaReload,
  use: (next: CaConfig) => Promise<void>,
): Reloads {
  let used = config;
  const run = async (reloads: Reloads): Promise<Reloaded> => {
    const next = reread();
    reloads.good('configuration');
    const isOpen = await reloads.take(PARTS_NAME, () => use(next));
    await reloads.take('certificate', () => next.tls && tls?.use(next.tls));
    const differ = differing(used, next, SETTINGS);
    const group = (name: string) => name.split('.')[0]!;
    const changed = differ.filter((name) => LIVE.includes(group(name)) || (isOpen && PARTS.includes(group(name))));
    const restart = differ.filter((name) => !changed.includes(name) && !PARTS.includes(group(name)));
    const { limits, leaf } = next;
    const { teams, ct, identity, tokens, access } = isOpen ? next : used;
    const { access: _, ...kept } = used;
    used = { ...kept, limits, leaf, teams, ct, identity, tokens, ...(access !== undefined && { access }) };
    live.limits = limits;
    live.leaf = leaf;
    return { changed, restart };
  };
  const reloads = new Reloads({ run, logger, onEnd: (result) => metrics.reloads.inc({ result }) });
  metrics.reloadFailed = () => reloads.failed;
  return reloads;
}

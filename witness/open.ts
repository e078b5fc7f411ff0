/** Opens the witness of a configuration: data directory, keys, list of logs and store. No network. */
import { formatVerifierKey } from '../merkle/note.ts';
import { isThere } from '../merkle/runtime/disk/files.ts';
import { type DirLock, lockDir } from '../merkle/runtime/disk/lock.ts';
import { Reopening } from '../merkle/runtime/disk/reopen.ts';
import { openMldsaVerifier } from '../merkle/runtime/keys/mldsa.ts';
import { RuntimeError } from '../merkle/runtime/runtime-errors.ts';
import { openAdminToken } from '../merkle/runtime/service/admin-token.ts';
import { Closers } from '../merkle/runtime/service/ends.ts';
import type { Logger } from '../merkle/runtime/service/logger.ts';
import { openClock } from './accepted-clock.ts';
import { type Clocks, WitnessClock } from './clock.ts';
import type { Config, LiveSettings } from './config.ts';
import { WitnessError } from './errors.ts';
import { EvidenceFiles } from './evidence.ts';
import { checkIdentity, layout, nameOf, readIdentity, writeIdentity } from './identity.ts';
import type { Judge } from './judge.ts';
import { openKeys } from './keys.ts';
import { Logs } from './logs.ts';
import { Metrics } from './metrics.ts';
import { WitnessStore } from './store.ts';
import { Witness } from './witness.ts';

/** How often the clock is looked at while nobody asks for a cosignature, in milliseconds. */
const CLOCK_WATCH_MS = 5000;

export interface OpenWitness {
  readonly witness: Witness;
  readonly logs: Logs;
  readonly store: Reopening<WitnessStore>;
  readonly metrics: Metrics;
  readonly live: LiveSettings;
  readonly lock: DirLock;
  /** Undefined where `admin.token` is false. */
  readonly adminToken: string | undefined;
  readonly name: string;
  readonly verifierKeys: readonly string[];
  close(): Promise<void>;
}

export interface OpenOptions {
  readonly config: Config;
  readonly logger: Logger;
  /** Called once, where the witness cannot go on. */
  readonly onFatal: (error: unknown) => void;
  /** For tests. */
  readonly openStore?: (dir: string, create: boolean) => Promise<WitnessStore>;
  readonly metrics?: Metrics;
  /** `--accept-clock`: the clock of this start is right, whatever the newest cosignature says. */
  readonly acceptClock?: boolean;
  readonly clocks?: Clocks;
  readonly monotonic?: () => number;
  /** What must hold beyond the rules of a witness. */
  readonly judge?: Judge | undefined;
  /** Called once all that is configured was read and checked, and before anything is made. What it throws ends the start. */
  readonly beforeMaking?: () => Promise<void>;
}

/**
 * Takes the data directory of `config` and opens its witness. A start that fails on its configuration leaves no directory, no
 * key and no name behind. Throws `WitnessError` and `RuntimeError`.
 */
export async function openWitness(options: OpenOptions): Promise<OpenWitness> {
  const { logger, onFatal, openStore = WitnessStore.open, metrics = new Metrics(), monotonic, judge } = options;
  const config = { ...options.config, name: await nameOf(options.config.data, options.config.name) };
  const { data } = config;
  const live: LiveSettings = { limits: config.limits, rateLimit: config.rateLimit };
  const closers = new Closers();
  try {
    const clock = new WitnessClock(options.clocks, (wrong) => {
      if (wrong === undefined) logger.info({}, 'the clock is right again: the witness cosigns');
      else logger.error({ drift: clock.drift() / 1000 }, wrong);
    });
    const take = async () => {
      const taken = await lockDir(data, (warning) => logger.warn({}, warning));
      closers.add(() => taken.release());
      return taken;
    };
    // To lock a directory makes it.
    const existing = await isThere(layout.identity(data));
    let lock = existing ? await take() : undefined;
    const found = await readIdentity(data);
    const { keys, save } = await openKeys({
      config,
      known: new Set(found?.keys.map(({ type }) => type)),
      logger,
      onError: () => metrics.signerErrors.inc(),
    });
    closers.add(() => Promise.all(keys.map((key) => key.close())));
    const identity = { name: config.name, keys: keys.map(({ key }) => key) };
    checkIdentity(data, found, identity);
    const mldsa = openMldsaVerifier();
    closers.add(() => mldsa.close());
    const logs = await Logs.open(config.logs, mldsa.verify).catch((error: Error) => {
      throw error instanceof WitnessError ? new WitnessError('config', error.message, { cause: error }) : error;
    });
    await options.beforeMaking?.();
    lock ??= await take();
    if (!existing && (await isThere(layout.identity(data)))) {
      throw new RuntimeError('locked', `another process has just begun a witness in ${data}: start again`);
    }
    await save();
    // A directory with an identity has a store. If that store is missing, it is lost, and must not be made anew.
    let create = found === undefined;
    const store = await Reopening.start<WitnessStore>({
      open: async () => {
        const opened = await openStore(layout.store(data), create);
        create = false;
        return opened;
      },
      isFailure: (error) => error instanceof RuntimeError && error.code === 'store',
      isFatal: (error) => error instanceof WitnessError && error.code !== 'conflict',
      onFailure: (error) => {
        metrics.storeFailures.inc();
        logger.error({ err: error }, 'the store failed; opening it again');
      },
      onRetry: (error, retryMs) => logger.warn({ err: error, retryMs }, 'the store cannot be opened yet'),
      onReopened: ({ count }) => logger.info({ logs: count }, 'the store is open again'),
      onFatal,
    });
    closers.add(() => store.close());
    await writeIdentity(data, found, identity);
    await store.use((opened) =>
      openClock({
        config,
        store: opened,
        keys: [...(found?.keys ?? []), ...identity.keys],
        now: clock.now(),
        accept: options.acceptClock === true,
        logger,
      }),
    );
    const adminToken = config.admin.token ? await openAdminToken(layout.adminToken(data)) : undefined;
    const witness = new Witness({
      store,
      logs,
      keys,
      live,
      evidence: new EvidenceFiles(layout.evidence(data), () => live.limits.evidence, logger),
      metrics,
      logger,
      clock,
      judge,
      ...(monotonic && { monotonic }),
    });
    judge?.measure(metrics);
    closers.add(() => witness.idle());
    // Nobody may ask for a while, and the operator should know.
    const watch = setInterval(() => clock.wrong(), CLOCK_WATCH_MS).unref();
    closers.add(async () => clearInterval(watch));
    metrics.clockDrift = () => clock.drift() / 1000;
    metrics.clockWrong = () => clock.wrong() !== undefined;
    metrics.newest = () => store.current?.newest;
    metrics.logs.set(logs.count);
    metrics.stored.set(store.current?.count ?? 0);
    const verifierKeys = keys.map(({ key }) => formatVerifierKey(key));
    const { name } = config;
    return { witness, logs, store, metrics, live, lock, adminToken, name, verifierKeys, close: () => closers.close() };
  } catch (error) {
    await closers.close();
    throw error;
  }
}

/**
 * Keeps a repository fresh: looks at it again and again, and has snapshot and timestamp signed anew once half of their time
 * has passed. Another process may publish in the same directory meanwhile: each look reads the directory anew.
 */
import type { Signer } from '../../../../merkle/runtime/keys/types.ts';
import { backOffMs, SYSTEM_CLOCK } from '../../../../merkle/runtime/service/back-off.ts';
import type { Logger } from '../../../../merkle/runtime/service/logger.ts';
import { ClientError } from '../../../errors.ts';
import { refresh } from '../publish.ts';
import { servedRoles } from './served-roles.ts';
import type { TrustMetrics } from './trust-metrics.ts';
import type { ServedRole } from './types.ts';

/** The pause after a failure, which doubles up to `checkMs`. Nothing is gained by a random part. */
const FIRST_RETRY_MS = 1000;
/** No later look finds anything else. */
const STOPS: readonly string[] = ['trust', 'key'];

interface RefresherOptions {
  readonly directory: string;
  /** The online keys. */
  readonly signers: readonly Signer[];
  /** Milliseconds from one look to the next. */
  readonly checkMs: number;
  readonly metrics: TrustMetrics;
  readonly logger: Logger;
}

export class Refresher {
  readonly #options: RefresherOptions;
  readonly #closing = new AbortController();
  #signers: readonly Signer[];
  #roles: readonly ServedRole[] = [];
  #problem: string | undefined;
  #failures = 0;
  #looking: Promise<unknown> = Promise.resolve();
  #running: Promise<void> = Promise.resolve();
  #wake = new AbortController();
  #hurry = false;

  constructor(options: RefresherOptions) {
    this.#options = options;
    this.#signers = options.signers;
  }

  /** As the last look found them. */
  get roles(): readonly ServedRole[] {
    return this.#roles;
  }

  /** Why clients will not follow the repository, or will not for long, one sentence a reason. */
  reasons(): string[] {
    const now = Date.now();
    const expired = this.#roles
      .filter(({ expires }) => expires <= now)
      .map(({ name, expires }) => `${name} has expired (${utc(expires)}), and clients refuse the repository`);
    return [...expired, ...(this.#problem === undefined ? [] : [this.#problem])];
  }

  /** What the holders of offline keys must do, one sentence each. */
  alarms(): string[] {
    const offline = this.#roles.filter(({ name }) => name !== 'snapshot' && name !== 'timestamp');
    return offline
      .filter(({ validity }) => validity === 'soon')
      .map(
        ({ name, expires }) =>
          `${name} expires at ${utc(expires)}, and this service has no key for it: its holders must sign it anew ` +
          '(`stele trust expire`)',
      );
  }

  /** Uses other keys from the next look on, and closes those before. */
  async use(signers: readonly Signer[]): Promise<void> {
    const before = this.#signers;
    this.#signers = signers;
    await this.#looking;
    await closeAll(before);
  }

  /** Looks at the repository now. Resolves with the roles that were renewed. @throws as `servedRoles` and `refresh` */
  async look(): Promise<readonly string[]> {
    const { directory, metrics, logger } = this.#options;
    // First: the roles are shown also where the keys are away.
    this.#roles = await servedRoles(directory, Date.now());
    const { published } = await refresh(directory, { online: this.#signers, now: Date.now() });
    const renewed = published.map(({ role }) => role);
    if (renewed.length === 0) return renewed;
    for (const role of renewed) metrics.refreshed.inc({ role });
    this.#roles = await servedRoles(directory, Date.now());
    logger.info(versions(this.#roles, renewed), 'signed anew');
    return renewed;
  }

  /**
   * The first look, and then one after the other. A key that is away or a role that has expired stops nothing.
   * @throws ClientError `trust`, `key`: no repository, nothing published, or a key that may not sign
   */
  async start(): Promise<void> {
    const error = await this.#lookSafely();
    if (error instanceof ClientError && STOPS.includes(error.code)) throw error;
    this.#running = this.#run();
  }

  /** Looks at once, or after the look under way. */
  hurry(): void {
    this.#hurry = true;
    this.#wake.abort();
  }

  /** Resolves when the look under way has ended, and the keys are closed. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#wake.abort();
    await this.#running;
    await closeAll(this.#signers);
  }

  async #run(): Promise<void> {
    const { checkMs } = this.#options;
    const retry = { firstMs: FIRST_RETRY_MS, longestMs: checkMs, random: () => 0 };
    while (!this.#closing.signal.aborted) {
      const pause = this.#failures === 0 ? checkMs : backOffMs(retry, this.#failures);
      this.#wake = new AbortController();
      if (!this.#hurry) await SYSTEM_CLOCK.sleep(pause, this.#wake.signal);
      this.#hurry = false;
      if (!this.#closing.signal.aborted) await this.#lookSafely();
    }
  }

  /** What failed; undefined where nothing did. */
  async #lookSafely(): Promise<unknown> {
    const { metrics, logger } = this.#options;
    const looking = this.look().then(
      () => undefined,
      (error: unknown) => error,
    );
    this.#looking = looking;
    const error = await looking;
    if (error === undefined) {
      if (this.#problem !== undefined) logger.info({}, 'the repository is kept fresh again');
      this.#problem = undefined;
      this.#failures = 0;
      return undefined;
    }
    this.#failures++;
    metrics.refreshFailures.inc();
    const problem = `snapshot and timestamp are not renewed: ${(error as Error).message}`;
    if (problem !== this.#problem) logger.error({ err: error }, 'snapshot and timestamp are not renewed; trying again');
    this.#problem = problem;
    return error;
  }
}

async function closeAll(signers: readonly Signer[]): Promise<void> {
  for (const signer of signers) await signer.close();
}

function versions(roles: readonly ServedRole[], renewed: readonly string[]): Record<string, string> {
  const shown = roles.filter(({ name }) => renewed.includes(name));
  return Object.fromEntries(
    shown.map(({ name, version, expires }) => [name, `version ${version}, until ${utc(expires)}`]),
  );
}

function utc(ms: number): string {
  return new Date(ms).toISOString().replace('.000Z', 'Z');
}

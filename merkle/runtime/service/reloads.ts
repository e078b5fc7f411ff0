/**
 * Reads the configuration of a running service again, when its operator says so (SIGHUP). What cannot be used changes
 * nothing, and stays an alarm until it can.
 */
import type { Setting } from '../config/settings.ts';
import type { Logger } from './logger.ts';

/** A part of what is reloaded, such as `configuration`, `policy` or `certificate`. */
type Part = string;

/** What a reload did. */
export interface Reloaded {
  /** Settings that differ from those in use and have taken effect. */
  readonly changed: readonly string[];
  /** Settings that differ from those in use, and need a restart. */
  readonly restart: readonly string[];
}

interface ReloadsOptions {
  /** Reads everything and applies what can be applied; calls `fail` for each part that cannot. */
  readonly run: (reloads: Reloads) => Promise<Reloaded>;
  readonly logger: Logger;
  /** Called after each reload. */
  readonly onEnd?: (result: 'ok' | 'failed') => void;
}

export class Reloads {
  readonly #options: ReloadsOptions;
  readonly #problems = new Map<Part, string>();
  #running: Promise<void> | undefined;
  #again = false;
  #closed = false;

  constructor(options: ReloadsOptions) {
    this.#options = options;
  }

  /** Reloads now; after the reload under way, where there is one. Never rejects. */
  request(): Promise<void> {
    if (this.#closed) {
      this.#options.logger.info({}, 'SIGHUP: the service is closing, and reloads nothing');
      return Promise.resolve();
    }
    // Any number of signals during a reload ask for one more: it reads what the last of them meant.
    this.#again = true;
    this.#running ??= this.#runAll();
    return this.#running;
  }

  /** The part cannot be used, and the one before stays. `problem` is a sentence that names the file or the setting. */
  fail(part: Part, problem: string): void {
    if (this.#problems.get(part) === problem) return;
    this.#problems.set(part, problem);
    this.#options.logger.error({ part, reason: problem }, `the ${part} was not taken, and the one before stays in use`);
  }

  /** Takes up the part: it is good where `work` resolves. Resolves with whether it did, and never rejects. */
  async take(part: Part, work: () => unknown): Promise<boolean> {
    try {
      await work();
      this.good(part);
      return true;
    } catch (error) {
      this.fail(part, (error as Error).message);
      return false;
    }
  }

  /** The part in use is what its file says. */
  good(part: Part): void {
    if (this.#problems.delete(part)) this.#options.logger.info({ part }, `the ${part} can be used again`);
  }

  get failed(): boolean {
    return this.#problems.size > 0;
  }

  /** A sentence for each part that could not be used. */
  alarms(): string[] {
    return [...this.#problems].map(
      ([part, problem]) => `the ${part} was not taken, and the one before stays in use: ${problem}`,
    );
  }

  /** Nothing is reloaded from now on; resolves when the reload under way has ended. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#running;
  }

  async #runAll(): Promise<void> {
    while (this.#again && !this.#closed) {
      this.#again = false;
      await this.#runOnce();
    }
    this.#running = undefined;
  }

  async #runOnce(): Promise<void> {
    const { run, logger, onEnd } = this.#options;
    try {
      const { changed, restart } = await run(this);
      if (restart.length > 0) {
        logger.warn({ settings: restart }, 'these settings differ from those in use, and take effect with a restart');
      }
      logger.info({ changed }, 'SIGHUP: read again');
      onEnd?.(this.failed ? 'failed' : 'ok');
    } catch (error) {
      this.fail('configuration', (error as Error).message);
      onEnd?.('failed');
    }
  }
}

/** The names of the settings that differ. Their values may be secret, and are not told. */
export function differing(before: object, after: object, settings: readonly Setting[]): string[] {
  const names = settings.map(({ name }) => name).filter((name) => text(before, name) !== text(after, name));
  const groups = [...new Set(settings.map(({ name }) => name.split('.')[0]!))];
  // Some settings are decoded to another form, of which no leaf has the name of a setting.
  const others = groups.filter(
    (group) => text(before, group) !== text(after, group) && !names.some((name) => name.split('.')[0] === group),
  );
  return [...names, ...others];
}

function text(config: object, name: string): string {
  let value: unknown = config;
  for (const part of name.split('.')) value = (value as Record<string, unknown> | undefined)?.[part];
  return JSON.stringify(value) ?? '';
}

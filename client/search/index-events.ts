/** What happens to the plain index, for the operator's log and the metrics. */
import { printable } from '../../merkle/printable.ts';
import type { Logger } from '../../merkle/runtime/service/logger.ts';
import type { IndexEvent } from './index/open-plain-index.ts';
import type { IndexMetrics } from './index-metrics.ts';

/** Milliseconds between two lines about the entries of one log that are still to be read. */
const PROGRESS_EVERY_MS = 10_000;

interface LogProgress {
  /** Monotonic milliseconds and entries at the last line. */
  readonly at: number;
  readonly through: number;
}

export class IndexEvents {
  readonly #logger: Logger;
  readonly #metrics: IndexMetrics;
  readonly #progress = new Map<string, LogProgress>();
  /** The trouble that was logged last, by log or configuration of shards: only a change is logged. */
  readonly #troubles = new Map<string, string>();
  readonly #problems = new Map<string, string>();
  readonly #complete = new Set<string>();
  /** When each log was last followed without a fault, in ms since 1970; also of a new log that has no checkpoint yet. */
  readonly #followed = new Map<string, number>();

  constructor(logger: Logger, metrics: IndexMetrics) {
    this.#logger = logger;
    this.#metrics = metrics;
  }

  /** What is wrong with configurations of shards, a sentence each. */
  alarms(): string[] {
    return [...this.#problems].map(([name, message]) => `${name}: ${message}`);
  }

  /** When the log was last followed without a fault, in ms since 1970. */
  followed(log: string): number | undefined {
    return this.#followed.get(log);
  }

  take(event: IndexEvent): void {
    switch (event.type) {
      case 'progress':
        this.#read(event);
        break;
      case 'round':
        this.#round(event);
        break;
      case 'shard':
        this.#logger.info({ log: event.log, location: event.location }, 'following another log');
        break;
      case 'problem': {
        const reason = printable(event.message);
        this.#problems.set(event.log, reason);
        this.#logger.warn({ source: event.log, reason }, 'a configuration of shards cannot be used');
        break;
      }
      case 'store':
        this.#logger.error({ reason: event.message }, 'the store of the index failed, and is opened again');
    }
  }

  #read({ log, status: { completeThrough: through, accepted } }: Extract<IndexEvent, { type: 'progress' }>): void {
    const now = performance.now();
    const last = this.#progress.get(log);
    if (last === undefined) this.#progress.set(log, { at: now, through });
    if (last === undefined || now - last.at < PROGRESS_EVERY_MS || through === accepted) return;
    const rate = Math.round(((through - last.through) * 1000) / (now - last.at));
    this.#progress.set(log, { at: now, through });
    this.#logger.info({ log, through, size: accepted, entriesPerSecond: rate }, 'reading entries');
  }

  #round({ log, ok, status }: Extract<IndexEvent, { type: 'round' }>): void {
    if (!ok) {
      this.#metrics.faults.inc({ log });
      const { message: reason = 'it cannot be followed', proven = false } = status.fault ?? {};
      if (this.#troubles.get(log) === reason) return;
      this.#troubles.set(log, reason);
      if (proven) this.#logger.error({ log, reason }, 'the log lies');
      else this.#logger.warn({ log, reason }, 'the log cannot be followed');
      return;
    }
    this.#followed.set(log, Date.now());
    if (this.#troubles.delete(log)) this.#logger.info({ log }, 'the log is followed again');
    if (status.answers === undefined || this.#complete.has(log)) return;
    this.#complete.add(log);
    this.#logger.info({ log, size: status.answers.size }, 'complete: every entry so far is in the index');
  }
}

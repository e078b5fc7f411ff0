/**
 * Batches by size and by age: a batch goes when it has enough entries or when its first one has waited `maxAgeMs`, and never
 * while the one before is under way, so that a busy log fills its batches by itself while the disk works.
 *
 * On a quiet log nobody comes to share a batch, and nobody waits for it: where the batch before held one entry, the next
 * goes in the same turn of the event loop.
 */
import type { SequencerOptions } from './types.ts';

/**
 * Entries that share the cost of a commit well enough: more need not be waited for. Measured in turns, with `maxAgeMs` at 10:
 * 37 % more opaque entries a second from 256 clients, and signed ones from 64, at the same processor time an entry.
 */
const ENOUGH = 64;

export class Sequencer<T> {
  readonly #options: SequencerOptions;
  readonly #integrate: (batch: T[]) => Promise<void>;
  #queue: T[] = [];
  #since = 0;
  #timer: NodeJS.Timeout | undefined;
  #soon: NodeJS.Immediate | undefined;
  #running: Promise<void> | undefined;
  /** The batch before held one entry, or none has gone yet. */
  #quiet = true;

  /** `integrate` must not reject: what went wrong with a batch is told to those who wait for it. */
  constructor(options: SequencerOptions, integrate: (batch: T[]) => Promise<void>) {
    this.#options = options;
    this.#integrate = integrate;
  }

  /** Entries that wait for a batch. */
  get queued(): number {
    return this.#queue.length;
  }

  add(entry: T): void {
    if (this.#queue.length === 0) this.#since = performance.now();
    this.#queue.push(entry);
    this.#schedule();
  }

  /** Forgets what waits, and returns it. */
  clear(): T[] {
    this.#stopTimers();
    const queue = this.#queue;
    this.#queue = [];
    return queue;
  }

  /** Resolves once nothing waits and nothing is under way. */
  async idle(): Promise<void> {
    while (this.#running !== undefined || this.#queue.length > 0) {
      if (this.#running === undefined) this.#flush();
      await this.#running;
    }
  }

  #schedule(): void {
    if (this.#running !== undefined) return;
    if (this.#queue.length >= Math.min(ENOUGH, this.#options.maxSize)) {
      this.#flush();
      return;
    }
    if (this.#timer !== undefined) return;
    const left = this.#options.maxAgeMs - (performance.now() - this.#since);
    // Not at once: entries of one look-up for duplicates come one behind the other.
    if (this.#quiet) this.#soon ??= setImmediate(() => this.#flush());
    else if (left <= 0) this.#flush();
    else this.#timer = setTimeout(() => this.#flush(), left);
  }

  #flush(): void {
    this.#stopTimers();
    if (this.#running !== undefined) return;
    const batch = this.#queue.splice(0, this.#options.maxSize);
    if (batch.length === 0) return;
    this.#quiet = batch.length === 1;
    this.#running = this.#integrate(batch).finally(() => {
      this.#running = undefined;
      if (this.#queue.length > 0) this.#schedule();
    });
  }

  #stopTimers(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#soon);
    this.#timer = undefined;
    this.#soon = undefined;
  }
}

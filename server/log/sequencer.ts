/**
 * Batches by size and by age. A batch goes when it has enough entries or when its first entry has waited `maxAge`, and
 * never while the batch before is under way: a busy log fills its batches while the disk works.
 *
 * On a quiet log no other entry comes to share a batch. So if the batch before held one entry, the next batch goes in the
 * same turn of the event loop.
 */
import type { Config } from '../config/load.ts';

/**
 * Enough entries to share the cost of a commit: a batch of this size does not wait for more. Measured with `maxAge` at
 * 10: 37 % more entries a second, opaque ones from 256 clients and signed ones from 64, at the same processor time an entry.
 */
const ENOUGH = 64;

export class Sequencer<T> {
  readonly #options: Config['batch'];
  readonly #integrate: (batch: T[]) => Promise<void>;
  #queue: T[] = [];
  #since = 0;
  #timer: NodeJS.Timeout | undefined;
  #soon: NodeJS.Immediate | undefined;
  #running: Promise<void> | undefined;
  /** The batch before held one entry, or no batch has gone yet. */
  #quiet = true;

  /** `integrate` must not reject: it rejects the callers of the batch itself. */
  constructor(options: Config['batch'], integrate: (batch: T[]) => Promise<void>) {
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

  /** Forgets the entries that wait, and returns them. */
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
    const left = this.#options.maxAge - (performance.now() - this.#since);
    // Not at once: the entries of one look-up for duplicates come one after another.
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

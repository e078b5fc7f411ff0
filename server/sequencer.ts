/**
 * Batches by size and by age: a batch goes when it is full or when its first entry has waited `maxAgeMs`, and never
 * while the one before is under way. So an idle log answers after `maxAgeMs`, and a busy one fills its batches by itself
 * while the disk works.
 */
export interface SequencerOptions {
  /** Entries in a batch, at most. */
  readonly maxSize: number;
  /** How long the first entry of a batch waits for others, in milliseconds. */
  readonly maxAgeMs: number;
}

export class Sequencer<T> {
  readonly #options: SequencerOptions;
  readonly #integrate: (batch: T[]) => Promise<void>;
  #queue: T[] = [];
  #since = 0;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;

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
    clearTimeout(this.#timer);
    this.#timer = undefined;
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
    if (this.#queue.length >= this.#options.maxSize) {
      this.#flush();
      return;
    }
    if (this.#timer !== undefined) return;
    const left = this.#options.maxAgeMs - (performance.now() - this.#since);
    if (left <= 0) this.#flush();
    else this.#timer = setTimeout(() => this.#flush(), left);
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const batch = this.#queue.splice(0, this.#options.maxSize);
    if (batch.length === 0) return;
    this.#running = this.#integrate(batch).finally(() => {
      this.#running = undefined;
      if (this.#queue.length > 0) this.#schedule();
    });
  }
}

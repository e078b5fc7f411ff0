/**
 * When checkpoints are published: one publication at a time, each over every entry that is committed by then. Without
 * `minIntervalMs` a quiet log publishes at once, and a busy log as often as signing, the witnesses and the disk allow.
 *
 * Each open store has its own publisher, which ends with the service of the store.
 */
import { setTimeout as sleep } from 'node:timers/promises';

export interface PublisherOptions {
  /** Ends every wait, and the publisher. */
  readonly signal: AbortSignal;
  /** Whether the newest tree that can be signed has no public checkpoint yet. */
  readonly due: () => boolean;
  /** Publishes that tree, and resolves with the number of entries that were not public before. */
  readonly publish: () => Promise<number>;
  /** Answers the waiting callers; called whether a publication was due or not. */
  readonly answer: () => Promise<void>;
  /** From the start of one publication to that of the next, in milliseconds. */
  readonly minIntervalMs: number;
  /** Witnesses cosign each checkpoint: after a publication the next one waits. */
  readonly witnesses: boolean;
  /** A publication failed. Nothing is published after it. */
  readonly onError: (error: unknown) => void;
}

/** After a publication with witnesses the next one waits as long as it took, but no longer than this, in milliseconds. */
const REST_MS = 25;

export class Publisher {
  readonly #options: PublisherOptions;
  #wanted = false;
  #running: Promise<void> | undefined;
  /** Ends the pause before a publication, and every later one. */
  readonly #hurry = new AbortController();
  #lastStart = Number.NEGATIVE_INFINITY;
  /** Nothing new is published before this, as `performance.now()` counts. */
  #restUntil = Number.NEGATIVE_INFINITY;

  constructor(options: PublisherOptions) {
    this.#options = options;
    options.signal.addEventListener('abort', () => this.#hurry.abort(), { once: true });
  }

  /** Publishes the newest tree that can be signed, unless it is public already. */
  request(): void {
    if (this.#options.signal.aborted) return;
    this.#wanted = true;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
      if (this.#wanted) this.request();
    });
  }

  /** Resolves once nothing is being published. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  /** The same without a pause. Waits until it is done, for `mostMs` milliseconds at most. */
  async finish(mostMs: number): Promise<void> {
    this.#hurry.abort();
    this.request();
    await Promise.race([this.idle(), sleep(mostMs, undefined, { ref: false })]);
  }

  async #run(): Promise<void> {
    const { signal, due, answer, onError } = this.#options;
    while (this.#wanted && !signal.aborted) {
      this.#wanted = false;
      try {
        if (due()) await this.#publish();
        await answer();
      } catch (error) {
        this.#wanted = false;
        // If the service ended, the next store publishes its own tree.
        if (!signal.aborted) onError(error);
        return;
      }
    }
  }

  async #publish(): Promise<void> {
    const { signal, publish, minIntervalMs, witnesses } = this.#options;
    const early = Math.max(this.#lastStart + minIntervalMs, this.#restUntil) - performance.now();
    if (early > 0) await sleep(early, undefined, { signal: this.#hurry.signal }).catch(() => {});
    signal.throwIfAborted();
    const started = performance.now();
    this.#lastStart = started;
    const entries = await publish();
    const ended = performance.now();
    // Witnesses cost the same for one entry as for a hundred: the entries that come meanwhile share the next checkpoint.
    // One entry alone would only wait.
    this.#restUntil = ended + (witnesses && entries !== 1 ? Math.min(ended - started, REST_MS) : 0);
  }
}

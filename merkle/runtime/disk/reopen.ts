/**
 * A store that is opened anew after each failure, as DESIGN.md's "After a failure" wants it: the handle that failed is
 * closed for good, a new one is opened, which reads its state from what is really stored, and only then comes the next
 * use. Nothing is tried again on its own: whoever used the store gets the error, and must not have promised anything.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { RuntimeError } from '../runtime-errors.ts';

const REOPEN_MIN_MS = 100;
const REOPEN_MAX_MS = 10_000;

export interface ReopeningOptions<S> {
  /** Opens the store and reads its state. */
  readonly open: () => Promise<S>;
  /** The error ends the handle. Others are thrown to the user alone. */
  readonly isFailure: (error: unknown) => boolean;
  /** The error is of no kind that another try mends: `open` is not called again. */
  readonly isFatal?: (error: unknown) => boolean;
  readonly onFailure?: (error: unknown) => void;
  readonly onReopened?: (store: S) => void;
  /** An open failed; the next try comes after `retryMs`. */
  readonly onRetry?: (error: unknown, retryMs: number) => void;
  readonly onFatal?: (error: unknown) => void;
}

export class Reopening<S extends { close(): Promise<void> }> {
  readonly #options: ReopeningOptions<S>;
  #store: S | undefined;
  #mode: 'open' | 'reopening' | 'stopped' | 'closed' = 'open';
  #recovery: Promise<void> = Promise.resolve();
  readonly #closing = new AbortController();

  private constructor(options: ReopeningOptions<S>, store: S) {
    this.#options = options;
    this.#store = store;
  }

  /** Rejects with what the first `open` throws. */
  static async start<S extends { close(): Promise<void> }>(options: ReopeningOptions<S>): Promise<Reopening<S>> {
    return new Reopening(options, await options.open());
  }

  /** The open store, undefined while there is none. */
  get current(): S | undefined {
    return this.#mode === 'open' ? this.#store : undefined;
  }

  get mode(): 'open' | 'reopening' | 'stopped' | 'closed' {
    return this.#mode;
  }

  /** Resolves when the store is open again, or will not be any more. */
  get recovered(): Promise<void> {
    return this.#recovery;
  }

  /**
   * Works with the open store.
   *
   * @throws RuntimeError `store` while it is not open; what `work` throws
   */
  async use<T>(work: (store: S) => Promise<T>): Promise<T> {
    const store = this.current;
    if (store === undefined) throw new RuntimeError('store', 'the store is not open; try again in a moment');
    try {
      return await work(store);
    } catch (error) {
      if (this.#options.isFailure(error)) this.#fail(error, store);
      throw error;
    }
  }

  /** Waits for what is under way and closes. Idempotent. */
  async close(): Promise<void> {
    this.#mode = 'closed';
    this.#closing.abort();
    await this.#recovery;
    const store = this.#store;
    this.#store = undefined;
    await store?.close();
  }

  #fail(error: unknown, store: S): void {
    // Several may fail with one handle; only the first ends it.
    if (store !== this.#store || this.#mode !== 'open') return;
    this.#options.onFailure?.(error);
    if (this.#options.isFatal?.(error) === true) {
      this.#stop(error);
      return;
    }
    this.#mode = 'reopening';
    this.#recovery = this.#reopen(store);
  }

  async #reopen(failed: S): Promise<void> {
    const { open, isFatal, onReopened, onRetry } = this.#options;
    this.#store = undefined;
    for (let delay = REOPEN_MIN_MS; this.#mode === 'reopening'; delay = Math.min(2 * delay, REOPEN_MAX_MS)) {
      try {
        await failed.close();
        const store = await open();
        this.#store = store;
        // Closed meanwhile: `close` waits for this, and closes what is there.
        if (this.#mode !== 'reopening') return;
        this.#mode = 'open';
        onReopened?.(store);
      } catch (error) {
        if (isFatal?.(error) === true) {
          this.#stop(error);
          return;
        }
        onRetry?.(error, delay);
        await sleep(delay, undefined, { signal: this.#closing.signal }).catch(() => {});
      }
    }
  }

  #stop(error: unknown): void {
    this.#mode = 'stopped';
    this.#options.onFatal?.(error);
  }
}

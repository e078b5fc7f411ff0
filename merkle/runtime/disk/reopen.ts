/**
 * A store that is opened again after each failure: close, open again, go on.
 *
 * The handle that failed is used for no more writes, a new one is opened, which reads its state from what is really
 * stored, and only then comes the next use. Nothing is tried again by itself: a caller that used the failed store gets the
 * error, and must not have promised anything. This is not caution: after ENOSPC leaves a torn record in its journal,
 * LevelDB takes further synced batches and loses all of them, silently, at the next open.
 */
import { RuntimeError } from '../runtime-errors.ts';
import { type BackOff, backOffMs, SYSTEM_CLOCK } from '../service/back-off.ts';

/** The first open after a failure comes at once. Where the store fails again before it worked, the next open waits. */
const PAUSES: BackOff = { firstMs: 100, longestMs: 5000 };

interface Reopenable {
  /**
   * Ends every write, and leaves what is stored readable until `close`. A store that has `stop` is closed once the next one
   * is open, so that readers have a store all the time. A store without `stop` is closed before the next one is opened.
   */
  stop?(): Promise<void>;
  close(): Promise<void>;
}

interface ReopeningOptions<S> {
  /** Opens the store and reads its state. An open that rejects must have closed what it opened. */
  readonly open: () => Promise<S>;
  /** Whether an error of `use` ends the handle. The caller of `use` gets every error. */
  readonly isFailure?: (error: unknown) => boolean;
  /** Whether no other open can mend the error: `open` is not called again. */
  readonly isFatal?: (error: unknown) => boolean;
  /** The store failed, and is opened again unless the error is fatal. */
  readonly onFailure?: (error: unknown) => void;
  /** The store is open again. Must not throw. */
  readonly onReopened?: (store: S) => void;
  /** An open failed; the next one comes after `retryMs`. */
  readonly onRetry?: (error: unknown, retryMs: number) => void;
  readonly onFatal?: (error: unknown) => void;
}

export class Reopening<S extends Reopenable> {
  readonly #options: ReopeningOptions<S>;
  #store: S;
  #mode: 'open' | 'reopening' | 'stopped' | 'closed' = 'open';
  #recovery: Promise<void> = Promise.resolve();
  /** Opens that were tried since the store worked. */
  #tries = 0;
  /** Ends the waits: no other open follows. */
  readonly #ended = new AbortController();

  private constructor(options: ReopeningOptions<S>, store: S) {
    this.#options = options;
    this.#store = store;
  }

  /** Rejects with what the first `open` throws. */
  static async start<S extends Reopenable>(options: ReopeningOptions<S>): Promise<Reopening<S>> {
    return new Reopening(options, await options.open());
  }

  /** The open store, undefined while there is none. */
  get current(): S | undefined {
    return this.#mode === 'open' ? this.#store : undefined;
  }

  /** The open store; without one, the last that was open. It can be read only if it has `stop`, and until `close`. */
  get latest(): S {
    return this.#store;
  }

  get mode(): 'open' | 'reopening' | 'stopped' | 'closed' {
    return this.#mode;
  }

  /** Resolves when the store is open again, or no other open follows. */
  get recovered(): Promise<void> {
    return this.#recovery;
  }

  /** Works with the open store. @throws RuntimeError `store` while it is not open; what `work` throws */
  async use<T>(work: (store: S) => Promise<T>): Promise<T> {
    const store = this.current;
    if (store === undefined) throw new RuntimeError('store', 'the store is not open; try again in a moment');
    try {
      const result = await work(store);
      this.worked();
      return result;
    } catch (error) {
      if (this.#options.isFailure?.(error) !== false) this.fail(error, store);
      throw error;
    }
  }

  /** The open store did its work: after its next failure it is opened again at once. */
  worked(): void {
    this.#tries = 0;
  }

  /** `store` failed. Several uses may fail with one handle, and late; only the first ends it. */
  fail(error: unknown, store: S): void {
    if (store !== this.#store || this.#mode !== 'open') return;
    this.#options.onFailure?.(error);
    if (this.#options.isFatal?.(error) === true) {
      this.#stop(error);
      return;
    }
    this.#mode = 'reopening';
    this.#recovery = this.#reopen(store);
  }

  /** Opens no other store from now on. The last one stays as it is until `close`. */
  abandon(): void {
    if (this.#mode === 'closed') return;
    this.#mode = 'stopped';
    this.#ended.abort();
  }

  /** Waits for the recovery under way, and closes. Idempotent. */
  async close(): Promise<void> {
    this.#mode = 'closed';
    this.#ended.abort();
    await this.#recovery;
    await this.#store.close();
  }

  async #reopen(failed: S): Promise<void> {
    const { open, isFatal, onReopened, onRetry } = this.#options;
    for (let pause = this.#pause(); ; ) {
      try {
        await (failed.stop === undefined ? failed.close() : failed.stop());
        await SYSTEM_CLOCK.sleep(pause, this.#ended.signal);
        if (this.#mode !== 'reopening') return;
        const store = await open();
        if (this.#mode !== 'reopening') {
          await store.close();
          return;
        }
        this.#store = store;
        this.#mode = 'open';
        onReopened?.(store);
        break;
      } catch (error) {
        if (this.#mode !== 'reopening') return;
        if (isFatal?.(error) === true) {
          this.#stop(error);
          return;
        }
        pause = this.#pause();
        onRetry?.(error, pause);
      }
    }
    // The new store may have failed already: another recovery is under way then, and this one is done.
    if (failed.stop !== undefined) await failed.close().catch(() => {});
  }

  /** The wait before the next open, in milliseconds. */
  #pause(): number {
    const failures = this.#tries++;
    return failures === 0 ? 0 : backOffMs(PAUSES, failures);
  }

  #stop(error: unknown): void {
    this.#mode = 'stopped';
    this.#options.onFatal?.(error);
  }
}

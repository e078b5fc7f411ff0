/**
 * The queue of a monitor that goes on after its store has failed: a disk that was full has room again. The handle that
 * failed is closed, a new one is opened, and what waits is read from what is really stored. Nothing is tried again on its
 * own: whoever could not queue an alert gets the error, and must not have moved on.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { RuntimeError } from '../../../merkle/runtime/runtime-errors.ts';
import type { Alert, AlertQueue } from '../types.ts';
import { openQueueIn, type Queue, type QueueOptions } from './alert-queue.ts';

interface LastingOptions extends Omit<QueueOptions, 'store' | 'prefix'> {
  /** Told of each failure: a sentence. */
  readonly onTrouble?: (message: string) => void;
  /** First pause before another try, in milliseconds; it doubles up to 60 s. Default 1 s. */
  readonly retryMs?: number;
}

const LONGEST_MS = 60_000;

/** A store that was opened, until it fails. */
interface Opened {
  readonly queue: Queue;
  readonly failed: AbortController;
}

export class LastingQueue implements AlertQueue {
  readonly #dir: string;
  readonly #options: LastingOptions;
  #opened: Opened;
  #opening: Promise<Opened> | undefined;
  #closed = false;

  private constructor(dir: string, options: LastingOptions, queue: Queue) {
    this.#dir = dir;
    this.#options = options;
    this.#opened = { queue, failed: new AbortController() };
  }

  /** The queue in the directory `dir`. @throws RuntimeError `store`, `locked`, `file` */
  static async open(dir: string, options: LastingOptions): Promise<LastingQueue> {
    return new LastingQueue(dir, options, await openQueueIn(dir, options));
  }

  /** As `Queue.enqueue`; after a failure the next call opens the store anew. @throws RuntimeError `store`, `locked`, `file` */
  async enqueue(alerts: readonly Alert[]): Promise<void> {
    const opened = await this.#current();
    try {
      await opened.queue.enqueue(alerts);
    } catch (error) {
      this.#fail(opened, error);
      throw error;
    }
  }

  pending(): number {
    return this.#opened.queue.pending();
  }

  state(): ReturnType<Queue['state']> {
    return this.#opened.queue.state();
  }

  /** Delivers until the signal aborts, whatever becomes of the store. */
  async run(signal: AbortSignal): Promise<void> {
    const { retryMs = 1000 } = this.#options;
    for (let pause = retryMs; !signal.aborted; pause = Math.min(2 * pause, LONGEST_MS)) {
      try {
        const opened = await this.#current();
        const started = performance.now();
        try {
          await opened.queue.run(AbortSignal.any([signal, opened.failed.signal]));
        } catch (error) {
          this.#fail(opened, error);
          throw error;
        }
        if (performance.now() - started > LONGEST_MS) pause = retryMs;
      } catch (error) {
        if (!(error instanceof RuntimeError)) throw error;
      }
      await sleep(pause, undefined, { signal }).catch(() => {});
    }
  }

  /** As `Queue.drain`. @throws RuntimeError `store`, `locked`, `file` */
  async drain(signal: AbortSignal): Promise<boolean> {
    const opened = await this.#current();
    try {
      return await opened.queue.drain(signal);
    } catch (error) {
      this.#fail(opened, error);
      throw error;
    }
  }

  /** When `run` and `drain` have ended. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#opening?.catch(() => {});
    await this.#opened.queue.close();
  }

  /** An error that several meet is told once. */
  #fail({ queue, failed }: Opened, error: unknown): void {
    if (queue !== this.#opened.queue || failed.signal.aborted) return;
    failed.abort();
    this.#options.onTrouble?.(`${(error as Error).message}; its store is opened anew, and no entry is passed over`);
  }

  async #current(): Promise<Opened> {
    if (this.#closed) throw new RuntimeError('store', 'the queue of alerts is closed');
    if (!this.#opened.failed.signal.aborted) return this.#opened;
    this.#opening ??= this.#reopen().finally(() => {
      this.#opening = undefined;
    });
    return await this.#opening;
  }

  async #reopen(): Promise<Opened> {
    await this.#opened.queue.leaveStore();
    this.#opened = {
      queue: await openQueueIn(this.#dir, this.#options),
      failed: new AbortController(),
    };
    return this.#opened;
  }
}

/**
 * The queue of a monitor that goes on after its store has failed, for example when a full disk has room again. A new queue
 * reads what really is in the store. A caller that could not queue an alert gets the error, and must not move its cursor.
 */
import { GuardedLevel } from '../../../merkle/runtime/disk/level.ts';
import { Reopening } from '../../../merkle/runtime/disk/reopen.ts';
import { RuntimeError } from '../../../merkle/runtime/runtime-errors.ts';
import { SYSTEM_CLOCK } from '../../../merkle/runtime/service/back-off.ts';
import { whenAborted } from '../../../merkle/runtime/service/ends.ts';
import type { Alert, AlertQueue } from '../types.ts';
import { Queue, type QueueOptions } from './alert-queue.ts';

interface LastingOptions extends QueueOptions {
  /** Receives a sentence about each failure. */
  readonly onTrouble?: (message: string) => void;
}

/** A queue until its store fails. */
interface OpenedQueue {
  readonly queue: Queue;
  /** Ends the deliveries of this queue. */
  readonly failed: AbortController;
  close(): Promise<void>;
}

/** Between two runs: without a pause, failures that follow at once would use up a processor. */
const PAUSE_MS = 1000;

export class LastingQueue implements AlertQueue {
  readonly #store: Reopening<OpenedQueue>;

  private constructor(store: Reopening<OpenedQueue>) {
    this.#store = store;
  }

  /** The queue in the directory `dir`. @throws RuntimeError `store`, `locked`, `file` */
  static async open(dir: string, options: LastingOptions): Promise<LastingQueue> {
    const store: Reopening<OpenedQueue> = await Reopening.start({
      open: async () => {
        const level = await GuardedLevel.open(dir, { cacheSize: 1024 * 1024 });
        try {
          const queue = await Queue.open(level, options);
          return { queue, failed: new AbortController(), close: () => queue.close() };
        } catch (error) {
          await level.close();
          throw error;
        }
      },
      onFailure: (error) => {
        store.latest.failed.abort();
        options.onTrouble?.(`${(error as Error).message}; its store is opened anew, and no entry is passed over`);
      },
    });
    return new LastingQueue(store);
  }

  /** As `Queue.enqueue`. @throws RuntimeError `store`; also while the store is not open */
  async enqueue(alerts: readonly Alert[]): Promise<void> {
    await this.#store.use(({ queue }) => queue.enqueue(alerts));
  }

  pending(): number {
    return this.#store.latest.queue.pending();
  }

  state(): ReturnType<Queue['state']> {
    return this.#store.latest.queue.state();
  }

  /** Delivers until the signal aborts, whatever happens to the store. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const opened = this.#store.current;
      try {
        await opened?.queue.run(AbortSignal.any([signal, opened.failed.signal]));
      } catch (error) {
        if (!(error instanceof RuntimeError)) throw error;
        this.#store.fail(error, opened!);
      }
      await SYSTEM_CLOCK.sleep(PAUSE_MS, signal);
    }
  }

  /** As `Queue.drain`. @throws RuntimeError `store` */
  async drain(signal: AbortSignal): Promise<boolean> {
    await Promise.race([this.#store.recovered, whenAborted(signal)]);
    return await this.#store.use(({ queue }) => queue.drain(signal));
  }

  /** As `Queue.close`. */
  async close(): Promise<void> {
    await this.#store.close();
  }
}

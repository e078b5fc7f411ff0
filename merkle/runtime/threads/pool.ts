/**
 * The worker pool: piscina with a fixed number of threads, one packed buffer in and one out, both transferred.
 *
 * Workers run the built JavaScript below `dist/`, from the sources too, because Node 20 cannot load TypeScript in a worker.
 */
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { Piscina } from 'piscina';
import { RuntimeError } from '../runtime-errors.ts';

/**
 * The built script of the module `path`: `workerUrl('server/ingest/ingest-worker')` is
 * `dist/server/ingest/ingest-worker.js` of this package. It does not depend on the file of the caller, which is a source in
 * a test, and one file for many modules in the built command line (bundle.js).
 * @throws RuntimeError `file`: it has not been built.
 */
export function workerUrl(path: string): URL {
  try {
    return pathToFileURL(createRequire(import.meta.url).resolve(`#dist/${path}.js`));
  } catch (cause) {
    throw new RuntimeError('file', `the worker dist/${path}.js is not there; run "npm run build"`, { cause });
  }
}

interface PoolOptions {
  /** The worker's module; its default export takes an ArrayBuffer and returns `Piscina.move(<ArrayBuffer>)`. */
  readonly file: URL;
  /** Number of threads, from 1. They start at once and stay. */
  readonly threads: number;
  /**
   * MiB for new objects in each thread; Node's own value by default. A worker that makes much garbage takes up to 48 MiB
   * there. With 8 MiB the two workers of a monitor hold 80 MB less, at the same speed.
   */
  readonly youngMb?: number;
  /** Plain settings for the workers, read there as `Piscina.workerData`. */
  readonly workerData?: unknown;
}

export interface Pool {
  /**
   * Runs one task, and transfers `task` to the worker. Each thread holds up to `TASKS_PER_THREAD` tasks, so that its next
   * task is there when one ends. Further tasks wait in the pool.
   *
   * Rejects with RuntimeError `pool` where the worker threw or died, or the pool was closed, and never hangs. Another
   * worker replaces a dead one.
   */
  run(task: ArrayBuffer): Promise<ArrayBuffer>;
  /** Ends the threads; tasks under way are rejected. Idempotent. */
  close(): Promise<void>;
}

export const TASKS_PER_THREAD = 2;

/** Loading a worker takes 200 ms, on a busy machine some times as long. */
const START_MS = 5000;

export function createPool({ file, threads, youngMb, workerData }: PoolOptions): Pool {
  const piscina = new Piscina({
    filename: file.href,
    minThreads: threads,
    maxThreads: threads,
    concurrentTasksPerWorker: TASKS_PER_THREAD,
    idleTimeout: Number.POSITIVE_INFINITY,
    ...(youngMb !== undefined && { resourceLimits: { maxYoungGenerationSizeMb: youngMb } }),
    workerData,
  });
  const running = new Set<(error: RuntimeError) => void>();
  // piscina reports its first threads as created in a microtask, before they have loaded anything, and later threads when
  // they are ready. The first message of a thread says that it is ready.
  const ready = new Set<number>();
  for (const thread of piscina.threads) thread.once('message', () => ready.add(thread.threadId));
  queueMicrotask(() => piscina.on('workerCreate', ({ id }: { id: number }) => ready.add(id)));
  let closed = false;

  const failAll = (message: string, cause?: unknown): void => {
    for (const reject of [...running]) reject(new RuntimeError('pool', message, { cause }));
  };
  // piscina reports a worker that dies without a task of its own only here. Where the worker died while it started, the
  // waiting tasks would wait for ever, so all of them fail: callers try again.
  piscina.on('error', (cause: unknown) => failAll('a worker died', cause));

  /**
   * A thread that is ended while it loads a native library can take the process with it (koffi: "FATAL ERROR …
   * napi_throw"). So a pool that is closed right after its start waits for its threads, for at most 5 s.
   */
  const started = async (): Promise<void> => {
    const late = performance.now() + START_MS;
    while (piscina.threads.some(({ threadId }) => !ready.has(threadId)) && performance.now() < late) await sleep(10);
  };

  return {
    run(task) {
      if (closed) return Promise.reject(new RuntimeError('pool', 'the worker pool is closed'));
      return new Promise((resolve, reject) => {
        running.add(reject);
        piscina.run(task, { transferList: [task] }).then(
          (answer: ArrayBuffer) => {
            running.delete(reject);
            resolve(answer);
          },
          (cause: unknown) => {
            running.delete(reject);
            reject(new RuntimeError('pool', 'a worker failed', { cause }));
          },
        );
      });
    },
    async close() {
      if (closed) return;
      closed = true;
      failAll('the worker pool was closed');
      await started();
      await piscina.destroy();
    },
  };
}

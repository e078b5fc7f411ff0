/**
 * Runs tasks in the worker (worker/tasks.ts).
 *
 *     const look = await inWorker('lookAtLog', { log }, { signal });
 *
 * A task whose signal is aborted rejects with `cancelled` at once. A worker that does not start, or dies, rejects all of its tasks
 * with `worker`, and the next task starts another one.
 */

import workerScript from '../worker/explorer-worker.ts?worker&url';
import type { FailedTask, TaskProgress, WorkerReply, WorkerRequest } from '../worker/protocol.ts';
import type { Tasks } from '../worker/tasks.ts';

/** What a task ended with, in the place of a value. */
export class TaskError extends Error {
  override readonly name = 'TaskError';
  readonly code: FailedTask['code'];

  constructor({ code, message }: FailedTask) {
    super(message);
    this.code = code;
  }
}

interface TaskOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: TaskProgress) => void) | undefined;
}

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: TaskError) => void;
  readonly onProgress: TaskOptions['onProgress'];
}

interface TrustedTypePolicies {
  createPolicy(
    name: string,
    rules: { createScriptURL: (url: string) => string },
  ): {
    createScriptURL(url: string): string;
  };
}

/** The one policy of the page, and the one script that it lets through. */
const policy = (globalThis as { readonly trustedTypes?: TrustedTypePolicies }).trustedTypes?.createPolicy(
  'stele-explorer',
  {
    createScriptURL(url) {
      if (url !== workerScript) throw new TypeError('not the script of the worker');
      return url;
    },
  },
);

const waiting = new Map<number, Waiting>();
let worker: Worker | undefined;
let lastId = 0;

export function inWorker<Name extends keyof Tasks>(
  task: Name,
  input: Parameters<Tasks[Name]>[0],
  { signal, onProgress }: TaskOptions = {},
): Promise<Awaited<ReturnType<Tasks[Name]>>> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      waiting.delete(id);
      worker?.postMessage({ id, cancel: true } satisfies WorkerRequest);
      reject(new TaskError({ code: 'cancelled', message: 'cancelled' }));
    };
    const id = ++lastId;
    if (signal?.aborted) return stop();
    signal?.addEventListener('abort', stop, { once: true });
    const done = () => signal?.removeEventListener('abort', stop);
    waiting.set(id, {
      resolve: (value) => {
        done();
        resolve(value as Awaited<ReturnType<Tasks[Name]>>);
      },
      reject: (error) => {
        done();
        reject(error);
      },
      onProgress,
    });
    try {
      worker ??= startWorker();
      worker.postMessage({ id, task, input } satisfies WorkerRequest);
    } catch (error) {
      waiting.delete(id);
      done();
      reject(new TaskError({ code: 'worker', message: String(error) }));
    }
  });
}

function startWorker(): Worker {
  const started = new Worker(policy?.createScriptURL(workerScript) ?? workerScript, { type: 'module' });
  started.onmessage = ({ data }: MessageEvent<WorkerReply>) => {
    const task = waiting.get(data.id);
    if (task === undefined) return;
    if ('progress' in data) return task.onProgress?.(data.progress);
    waiting.delete(data.id);
    if ('error' in data) task.reject(new TaskError(data.error));
    else task.resolve(data.value);
  };
  started.onerror = ({ message }) => {
    if (worker === started) worker = undefined;
    started.terminate();
    const why = message ? `: ${message}` : '. Does the server send its script?';
    const error = new TaskError({ code: 'worker', message: `the part of this page that verifies does not run${why}` });
    for (const task of waiting.values()) task.reject(error);
    waiting.clear();
  };
  return started;
}

/** The one worker of the page: hashes and verifies, so that the page never waits. */
import { MerkleError } from '../../../merkle/errors.ts';
import { ClientError } from '../../errors.ts';
import { withClientErrors } from '../../merkle-errors.ts';
import type { FailedTask, TaskContext, WorkerReply, WorkerRequest } from './protocol.ts';
import { TASKS } from './tasks.ts';

type Task = (input: unknown, context: TaskContext) => Promise<unknown>;

const running = new Map<number, AbortController>();
const reply = (message: WorkerReply) => (globalThis as unknown as Worker).postMessage(message);

globalThis.addEventListener('message', ({ data }: MessageEvent<WorkerRequest>) => {
  if ('cancel' in data) running.get(data.id)?.abort();
  else void perform(data.id, data.task, data.input);
});

async function perform(id: number, name: string, input: unknown): Promise<void> {
  const cancel = new AbortController();
  running.set(id, cancel);
  try {
    const task = TASKS[name as keyof typeof TASKS] as Task;
    const value = await task(input, {
      signal: cancel.signal,
      onProgress: (progress) => reply({ id, progress }),
    });
    reply({ id, value });
  } catch (error) {
    reply({ id, error: failureOf(error, cancel.signal) });
  } finally {
    running.delete(id);
  }
}

function failureOf(error: unknown, signal: AbortSignal): FailedTask {
  if (signal.aborted) return { code: 'cancelled', message: 'cancelled' };
  if (error instanceof ClientError) return { code: error.code, message: error.message };
  if (error instanceof MerkleError) {
    try {
      withClientErrors(() => {
        throw error;
      });
    } catch (known) {
      if (known instanceof ClientError) return { code: known.code, message: known.message };
    }
    return { code: 'malformed', message: error.message };
  }
  return {
    code: 'internal',
    message: `this page has a fault: ${error instanceof Error ? error.message : String(error)}`,
  };
}

/** The result of a task of the worker, for exactly the input that is asked for now: nothing of an earlier input is ever shown. */
import { useEffect, useState } from 'preact/hooks';
import type { TaskProgress } from '../worker/protocol.ts';
import type { Tasks } from '../worker/tasks.ts';
import { inWorker, type TaskError } from './in-worker.ts';

interface TaskState<Value> {
  readonly value?: Value;
  readonly error?: TaskError;
  readonly progress?: TaskProgress;
}

/**
 * @param input undefined where nothing is asked for
 * @param key names the input: another key is another question
 */
export function useTask<Name extends keyof Tasks>(
  task: Name,
  input: Parameters<Tasks[Name]>[0] | undefined,
  key: string,
): TaskState<Awaited<ReturnType<Tasks[Name]>>> {
  type Value = Awaited<ReturnType<Tasks[Name]>>;
  const [state, setState] = useState<{ readonly key: string } & TaskState<Value>>({ key: '' });
  useEffect(() => {
    if (input === undefined) return;
    const stop = new AbortController();
    const set = (next: TaskState<Value>) => {
      if (!stop.signal.aborted) setState({ key, ...next });
    };
    const options = { signal: stop.signal, onProgress: (progress: TaskProgress) => set({ progress }) };
    inWorker(task, input, options).then(
      (value) => set({ value }),
      (error: TaskError) => set({ error }),
    );
    return () => stop.abort();
  }, [task, key, input === undefined]);
  return input !== undefined && state.key === key ? state : {};
}

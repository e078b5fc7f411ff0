/**
 * The tasks of the worker, by name. A task takes and returns plain values, that `postMessage` copies. It is loaded when it is first
 * asked for, so that the first answer waits for nothing that it does not need.
 */
import type { TaskContext } from './protocol.ts';

export const TASKS = {
  lookAtLog: async (input: import('./look-at-log.ts').LookInput, context: TaskContext) =>
    await (await import('./look-at-log.ts')).lookAtLog(input, context),
  compareCheckpoints: async (input: import('./compare-checkpoints.ts').CompareInput, context: TaskContext) =>
    await (await import('./compare-checkpoints.ts')).compareCheckpoints(input, context),
};

export type Tasks = typeof TASKS;

/**
 * The tasks of the worker, by name. A task takes and returns plain values, that `postMessage` copies. It is loaded when it is first
 * asked for, so that the first answer waits for nothing that it does not need.
 */
import type { TaskContext } from './protocol.ts';

export const TASKS = {
  readExplorer: async (input: { readonly url: string }, context: TaskContext) =>
    await (await import('./read-explorer.ts')).readExplorer(input, context),
  lookAtLog: async (input: import('./look-at-log.ts').LookInput, context: TaskContext) =>
    await (await import('./look-at-log.ts')).lookAtLog(input, context),
  forgetLog: async (input: import('./look-at-log.ts').LookInput) => (await import('./look-at-log.ts')).forgetLog(input),
  lookAround: async (
    input: { readonly log: import('../../../merkle/explorer-config.ts').ExplorerLog },
    context: TaskContext,
  ) => await (await import('./look-around.ts')).lookAround(input, context),
  compareCheckpoints: async (input: import('./compare-checkpoints.ts').CompareInput, context: TaskContext) =>
    await (await import('./compare-checkpoints.ts')).compareCheckpoints(input, context),
  showEntry: async (input: import('./show-entry.ts').EntryInput, context: TaskContext) =>
    await (await import('./show-entry.ts')).showEntry(input, context),
  searchIndex: async (input: import('./search-index.ts').SearchInput, context: TaskContext) =>
    await (await import('./search-index.ts')).searchIndex(input, context),
  hashDropped: async (input: import('./hash-dropped.ts').HashInput, context: TaskContext) =>
    await (await import('./hash-dropped.ts')).hashDropped(input, context),
  sniffDropped: async (input: { readonly file: Blob }) =>
    await (await import('./sniff-dropped.ts')).sniffDropped(input),
  readDropped: async (input: Pick<import('./verify-dropped.ts').VerifyInput, 'log' | 'bundle'>) =>
    await (await import('./verify-dropped.ts')).readDropped(input),
  verifyDropped: async (input: import('./verify-dropped.ts').VerifyInput) =>
    await (await import('./verify-dropped.ts')).verifyDropped(input),
};

export type Tasks = typeof TASKS;

/** What the page and its worker say to each other. Both sides are of one build, so nothing here is checked twice. */
import type { ClientErrorCode } from '../../errors.ts';

export type WorkerRequest =
  | { readonly id: number; readonly task: string; readonly input: unknown }
  | { readonly id: number; readonly cancel: true };

export type WorkerReply =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: FailedTask }
  | { readonly id: number; readonly progress: TaskProgress };

/** How an error of a task comes back. */
export interface FailedTask {
  /** A code of the client; `internal` for a fault of this page; `worker` where the worker itself does not run. */
  readonly code: ClientErrorCode | 'internal' | 'worker';
  readonly message: string;
}

export interface TaskProgress {
  readonly done: number;
  readonly total: number;
}

/** What a task gets beside its input. */
export interface TaskContext {
  /** Aborted where the page needs the result no more. */
  readonly signal: AbortSignal;
  readonly onProgress: (progress: TaskProgress) => void;
}

/** The options of requests to a log, and the result of each entry. */
import type { VerifierKey } from '../../merkle/note.ts';
import type { ClientError } from '../errors.ts';
import type { LogEntry } from '../formats/log-entry.ts';

/** How requests are sent. All times are in milliseconds. */
export interface LogRequestOptions {
  readonly fetch?: typeof fetch;
  /** For one attempt; 30,000 by default. */
  readonly attemptTimeout?: number;
  /** For all attempts together; 120,000 by default. */
  readonly deadline?: number;
  /** The time for an address that never answers; 15,000 by default. */
  readonly reach?: number;
  /** The first pause and the longest one; 200 and 10,000 by default. */
  readonly pauses?: { readonly first: number; readonly longest: number };
  readonly signal?: AbortSignal;
  /** Of a body of bytes; `application/timestamp-query` by default. */
  readonly contentType?: string;
  /** Called before each wait. `attempt` counts from 1. */
  readonly onRetry?: (retry: {
    /** What was asked: the log, or the time-stamp authority. */
    readonly url: string;
    readonly why: string;
    readonly wait: number;
    readonly attempt: number;
  }) => void;
}

export interface SendOptions extends LogRequestOptions {
  /** The deadline starts again with each entry that gets its answer: it bounds the time without any. */
  readonly renewDeadline?: boolean;
  /** The trusted keys of the log: an entry that it has already is then found in its public files too. */
  readonly logKeys?: readonly VerifierKey[];
  /** The most entries in one call; 256 by default, which every log takes. */
  readonly bulkItems?: number;
}

/** One entry to send. `load` gives its CreateEntryRequest in proto3 JSON, the same text each time. */
export interface Outgoing {
  readonly load: () => string | Promise<string>;
}

/**
 * Why an entry was not logged.
 *
 * - `refused`: the log refuses this entry for good.
 * - `failed`: the entry has no usable answer, and is not sent again now. A later attempt may succeed.
 * - `unsent`: sending ended before the entry had its answer. The log may have the entry all the same.
 */
export interface NotLogged {
  readonly reason: 'refused' | 'failed' | 'unsent';
  readonly error: ClientError;
}

/** Receives the results. Each entry gets exactly one: `logged` that resolves, or `notLogged`. */
export interface Results<T> {
  /**
   * Checks what the log answers for an entry, and keeps it. A ClientError from here becomes the result of the entry, except
   * `quorum`: witnesses may be late, so the entry is sent again. After `bad-checkpoint`, `policy` and `log-key` nothing more
   * is sent, as this is not the log that the caller trusts.
   */
  logged(item: T, entry: LogEntry): Promise<void> | void;
  notLogged(item: T, why: NotLogged): Promise<void> | void;
}

/** Why sending ended before each entry had its answer. */
export interface Stopped {
  readonly error: ClientError;
  /** Milliseconds since 1970 before which the log wants no more requests. */
  readonly notBefore?: number;
}

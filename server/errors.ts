/**
 * Every error of the server room.
 *
 * `RequestError` is what a caller over HTTP may see: its code picks one row of `REQUEST_ERRORS`, and its message never
 * holds a path, a stack or a library's words. `ServerError` is for the operator at the terminal: what happened, why, and
 * what to do.
 */
import { CodedError } from '../merkle/errors.ts';

/** One row: HTTP status, gRPC code (google.rpc.Code, what Rekor v2 clients read) and whether a retry may succeed. */
export interface RequestErrorRow {
  readonly status: number;
  readonly grpc: number;
  readonly retry?: true;
}

export const REQUEST_ERRORS = {
  malformed: { status: 400, grpc: 3 },
  'invalid-type': { status: 400, grpc: 3 },
  'invalid-entry': { status: 400, grpc: 3 },
  'invalid-argument': { status: 400, grpc: 3 },
  unauthorized: { status: 401, grpc: 16 },
  'not-found': { status: 404, grpc: 5 },
  'method-not-allowed': { status: 405, grpc: 12 },
  frozen: { status: 405, grpc: 9 },
  timeout: { status: 408, grpc: 4 },
  duplicate: { status: 409, grpc: 6 },
  'too-large': { status: 413, grpc: 3 },
  'uri-too-long': { status: 414, grpc: 3 },
  'rate-limited': { status: 429, grpc: 8, retry: true },
  'headers-too-large': { status: 431, grpc: 3 },
  internal: { status: 500, grpc: 13 },
  pushback: { status: 503, grpc: 14, retry: true },
  'not-published': { status: 503, grpc: 14, retry: true },
  'store-failed': { status: 503, grpc: 14, retry: true },
  draining: { status: 503, grpc: 14, retry: true },
} as const satisfies Record<string, RequestErrorRow>;

export type RequestErrorCode = keyof typeof REQUEST_ERRORS;

export class RequestError extends Error {
  override readonly name = 'RequestError';
  readonly code: RequestErrorCode;
  /** Index of the entry that the error is about, in [0, 2^53): sent as `x-log-index`. */
  readonly index: number | undefined;

  constructor(code: RequestErrorCode, message: string, index?: number) {
    super(message);
    this.code = code;
    this.index = index;
  }
}

/**
 * - `config`: a setting is unknown, wrong or missing.
 * - `locked`: another process owns the data directory.
 * - `format-version`, `origin-mismatch`, `key-mismatch`: the data directory belongs to another version, log or key.
 * - `copy`: the data directory is a backup that was not restored.
 * - `tail-gap`, `corrupt`: what is stored does not add up.
 * - `tile-conflict`: other bytes stand at an immutable address.
 * - `rollback`: the tree does not extend a checkpoint that was published.
 * - `frozen`: the log is frozen for good.
 * - `policy`: the witness policy cannot be served with these keys.
 * - `store`: reading or writing the store failed; the handle is of no more use.
 * - `conflict`: the compare-and-swap found another state.
 */
export type ServerErrorCode =
  | 'config'
  | 'locked'
  | 'format-version'
  | 'origin-mismatch'
  | 'key-mismatch'
  | 'copy'
  | 'tail-gap'
  | 'corrupt'
  | 'tile-conflict'
  | 'rollback'
  | 'frozen'
  | 'policy'
  | 'store'
  | 'conflict';

export class ServerError extends CodedError<ServerErrorCode> {
  override readonly name = 'ServerError';

  constructor(code: ServerErrorCode, message: string, options?: ErrorOptions) {
    super(code, message, undefined, options);
  }
}

/**
 * Every error of the server room.
 *
 * `RequestError` is what a caller over HTTP may see: its code picks one row of `REQUEST_ERRORS`, and its message never
 * holds a path, a stack or a library's words. `ServerError` is for the operator at the terminal: what happened, why, and
 * what to do.
 */
import { CodedError } from '../merkle/errors.ts';
import type { IdentityErrorCode } from '../merkle/runtime/identity/types.ts';
import type { AccessReason } from '../merkle/runtime/policy/access/access-reasons.ts';

export interface RequestErrorRow {
  readonly status: number;
  /** The gRPC code (google.rpc.Code), which clients of Rekor v2 read. */
  readonly grpc: number;
  /** The same request may succeed later: the reply has `Retry-After`. */
  readonly retry?: true;
  /** A number that `message` takes is the index of an entry: `data.index`. Else, with `retry`, it is `data.retryAfter`. */
  readonly indexed?: true;
  readonly message: string | ((...args: never[]) => string);
}

/** The message of a row whose code alone does not say what is wrong. */
const asGiven = (message: string): string => message;

export const REQUEST_ERRORS = {
  malformed: { status: 400, grpc: 3, message: asGiven },
  'invalid-type': { status: 400, grpc: 3, message: asGiven },
  'invalid-entry': { status: 400, grpc: 3, message: asGiven },
  'invalid-argument': { status: 400, grpc: 3, message: asGiven },
  /** Nobody is proven to call: `data.error` says why (docs/identity.md). */
  unidentified: { status: 401, grpc: 16, message: asGiven },
  unauthorized: { status: 401, grpc: 16, message: asGiven },
  forbidden: { status: 403, grpc: 7, message: asGiven },
  /** The caller is proven, and the access policy does not allow the call: `data.reasons` says why. */
  'not-allowed': { status: 403, grpc: 7, message: asGiven },
  'not-found': { status: 404, grpc: 5, message: 'not found' },
  'no-checkpoint': {
    status: 404,
    grpc: 5,
    message: 'the log is new and has no checkpoint yet: the first one comes with the first entries',
  },
  'not-raw': { status: 404, grpc: 5, message: 'this log takes signed entries only' },
  'method-not-allowed': {
    status: 405,
    grpc: 12,
    message: (method: string) => `the method ${method} is not allowed here`,
  },
  /** Sent as it is, as text: Rekor v2 does so. */
  frozen: { status: 405, grpc: 9, message: 'This log has been frozen, please switch to the latest log.\n' },
  timeout: { status: 408, grpc: 4, message: 'the request did not come in time' },
  duplicate: {
    status: 409,
    grpc: 6,
    indexed: true,
    message: (index: number) => `an equivalent entry already exists in the transparency log with index ${index}`,
  },
  'too-large': {
    status: 413,
    grpc: 3,
    message: (bytes: number) => `the request body is larger than the limit of ${bytes} bytes`,
  },
  'uri-too-long': {
    status: 414,
    grpc: 3,
    message: (bytes: number) => `the URL is longer than the limit of ${bytes} bytes`,
  },
  'param-too-long': { status: 414, grpc: 3, message: 'a part of the URL is too long' },
  'rate-limited': {
    status: 429,
    grpc: 8,
    retry: true,
    message: (_retryAfter: number) => 'too many requests from this address; retry later',
  },
  'caller-rate': { status: 429, grpc: 8, retry: true, message: asGiven },
  'address-bodies': {
    status: 429,
    grpc: 8,
    retry: true,
    message: 'too many bytes of request bodies from this address are under way; retry',
  },
  'headers-too-large': { status: 431, grpc: 3, message: 'the request line and headers are larger than the limit' },
  internal: { status: 500, grpc: 13, message: 'internal error' },
  'no-proof': {
    status: 500,
    grpc: 13,
    indexed: true,
    message: (index: number) => `the proof of entry ${index} cannot be made`,
  },
  pushback: { status: 503, grpc: 14, retry: true, message: 'reached max pushback; retry' },
  'not-published': {
    status: 503,
    grpc: 14,
    retry: true,
    indexed: true,
    message: (index: number, why?: string) =>
      `sequenced at index ${index}, not yet published${why === undefined ? '' : `: ${why}`}; retry`,
  },
  unconfirmed: {
    status: 503,
    grpc: 14,
    retry: true,
    message: 'the log waits until its witnesses confirm that no newer tree of it exists; retry',
  },
  waiting: {
    status: 503,
    grpc: 14,
    retry: true,
    message: 'this log takes entries once the log before it has ended; retry',
  },
  'identity-unavailable': { status: 503, grpc: 14, retry: true, message: asGiven },
  'record-failed': {
    status: 503,
    grpc: 14,
    retry: true,
    message: 'the log could not keep who writes, which its operator requires; retry',
  },
  'store-failed': { status: 503, grpc: 14, retry: true, message: 'the log could not store this entry durably; retry' },
  'read-failed': {
    status: 503,
    grpc: 14,
    retry: true,
    indexed: true,
    message: (_index?: number) => 'the log could not read what this reply needs; retry',
  },
  damaged: {
    status: 503,
    grpc: 14,
    retry: true,
    indexed: true,
    message: (_index?: number) =>
      'a stored file that this reply needs is damaged, and the log does not send it; its operator must put the file back',
  },
  unavailable: { status: 503, grpc: 14, retry: true, message: 'the store of the log is not available; retry' },
  draining: { status: 503, grpc: 14, retry: true, message: 'the log is shutting down; retry' },
  halted: {
    status: 503,
    grpc: 14,
    retry: true,
    message:
      'the log has stopped: a witness holds a history of it that this log does not extend; its operator must act',
  },
  broken: {
    status: 503,
    grpc: 14,
    retry: true,
    message: 'the log has stopped: what it stored contradicts itself; its operator must act',
  },
} as const satisfies Record<string, RequestErrorRow>;

export type RequestErrorCode = keyof typeof REQUEST_ERRORS;

interface RequestErrorData {
  /** Index of the entry that the error is about, in [0, 2^53): sent as `x-log-index`. */
  readonly index?: number;
  /** The methods of the path, for `Allow`. */
  readonly allow?: string | undefined;
  /** For programs, of a caller that is refused: a code of docs/identity.md. */
  readonly error?: IdentityErrorCode;
  /** Why the access policy does not allow the call. */
  readonly reasons?: readonly AccessReason[];
  /** What proves an identity here, for `WWW-Authenticate`. */
  readonly challenge?: string;
  /** Seconds after which another try may succeed, where they are known: sent as `Retry-After`. */
  readonly retryAfter?: number;
}

export class RequestError extends CodedError<RequestErrorCode, RequestErrorData> {
  override readonly name = 'RequestError';

  constructor(code: RequestErrorCode, message: string, data: RequestErrorData = {}) {
    super(code, message, data);
  }
}

type MessageArgs<Code extends RequestErrorCode> = (typeof REQUEST_ERRORS)[Code]['message'] extends (
  ...args: infer Args
) => string
  ? Args
  : [];

/** The error of one row; `args` are what its message is made of. */
export function requestError<Code extends RequestErrorCode>(code: Code, ...args: MessageArgs<Code>): RequestError {
  const row: RequestErrorRow = REQUEST_ERRORS[code];
  const { message } = row;
  const text = typeof message === 'string' ? message : message(...(args as never[]));
  const [number] = args as readonly unknown[];
  if (typeof number !== 'number') return new RequestError(code, text);
  if (row.indexed === true) return new RequestError(code, text, { index: number });
  return new RequestError(code, text, row.retry === true ? { retryAfter: number } : {});
}

export type ServerErrorCode =
  | 'config' // a setting is unknown, wrong or missing
  | 'locked' // another process owns the data directory
  | 'format-version' // another version of Stele wrote the data directory
  | 'origin-mismatch' // the data directory belongs to another log
  | 'key-mismatch' // the data directory belongs to another key
  | 'copy' // the data directory is a backup that was not restored, or a copy that was cut off
  | 'tail-gap' // the stored tail does not follow the stored files
  | 'corrupt' // what is stored does not add up
  | 'unreadable' // the data could not be read for a reason that says nothing about them, such as a permission
  | 'rotten' // one stored file is damaged, missing or unreadable: what needs it fails, and nothing else
  | 'tile-conflict' // other bytes stand at an immutable address
  | 'rollback' // the tree does not extend a checkpoint that was published
  | 'frozen' // the log is frozen for good
  | 'policy' // the witness policy cannot be served with these keys
  | 'store' // reading or writing the store failed; the handle is of no more use
  | 'unavailable' // the store cannot be reached for a moment; the call may be made again on the same handle
  | 'conflict'; // the compare-and-swap found another value

export class ServerError extends CodedError<ServerErrorCode> {
  override readonly name = 'ServerError';

  constructor(code: ServerErrorCode, message: string, options?: ErrorOptions) {
    super(code, message, undefined, options);
  }
}

const FATAL: readonly string[] = [
  'corrupt',
  'tail-gap',
  'tile-conflict',
  'rollback',
  'conflict',
  'frozen',
  'key-mismatch',
  'origin-mismatch',
] satisfies ServerErrorCode[];

/** Whether an error says that the stored data is wrong, not that storing failed: opening the store again would not help. */
export function isFatal(error: unknown): boolean {
  return error instanceof ServerError && FATAL.includes(error.code);
}

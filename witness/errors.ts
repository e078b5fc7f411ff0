/**
 * Every error of the witness room.
 *
 * `RequestError` is what a caller over HTTP sees: its code picks one row of `REQUEST_ERRORS`. `WitnessError` is for the
 * operator at the terminal: what happened, why, and what to do.
 */
import { CodedError } from '../merkle/errors.ts';

interface RequestErrorRow {
  /** A status of c2sp.org/tlog-witness, or 429 or 503. */
  readonly status: number;
  /** The same request may succeed later: the reply has `Retry-After`. */
  readonly retry?: true;
  readonly message: string | ((...args: never[]) => string);
  readonly data?: (...args: never[]) => RequestErrorData;
}

interface RequestErrorData {
  /** Of a conflict: the size of the tree that the witness cosigned last. */
  readonly size?: number;
  /** Seconds after which another try may succeed, where they are known. */
  readonly retryAfter?: number | undefined;
  /** Milliseconds before the answer goes out. */
  readonly pauseMs?: number;
  /** The methods of the path, for `Allow`. */
  readonly allow?: string;
}

/** The message of a row whose code alone does not say what is wrong. */
const asGiven = (message: string): string => message;
const later = (what: string): string => `${what}; retry`;

/** A client that asks again as soon as it is refused would take the main thread from the logs, whose requests run there. */
const SUBTREE_PAUSE_MS = 1000;

/** By code; metrics count the codes. */
const REQUEST_ERRORS = {
  malformed: { status: 400, message: asGiven },
  'old-too-large': {
    status: 400,
    message: (oldSize: number) => `the old size ${oldSize} is larger than the checkpoint's`,
  },
  unauthorized: { status: 401, message: asGiven },
  forbidden: { status: 403, message: asGiven },
  signature: { status: 403, message: asGiven },
  'unknown-log': { status: 404, message: asGiven },
  'not-found': { status: 404, message: asGiven },
  unsupported: { status: 404, message: 'this witness has no ML-DSA-44 key, and signs no subtrees' },
  'method-not-allowed': {
    status: 405,
    message: (method: string, _allow: string) => `the method ${method} is not allowed here`,
    data: (_method: string, allow: string) => ({ allow }),
  },
  timeout: { status: 408, message: 'the request did not come in time' },
  conflict: {
    status: 409,
    message: (_size: number) => 'the old size is not that of the last cosigned checkpoint',
    data: (size: number) => ({ size }),
  },
  'too-large': {
    status: 413,
    message: (bytes: number) => `the request body is larger than the limit of ${bytes} bytes`,
  },
  'empty-root': { status: 422, message: 'the root of a checkpoint of size 0 is not the hash of the empty tree' },
  proof: { status: 422, message: asGiven },
  'other-root': { status: 422, message: 'the last cosigned checkpoint of this size has another root' },
  /** What the checkpoint is over does not hold (judge.ts). */
  wrong: { status: 422, message: asGiven },
  /** Whether what the checkpoint is over holds is not known yet (judge.ts). */
  undecided: {
    status: 503,
    retry: true,
    message: (why: string, _retryAfter: number) => why,
    data: (_why: string, retryAfter: number) => ({ retryAfter }),
  },
  'rate-limited': {
    status: 429,
    retry: true,
    message: (retryAfter?: number) =>
      retryAfter === undefined
        ? 'too many requests from this address; retry later'
        : `this log is cosigned too often; retry in ${retryAfter} s`,
    data: (retryAfter?: number) => ({ retryAfter }),
  },
  'address-limited': {
    status: 429,
    retry: true,
    message: (_retryAfter: number) => 'too many requests from this address; retry later',
    data: (retryAfter: number) => ({ retryAfter }),
  },
  'address-bodies': {
    status: 429,
    retry: true,
    message: 'too many bytes of request bodies from this address are under way; retry',
  },
  'headers-too-large': { status: 431, message: 'the request line and headers are larger than the limit' },
  'daily-limit': {
    status: 429,
    retry: true,
    message: (perDay: number, retryAfter: number) =>
      `this log is cosigned ${perDay} times a day at most (qpd); retry in ${retryAfter} s`,
    data: (_perDay: number, retryAfter: number) => ({ retryAfter }),
  },
  busy: { status: 503, retry: true, message: later },
  'subtrees-busy': {
    status: 503,
    retry: true,
    message: 'too many subtrees are to be signed; retry',
    data: () => ({ pauseMs: SUBTREE_PAUSE_MS }),
  },
  'subtrees-limited': {
    status: 429,
    retry: true,
    message: (retryAfter: number) => `this address asks for too many subtrees; retry in ${retryAfter} s`,
    data: (retryAfter: number) => ({ retryAfter, pauseMs: SUBTREE_PAUSE_MS }),
  },
  clock: {
    status: 503,
    retry: true,
    message:
      'the clock of this witness was set while it ran, and nothing is cosigned until its operator has looked; retry',
  },
  store: { status: 503, retry: true, message: later },
  signer: { status: 503, retry: true, message: 'the witness cannot sign now; retry' },
} as const satisfies Record<string, RequestErrorRow>;

type RequestErrorCode = keyof typeof REQUEST_ERRORS;
type MessageArgs<Code extends RequestErrorCode> = (typeof REQUEST_ERRORS)[Code]['message'] extends (
  ...args: infer Args
) => string
  ? Args
  : [];

export class RequestError extends CodedError<RequestErrorCode, RequestErrorData> {
  override readonly name = 'RequestError';

  get row(): RequestErrorRow {
    return REQUEST_ERRORS[this.code];
  }
}

/** The error of one row; `args` are what its message and its data are made of. */
export function requestError<Code extends RequestErrorCode>(code: Code, ...args: MessageArgs<Code>): RequestError {
  const { message, data }: RequestErrorRow = REQUEST_ERRORS[code];
  const text = typeof message === 'string' ? message : message(...(args as never[]));
  return new RequestError(code, text, data?.(...(args as never[])) ?? {});
}

type WitnessErrorCode =
  | 'config' // a setting is unknown, wrong or missing
  | 'logs' // the file of logs is malformed, or a log cannot be added or disabled
  | 'list' // a list of the witness network cannot be read, or breaks the format
  | 'list-key' // a list gives a known log another key, or a known key to another log
  | 'key-mismatch' // the data directory belongs to a witness with another name or key
  | 'format-version' // another version of Stele wrote the data directory
  | 'corrupt' // what is stored contradicts itself, or is lost
  | 'clock' // the machine's clock does not fit the newest cosignature
  | 'conflict' // the compare-and-store found another checkpoint
  | 'poll' // a log that is polled does not answer, or its answer is not that of a log
  | 'not-running'; // no witness runs on the directory, or its admin port does not answer

export class WitnessError extends CodedError<WitnessErrorCode> {
  override readonly name = 'WitnessError';

  constructor(code: WitnessErrorCode, message: string, options?: ErrorOptions) {
    super(code, message, undefined, options);
  }
}

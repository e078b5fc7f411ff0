/**
 * Why the certificate authority answers a request with an error. The body has the form that Fulcio's gRPC gateway gives,
 * `{ code, message, details }` with a code of google.rpc.Code, and `error`: the code of this list, for programs.
 */
import { CodedError } from '../../merkle/errors.ts';
import { IdentityError } from '../../merkle/runtime/identity/types.ts';
import { jsonAnswer } from '../../merkle/runtime/service/app.ts';
import type { Answer } from '../../merkle/runtime/service/http-server.ts';
import { ClientError } from '../errors.ts';

type CaErrorCode =
  | 'malformed' // The request is not what Fulcio's API describes.
  | 'tokens-differ' // The header and the body hold different tokens.
  | 'public-key' // The public key cannot be certified.
  | 'possession' // The proof of possession does not verify.
  | 'email' // The issuer does not vouch for the e-mail address.
  | 'team' // No team takes callers of this issuer or trust domain.
  | 'name' // The token gives no name that a certificate can have.
  | 'name-constraints' // The team may not certify this name.
  | 'too-large' // The request is longer than the authority reads.
  | 'timeout' // The request came too slowly.
  | 'rate' // The caller asks too often.
  | 'busy' // Too many requests are under way.
  | 'clock' // The clock of the authority is wrong.
  | 'authority-expired' // The certificate of the team ends before that of the caller would.
  | 'key-unavailable' // A key of the authority does not sign.
  | 'log-unavailable' // The log does not take the certificate now.
  | 'log-refused' // The log refuses the certificate for good.
  | 'storage' // The authority cannot write to its disk.
  | 'closing' // The service is shutting down.
  | 'not-found' // There is no such path.
  | 'method' // The path takes another method.
  | 'internal'; // A bug.

interface Row {
  /** HTTP status. */
  readonly status: number;
  /** google.rpc.Code. */
  readonly grpc: number;
}

const INVALID_ARGUMENT = 3;
const DEADLINE_EXCEEDED = 4;
const NOT_FOUND = 5;
const PERMISSION_DENIED = 7;
const RESOURCE_EXHAUSTED = 8;
const UNIMPLEMENTED = 12;
const INTERNAL = 13;
const UNAVAILABLE = 14;
const UNAUTHENTICATED = 16;

const bad: Row = { status: 400, grpc: INVALID_ARGUMENT };
const forbidden: Row = { status: 403, grpc: PERMISSION_DENIED };
const away: Row = { status: 503, grpc: UNAVAILABLE };

const ROWS: Readonly<Record<CaErrorCode, Row>> = {
  malformed: bad,
  'tokens-differ': bad,
  'public-key': bad,
  possession: bad,
  email: forbidden,
  team: forbidden,
  name: forbidden,
  'name-constraints': forbidden,
  'too-large': { status: 413, grpc: INVALID_ARGUMENT },
  timeout: { status: 408, grpc: DEADLINE_EXCEEDED },
  rate: { status: 429, grpc: RESOURCE_EXHAUSTED },
  busy: away,
  clock: away,
  'authority-expired': away,
  'key-unavailable': away,
  'log-unavailable': away,
  'log-refused': { status: 502, grpc: INTERNAL },
  storage: away,
  closing: away,
  'not-found': { status: 404, grpc: NOT_FOUND },
  method: { status: 405, grpc: UNIMPLEMENTED },
  internal: { status: 500, grpc: INTERNAL },
};

const OF_IDENTITY = {
  401: UNAUTHENTICATED,
  403: PERMISSION_DENIED,
  429: RESOURCE_EXHAUSTED,
  503: UNAVAILABLE,
} as const;
/** Seconds after which a client may ask again. */
const RETRY_AFTER = '2';

/** No certificate for this request. The message is for the caller: it holds no part of a token, and no path of the host. */
export class CaError extends CodedError<CaErrorCode, { readonly retryAfter?: number; readonly allow?: string }> {
  override readonly name = 'CaError';

  constructor(
    code: CaErrorCode,
    message: string,
    data: { readonly retryAfter?: number; readonly allow?: string } = {},
    options?: ErrorOptions,
  ) {
    super(code, message, data, options);
  }
}

/** What programs and metrics call the error. */
export function caErrorCode(error: unknown): string {
  if (error instanceof CaError || error instanceof IdentityError) return error.code;
  return isMalformed(error) ? 'malformed' : 'internal';
}

/** What the readers of a request throw. */
function isMalformed(error: unknown): error is ClientError {
  return error instanceof ClientError && (error.code === 'malformed' || error.code === 'unsupported');
}

/** The reply for what a request failed with. */
export function errorAnswer(error: unknown): Answer<string> {
  const code = caErrorCode(error);
  if (error instanceof IdentityError) {
    const { status } = error;
    const headers: Record<string, string> = {};
    // RFC 9110 section 15.5.2: a 401 names what is asked for.
    if (status === 401) headers['www-authenticate'] = 'Bearer';
    if (status === 503 || status === 429) headers['retry-after'] = RETRY_AFTER;
    return reply(status, OF_IDENTITY[status], error.message, code, headers);
  }
  if (isMalformed(error)) {
    return reply(bad.status, bad.grpc, `the request cannot be read: ${error.message}`, code);
  }
  if (!(error instanceof CaError)) return reply(500, INTERNAL, 'the authority failed', 'internal');
  const { status, grpc } = ROWS[error.code];
  const { retryAfter, allow } = error.data;
  const wait = retryAfter === undefined ? (status === 503 ? RETRY_AFTER : undefined) : String(retryAfter);
  return reply(status, grpc, error.message, error.code, {
    ...(wait !== undefined && { 'retry-after': wait }),
    ...(allow !== undefined && { allow }),
  });
}

function reply(
  status: number,
  grpc: number,
  message: string,
  error: string,
  headers: Record<string, string> = {},
): Answer<string> {
  return jsonAnswer(status, { code: grpc, message, details: [], error }, headers);
}

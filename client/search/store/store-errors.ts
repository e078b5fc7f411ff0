/** Why the attestation store does not do what it is asked for. */
import { CodedError } from '../../../merkle/errors.ts';

/** Each code and its HTTP status. docs/search.md lists them. */
export const STORE_ERRORS = {
  malformed: 400, // the body is no bundle and no request with an envelope
  'bad-query': 400, // a parameter of the query is missing, unknown, twice or malformed
  'bad-digest': 400, // the digest is not sha256: and 64 lower-case hexadecimal digits
  'bad-page': 400, // the page is none of this query
  'submissions-off': 403, // this store takes nothing through its public port
  'not-accepted': 403, // the store takes pieces of other signers
  blocked: 403, // the operator removed this attestation, and keeps it out
  'not-found': 404, // no piece has this digest
  'subject-full': 409, // there are as many pieces about a subject as are kept
  'signer-full': 409, // there are as many pieces of this signer as are kept
  'entry-full': 409, // there are as many pieces of this log entry as are kept
  'too-large': 413, // the body is longer than a piece may be
  unsupported: 422, // the piece is of a kind that is not kept
  'too-many-subjects': 422, // the statement names more subjects than are kept
  'not-verified': 422, // the piece does not verify under the trust of this store
  'log-refused': 422, // the log refuses the signature of an envelope for good
  'no-log': 422, // the store submits to no log: log the envelope first, and send the bundle
  rate: 429, // this address sends too much
  internal: 500, // a bug
  damaged: 500, // the bytes on the disk are not those of the digest
  busy: 503, // too much is under way
  'log-unavailable': 503, // the log does not take the envelope now
  storage: 503, // the disk fails, and the store opens itself again
  full: 507, // the store is full
} as const;

export type StoreErrorCode = keyof typeof STORE_ERRORS;

/** The message is for the caller: it holds no path of the host. */
export class StoreError extends CodedError<
  StoreErrorCode,
  { readonly because?: string; readonly retryAfter?: number }
> {
  override readonly name = 'StoreError';

  /** `because`: the code of the client error behind it, such as `bad-signature`. */
  constructor(
    code: StoreErrorCode,
    message: string,
    data: { readonly because?: string; readonly retryAfter?: number } = {},
    options?: ErrorOptions,
  ) {
    super(code, message, data, options);
  }
}

/**
 * Every error of the witness room.
 *
 * `Refusal` is what a caller over HTTP sees: a status of c2sp.org/tlog-witness, and a line of text. `WitnessError` is for
 * the operator at the terminal: what happened, why, and what to do.
 */
import { CodedError } from '../merkle/errors.ts';

/** Reasons by status; metrics count them. */
export const REFUSALS = {
  malformed: 400,
  'old-too-large': 400,
  unauthorized: 401,
  signature: 403,
  'unknown-log': 404,
  'not-found': 404,
  conflict: 409,
  'empty-root': 422,
  proof: 422,
  'other-root': 422,
  'rate-limited': 429,
  unsupported: 404,
  busy: 503,
  store: 503,
  signer: 503,
} as const satisfies Record<string, number>;

export type RefusalReason = keyof typeof REFUSALS;

export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly reason: RefusalReason;
  /** Of a conflict: the size that the witness has. */
  readonly size: number | undefined;
  /** In so many seconds another try may succeed, where that is known. */
  readonly retryAfter: number | undefined;

  constructor(
    reason: RefusalReason,
    message: string,
    { size, retryAfter }: { readonly size?: number; readonly retryAfter?: number } = {},
  ) {
    super(message);
    this.reason = reason;
    this.size = size;
    this.retryAfter = retryAfter;
  }

  get status(): number {
    return REFUSALS[this.reason];
  }
}

/**
 * - `config`: a setting is unknown, wrong or missing.
 * - `logs`: the file of logs is malformed, or a log cannot be added or disabled.
 * - `key-mismatch`: the data directory belongs to a witness with another name or key.
 * - `format-version`: another version of Stele wrote the data directory.
 * - `corrupt`: what is stored does not add up.
 * - `conflict`: the compare-and-store found another checkpoint.
 * - `poll`: a log that is pulled does not answer, or not with what a log answers.
 * - `not-running`: no witness runs on the directory, or its admin port does not answer.
 */
export type WitnessErrorCode =
  | 'config'
  | 'logs'
  | 'key-mismatch'
  | 'format-version'
  | 'corrupt'
  | 'conflict'
  | 'poll'
  | 'not-running';

export class WitnessError extends CodedError<WitnessErrorCode> {
  override readonly name = 'WitnessError';

  constructor(code: WitnessErrorCode, message: string, options?: ErrorOptions) {
    super(code, message, undefined, options);
  }
}

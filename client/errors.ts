/** Every error of the client room. */
import { CodedError } from '../merkle/errors.ts';

/**
 * Each code and its exit status of `stele`: 1 where a check failed or a service refused, 2 where the command could not try,
 * 130 where a signal interrupted it.
 *
 * - `usage`: an argument is missing or wrong.
 * - `file`: a file cannot be read or written.
 * - `key`: the signer's key is malformed, or of a kind that logs do not take.
 * - `statement`: a file to attest is neither a predicate nor an in-toto statement.
 * - `log-key`: the log's verifier key is malformed or unknown.
 * - `unsupported`: a file is well-formed, but of a kind that this version does not check.
 * - `malformed`: a bundle, an envelope or a log entry is malformed.
 * - `digest-mismatch`: the signature is over another file.
 * - `bad-signature`: the given key did not make the signature over the file.
 * - `entry-mismatch`: the log entry is about another signature.
 * - `bad-proof`: the inclusion proof does not lead from the entry to the root.
 * - `bad-checkpoint`: the given log did not sign the tree head, or the tree head is about another tree.
 * - `bad-promise`: the given log did not sign the entry timestamp over this entry.
 * - `bad-certificate`: the certificate does not lead to a trusted root, was not valid at the time, or is for another use.
 * - `bad-sct`: no certificate-transparency log of the trusted root promised to log the certificate.
 * - `bad-timestamp`: the time stamp is malformed, is over another signature, or is not by a trusted authority within its validity.
 * - `identity`: the certificate names another identity than the required one.
 * - `trusted-root`: the trusted root is malformed, or holds no key or authority for this check.
 * - `policy`: the trust policy is malformed, or lacks what this check needs.
 * - `quorum`: the quorum of witnesses in the policy did not cosign the tree head.
 * - `network`: the log cannot be reached, or does not answer.
 * - `unavailable`: the log answers that it cannot take the request now, until the time is over.
 * - `refused`: the log refuses the request for good (a status of 4xx).
 * - `bad-reply`: the answer is not one of a log.
 * - `missing`: a tile, an entry bundle or a checkpoint that the log must have is missing.
 * - `corrupt`: the files of a log are not whole, or do not follow from its entries or from its signed tree heads.
 * - `state`: the state of an earlier run is damaged, or belongs to another log.
 * - `cancelled`: the caller aborted the call.
 * - `delivery`: an alert was not delivered yet; the monitor tries again.
 */
export const CLIENT_ERRORS = {
  usage: 2,
  file: 2,
  key: 2,
  statement: 2,
  'log-key': 2,
  unsupported: 2,
  malformed: 1,
  'digest-mismatch': 1,
  'bad-signature': 1,
  'entry-mismatch': 1,
  'bad-proof': 1,
  'bad-checkpoint': 1,
  'bad-promise': 1,
  'bad-certificate': 1,
  'bad-sct': 1,
  'bad-timestamp': 1,
  identity: 1,
  'trusted-root': 2,
  policy: 2,
  quorum: 1,
  network: 1,
  unavailable: 1,
  refused: 1,
  'bad-reply': 1,
  missing: 1,
  corrupt: 1,
  state: 2,
  cancelled: 130,
  delivery: 1,
} as const;

export type ClientErrorCode = keyof typeof CLIENT_ERRORS;

export class ClientError extends CodedError<ClientErrorCode> {
  override readonly name = 'ClientError';

  constructor(code: ClientErrorCode, message: string, options?: ErrorOptions) {
    super(code, message, undefined, options);
  }
}

/** The error of an argument that is missing or wrong. */
export function usage(message: string): ClientError {
  return new ClientError('usage', message);
}

/** The error of a call whose AbortSignal was aborted. */
export function cancelled(cause?: unknown): ClientError {
  return new ClientError('cancelled', 'cancelled', { cause });
}

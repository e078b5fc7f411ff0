/** Every error of the client room. */
import { CodedError } from '../merkle/errors.ts';

/**
 * Each code and the exit status of `stele` that goes with it: 1 where something was tried and did not hold or was refused,
 * 2 where it could not be tried.
 *
 * - `usage`: an argument is missing or wrong.
 * - `file`: a file cannot be read or written.
 * - `key`: the signer's key is not one, or of a kind that is not taken.
 * - `statement`: what is to be attested is no predicate, or no in-toto statement.
 * - `log-key`: the log's verifier key is not one.
 * - `unsupported`: well-formed, but of a kind that this version does not check.
 * - `malformed`: what was given as bundle or log entry is not one.
 * - `digest-mismatch`: the file is not the one that was signed.
 * - `bad-signature`: the signature is not by the given key over the file.
 * - `entry-mismatch`: the logged entry is not about this signature.
 * - `bad-proof`: the entry is not where the proof says.
 * - `bad-checkpoint`: the tree head is not signed by the given log, or is about another tree.
 * - `bad-promise`: the signed entry timestamp is not by the given log over this entry.
 * - `bad-certificate`: the certificate does not lead to a trusted root, was not valid at the time, or is not for this use.
 * - `bad-sct`: no certificate-transparency log of the trusted root promised to log the certificate.
 * - `bad-timestamp`: the time stamp is not one, is about something else, or not by a trusted authority at a time it vouches for.
 * - `identity`: the certificate is not for the identity that was asked for.
 * - `trusted-root`: the trusted root is not one, or has nothing to check this with.
 * - `policy`: the trust policy is not one, or does not say what this needs of it.
 * - `quorum`: the witnesses that the policy asks for did not cosign the tree head.
 * - `network`: the log cannot be reached.
 * - `unavailable`: the log is reached, but did not take the entry in the time given.
 * - `refused`: the log refuses the request for good.
 * - `bad-reply`: what came back is not what a log answers.
 * - `missing`: a tile, an entry bundle or a checkpoint that the log must have is not there.
 * - `corrupt`: what a log serves is not whole, or does not follow from its entries or from what it signed.
 * - `state`: the state of an earlier run is damaged, or is of another log.
 * - `cancelled`: the caller gave up.
 * - `delivery`: an alert was not delivered; it is tried again.
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
  cancelled: 1,
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

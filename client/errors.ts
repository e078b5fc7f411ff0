/** Every error of the client room. */
import { CodedError } from '../merkle/errors.ts';

/**
 * Each code and its exit status of `stele`: 1 where a check failed or a service refused, 2 where the command could not try,
 * 130 where a signal interrupted it.
 */
export const CLIENT_ERRORS = {
  usage: 2, // an argument is missing or wrong
  file: 2, // a file cannot be read or written
  key: 2, // the signer's key is malformed, or of a kind that logs do not take
  statement: 2, // a file to attest is neither a predicate nor an in-toto statement
  'log-key': 2, // the log's verifier key is malformed or unknown
  unsupported: 2, // a file is well-formed, but of a kind that this version does not check
  malformed: 1, // a bundle, an envelope or a log entry is malformed
  attestation: 1, // the bundle holds no attestation of the required predicate type, or none that names the file so
  'digest-mismatch': 1, // the signature is over another file
  'bad-signature': 1, // the given key did not make the signature over the file
  'entry-mismatch': 1, // the log entry is about another signature
  'bad-proof': 1, // the inclusion proof does not lead from the entry to the root
  'bad-checkpoint': 1, // the given log did not sign the tree head, or the tree head is about another tree
  'bad-promise': 1, // the given log did not sign the entry timestamp over this entry
  'bad-certificate': 1, // the certificate leads to no trusted root, was not valid at the time, or is for another use
  'bad-sct': 1, // no certificate-transparency log of the trusted root promised to log the certificate
  'bad-timestamp': 1, // the time stamp is malformed, over another signature, or not by an authority trusted at its time
  'future-time': 1, // evidence is dated more than five minutes after the clock
  'identity-token': 2, // there is no identity token, or it is malformed, has expired or has done its work
  identity: 1, // the certificate names another identity than the required one
  'trusted-root': 2, // the trusted root is malformed, or holds no key or authority for this check
  'spiffe-bundle': 2, // a SPIFFE trust bundle is malformed
  'signing-config': 2, // the signing configuration is malformed, or names no service that this client can use
  'monitor-config': 2, // the monitor configuration is malformed, or names no log that this client can read
  policy: 2, // the trust policy is malformed, or lacks what this check needs
  quorum: 1, // the quorum of witnesses in the policy did not cosign the tree head
  network: 1, // a log, a registry or a certificate authority cannot be reached, or does not answer
  unavailable: 1, // a log, a registry or a certificate authority answers that it cannot take the request now, until the time is over
  refused: 1, // a log, a registry or a certificate authority refuses the request for good (a status of 4xx)
  'bad-reply': 1, // the answer is not one of a log, a registry or a certificate authority
  missing: 1, // a tile, an entry bundle or a checkpoint that the log must have is missing, or an image that a registry must have
  corrupt: 1, // the files of a log are not whole, or do not follow from its entries or from its signed tree heads
  'bad-page': 1, // the answer of an index is about another tree, or has hits out of order, repeated, or outside of the range
  'bad-index': 1, // a verifiable index does not hold: a lookup, a leaf of its output log, or a hit that it leaves out
  'bad-hit': 1, // an index names an entry that has not what was searched for
  stale: 2, // the log shows a tree that is the beginning of the one it has shown before: a cache is old, or it went back
  state: 2, // the state of an earlier run is damaged, or belongs to another log
  cancelled: 130, // the caller aborted the call
  'tuf-malformed': 1, // a file is no TUF metadata, or has a form or a size that this client does not take
  'tuf-signatures': 1, // fewer different keys of the role than its threshold signed the metadata
  'tuf-expired': 1, // the metadata were valid until a time that is over
  'tuf-rollback': 1, // the repository shows an older version than it has shown before
  'tuf-mismatch': 1, // length, hash or version of a file are not what the signed metadata say
  'tuf-missing': 1, // a file that the signed metadata name is not in the repository
  trust: 2, // no repository is followed, or its plan or what is kept of it here is wrong
  ceremony: 1, // a step of a ceremony did not hold
  ca: 1, // the directory of a certificate authority, or what is asked of it, does not hold
  evidence: 2, // a folder or an answer with evidence is malformed, or breaks a limit
  command: 1, // the command of a recorded step failed, and nothing was signed
  lock: 2, // a lock file is of no kind that is read, or is malformed
  denied: 1, // the decision under a policy is deny; its reasons are printed
  delivery: 1, // an alert was not delivered yet; the monitor tries again
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

import { CodedError } from '../errors.ts';

/** Every error of the runtime room. */
export type RuntimeErrorCode =
  | 'key-file' // A key file is missing, open to others, too large, or cannot be read or written.
  | 'key-exists' // A key of this name is there already. Nothing was written.
  | 'key-format' // What the file or token holds is not a key of a kind that the room reads.
  | 'passphrase' // The key file needs a passphrase, or another one, or none.
  | 'secret' // The file or variable that names a passphrase, PIN or token does not give one, or others may read the file.
  | 'pkcs11-module' // Node cannot load pkcs11js or the module.
  | 'pkcs11-token' // No token, or more than one, has the label, or the token cannot do the operation.
  | 'pkcs11-pin' // The token refuses the PIN, or has refused it before, and the process does not offer it again.
  | 'pkcs11-key' // The token's key is missing, ambiguous, or not protected as it must be.
  | 'pkcs11-unavailable' // The token is gone for now. A retry may find it.
  | 'agent-unavailable' // The ssh-agent is not there, does not answer in time, or answers wrongly. A retry may find it.
  | 'agent-locked' // The ssh-agent shows no key at all: it is locked or empty.
  | 'agent-key' // The ssh-agent does not hold the key, or the key is of a type that is not used.
  | 'agent-refused' // The ssh-agent holds the key and does not sign with it: its user said no, or the key has limits.
  | 'agent-limit' // The message is longer than an ssh-agent takes.
  | 'sign' // The key did not sign, and a retry does not change that.
  | 'signature-wrong' // A signature does not verify against the public key of its signer.
  | 'aborted' // The caller ended the wait.
  | 'file' // Reading or writing a file failed.
  | 'store' // The level handle failed and cannot be used again.
  | 'locked' // Another process owns the directory.
  | 'pool' // A worker of the pool failed, or the pool is closed.
  | 'package' // An optional package is not installed, or cannot be loaded.
  | 'predicate' // The predicate of a statement, a link or a layout is not what its type says; the message names the field.
  | 'config' // A setting is unknown, wrong or missing.
  | 'decision-policy' // A decision policy, or a condition in it, is wrong.
  | 'access-policy' // An access policy, or a condition in it, is wrong.
  | 'network' // A server does not answer, or not in time, or not to the end.
  | 'svid' // This process has no valid X.509-SVID now: the Workload API or the files give none, or none that holds. A retry may find one.
  | 'trust-bundle' // No trust bundle can be had, or it cannot be used.
  | 'workload-api' // The Workload API cannot be reached, or refuses, or answers wrongly.
  | 'too-long'; // A server answers with more bytes than the caller accepts.

/**
 * The message is for the operator: what happened, why, and what to do. It may hold a path or a label, never a PIN, a
 * passphrase or key material.
 */
export class RuntimeError extends CodedError<RuntimeErrorCode> {
  override readonly name = 'RuntimeError';

  constructor(code: RuntimeErrorCode, message: string, options?: ErrorOptions) {
    super(code, message, undefined, options);
  }
}

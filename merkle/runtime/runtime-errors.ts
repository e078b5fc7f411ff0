import { CodedError } from '../errors.ts';

/**
 * Every error of the runtime room. A message is for the operator: what happened, why, and what to do. It may hold a path
 * or a label, never a PIN, a passphrase or key material.
 *
 * - `key-file`: a key file is missing, open to others, too large or cannot be read or written.
 * - `key-exists`: a key of this name is there already; nothing was written.
 * - `key-format`: what the file or token holds is not a key of a kind that is taken.
 * - `passphrase`: the key file wants a passphrase, or another one, or none.
 * - `secret`: the file or variable that should give a passphrase or PIN does not.
 * - `pkcs11-module`: pkcs11js or the module cannot be loaded.
 * - `pkcs11-token`: no token, or more than one, has the label, or the token cannot do what is asked.
 * - `pkcs11-pin`: the token refuses the PIN, or it was refused before and is not offered again.
 * - `pkcs11-key`: the token's key is missing, ambiguous, or not protected as it must be.
 * - `pkcs11-unavailable`: the token is gone for now; a retry may find it.
 * - `sign`: the key did not sign, and a retry will not change it.
 * - `signature-wrong`: a signature came back that does not verify against the public key.
 * - `aborted`: waiting ended because the caller asked for it.
 * - `file`: reading or writing a file failed.
 * - `store`: the level handle failed and is of no more use.
 * - `locked`: another process owns the directory.
 * - `pool`: a worker of the pool failed, or the pool is closed.
 * - `config`: a setting is unknown, wrong or missing.
 * - `digest`: the check of a signature over a digest could not be run.
 * - `network`: a server does not answer, or not in time, or not to the end.
 * - `too-long`: a server answers with more bytes than there can be.
 */
export type RuntimeErrorCode =
  | 'key-file'
  | 'key-exists'
  | 'key-format'
  | 'passphrase'
  | 'secret'
  | 'pkcs11-module'
  | 'pkcs11-token'
  | 'pkcs11-pin'
  | 'pkcs11-key'
  | 'pkcs11-unavailable'
  | 'sign'
  | 'signature-wrong'
  | 'aborted'
  | 'file'
  | 'store'
  | 'locked'
  | 'pool'
  | 'config'
  | 'digest'
  | 'network'
  | 'too-long';

export class RuntimeError extends CodedError<RuntimeErrorCode> {
  override readonly name = 'RuntimeError';

  constructor(code: RuntimeErrorCode, message: string, options?: ErrorOptions) {
    super(code, message, undefined, options);
  }
}

/**
 * Keys that sign, wherever they live: software keys in a file (keyfile.ts) and keys inside a PKCS#11 token (pkcs11.ts).
 *
 * What signs for a log is `retryingSigner(await openSigner(spec))`: every signature is checked before it is handed out, and
 * a token that is briefly gone makes callers wait instead of failing them.
 */
import * as crypto from 'node:crypto';
import { ED25519_KEY_SIZE } from '../../ed25519-key.ts';
import { parseEd25519Key, verifyBeside } from '../crypto/verify.ts';
import { RuntimeError } from '../runtime-errors.ts';
import { openKeyFile } from './keyfile.ts';
import type { TokenKeySpec } from './pkcs11/pkcs11.ts';
import { openTokenSigner } from './pkcs11/pkcs11.ts';
import { readSecret, type SecretSource } from './secret.ts';

export { type RetryingSigner, type RetryOptions, retryingSigner } from './retrying.ts';
export { readSecret, type SecretSource } from './secret.ts';

export type KeyAlgorithm = 'ed25519' | 'ecdsa-p256';

export interface PublicKey {
  readonly algorithm: KeyAlgorithm;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
}

export interface Signer extends PublicKey {
  /**
   * Ed25519: 64 bytes (RFC 8032) over the message itself. ECDSA P-256: DER `SEQUENCE { r, s }` over its SHA-256.
   * Calls may overlap. Rejects with RuntimeError: `pkcs11-*`, `secret`, `sign`, `signature-wrong`.
   */
  sign(message: Uint8Array): Promise<Uint8Array>;
  /** Gives up the key; idempotent. Nothing signs afterwards. */
  close(): Promise<void>;
}

/** A key as the configuration names it. */
export type KeySpec = { readonly file: string; readonly passphrase?: SecretSource } | { readonly pkcs11: TokenKeySpec };

/**
 * Opens the key, wrapped by `checkedSigner`.
 *
 * @throws RuntimeError with the codes of `readSecret`, `openKeyFile` and `openTokenSigner`
 */
export async function openSigner(spec: KeySpec, options: CheckOptions = {}): Promise<Signer> {
  if ('pkcs11' in spec) return checkedSigner(await openTokenSigner(spec.pkcs11), options);
  const passphrase = spec.passphrase && (await readSecret(spec.passphrase));
  return checkedSigner(await openKeyFile(spec.file, passphrase), options);
}

export interface CheckOptions {
  /**
   * Checks signatures in Node's thread pool: for who signs many at a time. Who signs one after another would only wait
   * behind what else is in the pool, such as fsyncs.
   */
  readonly beside?: boolean;
}

/**
 * Whether `signature` (form as `Signer.sign` gives it) is the key's over `message`. False for any malformed signature.
 *
 * @throws RuntimeError `key-format` where the public key is not SPKI of that algorithm
 */
export function verifySignature(key: PublicKey, message: Uint8Array, signature: Uint8Array): boolean {
  return crypto.verify(hashOf(key.algorithm), message, parsePublicKey(key), signature);
}

/**
 * Lets a signature out only after it verified against `signer.publicKey` (50 to 210 µs): a broken token, a key that was
 * changed behind our back or a flipped bit must not reach a note, where it would look like a forgery.
 *
 * The signer that this gives rejects with RuntimeError `signature-wrong` beside the signer's own errors.
 */
export function checkedSigner(signer: Signer, { beside = false }: CheckOptions = {}): Signer {
  const { algorithm, publicKey } = signer;
  const key = parsePublicKey(signer);
  return {
    algorithm,
    publicKey,
    sign: async (message) => {
      const signature = await signer.sign(message);
      const hash = hashOf(algorithm);
      const holds = beside
        ? await verifyBeside(hash, message, key, signature)
        : crypto.verify(hash, message, key, signature);
      if (holds) return signature;
      throw new RuntimeError(
        'signature-wrong',
        'the key gave a signature that its own public key refuses, so it was not used: check the token or the memory of the machine',
      );
    },
    close: () => signer.close(),
  };
}

function parsePublicKey({ algorithm, publicKey }: PublicKey): crypto.KeyObject {
  let key: crypto.KeyObject;
  try {
    key = crypto.createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' });
  } catch (cause) {
    throw new RuntimeError('key-format', 'the public key is not a SubjectPublicKeyInfo in DER', { cause });
  }
  const fits =
    algorithm === 'ed25519'
      ? key.asymmetricKeyType === 'ed25519'
      : key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1';
  if (!fits) throw new RuntimeError('key-format', `the public key is not for ${algorithm}`);
  return algorithm === 'ed25519' ? parseEd25519Key(publicKey.subarray(-ED25519_KEY_SIZE)) : key;
}

function hashOf(algorithm: KeyAlgorithm): 'sha256' | null {
  return algorithm === 'ed25519' ? null : 'sha256';
}

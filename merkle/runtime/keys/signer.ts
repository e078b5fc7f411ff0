/** Verifies what a signer signs, before a signature leaves the process. */
import * as crypto from 'node:crypto';
import { ED25519_KEY_SIZE } from '../../ed25519-key.ts';
import { parseEd25519Key, verifyBeside } from '../crypto/verify.ts';
import { RuntimeError } from '../runtime-errors.ts';
import { keyAlgorithmOf } from './keyfile.ts';
import type { KeyAlgorithm, PublicKey, Signer } from './types.ts';

export interface CheckOptions {
  /**
   * Verifies signatures in Node's thread pool, for a caller that signs many messages at once. A caller that signs one after
   * another would only wait behind other work in the pool, such as fsyncs.
   */
  readonly beside?: boolean;
}

/**
 * Whether `signature` (form as `Signer.sign` gives it) is the key's over `message`. False for any malformed signature.
 * @throws RuntimeError `key-format` where the public key is not SPKI of that algorithm
 */
export function verifySignature(key: PublicKey, message: Uint8Array, signature: Uint8Array): boolean {
  return crypto.verify(hashOf(key.algorithm), message, parsePublicKey(key), signature);
}

/**
 * Hands a signature out only after it verified against `signer.publicKey` (50 to 210 µs). A signature by a broken token,
 * by a replaced key or with a flipped bit must not reach a note, where it would look like a forgery.
 *
 * The returned signer rejects with RuntimeError `signature-wrong`, and with the errors of `signer`.
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
        'the key gave a signature that its own public key refuses, so it was not used: check the token, the agent or the memory of the machine',
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
  if (keyAlgorithmOf(key) !== algorithm) throw new RuntimeError('key-format', `the public key is not for ${algorithm}`);
  return algorithm === 'ed25519' ? parseEd25519Key(publicKey.subarray(-ED25519_KEY_SIZE)) : key;
}

function hashOf(algorithm: KeyAlgorithm): 'sha256' | null {
  return algorithm === 'ed25519' ? null : 'sha256';
}

/** The checks of note signatures with Node's own cryptography: 67 µs for Ed25519, where JavaScript takes 1,020. */
import * as crypto from 'node:crypto';
import { type CosignaturePrimitives, nobleCosignaturePrimitives } from '../cosignature.ts';

/** SubjectPublicKeyInfo of an Ed25519 key, up to its 32 bytes (RFC 8410). */
const ED25519_SPKI = Buffer.from('302a300506032b6570032100', 'hex');

// Parsing a key costs a third of a verification. Keyed by the array of the verifier key, which lives as long as that.
const parsed = new WeakMap<Uint8Array, crypto.KeyObject>();

function keyOf(bytes: Uint8Array, spki: () => Buffer): crypto.KeyObject {
  let key = parsed.get(bytes);
  if (key === undefined) {
    key = crypto.createPublicKey({ key: spki(), format: 'der', type: 'spki' });
    parsed.set(bytes, key);
  }
  return key;
}

/** For `checkpointVerifier` and its like. A key's bytes must not be changed once they were used. */
export const nodePrimitives: CosignaturePrimitives = {
  ed25519(publicKey, message, signature) {
    try {
      const key = keyOf(publicKey, () => Buffer.concat([ED25519_SPKI, publicKey]));
      return crypto.verify(null, message, key, signature);
    } catch {
      return false;
    }
  },
  ecdsaP256(spkiDer, message, signature) {
    try {
      return crypto.verify(
        'sha256',
        message,
        keyOf(spkiDer, () => Buffer.from(spkiDer)),
        signature,
      );
    } catch {
      return false;
    }
  },
  mldsa44: nobleCosignaturePrimitives.mldsa44,
};

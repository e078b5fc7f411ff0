/** The signature checks of notes and cosignatures on OpenSSL: what a room on Node hands to `checkpointVerifier`. */
import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { type CosignaturePrimitives, nobleCosignaturePrimitives } from '../cosignature.ts';

/** SubjectPublicKeyInfo of Ed25519 (RFC 8410) up to the 32 bytes of the key. */
const ED25519_SPKI = Buffer.from('302a300506032b6570032100', 'hex');

/**
 * Measured: Ed25519 67 µs where noble takes 1,020; ECDSA P-256 50 µs. ML-DSA-44 stays with noble (2 ms): Node has it from
 * version 24 only. A key is parsed once for each `Uint8Array` that holds it, so keep the array.
 */
export const nodePrimitives: CosignaturePrimitives = {
  ed25519: (publicKey, message, signature) =>
    check(() =>
      verify(
        null,
        message,
        parsed(publicKey, () => Buffer.concat([ED25519_SPKI, publicKey])),
        signature,
      ),
    ),
  ecdsaP256: (spkiDer, message, signature) =>
    check(() =>
      verify(
        'sha256',
        message,
        parsed(spkiDer, () => Buffer.from(spkiDer)),
        signature,
      ),
    ),
  mldsa44: nobleCosignaturePrimitives.mldsa44,
};

const keys = new WeakMap<Uint8Array, KeyObject>();

function parsed(bytes: Uint8Array, spki: () => Buffer): KeyObject {
  let key = keys.get(bytes);
  if (key === undefined) {
    key = createPublicKey({ key: spki(), format: 'der', type: 'spki' });
    keys.set(bytes, key);
  }
  return key;
}

function check(verifies: () => boolean): boolean {
  try {
    return verifies();
  } catch {
    return false;
  }
}

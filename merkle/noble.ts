/**
 * The checks of note signatures and cosignatures in JavaScript, for everywhere. On Node the runtime has faster ones, which
 * load in no time; this module takes 60 ms.
 *
 * Measured on Node 20: Ed25519 1.0 ms, ML-DSA-44 2 ms.
 */
import { ed25519 } from '@noble/curves/ed25519.js';
import { p256 } from '@noble/curves/nist.js';
import { ml_dsa44 } from '@noble/post-quantum/ml-dsa.js';
import type { CosignaturePrimitives } from './cosignature.ts';

/** Bytes of an uncompressed P-256 point, at the end of its SubjectPublicKeyInfo. */
const P256_POINT = 65;

export const noblePrimitives: CosignaturePrimitives = {
  ed25519(publicKey, message, signature) {
    try {
      // zip215 would also take encodings that RFC 8032 refuses, and so disagree with OpenSSL and Go.
      return ed25519.verify(signature, message, publicKey, { zip215: false });
    } catch {
      return false;
    }
  },
  ecdsaP256(spkiDer, message, signature) {
    try {
      const point = spkiDer.subarray(-P256_POINT);
      return p256.verify(signature, message, point, { format: 'der', lowS: false, prehash: true });
    } catch {
      return false;
    }
  },
  mldsa44(publicKey, message, signature) {
    try {
      return ml_dsa44.verify(signature, message, publicKey);
    } catch {
      return false;
    }
  },
};

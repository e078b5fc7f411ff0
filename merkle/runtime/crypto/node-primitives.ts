/**
 * The checks with Node's own OpenSSL, for the verify core.
 *
 * Messages go to `crypto.verify`; digests to the OpenSSL inside the process (merkle/runtime/crypto/digest.ts, which says what
 * happens where it cannot be reached). Parsed keys are kept for as long as their `KeyInfo` lives.
 *
 * Measured on Node 20, CPU time on a busy machine, a key used again: P-256 100 to 130 µs over a message or a digest, P-384
 * 1,250, Ed25519 210, RSA-2048 60.
 */
import * as crypto from 'node:crypto';
import { concat } from '../../bytes.ts';
import { DIGEST_SIZE } from '../../rekor/hashes.ts';
import type { Primitives } from '../../rekor/primitives.ts';
import { CURVE_DIGEST_SIZE, type DigestVerifier, digestVerifier, rsaVerifyDigest } from './digest.ts';
import { fastSha256 } from './hash.ts';
import { keyObjectOf } from './public-key.ts';
import { nodeNotePrimitives } from './verify.ts';

// The first check of a digest loads the way to OpenSSL; many verifications need none.
let verifier: DigestVerifier | undefined;

const PRIMITIVES: Primitives = {
  hash(name, data) {
    if (name === 'sha256') return fastSha256(data);
    const digest = crypto.hash(name, data, 'buffer');
    // Plain bytes: code that prints, compares or copies values treats a Buffer as another type.
    return new Uint8Array(digest.buffer, digest.byteOffset, digest.length);
  },
  verifyDigest(key, hash, digest, signature) {
    if (digest.length !== DIGEST_SIZE[hash]) return false;
    if (key.kind === 'rsa') return rsaVerifyDigest(key, hash, digest, signature);
    if (key.kind === 'ed25519' && hash !== 'sha512') return false;
    verifier ??= digestVerifier();
    const fitted = key.kind === 'ed25519' ? digest : fit(digest, CURVE_DIGEST_SIZE[key.kind]);
    return verifier.verifyDigest(key, fitted, signature);
  },
  verifyMessage(key, hash, message, signature) {
    if (key.kind === 'ed25519' ? hash !== undefined : hash === undefined) {
      return hash !== undefined && PRIMITIVES.verifyDigest(key, hash, PRIMITIVES.hash(hash, message), signature);
    }
    // OpenSSL would take an RSA signature whose leading zeroes are cut.
    if (key.kind === 'rsa' && signature.length !== key.bits! / 8) return false;
    try {
      return crypto.verify(hash ?? null, message, keyObjectOf(key), signature);
    } catch {
      return false; // a point off its curve, or an Ed25519 key that is refused
    }
  },
  cosignature: nodeNotePrimitives,
};

/** The same object each time. */
export function nodePrimitives(): Primitives {
  return PRIMITIVES;
}

/**
 * The digest in the length that the verifier takes for a curve, as the same number: FIPS 186-5 section 6.4.2 takes the
 * leftmost bits of a longer one, and a shorter one as it is.
 */
function fit(digest: Uint8Array, size: number): Uint8Array {
  if (digest.length >= size) return digest.subarray(0, size);
  return concat(new Uint8Array(size - digest.length), digest);
}

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
import { concat, equal } from '../../merkle/bytes.ts';
import { type DigestVerifier, digestVerifier } from '../../merkle/runtime/crypto/digest.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import type { EcCurve, ParsedKey } from '../../merkle/runtime/crypto/publickey.ts';
import { nodePrimitives as notePrimitives, parseEd25519Key } from '../../merkle/runtime/crypto/verify.ts';
import {
  DIGEST_INFO,
  type EcKind,
  HASH_SIZE,
  type HashName,
  type KeyInfo,
  type Primitives,
  pointOf,
} from './crypto.ts';

const CURVES: Readonly<Record<EcKind, { readonly curve: EcCurve; readonly size: number }>> = {
  'ecdsa-p256': { curve: 'P-256', size: 32 },
  'ecdsa-p384': { curve: 'P-384', size: 48 },
  'ecdsa-p521': { curve: 'P-521', size: 64 },
};

// The first check of a digest loads the way to OpenSSL; many verifications need none.
let verifier: DigestVerifier | undefined;

const objects = new WeakMap<KeyInfo, crypto.KeyObject>();

function objectOf(key: KeyInfo): crypto.KeyObject {
  let object = objects.get(key);
  if (object === undefined) {
    object =
      key.kind === 'ed25519'
        ? parseEd25519Key(pointOf(key))
        : crypto.createPublicKey({ key: Buffer.from(key.spki), format: 'der', type: 'spki' });
    objects.set(key, object);
  }
  return object;
}

const PRIMITIVES: Primitives = {
  hash(name, data) {
    if (name === 'sha256') return fastSha256(data);
    const digest = crypto.hash(name, data, 'buffer');
    // Plain bytes, as everywhere: what prints, compares or copies a Buffer takes it for something else.
    return new Uint8Array(digest.buffer, digest.byteOffset, digest.length);
  },
  verifyDigest(key, hash, digest, signature) {
    if (digest.length !== HASH_SIZE[hash]) return false;
    if (key.kind === 'rsa') return rsaVerify(key, hash, digest, signature);
    if (key.kind === 'ed25519' && hash !== 'sha512') return false;
    verifier ??= digestVerifier();
    const fitted = key.kind === 'ed25519' ? digest : fit(digest, CURVES[key.kind].size);
    return verifier.verifyDigest(parsed(key), fitted, signature);
  },
  verifyMessage(key, hash, message, signature) {
    if (key.kind === 'ed25519' ? hash !== undefined : hash === undefined) {
      return hash !== undefined && PRIMITIVES.verifyDigest(key, hash, PRIMITIVES.hash(hash, message), signature);
    }
    // OpenSSL would take an RSA signature whose leading zeroes are cut.
    if (key.kind === 'rsa' && signature.length !== key.bits! / 8) return false;
    try {
      return crypto.verify(hash ?? null, message, objectOf(key), signature);
    } catch {
      return false; // a point off its curve, or an Ed25519 key that is refused
    }
  },
  cosignature: notePrimitives,
};

/** The same object each time. */
export function nodePrimitives(): Primitives {
  return PRIMITIVES;
}

function parsed(key: KeyInfo): ParsedKey {
  if (key.kind === 'ed25519') return { type: 'ed25519', point: pointOf(key) };
  return { type: 'ecdsa', curve: CURVES[key.kind as EcKind].curve, point: pointOf(key), spki: key.spki };
}

/**
 * The digest in the length that the verifier takes for a curve, as the same number: FIPS 186-5 section 6.4.2 takes the
 * leftmost bits of a longer one, and a shorter one as it is.
 */
function fit(digest: Uint8Array, size: number): Uint8Array {
  if (digest.length >= size) return digest.subarray(0, size);
  return concat(new Uint8Array(size - digest.length), digest);
}

/** As merkle/runtime/crypto/digest.ts, for the other two hashes as well. */
function rsaVerify(key: KeyInfo, hash: HashName, digest: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length !== key.bits! / 8) return false;
  try {
    const padding = crypto.constants.RSA_PKCS1_PADDING;
    const recovered = crypto.publicDecrypt({ key: objectOf(key), padding }, signature);
    return equal(recovered, concat(DIGEST_INFO[hash], digest));
  } catch {
    return false;
  }
}

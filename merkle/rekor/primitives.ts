/**
 * The signature checks that a platform provides to the pure core: `noble-primitives.ts` on every platform,
 * `runtime/crypto/node-primitives.ts` on Node, which is 40 times as fast for ECDSA.
 */
import type { CosignaturePrimitives } from '../cosignature.ts';
import type { HashName } from './hashes.ts';
import type { KeyInfo } from './spki.ts';

/** A check never throws: it returns false for all bad input. Keys come from `parseSpki`, and their bytes never change. */
export interface Primitives {
  /** The digest of `data`: 32, 48 or 64 bytes. */
  hash(name: HashName, data: Uint8Array): Uint8Array;
  /**
   * Whether `signature` is by `key` over the message with this digest.
   *
   * - ECDSA (FIPS 186-5 section 6): strict DER, any s; any of the three hashes on any curve.
   * - RSA: PKCS#1 v1.5 (RFC 8017 section 8.2.2); the signature is as long as the modulus.
   * - Ed25519: Ed25519ph with an empty context (RFC 8032 section 5.1); `hash` must be `sha512`.
   */
  verifyDigest(key: KeyInfo, hash: HashName, digest: Uint8Array, signature: Uint8Array): boolean;
  /**
   * Whether `signature` is by `key` over `message`, hashed with `hash`. An Ed25519 key verifies pure Ed25519 if `hash` is
   * undefined, and Ed25519ph otherwise. For all other keys the result is false if `hash` is undefined.
   */
  verifyMessage(key: KeyInfo, hash: HashName | undefined, message: Uint8Array, signature: Uint8Array): boolean;
  /** The checks of note signatures and cosignatures. */
  readonly cosignature: CosignaturePrimitives;
}

/**
 * The checks of signatures that a platform lends to the pure core: `noble-primitives.ts` anywhere,
 * `runtime/crypto/node-primitives.ts` on Node, 40 times as fast for ECDSA.
 */
import type { CosignaturePrimitives } from '../cosignature.ts';
import type { HashName } from './hashes.ts';
import type { KeyInfo } from './spki.ts';

/** Every check returns false for whatever is wrong, and none throws. Keys come from `parseSpki`; their bytes never change. */
export interface Primitives {
  /** 32, 48 or 64 bytes. */
  hash(name: HashName, data: Uint8Array): Uint8Array;
  /**
   * Whether `signature` is by `key` over the message with this digest.
   *
   * - ECDSA (FIPS 186-5 section 6): strict DER, any s; each of the three hashes on each curve.
   * - RSA: PKCS#1 v1.5 (RFC 8017 section 8.2.2), as long as the modulus.
   * - Ed25519: Ed25519ph with an empty context (RFC 8032 section 5.1); `hash` must be `sha512`.
   */
  verifyDigest(key: KeyInfo, hash: HashName, digest: Uint8Array, signature: Uint8Array): boolean;
  /**
   * The same over a message, which is hashed with `hash`. Ed25519 is pure Ed25519 where `hash` is undefined, and Ed25519ph
   * otherwise; the other kinds need a `hash`.
   */
  verifyMessage(key: KeyInfo, hash: HashName | undefined, message: Uint8Array, signature: Uint8Array): boolean;
  /** For notes and cosignatures. */
  readonly cosignature: CosignaturePrimitives;
}

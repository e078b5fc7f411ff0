/**
 * Ed25519 public keys that every verifier must refuse: keys of small order, and keys in an encoding that is not canonical.
 *
 * RFC 8032 section 5.1.7 allows both, and libraries differ: OpenSSL and Go accept these keys, noble and libsodium refuse
 * them. Under a key of small order, anybody can make a signature that verifies for many messages. All paths of this
 * project apply this one rule, so that a log and a verifier never disagree about a note. ("Taming the many EdDSAs",
 * 2020/1244 in the Cryptology ePrint Archive, describes the differences.)
 */
import { decodeHex, equal } from './bytes.ts';

/** Length of a public key in bytes. */
export const ED25519_KEY_SIZE = 32;

/** The y coordinates of the eight points whose order divides 8, little-endian: 1, -1, 0 and the two of order 8. */
const SMALL_ORDER_Y: readonly Uint8Array[] = [
  '0100000000000000000000000000000000000000000000000000000000000000',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '0000000000000000000000000000000000000000000000000000000000000000',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
].map(decodeHex);

/**
 * Whether `key` has 32 bytes, is encoded canonically (y below p = 2^255 - 19; RFC 8032 section 5.1.3) and does not have
 * small order. Whether the key is a point of the curve shows only when a signature is verified.
 */
export function isStrongEd25519Key(key: Uint8Array): boolean {
  if (key.length !== ED25519_KEY_SIZE) return false;
  const y = Uint8Array.from(key);
  y[31] = y[31]! & 0x7f; // the sign of x
  const aboveP = y[31] === 0x7f && y[0]! >= 0xed && y.subarray(1, 31).every((byte) => byte === 0xff);
  return !aboveP && !SMALL_ORDER_Y.some((small) => equal(small, y));
}

/**
 * Whether a point is on one of NIST's curves (SP 800-186 section 3.2.1, cofactor 1): y² = x³ - 3x + b modulo p, with both
 * coordinates below p. The check reads only public keys, so it need not run in constant time. A program that reads a key
 * thus need not load a library for curves, which takes 40 ms.
 */
import { encodeHex } from './bytes.ts';

export type NistCurve = 'P-256' | 'P-384' | 'P-521';

interface Curve {
  /** Bytes of a coordinate. */
  readonly size: number;
  readonly p: bigint;
  readonly b: bigint;
}

const CURVES: Readonly<Record<NistCurve, Curve>> = {
  'P-256': {
    size: 32,
    p: 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n,
    b: 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn,
  },
  'P-384': {
    size: 48,
    p: 2n ** 384n - 2n ** 128n - 2n ** 96n + 2n ** 32n - 1n,
    b: 0xb3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aefn,
  },
  'P-521': {
    size: 66,
    p: 2n ** 521n - 1n,
    b: 0x0051953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109e156193951ec7e937b1652c0bd3bb1bf073573df883d2c34f1ef451fd46b503f00n,
  },
};

/** @param point uncompressed: 0x04, x, y; 65, 97 or 133 bytes. False for every other form. */
export function isOnCurve(name: NistCurve, point: Uint8Array): boolean {
  const { size, p, b } = CURVES[name];
  if (point.length !== 1 + 2 * size || point[0] !== 4) return false;
  const x = BigInt(`0x${encodeHex(point.subarray(1, 1 + size))}`);
  const y = BigInt(`0x${encodeHex(point.subarray(1 + size))}`);
  return x < p && y < p && (y * y - (x * x * x - 3n * x + b)) % p === 0n;
}

import { p256, p384, p521 } from '@noble/curves/nist.js';
import { describe, expect, it } from 'vitest';
import { isOnCurve, type NistCurve } from '../../merkle/curve.ts';

describe.each<[NistCurve, typeof p256]>([
  ['P-256', p256],
  ['P-384', p384],
  ['P-521', p521],
])('isOnCurve %s', (name, curve) => {
  const size = curve.lengths.publicKeyUncompressed!;
  const coordinate = (value: bigint) => value.toString(16).padStart(size - 1, '0');
  const point = (x: bigint, y: bigint) => Uint8Array.from(Buffer.from(`04${coordinate(x)}${coordinate(y)}`, 'hex'));
  const { x, y } = curve.Point.BASE.toAffine();
  const p = curve.Point.Fp.ORDER;

  it('takes the points of keys, and their negatives', () => {
    expect(isOnCurve(name, point(x, y))).toBe(true);
    expect(isOnCurve(name, point(x, p - y))).toBe(true);
    for (let i = 0; i < 5; i++) {
      expect(isOnCurve(name, curve.getPublicKey(curve.utils.randomSecretKey(), false))).toBe(true);
    }
  });

  it('refuses every other point, and other encodings', () => {
    const key = curve.getPublicKey(curve.utils.randomSecretKey(), false);
    for (let i = 0; i < key.length; i++) {
      const changed = Uint8Array.from(key);
      changed[i] = changed[i]! ^ 1;
      expect(isOnCurve(name, changed), `byte ${i}`).toBe(false);
    }
    expect(isOnCurve(name, point(0n, 0n))).toBe(false);
    expect(isOnCurve(name, point(y, x))).toBe(false);
    expect(isOnCurve(name, curve.Point.BASE.toBytes(true))).toBe(false);
    expect(isOnCurve(name, key.subarray(1))).toBe(false);
    expect(isOnCurve(name, new Uint8Array(0))).toBe(false);
  });

  it('refuses a coordinate that is not reduced', () => {
    // A point with a small x: x + p is the same number, and has another encoding.
    for (let small = 0n; small < 20n; small++) {
      const a = p - 3n;
      const right = (small ** 3n + a * small + curve.Point.CURVE().b) % p;
      const root = curve.Point.Fp.pow(right, (p + 1n) / 4n);
      if ((root * root) % p !== right) continue;
      expect(isOnCurve(name, point(small, root))).toBe(true);
      if (coordinate(small + p).length === size - 1) expect(isOnCurve(name, point(small + p, root))).toBe(false);
      return;
    }
    expect.unreachable();
  });
});

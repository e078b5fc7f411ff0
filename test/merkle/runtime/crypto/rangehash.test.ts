import { createHash, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type RangeHasher, rangeHasher } from '../../../../merkle/runtime/crypto/rangehash.ts';

const SIZE = 4096;

function filled(force?: 'node'): RangeHasher {
  const hasher = rangeHasher(SIZE, force);
  hasher.memory.set(randomBytes(SIZE));
  return hasher;
}

describe.each([undefined, 'node'] as const)('rangeHasher (%s)', (force) => {
  it('writes SHA-256 of a range into the memory, and nothing else', () => {
    const hasher = filled(force);
    fc.assert(
      fc.property(fc.nat(SIZE), fc.nat(SIZE), fc.nat(SIZE - 32), (from, wanted, to) => {
        const length = Math.min(wanted, SIZE - from);
        const expected = Uint8Array.from(hasher.memory);
        expected.set(
          createHash('sha256')
            .update(expected.subarray(from, from + length))
            .digest(),
          to,
        );
        hasher.hash(from, length, to);
        expect(Buffer.compare(hasher.memory, expected)).toBe(0);
      }),
    );
  });

  it.each([
    [-1, 10, 0],
    [0, SIZE + 1, 0],
    [SIZE - 3, 4, 0],
    [0, -1, 0],
    [0, 1, SIZE - 31],
    [0, 1, -1],
    [0.5, 1, 0],
    [Number.NaN, 1, 0],
    [0, Number.POSITIVE_INFINITY, 0],
    [0, 1, 2 ** 53],
  ])('refuses what is outside: %s, %s to %s', (from, length, to) => {
    expect(() => filled(force).hash(from, length, to)).toThrow(RangeError);
  });
});

it('is OpenSSL where digests are', () => {
  expect(rangeHasher(64).fast).toBe(true);
  expect(rangeHasher(64, 'node').fast).toBe(false);
});

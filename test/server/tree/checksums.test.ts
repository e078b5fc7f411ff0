import fc from 'fast-check';
import { expect, it } from 'vitest';
import { BUNDLE_KIND, Checksums, checksumOf } from '../../../server/tree/checksums.ts';

it('tells each checksum by kind and index, within its bound, the last ones used', () => {
  const checksums = new Checksums(3 * 4096);
  checksums.set(0, 7, 70);
  checksums.set(BUNDLE_KIND, 7, 71);
  checksums.set(1, 7, 72);
  expect([checksums.get(0, 7), checksums.get(BUNDLE_KIND, 7), checksums.get(1, 7)]).toEqual([70, 71, 72]);
  expect([checksums.get(0, 8), checksums.get(2, 7), checksums.bytes]).toEqual([0, 0, 12_288]);
  checksums.get(0, 7);
  // The next block, and a far one: the two that were used least make room.
  checksums.set(0, 1024, 73);
  checksums.set(0, 2 ** 45, 74);
  expect([checksums.get(0, 1024), checksums.get(0, 2 ** 45), checksums.bytes]).toEqual([73, 74, 12_288]);
  expect([checksums.get(0, 7), checksums.get(BUNDLE_KIND, 7), checksums.get(1, 7)]).toEqual([70, 0, 0]);
});

it('keeps nothing below one block', () => {
  const checksums = new Checksums(4095);
  checksums.set(0, 0, 1);
  expect([checksums.get(0, 0), checksums.bytes]).toEqual([0, 0]);
});

it('is never 0, and another one after any change of a few bytes, of short and of long files', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(1, 8192, 24_576, 100_000),
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      (length, at, by) => {
        const bytes = new Uint8Array(length).fill(3);
        const before = checksumOf(bytes);
        expect(checksumOf(bytes.slice())).toBe(before);
        bytes[at % length]! ^= by;
        expect([0, before]).not.toContain(checksumOf(bytes));
      },
    ),
    { numRuns: 500 },
  );
  expect(checksumOf(new Uint8Array(8192))).not.toBe(checksumOf(new Uint8Array(8193)));
});

import { createHash, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { LeafFilter } from '../../../server/dedup/filter.ts';

const HASH = 32;

/** `count` hashes one behind the other, the same at each run. */
function hashes(name: string, count: number): Uint8Array {
  const all = new Uint8Array(count * HASH);
  for (let i = 0; i < count; i++) all.set(createHash('sha256').update(`${name} ${i}`).digest(), i * HASH);
  return all;
}

const at = (all: Uint8Array, i: number) => all.subarray(i * HASH, (i + 1) * HASH);

/** Of `count` hashes that were not added, the share that is taken for one that was. */
function wrong(filter: LeafFilter, count: number): number {
  const others = hashes('other', count);
  let found = 0;
  for (let i = 0; i < count; i++) if (filter.mayHave(at(others, i))) found++;
  return found / count;
}

describe('a filter of leaf hashes', () => {
  it.each([
    { bits: 16, share: 0.003 },
    { bits: 8, share: 0.04 },
    { bits: 2, share: 1 },
  ])('has all that was added, and with $bits bits each takes few others for one of them', ({ bits, share }) => {
    const count = 16_384;
    const added = hashes('added', count);
    const filter = LeafFilter.empty((count * bits) / 8);
    for (let i = 0; i < count; i++) filter.add(added, i * HASH);
    for (let i = 0; i < count; i++) expect(filter.mayHave(at(added, i))).toBe(true);
    expect(wrong(filter, 10_000)).toBeLessThan(share);
  });

  it('has nothing at first, and each bit of a hash may matter', () => {
    const filter = LeafFilter.empty(1024 * 1024);
    expect(wrong(filter, 1000)).toBe(0);
    const hash = Uint8Array.from(randomBytes(HASH));
    filter.add(hash);
    let told = 0;
    for (let bit = 0; bit < 96; bit++) {
      const other = hash.slice();
      other[bit >> 3]! ^= 1 << (bit & 7);
      if (!filter.mayHave(other)) told++;
    }
    // Of the first word the low bits choose no other block where there are fewer; of the others 27 of 32 are used.
    expect(told).toBeGreaterThan(14 + 27 + 27 - 10);
    expect(filter.mayHave(hash)).toBe(true);
  });

  it('takes the smallest and the largest word of a hash, in one block and in many', () => {
    for (const bytes of [64, 192, 64 * 1021]) {
      const filter = LeafFilter.empty(bytes);
      for (const value of [0, 0xff, 0x80, 0x7f]) {
        const hash = new Uint8Array(HASH).fill(value);
        filter.add(hash);
        expect(filter.mayHave(hash)).toBe(true);
      }
      expect(filter.bytes.length).toBe(bytes);
    }
  });

  it('comes back from its bytes', () => {
    const added = hashes('added', 1000);
    const filter = LeafFilter.empty(4096);
    for (let i = 0; i < 1000; i++) filter.add(added, i * HASH);
    const again = LeafFilter.from(filter.bytes.slice());
    for (let i = 0; i < 1000; i++) expect(again.mayHave(at(added, i))).toBe(true);
    expect(wrong(again, 5000)).toBe(wrong(filter, 5000));
  });

  it('refuses what is no hash, and a part of a block', () => {
    const filter = LeafFilter.empty(64);
    expect(() => filter.mayHave(new Uint8Array(31))).toThrow('32 bytes');
    expect(() => filter.add(new Uint8Array(63), 32)).toThrow('32 bytes');
    expect(() => LeafFilter.empty(0)).toThrow('whole blocks');
    expect(() => LeafFilter.from(new Uint8Array(100))).toThrow('whole blocks');
  });
});

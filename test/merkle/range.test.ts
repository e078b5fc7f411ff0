import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeHex, MAX_SIZE } from '../../merkle/bytes.ts';
import { CompactRange } from '../../merkle/range.ts';
import { EMPTY_ROOT, leafHash, nodeHash, sha256 } from '../../merkle/rfc6962.ts';
import { MTH, UniformTree } from '../reference/rfc6962.ts';
import { codeOf, entriesOf, GrownTree, nodeSha256 } from './helpers.ts';

describe('hashes', () => {
  it('are those of RFC 6962', () => {
    expect(encodeHex(EMPTY_ROOT)).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
    expect(encodeHex(leafHash(new Uint8Array(0)))).toBe(
      '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
    );
    const [a, b] = entriesOf(2).map((entry) => leafHash(entry));
    expect(nodeHash(a!, b!)).toEqual(MTH(entriesOf(2)));
    expect(nodeHash(a!, b!, nodeSha256)).toEqual(nodeHash(a!, b!, sha256));
  });

  it('refuse nodes over anything but 32 bytes', () => {
    expect(codeOf(() => nodeHash(new Uint8Array(31), new Uint8Array(32)))).toBe('bad-hash');
    expect(codeOf(() => nodeHash(new Uint8Array(32), new Uint8Array(33)))).toBe('bad-hash');
  });
});

describe('compact range', () => {
  const entries = entriesOf(300);
  const grown = new GrownTree(entries);

  it('has the root of the oracle at every size', () => {
    for (let size = 0; size <= entries.length; size++)
      expect(encodeHex(grown.roots[size]!)).toBe(encodeHex(MTH(entries.slice(0, size))));
  });

  it('reports every perfect subtree once, the leaf included', () => {
    for (const [level, hashes] of grown.levels.entries()) {
      expect(hashes).toHaveLength(Math.floor(entries.length / 2 ** level));
      for (const [index, hash] of hashes.entries()) {
        expect(encodeHex(hash)).toBe(encodeHex(MTH(entries.slice(index * 2 ** level, (index + 1) * 2 ** level))));
      }
    }
    expect(grown.levels).toHaveLength(9);
  });

  it('costs one node hash a leaf, on average', () => {
    let hashed = 0;
    const range = CompactRange.empty((data) => {
      hashed++;
      return nodeSha256(data);
    });
    for (let i = 0; i < 1024; i++) range.append(new Uint8Array(32));
    expect(hashed).toBe(1023);
  });

  it('goes on from its own hashes', () => {
    for (const size of [0, 1, 5, 128, 255]) {
      const range = CompactRange.empty();
      for (const entry of entries.slice(0, size)) range.append(leafHash(entry));
      const again = CompactRange.from(size, range.hashes);
      const clone = range.clone();
      for (const one of [again, clone]) {
        for (const entry of entries.slice(size)) one.append(leafHash(entry));
        expect(one.root()).toEqual(grown.roots[300]);
      }
      expect(range.root()).toEqual(grown.roots[size]);
    }
  });

  it('keeps no hold of what it was given or hands out', () => {
    // A Buffer, whose slice() is no copy.
    const leaf = Buffer.from(leafHash(entries[0]!));
    const range = CompactRange.empty();
    range.append(leaf);
    const again = CompactRange.from(1, [leaf]);
    leaf.fill(0);
    range.root().fill(0);
    expect(range.root()).toEqual(grown.roots[1]);
    expect(again.root()).toEqual(grown.roots[1]);
  });

  it('grows right up to 2^53 - 1', () => {
    const leaf = leafHash(entries[0]!);
    const tree = new UniformTree(entries[0]!);
    const at = (size: number) => {
      const hashes: Uint8Array[] = [];
      let rest = size;
      for (let bit = 2 ** 52; bit >= 1; bit /= 2) {
        if (rest < bit) continue;
        rest -= bit;
        hashes.push(tree.MTH(bit));
      }
      return CompactRange.from(size, hashes, nodeSha256);
    };
    fc.assert(
      fc.property(fc.integer({ min: 0, max: MAX_SIZE - 1 }), (size) => {
        const range = at(size);
        const before = range.root();
        range.append(leaf);
        expect(before).toEqual(tree.MTH(size));
        expect(range.root()).toEqual(tree.MTH(size + 1));
        expect(range.size).toBe(size + 1);
      }),
      { numRuns: 200, examples: [[2 ** 31 - 1], [2 ** 32 - 1], [2 ** 52 - 1], [MAX_SIZE - 1]] },
    );
    expect(codeOf(() => at(MAX_SIZE).append(leaf))).toBe('bad-number');
  });

  it('refuses a state that does not add up', () => {
    const hash = new Uint8Array(32);
    expect(codeOf(() => CompactRange.from(3, [hash]))).toBe('bad-state');
    expect(codeOf(() => CompactRange.from(2, [hash, hash]))).toBe('bad-state');
    expect(codeOf(() => CompactRange.from(1, [new Uint8Array(31)]))).toBe('bad-hash');
    for (const size of [-1, 1.5, 2 ** 53, Number.NaN]) {
      expect(codeOf(() => CompactRange.from(size, []))).toBe('bad-number');
    }
    expect(codeOf(() => CompactRange.empty().append(new Uint8Array(33)))).toBe('bad-hash');
  });
});

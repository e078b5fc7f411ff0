import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { encodeHex } from '../../merkle/bytes.ts';
import { consistencyProof, inclusionProof } from '../../merkle/proof.ts';
import { isValidSubtree, subtreeHash, subtreeProof, verifySubtree } from '../../merkle/subtree.ts';
import { codeOf, damaged, GrownTree, nodeSha256 } from './helpers.ts';

const SIZE = 130;
const tree = new GrownTree(Array.from({ length: SIZE }, (_, i) => Uint8Array.of(i)));

/** The test vectors of the draft: a rolling hash over every possible input. */
function rolling(lines: (add: (line: string) => void) => void): string {
  const hash = createHash('sha256');
  lines((line) => hash.update(`${line}\n`));
  return hash.digest('hex');
}

function* subtrees(size: number): Generator<[number, number]> {
  for (let end = 0; end <= size; end++) {
    for (let start = 0; start <= end; start++) if (isValidSubtree(start, end)) yield [start, end];
  }
}

describe('subtrees of the draft', () => {
  it('have the hashes of its test vector', () => {
    const digest = rolling((add) => {
      for (const [start, end] of subtrees(SIZE)) {
        add(`[${start}, ${end}) ${encodeHex(subtreeHash(start, end, tree.read, nodeSha256))}`);
      }
    });
    expect(digest).toBe('b82806ad4265bb151c1119c0f4db437bb4d1a1f887b3a7fba1cd4ebf552e3e81');
  });

  it('have the consistency proofs of its test vector', () => {
    const digest = rolling((add) => {
      for (let n = 0; n <= SIZE; n++) {
        for (const [start, end] of subtrees(n)) {
          const hashes = subtreeProof(start, end, n, tree.read, nodeSha256);
          add([`[${start}, ${end}) ${n}`, ...hashes.map(encodeHex)].join(' '));
        }
      }
    });
    expect(digest).toBe('10fa99b37bf9bf9ffa26b412fbd98bd75363256d0b75d61bc4538b9c9c5a0a74');
  });

  it('have proofs that verify, and none that was damaged does', () => {
    for (const size of [1, 2, 7, 8, 14, 33]) {
      const root = tree.roots[size]!;
      for (const [start, end] of subtrees(size)) {
        const claim = { start, end, size, root, subtreeHash: subtreeHash(start, end, tree.read, nodeSha256) };
        const hashes = subtreeProof(start, end, size, tree.read, nodeSha256);
        verifySubtree({ ...claim, hashes }, nodeSha256);
        for (const bad of damaged(hashes)) {
          expect(codeOf(() => verifySubtree({ ...claim, hashes: bad }, nodeSha256))).toBe('bad-proof');
        }
        const wrong = { ...claim, subtreeHash: new Uint8Array(32), hashes };
        expect(codeOf(() => verifySubtree(wrong, nodeSha256))).toBe('bad-proof');
      }
    }
  });

  it('are inclusion and consistency proofs at their two ends', () => {
    expect(subtreeProof(5, 6, 13, tree.read)).toEqual(inclusionProof(5, 13, tree.read));
    expect(subtreeProof(0, 7, 13, tree.read)).toEqual(consistencyProof(7, 13, tree.read));
  });

  it('start at a multiple of a power of two', () => {
    expect(isValidSubtree(8, 13)).toBe(true);
    expect(isValidSubtree(4, 9)).toBe(false);
    expect(isValidSubtree(0, Number.MAX_SAFE_INTEGER)).toBe(true);
    expect(isValidSubtree(2 ** 52, 2 ** 52 + 3)).toBe(true);
    expect(isValidSubtree(5, 4)).toBe(false);
    expect(isValidSubtree(0.5, 1)).toBe(false);
    const claim = { start: 4, end: 9, size: 9, subtreeHash: new Uint8Array(32), root: new Uint8Array(32), hashes: [] };
    expect(codeOf(() => verifySubtree(claim))).toBe('bad-proof');
    expect(codeOf(() => verifySubtree({ ...claim, start: 8, size: 8 }))).toBe('bad-proof');
    expect(codeOf(() => subtreeProof(4, 9, 9, tree.read))).toBe('bad-number');
  });
});

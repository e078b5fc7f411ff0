/** Compares the reader, which judges the log, with the literal oracle (test/reference). */
import { describe, expect, it } from 'vitest';
import { MTH, PATH, PROOF } from '../reference/rfc6962.ts';
import { checkConsistency, checkHeads, checkInclusion, hashLeaf, readTree } from './tlog-reader.ts';

const SIZE = 20;
const entries = Array.from({ length: SIZE }, (_, i) => Buffer.from(`entry ${i}`));
const headOf = (size: number) => ({ origin: 'o', size, root: Buffer.from(MTH(entries.slice(0, size))) });
const buffers = (hashes: readonly Uint8Array[]) => hashes.map((hash) => Buffer.from(hash));
const other = Buffer.alloc(32, 7);

describe('tlog reader', () => {
  it('takes every right inclusion proof and refuses each changed one', () => {
    for (let size = 1; size <= SIZE; size++) {
      for (let index = 0; index < size; index++) {
        const proof = buffers(PATH(index, entries.slice(0, size)));
        checkInclusion(index, entries[index]!, proof, headOf(size));
        expect(() => checkInclusion(index, other, proof, headOf(size))).toThrow('does not hold');
        expect(() => checkInclusion(index, entries[index]!, [...proof, other], headOf(size))).toThrow();
        if (size > 1) expect(() => checkInclusion(index, entries[index]!, proof.slice(1), headOf(size))).toThrow();
      }
    }
  });

  it('takes every right consistency proof and refuses each changed one', () => {
    for (let second = 1; second <= SIZE; second++) {
      for (let first = 1; first <= second; first++) {
        const proof = buffers(PROOF(first, entries.slice(0, second)));
        checkConsistency(headOf(first), headOf(second), proof);
        expect(() => checkConsistency({ ...headOf(first), root: other }, headOf(second), proof)).toThrow();
        expect(() => checkConsistency(headOf(first), { ...headOf(second), root: other }, proof)).toThrow();
        expect(() => checkConsistency(headOf(first), headOf(second), [...proof, other])).toThrow();
        if (first < second) expect(() => checkConsistency(headOf(first), headOf(second), proof.slice(1))).toThrow();
      }
    }
  });

  it('finds a head that the entries do not begin with', () => {
    const leafHashes = entries.map(hashLeaf);
    checkHeads([headOf(0), headOf(SIZE), headOf(3), headOf(3), headOf(17)], leafHashes);
    expect(() => checkHeads([headOf(3), { ...headOf(17), root: other }], leafHashes)).toThrow('another root');
    expect(() => checkHeads([headOf(SIZE)], leafHashes.slice(0, SIZE - 1))).toThrow('size 20 was seen');
  });

  it('walks a tree, and notices each changed file', async () => {
    const files = new Map<string, Buffer>([
      [
        'tile/entries/000.p/20',
        Buffer.concat(entries.map((entry) => Buffer.concat([Buffer.from([0, entry.length]), entry]))),
      ],
      ['tile/0/000.p/20', Buffer.concat(entries.map(hashLeaf))],
    ]);
    const get = (changed?: string) => async (path: string) => {
      const bytes = Buffer.from(files.get(path)!);
      if (path === changed) bytes[20]! ^= 1;
      return bytes;
    };
    expect((await readTree(get(), headOf(SIZE))).entries).toEqual(entries);
    await expect(readTree(get('tile/entries/000.p/20'), headOf(SIZE))).rejects.toThrow('does not follow');
    await expect(readTree(get('tile/0/000.p/20'), headOf(SIZE))).rejects.toThrow('does not follow');
    await expect(readTree(get(), { ...headOf(SIZE), root: other })).rejects.toThrow('do not give the root');
  });
});

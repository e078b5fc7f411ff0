/** What keys cost that somebody has ground until they share their first bytes: counted in hashes, not in time. */
import { expect, it, vi } from 'vitest';
import { Trie } from '../../../../client/search/map/trie.ts';

const work = vi.hoisted(() => ({ hashes: 0 }));

vi.mock('../../../../merkle/runtime/crypto/rangehash.ts', async (original) => {
  const real = await original<typeof import('../../../../merkle/runtime/crypto/rangehash.ts')>();
  const rangeHasher = (size: number) => {
    const hasher = real.rangeHasher(size);
    const hash = (from: number, length: number, to: number): void => {
      work.hashes++;
      hasher.hash(from, length, to);
    };
    return { ...hasher, hash };
  };
  return { ...real, rangeHasher };
});

/** A path, and the entries of one bucket. */
const MOST = 256 + 24;

it.each([0, 4, 8, 11])('a key costs at most one path where all keys share %i bytes', (shared) => {
  const trie = new Trie();
  let most = 0;
  const keys = Array.from({ length: 200 }, (_, i) => {
    const key = new Uint8Array(32).fill(0xa5);
    // 200 different bytes behind the shared ones, in no order.
    key[shared] = (i * 167) & 255;
    return key;
  });
  for (const key of keys) {
    work.hashes = 0;
    trie.put({ keys: key, hashes: key, length: 1 }, new Map());
    most = Math.max(most, work.hashes);
  }
  trie.show();
  for (const key of keys) {
    work.hashes = 0;
    const { siblings } = trie.prove(key);
    expect(siblings.length).toBeLessThanOrEqual(256);
    most = Math.max(most, work.hashes);
  }
  expect(trie.count).toBe(keys.length);
  expect(most).toBeGreaterThan(0);
  expect(most).toBeLessThanOrEqual(MOST);
});

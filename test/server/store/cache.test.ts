import { describe, expect, it } from 'vitest';
import { BlobCache, cachedTiles } from '../../../server/store/cache.ts';
import type { StampedBlob, TileStore } from '../../../server/store/types.ts';
import { MemoryDisk, openMemoryStores } from '../../support/memory-stores.ts';

/** A blob that changes in its place when the test says so. */
function blobOf(length: number): StampedBlob & { current: boolean } {
  const blob = { bytes: new Uint8Array(length), current: true, isCurrent: () => blob.current };
  return blob;
}

describe('a blob that is kept', () => {
  it('is given until the place holds another one, and then makes room', () => {
    const cache = new BlobCache(1000);
    const blob = blobOf(5);
    cache.set('a', blob);
    for (let time = 0; time < 3; time++) expect(cache.get('a')).toBe(blob.bytes);
    expect([cache.get('b'), cache.bytes]).toEqual([undefined, 5]);
    blob.current = false;
    expect(cache.get('a')).toBeUndefined();
    expect(cache.bytes).toBe(0);
    blob.current = true;
    expect(cache.get('a')).toBeUndefined();
    const other = blobOf(11);
    cache.set('a', other);
    expect([cache.get('a'), cache.bytes]).toEqual([other.bytes, 11]);
  });

  it('has a stamp that tells it from the next version', () => {
    const cache = new BlobCache(1000);
    cache.set('a', { bytes: new Uint8Array(5), isCurrent: undefined });
    expect([cache.get('a'), cache.bytes]).toEqual([undefined, 0]);
  });

  it('stays within the bound, and goes first where it was not read for longest', () => {
    const cache = new BlobCache(25);
    cache.set('a', blobOf(10));
    cache.set('b', blobOf(10));
    expect(cache.get('a')).toBeDefined();
    for (let time = 0; time < 8; time++) cache.set('c', blobOf(10));
    expect(cache.bytes).toBe(20);
    expect(['a', 'b', 'c'].filter((name) => cache.get(name) !== undefined)).toEqual(['a', 'c']);
    for (let time = 0; time < 8; time++) cache.set('d', blobOf(26));
    expect([cache.get('d'), cache.bytes]).toEqual([undefined, 20]);
    cache.clear();
    expect([cache.get('a'), cache.bytes]).toEqual([undefined, 0]);
  });

  it('is not driven out by a walk through everything', () => {
    const cache = new BlobCache(1000);
    const names = Array.from({ length: 250 }, (_, at) => `blob ${at}`);
    for (const name of names) cache.set(name, blobOf(10));
    expect(cache.bytes).toBe(1000);
    // 150 came when it was full, and 18 of them drove out 18.
    expect(names.slice(0, 100).filter((name) => cache.get(name) !== undefined)).toHaveLength(82);
    expect(names.slice(100).filter((name) => cache.get(name) !== undefined)).toHaveLength(18);
  });

  it('is nothing where the bound is 0', () => {
    const cache = new BlobCache(0);
    cache.set('a', blobOf(1));
    expect([cache.get('a'), cache.bytes]).toEqual([undefined, 0]);
  });
});

describe('a cache before a store', () => {
  const name = 'tile/0/000';

  async function counted() {
    const { tiles } = await openMemoryStores(new MemoryDisk());
    await tiles.put([{ name, bytes: new Uint8Array(8192) }]);
    const reads: string[] = [];
    const store: TileStore = {
      put: (blobs) => tiles.put(blobs),
      get: (at, options) => {
        reads.push(at);
        return tiles.get(at, options);
      },
      close: () => tiles.close(),
    };
    return { cached: cachedTiles(store, 10_000), reads };
  }

  it('reads a blob of a store without stamps once, but for a caller that walks', async () => {
    const { cached, reads } = await counted();
    await cached.get(name, { once: true });
    await cached.get(name, { once: true });
    expect(reads).toEqual([name, name]);
    expect(cached.atHand!(name)).toBeUndefined();
    const bytes = await cached.get(name);
    expect(await cached.get(name)).toBe(bytes);
    expect(await cached.get(name, { once: true })).toBe(bytes);
    expect(cached.atHand!(name)).toBe(bytes);
    expect(reads).toHaveLength(3);
  });

  it('keeps nothing of a read that ends after the close', async () => {
    const { cached } = await counted();
    const read = cached.get(name);
    await cached.close();
    await read;
    expect(cached.atHand!(name)).toBeUndefined();
  });
});

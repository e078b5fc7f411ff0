import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeBundle } from '../../../merkle/bundle.ts';
import { verifyConsistency, verifyInclusion } from '../../../merkle/proof.ts';
import { CompactRange } from '../../../merkle/range.ts';
import { leafHash } from '../../../merkle/rfc6962.ts';
import { fastSha256 } from '../../../merkle/runtime/crypto/hash.ts';
import { cachedTiles } from '../../../server/store/cache.ts';
import { TileCache, TreeReader } from '../../../server/tree/reader.ts';
import { emptySnapshot, integrate } from '../../../server/tree/snapshot.ts';
import { MemoryDisk, openMemoryStores } from '../../support/memory-stores.ts';

function entryOf(index: number) {
  const body = Buffer.from(`entry ${index}`);
  return { body, leafHash: leafHash(body, fastSha256) };
}

function rootOf(size: number): Uint8Array {
  const range = CompactRange.empty();
  for (let i = 0; i < size; i++) range.append(entryOf(i).leafHash);
  return range.root();
}

/** A tree grown in batches of these sizes, with its files. */
async function grow(batches: readonly number[]) {
  const tiles = cachedTiles((await openMemoryStores(new MemoryDisk())).tiles, 2 ** 30);
  let snapshot = emptySnapshot(fastSha256);
  for (const batch of batches) {
    const entries = Array.from({ length: batch }, (_, i) => entryOf(snapshot.size + i));
    const { after, blobs } = integrate(snapshot, entries);
    await tiles.put(blobs);
    snapshot = after;
  }
  return { snapshot, tiles, reader: new TreeReader(snapshot, tiles, new TileCache(), fastSha256) };
}

describe('integrate', () => {
  it('gives the same tree whatever the batches', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 700 }), { maxLength: 6 }), async (batches) => {
        const { snapshot } = await grow(batches);
        const size = batches.reduce((sum, n) => sum + n, 0);
        expect(snapshot.size).toBe(size);
        expect(snapshot.root).toEqual(rootOf(size));
        expect(snapshot.tail.length).toBe(size % 256);
      }),
      { numRuns: 30 },
    );
  });

  it('leaves the snapshot before as it was', async () => {
    const { snapshot } = await grow([300]);
    const root = Buffer.from(snapshot.root);
    const edge = snapshot.edge.map((hashes) => Buffer.from(hashes));
    integrate(snapshot, [entryOf(300), entryOf(301)]);
    expect(snapshot.range.root()).toEqual(new Uint8Array(root));
    expect(snapshot.edge.map((hashes) => Buffer.from(hashes))).toEqual(edge);
    expect(snapshot.tail.length).toBe(44);
  });
});

describe('TreeReader', () => {
  const sizes = [1, 2, 255, 256, 257, 511, 512, 700, 66_000];

  it.each(sizes)('proves every sampled index of a tree of %i entries', async (size) => {
    const { snapshot, reader } = await grow([size]);
    const step = Math.max(1, Math.floor(size / 97));
    const indexes = Array.from({ length: Math.ceil(size / step) }, (_, i) => i * step);
    const prove = await reader.prover(indexes);
    for (const index of indexes) {
      const { leafHash } = entryOf(index);
      const claim = { index, size, leafHash, root: snapshot.root, hashes: prove(index, leafHash) };
      expect(() => verifyInclusion(claim)).not.toThrow();
      expect(await reader.entry(index)).toEqual(new Uint8Array(entryOf(index).body));
    }
  });

  it('gives the proof of RFC 6962 for every entry of a tile of any width, alone and behind others', async () => {
    for (const before of [0, 256, 768]) {
      const tree = await grow([before + 256]);
      for (let width = 1; width <= 256; width++) {
        const size = before + width;
        const snapshot = await tree.reader.snapshotAt(size);
        const reader = new TreeReader(snapshot, tree.tiles, new TileCache(), fastSha256);
        const indexes = Array.from({ length: width }, (_, i) => before + i);
        const prove = await reader.prover(indexes);
        for (const index of indexes) {
          const { leafHash } = entryOf(index);
          const claim = { index, size, leafHash, root: snapshot.root, hashes: prove(index, leafHash) };
          verifyInclusion(claim, fastSha256);
        }
      }
    }
  });

  it.each(sizes)('refuses the proof of another entry in a tree of %i entries', async (size) => {
    const { reader } = await grow([size]);
    const prove = await reader.prover([0, size - 1]);
    for (const index of [0, size - 1]) {
      expect(() => prove(index, entryOf(size).leafHash)).toThrow(expect.objectContaining({ code: 'bad-proof' }));
    }
  });

  it('hashes the nodes of a tile once for the readers of all sizes, and gives each its own proofs', async () => {
    const { tiles, reader: whole } = await grow([700]);
    let hashed = 0;
    const counting = (data: Uint8Array) => {
      hashed++;
      return fastSha256(data);
    };
    const cache = new TileCache();
    const sizes = [513, 520, 600, 550, 699, 700];
    for (const size of sizes) {
      const snapshot = await whole.snapshotAt(size);
      const reader = new TreeReader(snapshot, tiles, cache, counting);
      const indexes = Array.from({ length: size - 512 }, (_, i) => 512 + i);
      const prove = await reader.prover(indexes);
      for (const index of indexes) {
        const { leafHash } = entryOf(index);
        verifyInclusion({ index, size, leafHash, root: snapshot.root, hashes: prove(index, leafHash) });
      }
    }
    // 187 perfect nodes over 188 leaves at most, and for each size the right edge, the root and one proof that is verified.
    expect(hashed).toBeLessThan(187 + sizes.length * 24);
  });

  it('refuses the proofs from a tile that does not lead to the root', async () => {
    const { snapshot, tiles } = await grow([700]);
    const damaged = {
      async get(path: string) {
        const bytes = await tiles.get(path);
        return path === 'tile/0/001' ? bytes?.map((byte, at) => (at === 5000 ? byte ^ 1 : byte)) : bytes;
      },
      atHand: () => undefined,
    };
    const reader = new TreeReader(snapshot, damaged, new TileCache(), fastSha256);
    await expect(reader.prover([300])).rejects.toMatchObject({ code: 'bad-proof' });
    await expect(reader.prover([600])).resolves.toBeTypeOf('function');
  });

  it('has at hand what its tree has, not what the store has of a larger one', async () => {
    const { snapshot, tiles } = await grow([700]);
    const small = await grow([511]);
    const reader = (of: typeof snapshot) => new TreeReader(of, tiles, new TileCache(), fastSha256);
    for (const path of ['tile/0/000', 'tile/entries/000']) {
      const bytes = await tiles.get(path);
      expect(reader(snapshot).atHand(path)).toBe(bytes);
      expect(reader(small.snapshot).atHand(path)).toBe(bytes);
    }
    for (const path of ['tile/0/001', 'tile/entries/001']) {
      const bytes = await tiles.get(path);
      expect(reader(snapshot).atHand(path)).toBe(bytes);
      expect(reader(small.snapshot).atHand(path)).toBeUndefined();
    }
    for (const path of ['', '/', 'checkpoint', 'tile/0/0', 'tile/0/002', 'tile/entries/000.p/7']) {
      expect(reader(snapshot).atHand(path)).toBeUndefined();
    }
  });

  it('proves that the tree extends each of its former sizes', async () => {
    const { snapshot, reader } = await grow([66_000]);
    for (const first of [1, 255, 256, 257, 1000, 65_535, 65_536, 65_537, 66_000]) {
      const firstRoot = await reader.rootAt(first);
      expect(firstRoot).toEqual(rootOf(first));
      const hashes = await reader.consistencyProof(first, 66_000);
      verifyConsistency({ first, second: 66_000, firstRoot, secondRoot: snapshot.root, hashes });
    }
  });

  it('reads the snapshot of a smaller tree', async () => {
    const { reader } = await grow([66_000]);
    for (const size of [0, 1, 256, 300, 65_536, 65_800, 66_000]) {
      const snapshot = await reader.snapshotAt(size);
      const { snapshot: expected } = await grow([size]);
      expect(snapshot.root).toEqual(expected.root);
      expect(snapshot.tail.map((body) => Buffer.from(body))).toEqual(expected.tail.map((body) => Buffer.from(body)));
      expect(integrate(snapshot, [entryOf(size)]).after.root).toEqual(rootOf(size + 1));
    }
  });

  it('cuts any width, and has nothing beyond the tree', async () => {
    const { reader } = await grow([600]);
    expect(await reader.entryBundle(2, 88)).toEqual(
      encodeBundle(Array.from({ length: 88 }, (_, i) => entryOf(512 + i).body)),
    );
    expect(await reader.entryBundle(0, 17)).toEqual(
      encodeBundle(Array.from({ length: 17 }, (_, i) => entryOf(i).body)),
    );
    expect((await reader.tile(0, 1, 256))?.length).toBe(256 * 32);
    expect((await reader.tile(1, 0, 2))?.length).toBe(64);
    expect(await reader.tile(1, 0, 3)).toBeUndefined();
    expect(await reader.tile(2, 0, 1)).toBeUndefined();
    expect(await reader.tile(0, 2, 89)).toBeUndefined();
    expect(await reader.entryBundle(3, 1)).toBeUndefined();
  });
});

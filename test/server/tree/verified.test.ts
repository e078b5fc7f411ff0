import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { verifyConsistency, verifyInclusion } from '../../../merkle/proof.ts';
import { leafHash } from '../../../merkle/rfc6962.ts';
import { fastSha256 } from '../../../merkle/runtime/crypto/hash.ts';
import type { NewEntry } from '../../../server/store/types.ts';
import { CommittedTree, type TreeOptions } from '../../../server/tree/committed.ts';
import { RottenFiles } from '../../../server/tree/rotten.ts';
import { damageTo } from '../../support/damage.ts';
import { MemoryDisk, openMemoryStores } from '../../support/memory-stores.ts';

/** One full level 1 tile, 260 full tiles of level 0, and a right edge. */
const SIZE = 260 * 256 + 7;

const whole = new MemoryDisk();
beforeAll(async () => {
  const tree = await CommittedTree.open(await openMemoryStores(whole), fastSha256);
  const entries: NewEntry[] = Array.from({ length: SIZE }, (_, i) => {
    const body = Buffer.from(`entry ${i}`);
    return { body, leafHash: leafHash(body, fastSha256) };
  });
  await (await tree.append(entries.slice(0, -7))).filed;
  // A second commit, so that nothing but the right edge is in the tail.
  await (await tree.append(entries.slice(-7))).filed;
  await tree.close();
});

/** A tree on a copy of the whole one, just started. */
async function start(options: TreeOptions = {}) {
  const disk = Object.assign(new MemoryDisk(), whole, { blobs: new Map(whole.blobs) });
  const rotten = new RottenFiles();
  const tree = await CommittedTree.open(await openMemoryStores(disk), fastSha256, { rotten, ...options });
  const damage = (name: string, seed = 1) => {
    const bytes = damageTo(disk.blobs, name, seed);
    if (bytes === undefined) disk.blobs.delete(name);
    else disk.blobs.set(name, bytes);
  };
  const restore = (name: string) => disk.blobs.set(name, whole.blobs.get(name)!);
  return { disk, rotten, tree, damage, restore, read: (name: string) => tree.tileStore().get(name) };
}

const ROTTEN = { code: 'rotten' };
const FILES = ['tile/entries/003', 'tile/entries/259', 'tile/0/003', 'tile/0/259', 'tile/1/000'];

describe.each(FILES)('a damaged %s', (name) => {
  it.each(['before its first read', 'after it was verified'])('%s is refused, and nothing else is', async (when) => {
    for (let seed = name.length; seed < name.length + 5; seed++) {
      const { rotten, damage, restore, read } = await start();
      if (when === 'after it was verified') expect(await read(name)).toEqual(whole.blobs.get(name));
      damage(name, seed);
      await expect(read(name)).rejects.toMatchObject({ ...ROTTEN, message: expect.stringContaining(`public/${name}`) });
      await expect(read(name)).rejects.toMatchObject(ROTTEN);
      expect(rotten.names).toEqual([name]);
      for (const other of [...FILES, 'tile/0/000', 'tile/entries/000', 'tile/entries/258']) {
        if (other !== name) expect(await read(other)).toEqual(whole.blobs.get(other));
      }
      expect([rotten.names, rotten.reason]).toEqual([[name], expect.stringContaining(`public/${name}`)]);
      restore(name);
      expect(await read(name)).toEqual(whole.blobs.get(name));
      expect([rotten.count, rotten.reason]).toEqual([0, undefined]);
    }
  });
});

it('gives the right bytes or none, whatever is damaged, at any size of its checksums and cache', async () => {
  const names = [...whole.blobs.keys()];
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.constantFrom(...names), fc.nat()), { maxLength: 5 }),
      fc.array(fc.constantFrom(...names), { minLength: 1, maxLength: 40 }),
      fc.constantFrom(0, 4096, 1024 * 1024),
      fc.constantFrom(0, 20_000),
      async (damaged, reads, checksumBytes, cachedBytes) => {
        const { disk, tree, damage, read } = await start({ checksumBytes, cachedBytes });
        const check = async (name: string) => {
          const got = await read(name).catch((error: { code?: string }) => error.code);
          const wrong = disk.blobs.get(name) !== whole.blobs.get(name);
          if (got === 'rotten') expect(wrong).toBe(true);
          else expect(got).toEqual(whole.blobs.get(name));
        };
        for (const [at, name] of reads.entries()) {
          if (at < damaged.length) damage(...damaged[at]!);
          await check(name);
        }
        for (const [name] of damaged) await check(name);
        await tree.close();
      },
    ),
    { numRuns: 25 },
  );
});

it('refuses one whole file in the place of another', async () => {
  const { disk, read } = await start();
  const swapped: [string, string][] = [
    ['tile/0/003', 'tile/0/004'],
    ['tile/0/005', 'tile/1/000'],
    ['tile/entries/003', 'tile/entries/004'],
  ];
  for (const [name, other] of swapped) {
    disk.blobs.set(name, whole.blobs.get(other)!);
    await expect(read(name)).rejects.toMatchObject(ROTTEN);
  }
});

it('gives nothing that the tree does not have', async () => {
  const { disk, read } = await start();
  for (const name of ['tile/0/260', 'tile/entries/260', 'tile/1/001', 'tile/2/000', 'tile/0/003.p/7']) {
    disk.blobs.set(name, new Uint8Array(8192));
    expect(await read(name)).toBeUndefined();
  }
  await expect(read('checkpoint')).rejects.toMatchObject({ code: 'bad-tile' });
});

it('proves with tiles that are made anew, or not at all', async () => {
  const { tree, rotten, damage, restore } = await start();
  damage('tile/0/001');
  damage('tile/1/000');
  const { size, root } = tree.snapshot;
  const prove = async () => {
    const reader = tree.reader();
    const firstRoot = await reader.rootAt(300);
    verifyConsistency({
      first: 300,
      second: size,
      firstRoot,
      secondRoot: root,
      hashes: await reader.consistencyProof(300, size),
    });
    const hash = leafHash(Buffer.from('entry 300'), fastSha256);
    verifyInclusion({ index: 300, size, root, leafHash: hash, hashes: (await reader.prover([300]))(300, hash) });
    expect(await reader.leafHashes(1)).toEqual(whole.blobs.get('tile/0/001'));
    return firstRoot;
  };
  // Two damaged tiles, one above the other, are one too many.
  await expect(prove()).rejects.toMatchObject(ROTTEN);
  restore('tile/1/000');
  const firstRoot = await prove();
  expect(rotten.names).toContain('tile/0/001');
  restore('tile/0/001');
  const fresh = (await start()).tree;
  expect(await fresh.reader().rootAt(300)).toEqual(firstRoot);
  expect(await prove()).toEqual(firstRoot);
});

it('makes no proof where a tile and what is below it are damaged', async () => {
  const { tree, damage } = await start();
  damage('tile/0/001');
  damage('tile/entries/001');
  await expect(tree.reader().consistencyProof(300, SIZE)).rejects.toMatchObject(ROTTEN);
  await expect(tree.reader().rootAt(300)).rejects.toMatchObject(ROTTEN);
  await expect(tree.reader().prover([300])).rejects.toMatchObject(ROTTEN);
  expect((await tree.reader().consistencyProof(600, SIZE)).length).toBeGreaterThan(5);
});

it('says what is wrong: a file is gone, or has another length', async () => {
  const { disk, rotten, read } = await start();
  disk.blobs.delete('tile/0/001');
  await expect(read('tile/0/001')).rejects.toMatchObject({ message: expect.stringContaining('is missing') });
  disk.blobs.delete('tile/0/002');
  disk.blobs.set('tile/0/003', new Uint8Array(1));
  disk.blobs.set('tile/0/004', new Uint8Array(8192));
  for (const name of ['tile/0/002', 'tile/0/003', 'tile/0/004']) await expect(read(name)).rejects.toMatchObject(ROTTEN);
  expect(rotten.reason).toContain('4 stored files are damaged, and requests for them get 503');
  expect(rotten.reason).toContain('and 1 more');
});

it('goes on with writing and publishing beside a damaged file', async () => {
  const { tree, damage, read } = await start();
  damage('tile/entries/010');
  damage('tile/0/010');
  const body = Buffer.from('one more');
  await (await tree.append([{ body, leafHash: leafHash(body, fastSha256) }])).filed;
  expect(tree.snapshot.size).toBe(SIZE + 1);
  expect((await tree.reader().prover([SIZE]))(SIZE, leafHash(body, fastSha256)).length).toBeGreaterThan(3);
  await expect(read('tile/0/010')).rejects.toMatchObject(ROTTEN);
});

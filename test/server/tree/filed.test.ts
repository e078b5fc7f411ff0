import { expect, it } from 'vitest';
import { leafHash } from '../../../merkle/rfc6962.ts';
import { fastSha256 } from '../../../merkle/runtime/crypto/hash.ts';
import { CommittedTree } from '../../../server/tree/committed.ts';
import { RottenFiles } from '../../../server/tree/rotten.ts';
import { damageTo } from '../../support/damage.ts';
import { MemoryDisk, openMemoryStores } from '../../support/memory-stores.ts';

const entries = (first: number, count: number) =>
  Array.from({ length: count }, (_, i) => {
    const body = Buffer.from(`entry ${first + i}`);
    return { body, leafHash: leafHash(body, fastSha256) };
  });

/** A disk with `bundles` full bundles and a tail of 7 entries. */
async function grown(bundles: number): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  const tree = await CommittedTree.open(await openMemoryStores(disk), fastSha256);
  await (await tree.append(entries(0, bundles * 256))).filed;
  await (await tree.append(entries(bundles * 256, 7))).filed;
  await tree.close();
  return disk;
}

async function open(disk: MemoryDisk) {
  const rotten = new RottenFiles();
  return { rotten, tree: await CommittedTree.open(await openMemoryStores(disk), fastSha256, { rotten }) };
}

function damage(disk: MemoryDisk, name: string, seed: number): void {
  const bytes = damageTo(disk.blobs, name, seed);
  if (bytes === undefined) disk.blobs.delete(name);
  else disk.blobs.set(name, bytes);
}

it.each([
  [['tile/0/001']],
  [['tile/entries/001']],
  [['tile/0/001', 'tile/entries/002']],
  [['tile/0/000', 'tile/0/001', 'tile/0/002', 'tile/entries/003']],
])('a start goes on with the other copy of %s, names the files, and grows the same tree', async (names) => {
  const whole = await grown(4);
  for (let seed = 0; seed < 10; seed++) {
    const disk = Object.assign(new MemoryDisk(), whole, { blobs: new Map(whole.blobs), tail: new Map(whole.tail) });
    for (const [i, name] of names.entries()) damage(disk, name, seed + i);
    const { tree, rotten } = await open(disk);
    const tiles = names.filter((name) => name.startsWith('tile/0/'));
    for (const name of names) await expect(tree.tileStore().get(name)).rejects.toMatchObject({ code: 'rotten' });
    expect(rotten.names.sort()).toEqual([...names].sort());
    expect(tiles.every((name) => rotten.reason !== undefined && rotten.names.includes(name))).toBe(true);
    await (await tree.append(entries(4 * 256 + 7, 1))).filed;
    const { root } = tree.snapshot;
    await tree.close();
    const good = Object.assign(new MemoryDisk(), whole, { blobs: new Map(whole.blobs), tail: new Map(whole.tail) });
    const { tree: other } = await open(good);
    await (await other.append(entries(4 * 256 + 7, 1))).filed;
    expect(root).toEqual(other.snapshot.root);
    await other.close();
  }
});

it('goes on below a damaged tile of level 1', async () => {
  const disk = await grown(257);
  damage(disk, 'tile/1/000', 3);
  const { tree, rotten } = await open(disk);
  expect(rotten.names).toEqual(['tile/1/000']);
  expect(await tree.tileStore().get('tile/entries/100')).toEqual(disk.blobs.get('tile/entries/100'));
  await tree.close();
});

it('does not start where both copies are damaged, and names them', async () => {
  const disk = await grown(4);
  damage(disk, 'tile/0/001', 0);
  damage(disk, 'tile/entries/001', 0);
  await expect(open(disk)).rejects.toMatchObject({
    code: 'corrupt',
    message: expect.stringContaining('tile/0/001, tile/entries/001'),
  });
  disk.blobs.delete('tile/0/001');
  await expect(open(disk)).rejects.toMatchObject({ code: 'tail-gap' });
});

it('does not start where the tail is of another tree', async () => {
  const disk = await grown(4);
  disk.tail.set(4 * 256 + 3, Buffer.from('another entry'));
  await expect(open(disk)).rejects.toMatchObject({ code: 'corrupt' });
});

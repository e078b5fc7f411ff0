import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { leafHash } from '../../../merkle/rfc6962.ts';
import { fastSha256 } from '../../../merkle/runtime/crypto/hash.ts';
import { CommittedTree } from '../../../server/tree/committed.ts';
import { RottenFiles } from '../../../server/tree/rotten.ts';
import { Scrub } from '../../../server/tree/scrub.ts';
import type { ScrubProgress } from '../../../server/tree/scrub-file.ts';
import { MemoryDisk, openMemoryStores } from '../../support/memory-stores.ts';

const HOUR = 3_600_000;

let dir: string;
let path: string;
let ends: (() => Promise<void>)[];
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'stele-scrub-'));
  path = join(dir, 'scrub.json');
  ends = [];
});
afterEach(async () => {
  for (const end of ends.reverse()) await end();
  await rm(dir, { recursive: true });
});

/** A tree with so many full bundles on a disk in memory, whose reads are counted. */
async function grown(bundles: number) {
  const disk = new MemoryDisk();
  const rotten = new RottenFiles();
  const stores = await openMemoryStores(disk);
  const reads: string[] = [];
  const get = stores.tiles.get.bind(stores.tiles);
  stores.tiles.get = (name) => {
    reads.push(name);
    return get(name);
  };
  const tree = await CommittedTree.open(stores, fastSha256, { rotten, cachedBytes: 1_000_000 });
  ends.push(() => tree.close());
  for (let bundle = 0; bundle < bundles; bundle += 64) {
    const count = 256 * Math.min(64, bundles - bundle);
    const entries = Array.from({ length: count }, (_, i) => {
      const body = Buffer.from(`entry ${256 * bundle + i}`);
      return { body, leafHash: leafHash(body, fastSha256) };
    });
    await (await tree.append(entries)).filed;
  }
  return { disk, rotten, tree, reads };
}

async function scrubOf(rotten: RottenFiles, tree: CommittedTree, intervalMs: number) {
  const said: string[] = [];
  const counts = { files: 0 };
  const say = (_fields: object, message: string) => void said.push(message);
  const logger = { info: say, warn: say };
  const scrub = await Scrub.open({ intervalMs, path }, { rotten, read: (files) => (counts.files += files), logger });
  ends.push(() => scrub.end());
  scrub.adopt(tree);
  return { scrub, said, counts };
}

const progress = async () => JSON.parse(await readFile(path, 'utf8')) as ScrubProgress;

it('finds damage that nobody has read, also behind a cache that holds the good bytes, and sees that it is mended', async () => {
  const { disk, rotten, tree } = await grown(3);
  const names = ['tile/entries/001', 'tile/0/002'];
  const good = names.map((name) => disk.blobs.get(name)!);
  for (const name of names) {
    await tree.tileStore().get(name);
    disk.blobs.set(name, Buffer.from(disk.blobs.get(name)!).fill(7, 100, 200));
  }
  const { said } = await scrubOf(rotten, tree, 100);
  await expect.poll(() => rotten.names.sort()).toEqual([...names].sort());
  // The hot ones stay in memory.
  expect(tree.reader().atHand('tile/0/002')).toEqual(good[1]);
  for (const [i, name] of names.entries()) disk.blobs.set(name, good[i]!);
  await expect.poll(() => rotten.count).toBe(0);
  expect(said).toContain('the scrub has read every file');
});

it('reads every file, the tiles above as well, and brings none of them into the cache', async () => {
  const { rotten, tree, reads, disk } = await grown(257);
  reads.length = 0;
  const { scrub, said, counts } = await scrubOf(rotten, tree, 1);
  await expect.poll(() => said, { timeout: 50_000 }).toContain('the scrub has read every file');
  expect([...new Set(reads)].sort()).toEqual([...disk.blobs.keys()].sort());
  expect(counts.files).toBeGreaterThanOrEqual(257 + 257 + 1);
  expect([...disk.blobs.keys()].filter((name) => tree.reader().atHand(name) !== undefined)).toEqual([]);
  expect(rotten.count).toBe(0);
  expect(scrub.ageMs).toBeLessThan(60_000);
}, 60_000);

it('goes on where the last process stopped', async () => {
  const { rotten, tree, reads } = await grown(5);
  const [since, completed] = [Date.now() - 100 * HOUR, Date.now() - 30 * HOUR];
  // The third is due; the others have time.
  const stored = { version: 1, next: 2, started: Date.now() - 6 * HOUR, completed, since };
  await writeFile(path, JSON.stringify(stored));
  reads.length = 0;
  const first = await scrubOf(rotten, tree, 10 * HOUR);
  await expect.poll(() => reads).toContain('tile/0/002');
  expect(reads).not.toContain('tile/0/001');
  expect(first.scrub.ageMs).toBeGreaterThan(29 * HOUR);
  await first.scrub.end();
  expect(await progress()).toEqual({ ...stored, next: 3 });
  expect(reads).not.toContain('tile/0/003');
});

it.each([
  ['is no JSON', 'x'],
  ['is empty', ''],
  ['lacks a member', '{"version":1,"next":1}'],
  ['has a number that is none', '{"version":1,"next":-1,"started":0,"since":0}'],
  ['is of another version', '{"version":2,"next":1,"started":0,"since":0}'],
])('begins anew where the file %s', async (_name, content) => {
  await writeFile(path, content);
  const { rotten, tree } = await grown(1);
  const { said, scrub } = await scrubOf(rotten, tree, HOUR);
  expect(said).toEqual(['it is not known how far the scrub has come: it begins anew']);
  await scrub.end();
  expect(await progress()).toMatchObject({ version: 1, next: 0 });
});

it('does not wait for ever where the clock was set back', async () => {
  const { rotten, tree } = await grown(1);
  await writeFile(path, JSON.stringify({ version: 1, next: 0, started: Date.now() + 10_000 * HOUR, since: 0 }));
  const { said } = await scrubOf(rotten, tree, 100);
  await expect.poll(() => said).toContain('the scrub has read every file');
});

it('is off with an interval of 0', async () => {
  const { rotten, tree, reads } = await grown(2);
  reads.length = 0;
  const { scrub } = await scrubOf(rotten, tree, 0);
  await scrub.end();
  expect([scrub.ageMs, reads]).toEqual([undefined, []]);
  await expect(readFile(path)).rejects.toMatchObject({ code: 'ENOENT' });
});

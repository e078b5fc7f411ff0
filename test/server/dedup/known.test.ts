/**
 * The known leaf hashes and their stored filter. The file is long because both parts need the same log, with a tree and a store
 * that count what is read of them.
 */
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { leafHash } from '../../../merkle/rfc6962.ts';
import { fastSha256 } from '../../../merkle/runtime/crypto/hash.ts';
import { KnownLeaves, type KnownOptions } from '../../../server/dedup/known.ts';
import { ServerError } from '../../../server/errors.ts';
import type { TileStore } from '../../../server/store/types.ts';
import { CommittedTree } from '../../../server/tree/committed.ts';
import { tempDir } from '../../support/log.ts';
import { MemoryDisk, openMemoryStores } from '../../support/memory-stores.ts';
import { turns } from '../../support/until.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
let path: string;
let told: string[];

beforeEach(async () => {
  dir = await tempDir();
  path = join(dir.path, 'leaf-filter');
  told = [];
});

afterEach(() => dir.remove());

const options = (changes: Partial<KnownOptions> = {}): KnownOptions => ({
  maxBytes: 1024 * 1024,
  path,
  logger: { info: () => {}, warn: (_fields, message) => told.push(message) },
  ...changes,
});

const entries = (first: number, count: number, name = 'entry') =>
  Array.from({ length: count }, (_, i) => {
    const body = Buffer.from(`${name} ${first + i}`);
    return { body, leafHash: leafHash(body, fastSha256) };
  });

/** More than a process can have. */
const NO_MEMORY = { minBytes: 2 ** 45, maxBytes: 2 ** 45 };

const hashesOf = (list: readonly { readonly leafHash: Uint8Array }[]) => list.map((entry) => entry.leafHash);

/** A tree whose tiles can be held back, made unreadable, and whose look-ups are counted. */
async function openTree(disk: MemoryDisk, exclusive = true) {
  const { tiles, checkpoint, state } = await openMemoryStores(disk, { exclusive });
  const reads = {
    held: undefined as Promise<void> | undefined,
    fail: 'nothing' as 'nothing' | 'once' | 'all',
    tiles: 0,
    lookups: 0,
  };
  const writes = { held: undefined as Promise<void> | undefined };
  const held: TileStore = {
    put: async (blobs) => {
      await (writes.held ?? turns(1));
      await tiles.put(blobs);
    },
    get: async (at, use) => {
      if (use?.once) {
        reads.tiles++;
        await reads.held;
      }
      if (reads.fail === 'all' || (reads.fail === 'once' && use?.once)) throw new ServerError('store', 'no');
      return await tiles.get(at);
    },
    close: () => tiles.close(),
  };
  const lookup = state.lookup.bind(state);
  state.lookup = (hashes) => {
    reads.lookups += hashes.length;
    return lookup(hashes);
  };
  return { tree: await CommittedTree.open({ tiles: held, checkpoint, state }, fastSha256), reads, writes };
}

/** As the intake does it: what is committed is not in files yet. */
async function append(tree: CommittedTree, known: KnownLeaves, list: ReturnType<typeof entries>) {
  known.add(list, tree.state.size);
  return await tree.append(list);
}

/** Those of `tree`, which begin to be made. */
async function knownOf(tree: CommittedTree, changes: Partial<KnownOptions> = {}): Promise<KnownLeaves> {
  const known = await KnownLeaves.open(options(changes));
  await known.adopt(tree);
  return known;
}

/** Holds back what `at` does from now on, until it is called. */
function hold(at: { held: Promise<void> | undefined }): () => void {
  let go!: () => void;
  at.held = new Promise((resolve) => {
    go = resolve;
  });
  return go;
}

const complete = (known: KnownLeaves) => expect.poll(() => known.complete).toBe(true);

async function completeOf(tree: CommittedTree, changes: Partial<KnownOptions> = {}): Promise<KnownLeaves> {
  const known = await knownOf(tree, changes);
  await complete(known);
  return known;
}

/** A log of `count` entries on a new disk, without a filter. */
async function filled(count: number): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  const { tree } = await openTree(disk);
  await (await tree.append(entries(0, count - 1))).filed;
  // With this one it is known that those before are in files.
  await (await tree.append(entries(count - 1, 1))).filed;
  await tree.close();
  return disk;
}

/** How many of 2,000 new hashes are looked up. */
async function lookedUp(known: KnownLeaves, reads: { lookups: number }): Promise<number> {
  reads.lookups = 0;
  expect(await known.lookup(hashesOf(entries(0, 2000, 'other')))).toEqual(new Array(2000).fill(undefined));
  return reads.lookups;
}

/** Changes one bit of a file. */
function change(disk: MemoryDisk, name: string): void {
  const bytes = disk.blobs.get(name)!.slice();
  bytes[bytes.length >> 1]! ^= 1;
  disk.blobs.set(name, bytes);
}

async function allFound(known: KnownLeaves, count: number): Promise<void> {
  expect(await known.lookup(hashesOf(entries(0, count)))).toEqual(Array.from({ length: count }, (_, i) => i));
}

describe('the known leaf hashes', () => {
  it('spare the store the look-ups of new entries, and find every one that is there', async () => {
    const { tree, reads } = await openTree(await filled(3000));
    const known = await completeOf(tree);
    expect(await lookedUp(known, reads)).toBe(0);
    await allFound(known, 3000);
    expect(reads.lookups).toBe(3000);
    const mixed = hashesOf([...entries(7, 1), ...entries(0, 1, 'other'), ...entries(2999, 1)]);
    expect(await known.lookup(mixed)).toEqual([7, undefined, 2999]);
    await known.end(false);
  });

  it('ask the store for all where another process may commit, and find what it committed', async () => {
    const disk = await filled(1000);
    const { tree, reads } = await openTree(disk, false);
    const known = await knownOf(tree);
    await append(tree, known, entries(1000, 10));
    const { state: other } = await openMemoryStores(disk);
    const before = (await other.read())!;
    const added = entries(1010, 1);
    const next = { ...before, size: before.size + 1, root: new Uint8Array(32) };
    await other.commit({ expected: before, next, entries: added });
    expect(await known.lookup(hashesOf(added))).toEqual([1010]);
    expect(await lookedUp(known, reads)).toBe(2000);
    await known.end(true);
    expect([known.complete, reads.tiles]).toEqual([false, 0]);
  });

  it('ask the store for all until they are complete, and have what came meanwhile', async () => {
    const { tree, reads } = await openTree(await filled(1000));
    const go = hold(reads);
    const known = await knownOf(tree);
    await append(tree, known, entries(1000, 700));
    expect(known.complete).toBe(false);
    expect(await known.lookup(hashesOf(entries(0, 10, 'other')))).toEqual(new Array(10).fill(undefined));
    expect(reads.lookups).toBe(10);
    await allFound(known, 1700);
    go();
    await complete(known);
    await allFound(known, 1700);
    await known.end(false);
  });

  it('have what was handed over and did not become durable: it is looked up', async () => {
    const { tree, reads } = await openTree(await filled(10));
    const known = await completeOf(tree);
    known.add(entries(0, 1, 'lost'), tree.state.size);
    expect(await known.lookup(hashesOf(entries(0, 1, 'lost')))).toEqual([undefined]);
    expect(reads.lookups).toBe(1);
    await known.end(false);
  });

  it('grow with the log, and have all that came before, at it and meanwhile', async () => {
    const { tree, reads } = await openTree(new MemoryDisk());
    const known = await completeOf(tree, { minBytes: 512 });
    await append(tree, known, entries(0, 600));
    const go = hold(reads);
    // The next batch finds the filter too small, and so does the one after that, while the larger one is made.
    await append(tree, known, entries(600, 300));
    await append(tree, known, entries(900, 300));
    expect(known.complete).toBe(true);
    await allFound(known, 1200);
    go();
    await expect.poll(() => lookedUp(known, reads)).toBeLessThan(100);
    await allFound(known, 1200);
    await known.end(false);
  });

  it('grow by what is committed and not in files yet, also where the files never come', async () => {
    const disk = new MemoryDisk();
    const first = await openTree(disk);
    const known = await completeOf(first.tree, { minBytes: 512 });
    let fail!: (error: Error) => void;
    first.writes.held = new Promise((_resolve, reject) => {
      fail = reject;
    });
    const { filed } = await append(first.tree, known, entries(0, 900));
    await append(first.tree, known, entries(900, 1));
    fail(new ServerError('store', 'no'));
    await expect(filed).rejects.toThrow('no');
    await first.tree.close();
    const { tree, reads } = await openTree(disk);
    await known.adopt(tree);
    await expect.poll(() => lookedUp(known, reads)).toBeLessThan(100);
    await allFound(known, 901);
    expect(told).toEqual([]);
    await known.end(false);
  });

  it('stay with the memory that they may have: more is looked up, and all is found', async () => {
    const { tree, reads } = await openTree(await filled(2000));
    const known = await completeOf(tree, { maxBytes: 1024, minBytes: 64 });
    await append(tree, known, entries(2000, 500));
    const tiles = reads.tiles;
    await append(tree, known, entries(2500, 500));
    await allFound(known, 3000);
    expect(reads.tiles).toBe(tiles);
    await known.end(true);
    expect((await stat(path)).size).toBe(96 + 1024);
  });

  it('are none with no memory: everything is looked up', async () => {
    const { tree, reads } = await openTree(await filled(300));
    const known = await knownOf(tree, { maxBytes: 0 });
    await append(tree, known, entries(300, 10));
    expect(await known.lookup(hashesOf(entries(0, 5, 'other')))).toEqual(new Array(5).fill(undefined));
    expect([known.complete, reads.lookups, reads.tiles]).toEqual([false, 5, 0]);
    await known.end(true);
    await expect(stat(path)).rejects.toThrow('ENOENT');
  });

  it('go on after a while where a tile could not be read', async () => {
    const { tree, reads } = await openTree(await filled(2000));
    reads.fail = 'once';
    const known = await knownOf(tree, { retryMs: 10 });
    await expect.poll(() => told.length).toBeGreaterThan(1);
    expect(known.complete).toBe(false);
    reads.fail = 'nothing';
    await complete(known);
    await allFound(known, 2000);
    await known.end(false);
  });

  it.each(['001', '200'])('take tile %s from its entries where a bit of it was changed on the disk', async (index) => {
    const disk = await filled(70_000);
    change(disk, `tile/0/${index}`);
    const { tree } = await openTree(disk);
    const known = await completeOf(tree);
    await allFound(known, 70_000);
    await known.end(false);
  });

  it.each(['001', '200'])('take nothing from tile %s where its entries were changed too', async (index) => {
    const disk = await filled(70_000);
    change(disk, `tile/0/${index}`);
    change(disk, `tile/entries/${index}`);
    const lost = Number(index) * 256;
    const indexes = (from: number) => Array.from({ length: 10 }, (_, i) => from + i);
    // A record that cannot be checked counts as absent.
    const expectButTile = async (leaves: KnownLeaves) => {
      const found = await leaves.lookup(hashesOf(entries(lost - 10, 276)));
      const expected = [...indexes(lost - 10), ...new Array(256).fill(undefined), ...indexes(lost + 256)];
      expect(found).toEqual(expected);
    };
    const { tree } = await openTree(disk);
    const known = await knownOf(tree);
    await expect.poll(() => told).toEqual([expect.stringContaining('cannot be made')]);
    expect(known.complete).toBe(false);
    await expectButTile(known);
    // What was made until then is stored, and nothing more.
    await known.end(true);
    await tree.close();
    const again = await openTree(disk);
    const next = await knownOf(again.tree);
    await expect.poll(() => told.length).toBe(2);
    await expectButTile(next);
    await next.end(false);
  });

  it('are none where there is no memory for them', async () => {
    const { tree, reads } = await openTree(await filled(300));
    const known = await knownOf(tree, NO_MEMORY);
    await append(tree, known, entries(300, 10));
    await allFound(known, 310);
    expect([known.complete, reads.tiles]).toEqual([false, 0]);
    expect(told).toEqual([expect.stringContaining('no memory')]);
    await known.end(true);
    await expect(stat(path)).rejects.toThrow('ENOENT');
  });

  it('stay as they are where there is no memory for larger ones', async () => {
    const { tree, reads } = await openTree(new MemoryDisk());
    const changing = { ...options(), minBytes: 512 };
    const known = await KnownLeaves.open(changing);
    await known.adopt(tree);
    await complete(known);
    await append(tree, known, entries(0, 600));
    Object.assign(changing, NO_MEMORY);
    await append(tree, known, entries(600, 300));
    await append(tree, known, entries(900, 300));
    // Told once, and not tried again.
    expect(told).toEqual([expect.stringContaining('no memory')]);
    await allFound(known, 1200);
    expect([known.complete, reads.tiles]).toEqual([true, 0]);
    await known.end(false);
  });

  it('are not made for a log that takes nothing any more', async () => {
    const { tree, reads } = await openTree(await filled(1000));
    await tree.setStatus('freezing');
    const known = await knownOf(tree);
    expect([known.complete, reads.tiles]).toEqual([false, 0]);
    await allFound(known, 1000);
    await known.end(true);
    await expect(stat(path)).rejects.toThrow('ENOENT');
  });

  it('leave all to the store where a tile cannot be read, and go on with the next tree', async () => {
    const disk = await filled(2000);
    const first = await openTree(disk);
    first.reads.fail = 'once';
    const known = await knownOf(first.tree);
    await expect.poll(() => told).toEqual([expect.stringContaining('cannot be made')]);
    await append(first.tree, known, entries(2000, 100));
    await allFound(known, 2100);
    expect(known.complete).toBe(false);
    await first.tree.close();
    const second = await openTree(disk);
    await known.adopt(second.tree);
    await complete(known);
    await allFound(known, 2100);
    await known.end(false);
  });

  it('end while they are being made, and read nothing any more', async () => {
    const { tree, reads } = await openTree(await filled(20_000));
    const go = hold(reads);
    const known = await knownOf(tree);
    await expect.poll(() => reads.tiles).toBeGreaterThan(0);
    const begun = reads.tiles;
    await known.end(true);
    go();
    await turns();
    expect(reads.tiles).toBe(begun);
    expect(begun).toBeLessThan(79);
    expect(told).toEqual([]);
  });
});

describe('the stored filter', () => {
  /** A log of `count` entries and its filter on the disk. */
  async function stored(count: number): Promise<MemoryDisk> {
    const disk = await filled(count);
    const { tree } = await openTree(disk);
    const known = await completeOf(tree);
    await known.end(true);
    await tree.close();
    return disk;
  }

  it('is taken at the next start, which reads only what came since', async () => {
    const disk = await stored(5000);
    const between = await openTree(disk);
    await (await between.tree.append(entries(5000, 1000))).filed;
    await between.tree.close();
    const { tree, reads } = await openTree(disk);
    const known = await completeOf(tree);
    // Tiles 19 to 22 of 23, and the partial one is in memory.
    expect(reads.tiles).toBe(4);
    await allFound(known, 6000);
    expect(await lookedUp(known, reads)).toBe(0);
    await known.end(true);
    expect(told).toEqual([]);
  });

  it('is left alone where nothing came since', async () => {
    const disk = await stored(1000);
    const before = await stat(path);
    const { tree } = await openTree(disk);
    const known = await completeOf(tree);
    await known.end(true);
    expect((await stat(path)).ino).toBe(before.ino);
  });

  it('holds what was made so far, and the rest is made at the next start', async () => {
    const disk = await filled(20_000);
    const first = await openTree(disk);
    const known = await knownOf(first.tree);
    await expect.poll(() => first.reads.tiles).toBeGreaterThan(16);
    const go = hold(first.reads);
    await append(first.tree, known, entries(20_000, 300));
    await known.end(true);
    go();
    await first.tree.close();
    const second = await openTree(disk);
    const again = await completeOf(second.tree);
    await allFound(again, 20_300);
    await again.end(false);
  });

  it.each([
    ['a bit of the filter', (file: Buffer) => file.writeUInt8(file[5000]! ^ 1, 5000)],
    ['its size', (file: Buffer) => file.writeUInt8(1, 63)],
    ['its format', (file: Buffer) => file.write('other', 32)],
    ['its digest', (file: Buffer) => file.writeUInt8(file[0]! ^ 1, 0)],
  ])('is not taken where %s was changed', async (_what, change) => {
    const disk = await stored(3000);
    const file = await readFile(path);
    change(file);
    await writeFile(path, file);
    await madeAnew(disk, 3000, 'is not used');
  });

  it.each([0, 31, 96, 97, 5000])('is not taken where %i bytes of it are left', async (length) => {
    const disk = await stored(3000);
    await writeFile(path, (await readFile(path)).subarray(0, length));
    await madeAnew(disk, 3000, 'is not used');
  });

  it('is not taken where it is longer than a filter may be', async () => {
    const disk = await stored(3000);
    await madeAnew(disk, 3000, 'is not used', { maxBytes: 512 * 1024 });
  });

  it('is not taken by another log, and not by an older copy of its own', async () => {
    await stored(3000);
    const other = new MemoryDisk();
    const { tree } = await openTree(other);
    await (await tree.append(entries(0, 4000, 'another'))).filed;
    await tree.close();
    await madeAnew(other, 0, 'of another tree');
    told = [];
    await stored(3000);
    await madeAnew(await filled(2000), 2000, 'of another tree');
  });

  it('is done without where its tree cannot be read, which stops nothing', async () => {
    const disk = await stored(300);
    const between = await openTree(disk);
    await (await between.tree.append(entries(300, 700))).filed;
    await between.tree.close();
    const { tree, reads } = await openTree(disk);
    const known = await KnownLeaves.open(options());
    reads.fail = 'all';
    await known.adopt(tree);
    await expect
      .poll(() => told)
      .toEqual([expect.stringContaining('cannot be checked'), expect.stringContaining('cannot be made')]);
    await allFound(known, 1000);
    await known.end(false);
  });

  it('is not written where that fails, which stops nothing', async () => {
    const { tree } = await openTree(await filled(300));
    const known = await completeOf(tree, { path: join(dir.path, 'nowhere', 'leaf-filter') });
    await known.end(true);
    expect(told).toEqual([expect.stringContaining('was not stored')]);
  });

  async function madeAnew(disk: MemoryDisk, count: number, why: string, changes: Partial<KnownOptions> = {}) {
    const { tree, reads } = await openTree(disk);
    const known = await completeOf(tree, changes);
    expect(told).toEqual([expect.stringContaining(why)]);
    expect(reads.tiles).toBe(Math.floor(tree.state.size / 256));
    await allFound(known, count);
    await known.end(false);
  }
});

it('never miss an entry, whatever grows, fails, ends and begins anew meanwhile', async () => {
  const step = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ do: fc.constant('append' as const), count: fc.integer({ min: 1, max: 700 }) }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('fail' as const), count: fc.integer({ min: 0, max: 300 }) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('restart' as const), save: fc.boolean() }) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 14 }), async (steps) => {
      const disk = new MemoryDisk();
      const small = options({ minBytes: 512, maxBytes: 4096 });
      let { tree } = await openTree(disk);
      let known = await KnownLeaves.open(small);
      await known.adopt(tree);
      let lost = 0;
      for (const one of steps) {
        if (one.do === 'append') {
          await append(tree, known, entries(tree.state.size, one.count));
        } else if (one.do === 'wait') {
          await new Promise((resolve) => setImmediate(resolve));
        } else if (one.do === 'fail') {
          // A batch that never became durable, and another handle.
          known.add(entries(lost, one.count, 'lost'), tree.state.size);
          lost += one.count;
          await tree.close();
          ({ tree } = await openTree(disk));
          await known.adopt(tree);
        } else {
          await known.end(one.save);
          await tree.close();
          ({ tree } = await openTree(disk));
          known = await KnownLeaves.open(small);
          await known.adopt(tree);
        }
        const { size } = tree.state;
        expect(await known.lookup(hashesOf(entries(0, size)))).toEqual(Array.from({ length: size }, (_, i) => i));
      }
      await known.end(false);
      await tree.close();
    }),
    { numRuns: 60 },
  );
});

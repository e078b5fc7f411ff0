import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { encodeUtf8 } from '../../../merkle/bytes.ts';
import { leafHash } from '../../../merkle/rfc6962.ts';
import { fastSha256 } from '../../../merkle/runtime/crypto/hash.ts';
import { ServerError } from '../../../server/errors.ts';
import type { TileBlob, TileStore } from '../../../server/store/types.ts';
import { CommittedTree } from '../../../server/tree/committed.ts';
import { Faults, faultyStores } from '../../support/faulty.ts';
import { MemoryDisk, openMemoryStores } from '../../support/memory-stores.ts';

it('keeps nothing of a write that is done', async () => {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  const disk = new MemoryDisk();
  const stores = await openMemoryStores(disk);
  const tree = await CommittedTree.open(stores, fastSha256);
  const note = new Uint8Array(1);
  const heapAfter = async (writes: number) => {
    for (let i = 0; i < writes; i++) await tree.putCheckpoint(note);
    gc();
    return process.memoryUsage().heapUsed;
  };
  const before = await heapAfter(1000);
  expect((await heapAfter(100_000)) - before).toBeLessThan(2_000_000);
  await tree.close();
});

describe('a tree whose files are written slowly', () => {
  const entries = (first: number, count: number) =>
    Array.from({ length: count }, (_, i) => {
      const body = Buffer.from(`entry ${first + i}`);
      return { body, leafHash: leafHash(body, fastSha256) };
    });

  /** A tree on `disk` whose puts wait for `next`. */
  async function open(disk: MemoryDisk) {
    const stores = await openMemoryStores(disk);
    const puts: (readonly TileBlob[])[] = [];
    const waiting: ((error?: Error) => void)[] = [];
    const put = async (blobs: readonly TileBlob[]) => {
      if (blobs.length === 0) return;
      puts.push(blobs);
      await new Promise<void>((resolve, reject) => {
        waiting.push((error) => (error === undefined ? resolve() : reject(error)));
      });
      await stores.tiles.put(blobs);
    };
    const { tiles } = stores;
    const held: TileStore = { put, get: (name) => tiles.get(name), close: () => tiles.close() };
    const tree = await CommittedTree.open({ ...stores, tiles: held }, fastSha256);
    const next = async (error?: Error) => {
      await expect.poll(() => waiting.length).toBeGreaterThan(0);
      waiting.shift()!(error);
    };
    return { tree, puts, next };
  }

  it('commits on, and can be signed up to what is in files', async () => {
    const disk = new MemoryDisk();
    const { tree, puts, next } = await open(disk);
    const one = await tree.append(entries(0, 300));
    const two = await tree.append(entries(300, 300));
    const three = await tree.append(entries(600, 300));
    expect([one.first, two.first, three.first, tree.state.size, tree.snapshot.size]).toEqual([0, 300, 600, 900, 0]);
    // Nothing may leave the tail that is not in a file.
    expect([tree.state.filed, disk.tail.size]).toEqual([0, 900]);
    await next();
    await one.filed;
    expect(tree.snapshot.size).toBe(300);
    await next();
    await Promise.all([two.filed, three.filed]);
    // The second and the third went together.
    expect(puts.map((blobs) => blobs.map(({ name }) => name))).toEqual([
      ['tile/entries/000', 'tile/0/000'],
      ['tile/entries/001', 'tile/0/001', 'tile/entries/002', 'tile/0/002'],
    ]);
    expect(tree.snapshot.size).toBe(900);
    await (await tree.append(entries(900, 1))).filed;
    expect([tree.snapshot.size, tree.state.filed, disk.tail.size]).toEqual([901, 768, 133]);
    await tree.close();
  });

  it('keeps what it committed where the files fail, and signs no tree without them', async () => {
    const disk = new MemoryDisk();
    const { tree, next } = await open(disk);
    const one = await tree.append(entries(0, 256));
    const failed = expect(one.filed).rejects.toMatchObject({ code: 'store' });
    await next(new ServerError('store', 'injected'));
    await failed;
    // A batch with no file of its own does not pass over the missing ones.
    const two = await tree.append(entries(256, 1));
    const again = expect(two.filed).rejects.toMatchObject({ code: 'store' });
    await next(new ServerError('store', 'injected'));
    await again;
    expect([tree.state.size, tree.snapshot.size]).toEqual([257, 0]);
    await tree.close();
    const stores = await openMemoryStores(disk);
    const reopened = await CommittedTree.open(stores, fastSha256);
    expect(reopened.snapshot.size).toBe(257);
    expect(await stores.tiles.get('tile/entries/000')).toBeDefined();
    await reopened.close();
  });
});

describe('a tree whose store is unavailable for a moment', () => {
  const batch = (first: number, count: number) =>
    Array.from({ length: count }, (_, i) => {
      const body = Buffer.from(`entry ${first + i}`);
      return { body, leafHash: leafHash(body, fastSha256) };
    });

  async function open(disk: MemoryDisk) {
    const faults = new Faults();
    const stores = faultyStores(await openMemoryStores(disk), faults);
    const tree = await CommittedTree.open(stores, fastSha256);
    faults.writes.length = 0;
    return { faults, tree };
  }

  it('makes every write again on the same handle, and each takes effect once', async () => {
    const disk = new MemoryDisk();
    const { faults, tree } = await open(disk);
    faults.failNext('unavailable', 2);
    const { filed } = await tree.append(batch(0, 300));
    faults.failNext('unavailable', 2);
    await filed;
    faults.failNext('unavailable');
    await tree.putCheckpoint(Buffer.from('note'));
    faults.failNext('unavailable');
    await tree.setStatus('freezing');
    const writes = faults.writes.filter((kind, i) => kind !== faults.writes[i - 1]);
    expect(writes).toEqual(['commit', 'put', 'replaceCheckpoint', 'commit']);
    expect([tree.state.size, tree.snapshot.size, tree.state.status]).toEqual([300, 300, 'freezing']);
    await tree.close();
    const { tree: again } = await open(disk);
    expect([again.state.size, again.state.status, again.checkpoint]).toEqual([300, 'freezing', encodeUtf8('note')]);
    await again.close();
  });

  it('reads again: at the start, look-ups and tiles', async () => {
    const disk = new MemoryDisk();
    const { tree } = await open(disk);
    await (await tree.append(batch(0, 300))).filed;
    await tree.close();
    const faults = new Faults();
    const stores = faultyStores(await openMemoryStores(disk), faults);
    faults.failReads(2);
    const again = await CommittedTree.open(stores, fastSha256);
    faults.failReads(2);
    expect(await again.lookup([batch(299, 1)[0]!.leafHash])).toEqual([299]);
    faults.failReads(2);
    expect(await again.reader().tile(0, 0, 256)).toHaveLength(8192);
    faults.failReads(2);
    expect(Buffer.from(await again.reader().entry(7)).toString()).toBe('entry 7');
    await again.close();
  });

  it('gives up after a while, and at once where it is stopped', async () => {
    const { faults, tree } = await open(new MemoryDisk());
    faults.failNext('unavailable', 100);
    await expect(tree.append(batch(0, 1))).rejects.toMatchObject({ code: 'unavailable' });
    expect(faults.writes).toHaveLength(6);
    const waiting = tree.append(batch(0, 1));
    const ended = expect(waiting).rejects.toMatchObject({ code: 'unavailable' });
    await expect.poll(() => faults.writes.length).toBeGreaterThan(8);
    await tree.stop();
    await ended;
    expect(faults.writes.length).toBeLessThan(12);
    await tree.close();
  });
});

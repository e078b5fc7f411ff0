import { describe, expect, it } from 'vitest';
import { growth, state, storeSuite } from '../suites/store.ts';
import { Faults, faultyStores } from './faulty.ts';
import { MemoryDisk, openMemoryStores } from './memory-stores.ts';

const injected = expect.objectContaining({ code: 'store', message: expect.stringContaining('injected') });
const blobs = [0, 1, 2, 3].map((i) => ({ name: `tile/0/00${i}`, bytes: new Uint8Array(8192).fill(i) }));

const openFaulty = async (disk: MemoryDisk, faults: Faults) => faultyStores(await openMemoryStores(disk), faults);

storeSuite('memory behind wrappers without a fault', async () => {
  const disk = new MemoryDisk();
  const faults = new Faults();
  return {
    shared: true,
    open: () => openFaulty(disk, faults),
    openEmptyState: async () => (await openFaulty(new MemoryDisk(), faults)).state,
    remove: async () => {},
  };
});

describe('injected faults', () => {
  it.each([
    ['not-persisted', 0],
    ['reported-failed', 4],
    ['in-part', 2],
  ] as const)('a put that fails %s leaves %i of 4 blobs', async (fault, stored) => {
    const disk = new MemoryDisk();
    const faults = new Faults();
    const { tiles } = await openFaulty(disk, faults);
    faults.failNext(fault);
    await expect(tiles.put(blobs)).rejects.toEqual(injected);
    expect(disk.blobs.size).toBe(stored);
    await expect(tiles.put(blobs)).rejects.toEqual(injected);
    expect([faults.failed, faults.writes]).toEqual([1, ['put']]);
    const { tiles: again } = await openFaulty(disk, faults);
    await again.put(blobs);
    expect(disk.blobs.size).toBe(4);
  });

  it.each([
    ['not-persisted', 1, undefined],
    ['reported-failed', 1, 5],
    ['in-part', 1, undefined],
    ['in-part', 2, 5],
  ] as const)('a commit that fails %s as write %i leaves size %j', async (fault, n, size) => {
    const disk = new MemoryDisk();
    const faults = new Faults();
    const { checkpoint, state: store } = await openFaulty(disk, faults);
    faults.failAt(n, fault);
    if (n === 2) await checkpoint.replaceCheckpoint(undefined, Buffer.from('note'));
    await expect(store.commit(growth(undefined, state(5)))).rejects.toEqual(injected);
    await expect(store.read()).rejects.toEqual(injected);
    const { state: again } = await openFaulty(disk, faults);
    expect((await again.read())?.size).toBe(size);
  });

  it('leaves the handle good where the store is unavailable', async () => {
    const disk = new MemoryDisk();
    const faults = new Faults();
    const { tiles, state: store } = await openFaulty(disk, faults);
    const unavailable = expect.objectContaining({ code: 'unavailable' });
    faults.failNext('unavailable', 2);
    await expect(tiles.put(blobs)).rejects.toEqual(unavailable);
    expect(disk.blobs.size).toBe(2);
    await expect(store.commit(growth(undefined, state(5)))).rejects.toEqual(unavailable);
    expect(await store.read()).toBeUndefined();
    faults.failReads(1);
    await expect(tiles.get('tile/0/000')).rejects.toEqual(unavailable);
    await tiles.put(blobs);
    await store.commit(growth(undefined, state(5)));
    expect([disk.blobs.size, (await store.read())?.size]).toEqual([4, 5]);
  });
});

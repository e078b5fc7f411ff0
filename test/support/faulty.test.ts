import { describe, expect, it } from 'vitest';
import { MemoryDisk, openMemoryState, openMemoryTiles } from '../../server/store/memory.ts';
import { growth, state, storeSuite } from '../suites/store.ts';
import { Faults, faultyState, faultyTiles } from './faulty.ts';

const injected = expect.objectContaining({ code: 'store', message: expect.stringContaining('injected') });
const blobs = [0, 1, 2, 3].map((i) => ({ path: `tile/0/00${i}`, bytes: new Uint8Array(8192).fill(i) }));

storeSuite('memory behind wrappers without a fault', async () => {
  const disk = new MemoryDisk();
  const faults = new Faults();
  return {
    copyDir: 'copy',
    openTiles: async () => faultyTiles(await openMemoryTiles(disk), faults),
    openState: async () => faultyState(await openMemoryState(disk), faults),
    openCopy: () => openMemoryState(disk.copies.get('copy')!),
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
    const tiles = faultyTiles(await openMemoryTiles(disk), faults);
    faults.failNext(fault);
    await expect(tiles.put(blobs)).rejects.toEqual(injected);
    expect(disk.blobs.size).toBe(stored);
    await expect(tiles.put(blobs)).rejects.toEqual(injected);
    expect([faults.failed, faults.writes]).toEqual([1, ['put']]);
    const again = faultyTiles(await openMemoryTiles(disk), faults);
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
    const tiles = faultyTiles(await openMemoryTiles(disk), faults);
    const store = faultyState(await openMemoryState(disk), faults);
    faults.failAt(n, fault);
    if (n === 2) await tiles.putCheckpoint(Buffer.from('note'));
    await expect(store.commit(growth(undefined, state(5)))).rejects.toEqual(injected);
    await expect(store.read()).rejects.toEqual(injected);
    const again = faultyState(await openMemoryState(disk), faults);
    expect((await again.read())?.size).toBe(size);
  });
});

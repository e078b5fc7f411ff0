import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import { fastSha256 } from '../../../merkle/runtime/hash.ts';
import { MemoryDisk, openMemoryState, openMemoryTiles } from '../../../server/store/memory.ts';
import { CommittedTree } from '../../../server/tree/committed.ts';

it('keeps nothing of a write that is done', async () => {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  const disk = new MemoryDisk();
  const stores = { tiles: await openMemoryTiles(disk), state: await openMemoryState(disk) };
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

import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { TileCache, TreeReader } from '../../server/tree/reader.ts';
import { emptySnapshot, integrate } from '../../server/tree/snapshot.ts';
import { MemoryDisk, openMemoryStores } from '../../test/support/memory-stores.ts';
import { entries } from './inputs.ts';
import type { Micro } from './micro.ts';

const SIZE = 70_100;
const BATCH = 512;

const all = entries(SIZE);
const { after, blobs } = integrate(emptySnapshot(fastSha256), all);
const { tiles } = await openMemoryStores(new MemoryDisk());
await tiles.put(blobs);
const newest = Array.from({ length: BATCH }, (_, i) => SIZE - BATCH + i);

/** Does what a publication does: a new reader makes and checks the proofs of the newest entries. */
async function publish(): Promise<void> {
  const reader = new TreeReader(after, tiles, new TileCache(), fastSha256);
  const prove = await reader.prover(newest);
  for (const index of newest) prove(index, all[index]!.leafHash);
}

export const proof: Micro[] = [
  { name: 'inclusion proofs of 512, size 70,100, each checked', unit: 'entry', per: BATCH, run: publish },
];

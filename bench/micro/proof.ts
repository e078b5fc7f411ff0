import { verifyInclusion } from '../../merkle/proof.ts';
import { fastSha256 } from '../../merkle/runtime/hash.ts';
import { MemoryDisk, openMemoryTiles } from '../../server/store/memory.ts';
import { TileCache, TreeReader } from '../../server/tree/reader.ts';
import { emptySnapshot, integrate } from '../../server/tree/snapshot.ts';
import { entries } from './inputs.ts';
import type { Micro } from './micro.ts';

const SIZE = 70_100;
const BATCH = 512;

const all = entries(SIZE);
const { after, blobs } = integrate(emptySnapshot(fastSha256), all);
const tiles = await openMemoryTiles(new MemoryDisk());
await tiles.put(blobs);
const newest = Array.from({ length: BATCH }, (_, i) => SIZE - BATCH + i);

/** As a publication does it: a new reader, the newest entries, each proof checked. */
async function publish(check: boolean): Promise<void> {
  const reader = new TreeReader(after, tiles, new TileCache(), fastSha256);
  const prove = await reader.prover(newest);
  const { size, root } = after;
  for (const index of newest) {
    const hashes = prove(index);
    if (check) verifyInclusion({ index, size, leafHash: all[index]!.leafHash, root, hashes }, fastSha256);
  }
}

export const proof: Micro[] = [
  { name: 'inclusion proofs of 512, size 70,100', unit: 'entry', per: BATCH, run: () => publish(false) },
  { name: 'the same, each checked', unit: 'entry', per: BATCH, run: () => publish(true) },
];

import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LeafFilter } from '../../server/dedup/filter.ts';
import { openLevelState } from '../../server/store/level/level.ts';
import type { TreeState } from '../../server/store/types.ts';
import { entries } from './inputs.ts';
import type { Micro } from './micro.ts';

const BATCH = 1000;
const dir = mkdtempSync(join(tmpdir(), 'stele-bench-'));
const store = await openLevelState(dir);
const root = new Uint8Array(32);
const bodies = entries(BATCH).map(({ body }) => body);
let state: TreeState = { size: 0, root, filed: 0, status: 'open' };

/** 12 bits a hash, as halfway between two growths of the filter. About half of the bits are set, for any hashes. */
const filter = LeafFilter.from(randomBytes(15_000_000 - (15_000_000 % 64)));

function newHashes(): Uint8Array[] {
  const hashes = randomBytes(64 * 32);
  return Array.from({ length: 64 }, (_, i) => hashes.subarray(i * 32, (i + 1) * 32));
}

/** The bodies do not matter, but the leaf hashes must be new. */
function newEntries() {
  const hashes = randomBytes(BATCH * 32);
  return bodies.map((body, i) => ({ body, leafHash: hashes.subarray(i * 32, (i + 1) * 32) }));
}

await store.commit({ expected: undefined, next: state, entries: [] });

export const commit: Micro[] = [
  {
    name: 'level: commit 1,000, synced',
    unit: 'entry',
    per: BATCH,
    run: async () => {
      const next = { ...state, size: state.size + BATCH, filed: state.size - (state.size % 256) };
      await store.commit({ expected: state, next, entries: newEntries() });
      state = next;
    },
  },
  {
    name: 'filter of 10 million leaf hashes: look for 64 new ones',
    unit: 'entry',
    per: 64,
    run: () => newHashes().filter((hash) => filter.mayHave(hash)),
  },
  {
    name: 'level: look up 64 new leaf hashes',
    unit: 'entry',
    per: 64,
    run: () => store.lookup(newHashes()),
    close: async () => {
      await store.close();
      rmSync(dir, { recursive: true });
    },
  },
];

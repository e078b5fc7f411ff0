import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeBundle } from '../../merkle/bundle.ts';
import { entryBundlePath, TILE_WIDTH, tilePath } from '../../merkle/tile.ts';
import { openFileStore } from '../../server/store/files/files.ts';
import { entries } from './inputs.ts';
import type { Micro } from './micro.ts';

const dir = mkdtempSync(join(tmpdir(), 'stele-bench-'));
const store = await openFileStore(dir);
const bundle = encodeBundle(entries(TILE_WIDTH).map(({ body }) => body));
const hashes = randomBytes(TILE_WIDTH * 32);
const notes = [randomBytes(200), randomBytes(200)] as const;
let next = 0;
let replaced = 0;
await store.replaceCheckpoint(undefined, notes[0]);

function replaceCheckpoint(): Promise<void> {
  const at = replaced++;
  return store.replaceCheckpoint(notes[at % 2], notes[(at + 1) % 2]!);
}

export const tiles: Micro[] = [
  { name: 'files: put the checkpoint', unit: 'checkpoint', per: 1, run: replaceCheckpoint },
  {
    name: 'files: put 4 bundles and 4 tiles (1,024 entries)',
    unit: 'entry',
    per: 4 * TILE_WIDTH,
    run: () => {
      const blobs = Array.from({ length: 4 }, () => {
        const index = next++;
        return [
          { name: entryBundlePath(index, TILE_WIDTH), bytes: bundle },
          { name: tilePath({ level: 0, index, width: TILE_WIDTH }), bytes: hashes },
        ];
      });
      return store.put(blobs.flat());
    },
    close: async () => {
      await store.close();
      rmSync(dir, { recursive: true });
    },
  },
];

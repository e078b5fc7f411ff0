/** The tree of all entries in the tile store, read back from it. */
import { HASH_SIZE, type Sha256 } from '../../merkle/rfc6962.ts';
import { TILE_WIDTH, TileNodes, tilePath } from '../../merkle/tile.ts';
import { ServerError } from '../errors.ts';
import type { TileStore } from '../store/types.ts';
import { type Snapshot, snapshotOf } from './snapshot.ts';

/**
 * The snapshot at `filed`, a multiple of 256, from full tiles alone. A hash in a tile is the root of the full tile below
 * it. So at most 255 tiles of each level are read, whatever the size of the tree.
 * @throws ServerError `tail-gap` where a tile is missing, `corrupt` where one has another length
 */
export async function filedSnapshot(filed: number, store: Pick<TileStore, 'get'>, hash: Sha256): Promise<Snapshot> {
  const edge: Uint8Array[] = filed === 0 ? [] : [new Uint8Array(0)];
  for (let level = 1, below = filed / TILE_WIDTH; below > 0; level++, below = Math.floor(below / TILE_WIDTH)) {
    const width = below % TILE_WIDTH;
    const first = below - width;
    const roots = await Promise.all(
      Array.from({ length: width }, (_, i) => fullTileRoot(level - 1, first + i, store, hash)),
    );
    const hashes = new Uint8Array(width * HASH_SIZE);
    for (const [i, root] of roots.entries()) hashes.set(root, i * HASH_SIZE);
    edge.push(hashes);
  }
  return snapshotOf(filed, edge, [], hash);
}

async function fullTileRoot(
  level: number,
  index: number,
  store: Pick<TileStore, 'get'>,
  hash: Sha256,
): Promise<Uint8Array> {
  const path = tilePath({ level, index, width: TILE_WIDTH });
  const bytes = await store.get(path);
  if (bytes === undefined) {
    throw new ServerError(
      'tail-gap',
      `the tail does not follow the files: the tile ${path} is missing, and no entry that could make it again is in the ` +
        'tail. Restore the data directory from a backup with `stele log restore`.',
    );
  }
  if (bytes.length !== TILE_WIDTH * HASH_SIZE) {
    throw new ServerError(
      'corrupt',
      `the tile ${path} has ${bytes.length} bytes instead of ${TILE_WIDTH * HASH_SIZE}.`,
    );
  }
  return new TileNodes(bytes, hash).node(8, 0);
}

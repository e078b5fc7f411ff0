/**
 * The tree of all entries in the tile store, read back from it at a start.
 *
 * A hash in a tile is the root of the full tile below it. So the right edge needs at most 255 tiles of each level, whatever the
 * size of the tree. What they give is good where it leads to the committed root, and no other check is needed.
 *
 * Each of these roots is stored twice: in the tile, and in what is below it, the bundle or 256 tiles. So where a file is
 * damaged, the start goes on with the other copy.
 */
import { HASH_SIZE, type Sha256 } from '../../merkle/rfc6962.ts';
import { entryBundlePath, TILE_WIDTH, tilePath } from '../../merkle/tile.ts';
import { ServerError } from '../errors.ts';
import type { TileStore } from '../store/types.ts';
import { bundleRoot, tileRoot } from './roots.ts';
import { type Snapshot, snapshotOf } from './snapshot.ts';
import { damageOf } from './verified.ts';

type TileReads = Pick<TileStore, 'get'>;

/** A full tile at the right edge. */
interface EdgeTile {
  readonly level: number;
  readonly index: number;
}

/** The right edge of a tree: by level, the full tiles whose roots are in the partial tile above. */
type Edge = readonly (readonly EdgeTile[])[];

/** More files that differ from their other copy are not a few bad blocks, and the ways to choose would be too many. */
const MAX_DIFFERENT = 8;
/** Files that are read at a time. */
const AT_ONCE = 32;

/**
 * The snapshot at `filed`, a multiple of 256, as `fits` accepts it, with the names of the files that may be damaged.
 * @throws ServerError `corrupt` or `tail-gap`, with the files that do not hold, where no choice of copies fits; `store`
 */
export async function filedSnapshot<T>(
  filed: number,
  store: TileReads,
  hash: Sha256,
  fits: (snapshot: Snapshot) => T | undefined,
): Promise<{ readonly fitting: T; readonly suspects: readonly string[] }> {
  const edge = edgeOf(filed);
  const stored = await rootsOf(edge, ({ level, index }) => storedRoot(level, index, store));
  const found = fits(snapshotFrom(filed, edge, stored, hash));
  if (found !== undefined) return { fitting: found, suspects: [] };

  const below = await rootsOf(edge, ({ level, index }) => rootFromBelow(level, index, store));
  const different = edge.flat().filter((tile) => !sameRoot(stored.get(nameOf(tile)), below.get(nameOf(tile))));
  const suspects = different.flatMap((tile) => [
    nameOf(tile),
    ...(tile.level === 0 ? [entryBundlePath(tile.index, TILE_WIDTH)] : []),
  ]);
  if (different.length > 0 && different.length <= MAX_DIFFERENT) {
    // From the choice of every copy below: a tile is smaller than what is below it, and nobody damages both.
    for (let choice = 0; choice < 2 ** different.length; choice++) {
      const roots = new Map(below);
      for (const [i, tile] of different.entries()) {
        if ((choice >> i) % 2 === 1) roots.set(nameOf(tile), stored.get(nameOf(tile)));
      }
      const chosen = fits(snapshotFrom(filed, edge, roots, hash));
      if (chosen !== undefined) return { fitting: chosen, suspects };
    }
  }
  const missing = different.find((tile) => stored.get(nameOf(tile)) === undefined);
  const what =
    suspects.length === 0
      ? ''
      : ` These files do not hold, or do not fit together: ${suspects.slice(0, 10).join(', ')}.`;
  throw new ServerError(
    missing === undefined ? 'corrupt' : 'tail-gap',
    `the files and the tail do not hash to the committed tree: a file or the state was changed or lost.${what} \`stele log ` +
      'check` names the first bad file; restore from a backup with `stele log restore`.',
  );
}

function edgeOf(filed: number): Edge {
  const edge: EdgeTile[][] = [];
  for (let level = 0, count = filed / TILE_WIDTH; count > 0; level++, count = Math.floor(count / TILE_WIDTH)) {
    const width = count % TILE_WIDTH;
    edge.push(Array.from({ length: width }, (_, i) => ({ level, index: count - width + i })));
  }
  return edge;
}

function snapshotFrom(
  filed: number,
  edge: Edge,
  roots: ReadonlyMap<string, Uint8Array | undefined>,
  hash: Sha256,
): Snapshot {
  const partial = edge.map((tiles) => {
    const hashes = new Uint8Array(tiles.length * HASH_SIZE);
    for (const [i, tile] of tiles.entries()) {
      const root = roots.get(nameOf(tile));
      // Zeros for what is not known: the root is then another one.
      if (root !== undefined) hashes.set(root, i * HASH_SIZE);
    }
    return hashes;
  });
  return snapshotOf(filed, filed === 0 ? [] : [new Uint8Array(0), ...partial], [], hash);
}

async function rootsOf(
  edge: Edge,
  rootOf: (tile: EdgeTile) => Promise<Uint8Array | undefined>,
): Promise<Map<string, Uint8Array | undefined>> {
  const roots = new Map<string, Uint8Array | undefined>();
  const tiles = edge.flat();
  for (let first = 0; first < tiles.length; first += AT_ONCE) {
    await Promise.all(
      tiles.slice(first, first + AT_ONCE).map(async (tile) => void roots.set(nameOf(tile), await rootOf(tile))),
    );
  }
  return roots;
}

async function storedRoot(level: number, index: number, store: TileReads): Promise<Uint8Array | undefined> {
  const bytes = await unlessDamaged(store.get(nameOf({ level, index })));
  return bytes && tileRoot(bytes);
}

async function rootFromBelow(level: number, index: number, store: TileReads): Promise<Uint8Array | undefined> {
  if (level === 0) {
    const bytes = await unlessDamaged(store.get(entryBundlePath(index, TILE_WIDTH)));
    return bytes && bundleRoot(bytes);
  }
  const hashes = new Uint8Array(TILE_WIDTH * HASH_SIZE);
  for (let first = 0; first < TILE_WIDTH; first += AT_ONCE) {
    const roots = await Promise.all(
      Array.from({ length: AT_ONCE }, (_, i) => storedRoot(level - 1, index * TILE_WIDTH + first + i, store)),
    );
    for (const [i, root] of roots.entries()) {
      if (root === undefined) return undefined;
      hashes.set(root, (first + i) * HASH_SIZE);
    }
  }
  return tileRoot(hashes);
}

/** Undefined where the file is missing, has another length or cannot be read. */
async function unlessDamaged(read: Promise<Uint8Array | undefined>): Promise<Uint8Array | undefined> {
  try {
    return await read;
  } catch (error) {
    if (damageOf(error) !== undefined) return undefined;
    throw error;
  }
}

function sameRoot(one: Uint8Array | undefined, other: Uint8Array | undefined): boolean {
  return one !== undefined && other !== undefined && Buffer.compare(one, other) === 0;
}

function nameOf({ level, index }: EdgeTile): string {
  return tilePath({ level, index, width: TILE_WIDTH });
}

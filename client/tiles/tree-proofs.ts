/**
 * Proofs computed from tiles that nobody has to trust: of one leaf, and of one tree being the beginning of another. Runs on
 * Node and in a browser.
 */
import { equal } from '../../merkle/bytes.ts';
import { MerkleError } from '../../merkle/errors.ts';
import { rootAt, rootNodes, verifyConsistency, verifyInclusion } from '../../merkle/proof.ts';
import { EMPTY_ROOT, type Sha256 } from '../../merkle/rfc6962.ts';
import { type FetchTile, proveConsistency, proveInclusion, readTiles, type Tile, tilePath } from '../../merkle/tile.ts';
import { ClientError } from '../errors.ts';
import type { TileSource, TreeHead } from './types.ts';

/** Tiles of one tree in memory: the right edge of a large tree has 14, a chunk of entries some more. */
const KEPT = 64;

/**
 * The tiles of `source`. A tile is fetched once while it is among the last 64. Use it for one look only, since it keeps
 * wrong tiles too.
 */
export function tilesOf(source: TileSource, signal: AbortSignal | undefined): FetchTile {
  const kept = new Map<string, Promise<Uint8Array>>();
  return (tile: Tile) => {
    const path = tilePath(tile);
    const found = kept.get(path) ?? source.tile(tile, signal);
    kept.delete(path);
    kept.set(path, found);
    if (kept.size > KEPT) kept.delete(kept.keys().next().value!);
    // Several callers may wait for the tile, and each of them gets the error.
    found.catch(() => {});
    return found;
  };
}

/**
 * Whether the tree of `older` is the beginning of the tree of `newer`, which has the same size or a larger one; undefined
 * where the tiles do not tell: they are not there, or are not those of `newer`.
 *
 * @throws ClientError `cancelled`
 */
export async function isBeginning(
  older: TreeHead,
  newer: TreeHead,
  fetchTile: FetchTile,
  hash: Sha256,
): Promise<boolean | undefined> {
  const { size: first, root: firstRoot } = older;
  const { size: second, root: secondRoot } = newer;
  if (first === 0) return equal(firstRoot, EMPTY_ROOT);
  if (first === second) return equal(firstRoot, secondRoot);
  try {
    const hashes = await proveConsistency(first, second, fetchTile, hash);
    if (isConsistent({ first, second, firstRoot, secondRoot, hashes }, hash)) return true;
    const root = rootAt(first, await readTiles(rootNodes(first), second, fetchTile, hash), hash);
    // Only tiles that lead from another root to that of `newer` show that `older` is another tree.
    return isConsistent({ first, second, firstRoot: root, secondRoot, hashes }, hash) ? false : undefined;
  } catch (error) {
    const wrongTile = error instanceof MerkleError || (error instanceof ClientError && error.code !== 'cancelled');
    if (wrongTile) return undefined;
    throw error;
  }
}

/**
 * The inclusion proof of `leafHash` at `index` of the tree of `size` entries.
 *
 * @throws MerkleError: the tiles show no such proof; what `tiles` throws
 */
export async function proveLeaf(
  { size, root }: TreeHead,
  index: number,
  leafHash: Uint8Array,
  tiles: FetchTile,
  hash: Sha256,
) {
  const hashes = await proveInclusion(index, size, tiles, hash);
  verifyInclusion({ index, size, leafHash, root, hashes }, hash);
  return hashes;
}

/** Whether the proof holds. @throws MerkleError other than `bad-proof` */
export function isConsistent(claim: Parameters<typeof verifyConsistency>[0], hash: Sha256): boolean {
  try {
    verifyConsistency(claim, hash);
    return true;
  } catch (error) {
    if (error instanceof MerkleError && error.code === 'bad-proof') return false;
    throw error;
  }
}

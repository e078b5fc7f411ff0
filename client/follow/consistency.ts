/** How two signed trees of one log stand to each other, computed from tiles that nobody has to trust. */
import { equal } from '../../merkle/bytes.ts';
import { MerkleError } from '../../merkle/errors.ts';
import { type Evidence, verifyEvidence } from '../../merkle/evidence.ts';
import { rootAt, rootNodes, verifyConsistency, verifyInclusion } from '../../merkle/proof.ts';
import { CompactRange } from '../../merkle/range.ts';
import { EMPTY_ROOT } from '../../merkle/rfc6962.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { nodeNotePrimitives } from '../../merkle/runtime/crypto/verify.ts';
import { type FetchTile, proveConsistency, proveInclusion, readTiles, type Tile, tilePath } from '../../merkle/tile.ts';
import { ClientError } from '../errors.ts';
import type { TileSource } from '../tiles/types.ts';
import { sameTree, type TreeHead } from './signed-head.ts';
import type { SignedHead } from './types.ts';

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
 * Undefined where `newer` continues `older`; else the evidence that it does not.
 *
 * @param newer of the same size as `older` or larger
 * @param fetchTile tiles of the tree of `newer`
 * @throws ClientError `corrupt`: the tiles are not those of `newer`, and show nothing; what `fetchTile` throws
 */
export async function compareTrees(
  older: SignedHead,
  newer: SignedHead,
  fetchTile: FetchTile,
): Promise<Evidence | undefined> {
  if (sameTree(older, newer) || older.size === 0) return undefined;
  const shown = { keys: keysOf(older, newer), first: older.own, second: newer.own };
  const { size: first, root: firstRoot } = older;
  const { size: second, root: secondRoot } = newer;
  try {
    const fork = first === second ? checkedEvidence(shown) : await forkBelow();
    if (fork === 'none') return undefined;
    if (fork !== undefined) return fork;
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    throw wrongTiles(second, cause);
  }
  throw wrongTiles(second);

  async function forkBelow(): Promise<Evidence | 'none' | undefined> {
    const hashes = await proveConsistency(first, second, fetchTile, fastSha256);
    if (isProof({ first, second, firstRoot, secondRoot, hashes })) return 'none';
    const root = rootAt(first, await readTiles(rootNodes(first), second, fetchTile, fastSha256), fastSha256);
    return equal(root, firstRoot) ? undefined : checkedEvidence({ ...shown, proof: { root, hashes } });
  }
}

/** Whether the tree of `range` is the beginning of the tree of `head`. @throws ClientError and MerkleError of tiles */
export async function isPrefix(range: CompactRange, head: TreeHead, fetchTile: FetchTile): Promise<boolean> {
  const { size: second, root: secondRoot } = head;
  const [first, firstRoot] = [range.size, range.root()];
  if (first === second) return equal(firstRoot, secondRoot);
  const hashes = await proveConsistency(first, second, fetchTile, fastSha256);
  return isProof({ first, second, firstRoot, secondRoot, hashes });
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
): Promise<boolean | undefined> {
  const { size: first, root: firstRoot } = older;
  const { size: second, root: secondRoot } = newer;
  if (first === 0) return equal(firstRoot, EMPTY_ROOT);
  if (first === second) return equal(firstRoot, secondRoot);
  try {
    const hashes = await proveConsistency(first, second, fetchTile, fastSha256);
    if (isProof({ first, second, firstRoot, secondRoot, hashes })) return true;
    const root = rootAt(first, await readTiles(rootNodes(first), second, fetchTile, fastSha256), fastSha256);
    // Only tiles that lead from another root to that of `newer` show that `older` is another tree.
    return isProof({ first, second, firstRoot: root, secondRoot, hashes }) ? false : undefined;
  } catch (error) {
    const wrongTile = error instanceof MerkleError || (error instanceof ClientError && error.code !== 'cancelled');
    if (wrongTile) return undefined;
    throw error;
  }
}

/** The right edge of the tree of `head`, checked against its root. @throws ClientError `corrupt`; what `fetchTile` throws */
export async function rangeOf(head: TreeHead, fetchTile: FetchTile): Promise<CompactRange> {
  try {
    const nodes = rootNodes(head.size);
    const read = await readTiles(nodes, head.size, fetchTile, fastSha256);
    const hashes = nodes.map(({ level, index }) => read(level, index));
    const range = CompactRange.from(head.size, hashes, fastSha256);
    if (equal(range.root(), head.root)) return range;
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    throw wrongTiles(head.size, cause);
  }
  throw wrongTiles(head.size);
}

/**
 * The inclusion proof of `leafHash` at `index` of the tree of `size` entries.
 *
 * @throws MerkleError: the tiles show no such proof; what `tiles` throws
 */
export async function proveLeaf({ size, root }: TreeHead, index: number, leafHash: Uint8Array, tiles: FetchTile) {
  const hashes = await proveInclusion(index, size, tiles, fastSha256);
  verifyInclusion({ index, size, leafHash, root, hashes }, fastSha256);
  return hashes;
}

/** The evidence where it holds: a wrong accusation harms more than a missing one. */
export function checkedEvidence(evidence: Evidence): Evidence | undefined {
  try {
    verifyEvidence(evidence, nodeNotePrimitives, fastSha256);
    return evidence;
  } catch (error) {
    if (error instanceof MerkleError) return undefined;
    throw error;
  }
}

/** The keys of both, each once. */
export function keysOf(older: SignedHead | undefined, newer: SignedHead) {
  return [...new Set([...(older?.keys ?? []), ...newer.keys])];
}

function isProof(claim: Parameters<typeof verifyConsistency>[0]): boolean {
  try {
    verifyConsistency(claim, fastSha256);
    return true;
  } catch (error) {
    if (error instanceof MerkleError && error.code === 'bad-proof') return false;
    throw error;
  }
}

function wrongTiles(size: number, cause?: unknown): ClientError {
  const why = `the tiles that are served do not lead to the root that the log signed for size ${size}`;
  return new ClientError('corrupt', `${why}; they prove nothing, and are asked for again`, { cause });
}

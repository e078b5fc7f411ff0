/** How two signed trees of one log stand to each other, computed from tiles that nobody has to be trusted for. */
import { equal } from '../../merkle/bytes.ts';
import { MerkleError } from '../../merkle/errors.ts';
import { type Evidence, verifyEvidence } from '../../merkle/evidence.ts';
import { rootAt, rootNodes, verifyConsistency } from '../../merkle/proof.ts';
import { CompactRange } from '../../merkle/range.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { nodePrimitives } from '../../merkle/runtime/crypto/verify.ts';
import { type FetchTile, proveConsistency, readTiles, type Tile, tilePath } from '../../merkle/tile.ts';
import { ClientError } from '../errors.ts';
import type { TileSource } from '../tiles/types.ts';
import { type Head, sameTree } from './signed-head.ts';

/** Tiles of one tree that are kept: the edge of a large tree has 14, a chunk of entries some more. */
const KEPT = 64;

/** The tiles of `source`, each fetched once while it is among the last used. For one round only: it keeps wrong ones too. */
export function tilesOf(source: TileSource, signal: AbortSignal): FetchTile {
  const kept = new Map<string, Promise<Uint8Array>>();
  return (tile: Tile) => {
    const path = tilePath(tile);
    const found = kept.get(path) ?? source.tile(tile, signal);
    kept.delete(path);
    kept.set(path, found);
    if (kept.size > KEPT) kept.delete(kept.keys().next().value!);
    // Several wait for it; whoever does will hear of it.
    found.catch(() => {});
    return found;
  };
}

/**
 * Undefined where `newer`, of the same size or a larger one, continues `older`; else the evidence that it does not.
 *
 * @param fetchTile tiles of the tree of `newer`
 * @throws ClientError `corrupt`: the tiles are not those of `newer`, and show nothing; what `fetchTile` throws
 */
export async function compareTrees(older: Head, newer: Head, fetchTile: FetchTile): Promise<Evidence | undefined> {
  if (sameTree(older, newer) || older.size === 0) return undefined;
  const evidence = { keys: keysOf(older, newer), first: older.own, second: newer.own };
  if (older.size === newer.size) return checked(evidence);
  const { size: first, root: firstRoot } = older;
  const { size: second, root: secondRoot } = newer;
  try {
    const hashes = await proveConsistency(first, second, fetchTile, fastSha256);
    if (isProof({ first, second, firstRoot, secondRoot, hashes })) return undefined;
    const root = rootAt(first, await readTiles(rootNodes(first), second, fetchTile, fastSha256), fastSha256);
    const fork = equal(root, firstRoot) ? undefined : checked({ ...evidence, proof: { root, hashes } });
    if (fork !== undefined) return fork;
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    throw wrongTiles(second, cause);
  }
  throw wrongTiles(second);
}

/** Whether the tree of `range` is the beginning of the tree of `head`. @throws ClientError and MerkleError of tiles */
export async function isPrefix(range: CompactRange, head: Head, fetchTile: FetchTile): Promise<boolean> {
  const { size: second, root: secondRoot } = head;
  const [first, firstRoot] = [range.size, range.root()];
  if (first === second) return equal(firstRoot, secondRoot);
  const hashes = await proveConsistency(first, second, fetchTile, fastSha256);
  return isProof({ first, second, firstRoot, secondRoot, hashes });
}

/** The right edge of the tree of `head`, checked against its root. @throws ClientError `corrupt`; what `fetchTile` throws */
export async function rangeOf(head: Head, fetchTile: FetchTile): Promise<CompactRange> {
  try {
    const nodes = rootNodes(head.size);
    const read = await readTiles(nodes, head.size, fetchTile, fastSha256);
    const range = CompactRange.from(
      head.size,
      nodes.map(({ level, index }) => read(level, index)),
      fastSha256,
    );
    if (equal(range.root(), head.root)) return range;
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    throw wrongTiles(head.size, cause);
  }
  throw wrongTiles(head.size);
}

/** The keys of both, each once. */
function keysOf(older: Head, newer: Head) {
  return [...new Set([...older.keys, ...newer.keys])];
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

/** Nothing is alleged that does not hold: an accusation that is wrong harms more than one that is missing. */
export function checked(evidence: Evidence): Evidence | undefined {
  try {
    verifyEvidence(evidence, nodePrimitives, fastSha256);
    return evidence;
  } catch (error) {
    if (error instanceof MerkleError) return undefined;
    throw error;
  }
}

function wrongTiles(size: number, cause?: unknown): ClientError {
  return new ClientError(
    'corrupt',
    `the tiles that are served do not lead to the root that the log signed for size ${size}; they prove nothing, and are asked for again`,
    { cause },
  );
}

/** How two signed trees of one log stand to each other, computed from tiles that nobody has to trust. */
import { equal } from '../../merkle/bytes.ts';
import { MerkleError } from '../../merkle/errors.ts';
import { type Evidence, verifyEvidence } from '../../merkle/evidence.ts';
import { rootAt, rootNodes } from '../../merkle/proof.ts';
import { CompactRange } from '../../merkle/range.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { nodeNotePrimitives } from '../../merkle/runtime/crypto/verify.ts';
import { type FetchTile, proveConsistency, readTiles } from '../../merkle/tile.ts';
import { ClientError } from '../errors.ts';
import { isConsistent } from '../tiles/tree-proofs.ts';
import type { TreeHead } from '../tiles/types.ts';
import { sameTree } from './signed-head.ts';
import type { SignedHead } from './types.ts';

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
    if (isConsistent({ first, second, firstRoot, secondRoot, hashes }, fastSha256)) return 'none';
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
  return isConsistent({ first, second, firstRoot, secondRoot, hashes }, fastSha256);
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

function wrongTiles(size: number, cause?: unknown): ClientError {
  const why = `the tiles that are served do not lead to the root that the log signed for size ${size}`;
  return new ClientError('corrupt', `${why}; they prove nothing, and are asked for again`, { cause });
}

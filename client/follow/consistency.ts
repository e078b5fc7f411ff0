/** How two signed trees of one log stand to each other, with Node's own primitives: see compare-trees.ts. */
import { equal } from '../../merkle/bytes.ts';
import { MerkleError } from '../../merkle/errors.ts';
import type { Evidence } from '../../merkle/evidence.ts';
import { rootNodes } from '../../merkle/proof.ts';
import { CompactRange } from '../../merkle/range.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { nodeNotePrimitives } from '../../merkle/runtime/crypto/verify.ts';
import { type FetchTile, proveConsistency, readTiles } from '../../merkle/tile.ts';
import { isConsistent } from '../tiles/tree-proofs.ts';
import type { TreeHead } from '../tiles/types.ts';
import { checkedEvidenceWith, compareTreesWith, wrongTiles } from './compare-trees.ts';
import type { SignedHead } from './types.ts';

const PRIMITIVES = { sha256: fastSha256, notes: nodeNotePrimitives };

/** @throws ClientError `corrupt` as `compareTreesWith` */
export async function compareTrees(
  older: SignedHead,
  newer: SignedHead,
  fetchTile: FetchTile,
): Promise<Evidence | undefined> {
  return await compareTreesWith(PRIMITIVES, older, newer, fetchTile);
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

/** As `checkedEvidenceWith`. */
export function checkedEvidence(evidence: Evidence): Evidence | undefined {
  return checkedEvidenceWith(PRIMITIVES, evidence);
}

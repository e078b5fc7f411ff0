/**
 * How two signed trees of one log stand to each other, computed from tiles that nobody has to trust. The caller gives the
 * primitives, so that this runs in a browser too; consistency.ts has those of Node.
 */
import { equal } from '../../merkle/bytes.ts';
import type { CosignaturePrimitives } from '../../merkle/cosignature.ts';
import { MerkleError } from '../../merkle/errors.ts';
import { type Evidence, verifyEvidence } from '../../merkle/evidence.ts';
import { rootAt, rootNodes } from '../../merkle/proof.ts';
import type { Sha256 } from '../../merkle/rfc6962.ts';
import { type FetchTile, proveConsistency, readTiles } from '../../merkle/tile.ts';
import { ClientError } from '../errors.ts';
import { isConsistent } from '../tiles/tree-proofs.ts';
import { sameTree } from './open-head.ts';
import type { SignedHead } from './types.ts';

/** What hashes, and what verifies the signatures of an accusation. */
interface TreePrimitives {
  readonly sha256: Sha256;
  readonly notes: CosignaturePrimitives;
}

/**
 * Undefined where `newer` continues `older`; else the evidence that it does not.
 *
 * @param newer of the same size as `older` or larger
 * @param fetchTile tiles of the tree of `newer`
 * @throws ClientError `corrupt`: the tiles are not those of `newer`, and show nothing; what `fetchTile` throws
 */
export async function compareTreesWith(
  primitives: TreePrimitives,
  older: SignedHead,
  newer: SignedHead,
  fetchTile: FetchTile,
): Promise<Evidence | undefined> {
  if (sameTree(older, newer) || older.size === 0) return undefined;
  const { sha256 } = primitives;
  const shown = { keys: keysOf(older, newer), first: older.own, second: newer.own };
  const { size: first, root: firstRoot } = older;
  const { size: second, root: secondRoot } = newer;
  try {
    const fork = first === second ? checkedEvidenceWith(primitives, shown) : await forkBelow();
    if (fork === 'none') return undefined;
    if (fork !== undefined) return fork;
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    throw wrongTiles(second, cause);
  }
  throw wrongTiles(second);

  async function forkBelow(): Promise<Evidence | 'none' | undefined> {
    const hashes = await proveConsistency(first, second, fetchTile, sha256);
    if (isConsistent({ first, second, firstRoot, secondRoot, hashes }, sha256)) return 'none';
    const root = rootAt(first, await readTiles(rootNodes(first), second, fetchTile, sha256), sha256);
    return equal(root, firstRoot) ? undefined : checkedEvidenceWith(primitives, { ...shown, proof: { root, hashes } });
  }
}

/** The evidence where it holds: a wrong accusation harms more than a missing one. */
export function checkedEvidenceWith({ sha256, notes }: TreePrimitives, evidence: Evidence): Evidence | undefined {
  try {
    verifyEvidence(evidence, notes, sha256);
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

/** The error of tiles that show nothing about the tree of `size` entries. */
export function wrongTiles(size: number, cause?: unknown): ClientError {
  const why = `the tiles that are served do not lead to the root that the log signed for size ${size}`;
  return new ClientError('corrupt', `${why}; they prove nothing, and are asked for again`, { cause });
}

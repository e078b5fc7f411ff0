/** Where an entry and the level 0 tile above it disagree, the rest of the tree mostly tells which of them is wrong. */
import { MerkleError } from '../../merkle/errors.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { type FetchTile, TILE_WIDTH, tilePath, tileWidth } from '../../merkle/tile.ts';
import { ClientError } from '../errors.ts';
import { proveLeaf } from '../tiles/tree-proofs.ts';
import type { AuditHead } from './audit-head.ts';
import { AuditProblem } from './audit-problem.ts';
import type { Finding } from './bundle-checker.ts';

/** The finding of a worker, with the file that is to blame as far as the tree tells. */
export async function blame(finding: Finding, head: AuditHead, tiles: FetchTile): Promise<AuditProblem> {
  const { code, path, index, message, leaves } = finding;
  if (leaves === undefined) return new AuditProblem(code, path, message, index);
  const level0 = { level: 0, index: Math.floor(index / TILE_WIDTH), width: 0 };
  const tile = tilePath({ ...level0, width: tileWidth(0, level0.index, head.size) });
  if (await isLeaf(head, index, leaves.stored, tiles)) {
    const why = `${path}: entry ${index} is not the one that the log signed: ${tile} and the signed root agree on another`;
    return new AuditProblem(code, path, why, index);
  }
  if (await isLeaf(head, index, leaves.computed, tiles)) {
    const why = `${tile}: the hash of entry ${index} is wrong: the entry and the signed root agree on another`;
    return new AuditProblem(code, tile, why, index);
  }
  return new AuditProblem(code, path, message, index);
}

/** Whether a leaf hash is at `index` in the tree, by the hashes beside it. False where the tiles do not tell. */
async function isLeaf(head: AuditHead, index: number, leafHash: Uint8Array, tiles: FetchTile): Promise<boolean> {
  try {
    await proveLeaf(head, index, leafHash, tiles, fastSha256);
    return true;
  } catch (error) {
    if (!(error instanceof ClientError || error instanceof MerkleError)) throw error;
    return false;
  }
}

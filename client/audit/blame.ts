/** Where an entry and the level 0 tile above it do not agree, the rest of the tree mostly tells which of them is wrong. */
import { MerkleError } from '../../merkle/errors.ts';
import { verifyInclusion } from '../../merkle/proof.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { proveInclusion, TILE_WIDTH, tilePath, tileWidth } from '../../merkle/tile.ts';
import { ClientError } from '../errors.ts';
import type { TileSource } from '../tiles/types.ts';
import type { Head } from './audit-head.ts';
import type { Finding } from './bundle-checker.ts';
import { AuditProblem } from './types.ts';

/** The finding of a worker, with the file that is to blame as far as that can be told. */
export async function blame(
  finding: Finding,
  head: Head,
  source: TileSource,
  signal?: AbortSignal,
): Promise<AuditProblem> {
  const { code, path, index, message, leaves } = finding;
  if (leaves === undefined) return new AuditProblem(code, path, message, index);
  const level0 = { level: 0, index: Math.floor(index / TILE_WIDTH), width: 0 };
  const tile = tilePath({ ...level0, width: tileWidth(0, level0.index, head.size) });
  const holds = await holdsIn(head, index, source, signal);
  if (holds(leaves.stored)) {
    return new AuditProblem(
      code,
      path,
      `${path}: entry ${index} is not the one that the log signed: ${tile} and the signed root agree on another`,
      index,
    );
  }
  if (holds(leaves.computed)) {
    return new AuditProblem(
      code,
      tile,
      `${tile}: the hash of entry ${index} is wrong: the entry and the signed root agree on another`,
      index,
    );
  }
  return new AuditProblem(code, path, message, index);
}

/** Whether a leaf hash is at `index` in the tree, by the hashes beside it, which are not otherwise checked. */
async function holdsIn(
  head: Head,
  index: number,
  source: TileSource,
  signal: AbortSignal | undefined,
): Promise<(leafHash: Uint8Array) => boolean> {
  const { size, root } = head;
  try {
    const hashes = await proveInclusion(index, size, (tile) => source.tile(tile, signal), fastSha256);
    return (leafHash) => {
      try {
        verifyInclusion({ index, size, leafHash, root, hashes }, fastSha256);
        return true;
      } catch (error) {
        if (!(error instanceof MerkleError)) throw error;
        return false;
      }
    };
  } catch (error) {
    // Without the tiles nobody can tell.
    if (!(error instanceof ClientError || error instanceof MerkleError)) throw error;
    return () => false;
  }
}

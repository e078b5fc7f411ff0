/** One entry of a log, with its way up to the root of a checkpoint that was verified. */
import { parseBundle } from '../../../merkle/bundle.ts';
import { MerkleError } from '../../../merkle/errors.ts';
import { leafHash as hashLeaf } from '../../../merkle/rfc6962.ts';
import {
  type FetchTile,
  nodeTile,
  proveInclusion,
  TILE_WIDTH,
  type Tile,
  TileNodes,
  tileWidth,
} from '../../../merkle/tile.ts';
import { ClientError, usage } from '../../errors.ts';
import { tilesOf } from '../../tiles/tree-proofs.ts';
import type { TileSource, TreeHead } from '../../tiles/types.ts';
import { type KnownPlace, levelOf, type WayUp, wayUp } from './way-up.ts';

export interface ProvenEntry {
  readonly index: number;
  /** What the log serves as the entry. It is the entry only where `way.holds`. */
  readonly body: Uint8Array;
  /** RFC 6962 hash of `body`, 32 bytes. */
  readonly leafHash: Uint8Array;
  /** The inclusion proof, from the leaf upwards: 32 bytes each, made of the tiles. */
  readonly hashes: readonly Uint8Array[];
  readonly way: WayUp;
}

/**
 * Reads an entry and computes its way up. What does not fit is no error: `way` says where.
 *
 * @param head of the checkpoint that was verified
 * @throws ClientError `usage`: there is no such entry; `corrupt`: a file of the log is not whole; what the source throws
 */
export async function proveEntry(
  source: TileSource,
  head: TreeHead,
  index: number,
  signal?: AbortSignal,
): Promise<ProvenEntry> {
  if (!Number.isSafeInteger(index) || index < 0 || index >= head.size) {
    throw usage(`there is no entry ${index}: the log has ${head.size}, and the first is number 0`);
  }
  const [body, proof] = await Promise.all([
    entryAt(source, head.size, index, signal),
    proofOf(tilesOf(source, signal), head.size, index),
  ]);
  const leafHash = hashLeaf(body);
  const { hashes } = proof;
  return { index, body, leafHash, hashes, way: wayUp({ index, leafHash, hashes }, head, proof.known) };
}

/**
 * The body of an entry as the log serves it. Nothing is verified.
 *
 * @throws ClientError `corrupt`; what the source throws
 */
async function entryAt(source: TileSource, size: number, index: number, signal?: AbortSignal): Promise<Uint8Array> {
  const bundle = Math.floor(index / TILE_WIDTH);
  const width = tileWidth(0, bundle, size);
  const bytes = await source.entries(bundle, width, signal);
  try {
    return parseBundle(bytes, width)[index % TILE_WIDTH]!.slice();
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    throw new ClientError('corrupt', `the bundle with the entry ${index} is not whole: ${cause.message}`, { cause });
  }
}

async function proofOf(fetchTile: FetchTile, size: number, index: number) {
  const seen = new Map<string, TileNodes>();
  const keep = async (tile: Tile) => {
    const bytes = await fetchTile(tile);
    seen.set(`${tile.level}/${tile.index}`, new TileNodes(bytes));
    return bytes;
  };
  // The proof may need no tile with a place of the way itself.
  const [hashes] = await Promise.all([proveInclusion(index, size, keep), ...tilesOnWay(index, size).map(keep)]);
  /** Only what stands in a tile as it is: a hash that was computed from others shows nothing. */
  const known: KnownPlace = (begin, end) => {
    const level = levelOf(end - begin);
    if (2 ** level !== end - begin) return undefined;
    const { tile, height, offset } = nodeTile(level, begin / (end - begin));
    const nodes = height === 0 ? seen.get(`${tile.level}/${tile.index}`) : undefined;
    return nodes === undefined || offset >= nodes.width ? undefined : nodes.node(0, offset);
  };
  return { hashes, known };
}

/** The tiles with the hashes of the subtrees that hold the entry: at most seven. */
function tilesOnWay(index: number, size: number): Tile[] {
  const tiles: Tile[] = [];
  let offset = index;
  for (let level = 0; ; level++) {
    const tile = { level, index: Math.floor(offset / TILE_WIDTH), width: 0 };
    const width = tileWidth(level, tile.index, size);
    if (offset % TILE_WIDTH >= width) return tiles;
    tiles.push({ ...tile, width });
    offset = tile.index;
  }
}

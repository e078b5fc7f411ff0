/**
 * Tiles of c2sp.org/tlog-tiles, section "Merkle Tree" (C2SP 1cd32db, 2026-02-05): which file holds each hash of the tree.
 *
 *   tile/<L>/<N>[.p/<W>]          hashes, tile level L in 0..63, tile index N
 *   tile/entries/<N>[.p/<W>]      entry bundle (bundle.ts)
 *
 *   N   zero-padded groups of three digits, all but the last after an "x": 1234067 is x001/x234/067
 *   W   width of a partial tile, 1..255; a full tile has 256 hashes and no suffix
 *
 * The bytes of a tile are its hashes, 32 bytes each: entry i of tile (L, N) is the root over the entries
 * [(N * 256 + i) * 256^L, (N * 256 + i + 1) * 256^L). A partial tile is a prefix of every wider one.
 *
 * Worked example (from the specification): a tree of size 70,000 has 273 full level 0 tiles and one of width 112, one
 * full level 1 tile and one of width 17, and one level 2 tile of width 1.
 */
import { checkedSize, equal } from './bytes.ts';
import { MerkleError } from './errors.ts';
import {
  consistencyNodes,
  consistencyProof,
  inclusionNodes,
  inclusionProof,
  type NodeId,
  type NodeReader,
} from './proof.ts';
import { HASH_SIZE, nodeHash, type Sha256, sha256 } from './rfc6962.ts';

/** Hashes in a full tile. */
export const TILE_WIDTH = 256;
/** Levels of the tree between two tile levels: log2(TILE_WIDTH). */
export const TILE_HEIGHT = 8;
/** Highest tile level that a path may name. */
const MAX_TILE_LEVEL = 63;

export interface Tile {
  /** Tile level, 0..63. */
  readonly level: number;
  /** Index within the level, 0..2^53 - 1. */
  readonly index: number;
  /** Number of hashes, 1..256. */
  readonly width: number;
}

/** `tile/0/x001/234`, or `tile/0/x001/234.p/17`. @throws MerkleError `bad-tile` if a field is out of its range. */
export function tilePath(tile: Tile): string {
  if (!Number.isInteger(tile.level) || tile.level < 0 || tile.level > MAX_TILE_LEVEL) {
    throw new MerkleError('bad-tile', `a tile level is 0 to ${MAX_TILE_LEVEL}, not ${String(tile.level)}`);
  }
  return `tile/${tile.level}/${indexPath(tile.index, tile.width)}`;
}

/** `tile/entries/x001/234`, or `tile/entries/x001/234.p/17`. @throws MerkleError `bad-tile` */
export function entryBundlePath(index: number, width: number): string {
  return `tile/entries/${indexPath(index, width)}`;
}

function indexPath(index: number, width: number): string {
  if (!Number.isSafeInteger(index) || index < 0)
    throw new MerkleError('bad-tile', `not a tile index: ${String(index)}`);
  if (!Number.isInteger(width) || width < 1 || width > TILE_WIDTH) {
    throw new MerkleError('bad-tile', `a tile is 1 to ${TILE_WIDTH} wide, not ${String(width)}`);
  }
  const digits = String(index);
  const groups = digits.padStart(Math.ceil(digits.length / 3) * 3, '0').match(/.../g)!;
  const path = groups.map((group, i) => (i < groups.length - 1 ? `x${group}` : group)).join('/');
  return width === TILE_WIDTH ? path : `${path}.p/${width}`;
}

// Six groups are enough for every index below 2^53. The expression thus bounds the length too.
const PATH = /^tile\/(entries|[0-9]{1,2})\/((?:x[0-9]{3}\/){0,5}[0-9]{3})(?:\.p\/([0-9]{1,3}))?$/;

/** Parses a path of `tilePath`. @throws MerkleError `bad-tile` for any other text. */
export function parseTilePath(path: string): Tile {
  const { kind, index, width } = parsePath(path);
  const tile = { level: Number(kind), index, width };
  if (kind === 'entries' || tilePath(tile) !== path) throw badPath();
  return tile;
}

/** Parses a path of `entryBundlePath`. @throws MerkleError `bad-tile` for any other text. */
export function parseEntryBundlePath(path: string): { index: number; width: number } {
  const { index, width } = parsePath(path);
  if (entryBundlePath(index, width) !== path) throw badPath();
  return { index, width };
}

function parsePath(path: string): { kind: string; index: number; width: number } {
  const match = PATH.exec(path);
  if (match === null) throw badPath();
  const index = Number(match[2]!.replaceAll(/[x/]/g, ''));
  return { kind: match[1]!, index, width: match[3] === undefined ? TILE_WIDTH : Number(match[3]) };
}

function badPath(): MerkleError {
  return new MerkleError('bad-tile', 'not the path of a tile or an entry bundle');
}

/**
 * Width of a tile in a tree of `size`: 256 for a full tile, 1 to 255 for a partial one, 0 if the tree does not have the
 * tile. A bundle has the width of its level 0 tile.
 * @throws MerkleError `bad-number`
 */
export function tileWidth(level: number, index: number, size: number): number {
  checkedSize(level, 'level');
  checkedSize(index, 'index');
  // The division is exact: a safe integer divided by a power of two loses no bit.
  const count = Math.floor(checkedSize(size) / TILE_WIDTH ** level);
  const full = Math.floor(count / TILE_WIDTH);
  if (index < full) return TILE_WIDTH;
  return index === full ? count % TILE_WIDTH : 0;
}

/**
 * The tile that holds the perfect subtree (level, index), and the node's place in that tile: its `height` 0..7 above the
 * tile's hashes, and its `offset` among the nodes of that height.
 */
export function nodeTile(
  level: number,
  index: number,
): { tile: { level: number; index: number }; height: number; offset: number } {
  const height = level % TILE_HEIGHT;
  const across = 2 ** (TILE_HEIGHT - height);
  return {
    tile: { level: Math.floor(level / TILE_HEIGHT), index: Math.floor(index / across) },
    height,
    offset: index % across,
  };
}

/** 2^height for heights 0..8. With this table `node` takes 0.05 µs, with the operator `**` 0.15 µs. */
const SPAN: readonly number[] = Array.from({ length: TILE_HEIGHT + 1 }, (_, height) => 2 ** height);

/** The perfect subtrees within one tile. The first call for an inner node computes its hash; later calls reuse the hash. */
export class TileNodes {
  readonly #hash: Sha256;
  readonly #hashes: Uint8Array;
  /** Inner nodes, height 1 first, 32 bytes each, in one array: 255 small arrays would take four times the memory. */
  #inner: Uint8Array | undefined;
  #known: Uint8Array | undefined;

  /**
   * @param hashes the tile's bytes: `width` times 32. They are not copied, so the caller must not change them.
   * @throws MerkleError `bad-tile` unless `hashes` hold 1 to 256 whole hashes.
   */
  constructor(hashes: Uint8Array, hash: Sha256 = sha256) {
    if (hashes.length === 0 || hashes.length % HASH_SIZE !== 0 || hashes.length > TILE_WIDTH * HASH_SIZE) {
      throw new MerkleError(
        'bad-tile',
        `a tile has 1 to ${TILE_WIDTH} hashes of ${HASH_SIZE} bytes, not ${hashes.length} bytes`,
      );
    }
    this.#hashes = hashes;
    this.#hash = hash;
  }

  /**
   * The same tile in a smaller or a larger tree: one of the two lists of hashes is a prefix of the other. Both objects share
   * their inner nodes, so that a growing tile computes each inner node once.
   * @throws MerkleError `bad-tile` unless `hashes` hold 1 to 256 whole hashes, or if the hashes differ.
   */
  resized(hashes: Uint8Array): TileNodes {
    const resized = new TileNodes(hashes, this.#hash);
    const both = Math.min(hashes.length, this.#hashes.length);
    if (!equal(hashes.subarray(0, both), this.#hashes.subarray(0, both))) {
      throw new MerkleError('bad-tile', 'two widths of one tile have different hashes');
    }
    this.#inner ??= new Uint8Array((TILE_WIDTH - 1) * HASH_SIZE);
    this.#known ??= new Uint8Array(TILE_WIDTH - 1);
    // A node's place does not depend on the width, and `node` serves only nodes whose hashes are all in the tile.
    resized.#inner = this.#inner;
    resized.#known = this.#known;
    return resized;
  }

  /** Number of hashes, 1..256. */
  get width(): number {
    return this.#hashes.length / HASH_SIZE;
  }

  /**
   * Root over the tile's hashes [offset * 2^height, (offset + 1) * 2^height), 32 bytes. The caller must not change it.
   * @throws MerkleError `bad-tile` unless `height` is 0..8 and all of these hashes are in the tile
   */
  node(height: number, offset: number): Uint8Array {
    const inside =
      Number.isInteger(height) && height >= 0 && height <= TILE_HEIGHT && Number.isInteger(offset) && offset >= 0;
    if (!inside || (offset + 1) * SPAN[height]! > this.width) {
      throw new MerkleError('bad-tile', `a tile of width ${this.width} has no node ${offset} at height ${height}`);
    }
    if (height === 0) return this.#hashes.subarray(offset * HASH_SIZE, (offset + 1) * HASH_SIZE);
    this.#inner ??= new Uint8Array((TILE_WIDTH - 1) * HASH_SIZE);
    this.#known ??= new Uint8Array(TILE_WIDTH - 1);
    // Lower heights take 128 + 64 + … places, so height h starts at 256 - 2^(9 - h).
    const at = TILE_WIDTH - 2 * SPAN[TILE_HEIGHT - height]! + offset;
    const place = this.#inner.subarray(at * HASH_SIZE, (at + 1) * HASH_SIZE);
    if (this.#known[at] === 0) {
      place.set(nodeHash(this.node(height - 1, 2 * offset), this.node(height - 1, 2 * offset + 1), this.#hash));
      this.#known[at] = 1;
    }
    return place;
  }
}

/** The tiles of a tree of `size` that hold `nodes`, each once. @throws MerkleError `bad-tile` for a node outside */
export function tilesForNodes(nodes: readonly NodeId[], size: number): Tile[] {
  const tiles = new Map<string, Tile>();
  for (const node of nodes) {
    const { tile, height, offset } = nodeTile(node.level, node.index);
    const width = tileWidth(tile.level, tile.index, size);
    if ((offset + 1) * 2 ** height > width) {
      throw new MerkleError('bad-tile', `a tree of size ${size} has no node ${node.index} at level ${node.level}`);
    }
    tiles.set(`${tile.level}/${tile.index}`, { ...tile, width });
  }
  return [...tiles.values()];
}

/** Fetches the bytes of a tile: exactly `width` hashes of 32 bytes. */
export type FetchTile = (tile: Tile) => Promise<Uint8Array>;

/**
 * Makes an inclusion proof from tiles, which it fetches in parallel. Requires 0 <= index < size. The tiles are not
 * verified: the caller verifies the proof.
 * @throws MerkleError `bad-number`; `bad-tile` if a tile does not have the requested width; and what `fetchTile` throws.
 */
export async function proveInclusion(
  index: number,
  size: number,
  fetchTile: FetchTile,
  hash: Sha256 = sha256,
): Promise<Uint8Array[]> {
  const read = await readTiles(inclusionNodes(index, size), size, fetchTile, hash);
  return inclusionProof(index, size, read, hash);
}

/** Makes a consistency proof, like `proveInclusion`. Requires 0 <= first <= second. */
export async function proveConsistency(
  first: number,
  second: number,
  fetchTile: FetchTile,
  hash: Sha256 = sha256,
): Promise<Uint8Array[]> {
  const read = await readTiles(consistencyNodes(first, second), second, fetchTile, hash);
  return consistencyProof(first, second, read, hash);
}

/** Fetches the tiles of `nodes` in parallel, and returns a reader of these nodes. Errors as for `proveInclusion`. */
export async function readTiles(
  nodes: readonly NodeId[],
  size: number,
  fetchTile: FetchTile,
  hash: Sha256 = sha256,
): Promise<NodeReader> {
  const tiles = tilesForNodes(nodes, size);
  const loaded = new Map<string, TileNodes>();
  await Promise.all(
    tiles.map(async (tile) => {
      const inner = new TileNodes(await fetchTile(tile), hash);
      if (inner.width !== tile.width) {
        throw new MerkleError('bad-tile', `${tilePath(tile)} has ${inner.width} hashes instead of ${tile.width}`);
      }
      loaded.set(`${tile.level}/${tile.index}`, inner);
    }),
  );
  return (level, index) => {
    const { tile, height, offset } = nodeTile(level, index);
    const found = loaded.get(`${tile.level}/${tile.index}`);
    if (found === undefined) throw new MerkleError('bad-tile', `node ${index} at level ${level} was not fetched`);
    return found.node(height, offset);
  };
}

/**
 * One tree as a plain immutable value: the right edge of c2sp.org/tlog-tiles at one size, and the step from one tree to the
 * next ("integrate" in the way of an entry). Pure: no store, no clock.
 *
 * A snapshot carries exactly what no blob holds yet: the partial tile of each level and the entries of the partial bundle.
 * Everything else of the tree is in full tiles and bundles, which never change.
 */
import { encodeBundle } from '../../merkle/bundle.ts';
import { CompactRange } from '../../merkle/range.ts';
import { HASH_SIZE, type Sha256 } from '../../merkle/rfc6962.ts';
import { entryBundlePath, TILE_WIDTH, TileNodes, tilePath } from '../../merkle/tile.ts';
import type { NewEntry, TileBlob } from '../store/types.ts';

const LEVEL_BITS = 8;

export interface Snapshot {
  readonly size: number;
  /** RFC 6962 root hash at `size`, 32 bytes. */
  readonly root: Uint8Array;
  /** The perfect subtrees of `size`. Never appended to, only cloned. */
  readonly range: CompactRange;
  /** By level, the hashes of its partial tile (0 to 255 of 32 bytes). */
  readonly edge: readonly Uint8Array[];
  /** The entries [size - size % 256, size). */
  readonly tail: readonly Uint8Array[];
}

/** A tile that became full: 256 hashes at (level, index). */
interface FullTile {
  readonly level: number;
  readonly index: number;
  readonly hashes: Uint8Array;
}

export interface Integration {
  readonly after: Snapshot;
  readonly tiles: readonly FullTile[];
  /** The new full tiles and entry bundles, in the form that the tile store takes. */
  readonly blobs: readonly TileBlob[];
}

export function emptySnapshot(hash: Sha256): Snapshot {
  const range = CompactRange.empty(hash);
  return { size: 0, root: range.root(), range, edge: [], tail: [] };
}

/** The tree at `size` from its partial tiles (`edge[L]` has `floor(size / 256^L) % 256` hashes) and partial bundle. */
export function snapshotOf(
  size: number,
  edge: readonly Uint8Array[],
  tail: readonly Uint8Array[],
  hash: Sha256,
): Snapshot {
  const hashes: Uint8Array[] = [];
  // The largest subtree comes first: from the partial tile of the top level down, each cut along the bits of its width.
  for (let level = edge.length - 1; level >= 0; level--) {
    const tile = edge[level]!;
    const width = tile.length / HASH_SIZE;
    if (width === 0) continue;
    const nodes = new TileNodes(tile, hash);
    let offset = 0;
    for (let height = LEVEL_BITS - 1; height >= 0; height--) {
      const span = 2 ** height;
      if (Math.floor(width / span) % 2 === 0) continue;
      hashes.push(nodes.node(height, offset / span));
      offset += span;
    }
  }
  const range = CompactRange.from(size, hashes, hash);
  return { size, root: range.root(), range, edge, tail };
}

/** Appends `entries` to the tree of `before`. Amortized, one entry costs one node hash. */
export function integrate(before: Snapshot, entries: readonly NewEntry[]): Integration {
  const range = before.range.clone();
  const levels = before.edge.map((hashes) => new TileFiller(hashes));
  const tiles: FullTile[] = [];
  const blobs: TileBlob[] = [];
  let tail = before.tail.slice();

  const onNode = (height: number, index: number, hash: Uint8Array) => {
    if (height % LEVEL_BITS !== 0) return;
    const level = height / LEVEL_BITS;
    levels[level] ??= new TileFiller(new Uint8Array(0));
    const hashes = levels[level].push(hash);
    if (hashes !== undefined) tiles.push({ level, index: Math.floor(index / TILE_WIDTH), hashes });
  };

  let size = before.size;
  for (const entry of entries) {
    range.append(entry.leafHash, onNode);
    tail.push(entry.body);
    size++;
    if (tail.length === TILE_WIDTH) {
      blobs.push({ name: entryBundlePath(size / TILE_WIDTH - 1, TILE_WIDTH), bytes: encodeBundle(tail) });
      tail = [];
    }
  }
  for (const { level, index, hashes } of tiles) {
    blobs.push({ name: tilePath({ level, index, width: TILE_WIDTH }), bytes: hashes });
  }
  // Bodies are views of a whole batch's buffer. One kept view would hold that buffer in memory.
  const kept = size - tail.length < before.size ? before.tail.length : 0;
  tail = tail.map((body, i) => (i < kept ? body : new Uint8Array(body)));
  const edge = levels.map((filler) => filler.partial());
  return { after: { size, root: range.root(), range, edge, tail }, tiles, blobs };
}

/** The hashes of one level's last tile. The first write copies them, so that the snapshot before stays as it is. */
class TileFiller {
  #hashes: Uint8Array;
  #width: number;
  #owned = false;

  constructor(partial: Uint8Array) {
    this.#hashes = partial;
    this.#width = partial.length / HASH_SIZE;
  }

  /** Returns the tile's 256 hashes where `hash` fills it. */
  push(hash: Uint8Array): Uint8Array | undefined {
    if (!this.#owned) {
      const copy = new Uint8Array(TILE_WIDTH * HASH_SIZE);
      copy.set(this.#hashes);
      this.#hashes = copy;
      this.#owned = true;
    }
    this.#hashes.set(hash, this.#width * HASH_SIZE);
    if (++this.#width < TILE_WIDTH) return undefined;
    const full = this.#hashes;
    this.#hashes = new Uint8Array(0);
    this.#width = 0;
    this.#owned = false;
    return full;
  }

  partial(): Uint8Array {
    return this.#hashes.subarray(0, this.#width * HASH_SIZE);
  }
}

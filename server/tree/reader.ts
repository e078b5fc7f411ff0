/** Reads of one snapshot: tiles and bundles of any width, and proofs to exactly its size. */
import { cutBundle, encodeBundle, parseBundle } from '../../merkle/bundle.ts';
import {
  consistencyNodes,
  consistencyProof,
  inclusionNodes,
  type NodeId,
  type NodeReader,
  rootAt,
  rootNodes,
  verifyConsistency,
} from '../../merkle/proof.ts';
import { HASH_SIZE, type Sha256 } from '../../merkle/rfc6962.ts';
import {
  entryBundlePath,
  nodeTile,
  parseEntryBundlePath,
  parseTilePath,
  TILE_WIDTH,
  TileNodes,
  tilePath,
  tileWidth,
} from '../../merkle/tile.ts';
import { ServerError } from '../errors.ts';
import { retried } from '../store/retry.ts';
import type { TileStore } from '../store/types.ts';
import { TileProver } from './prover.ts';
import { type Snapshot, snapshotOf } from './snapshot.ts';

/**
 * Inner nodes of tiles, the most recently used ones. A tile with its inner nodes has 16 KiB, so the default is 16 MiB:
 * enough for the tiles that proofs near the right edge share. Of a partial tile the cache keeps the widest version, so that
 * one publication need not hash the nodes of the last one again: 5 µs of a signed entry with 256 clients.
 */
export class TileCache {
  readonly #tiles = new Map<string, TileNodes>();
  readonly #capacity: number;

  constructor(capacity = 1024) {
    this.#capacity = capacity;
  }

  /** The full tile, or undefined where the cache does not have it. */
  full(level: number, index: number): TileNodes | undefined {
    const key = `${level}/${index}`;
    const nodes = this.#tiles.get(key);
    if (nodes?.width !== TILE_WIDTH) return undefined;
    this.#tiles.delete(key);
    this.#tiles.set(key, nodes);
    return nodes;
  }

  /** The tile with these final hashes. @throws MerkleError `bad-tile` where it had others at another width */
  tile(level: number, index: number, hashes: Uint8Array, hash: Sha256): TileNodes {
    const key = `${level}/${index}`;
    const kept = this.#tiles.get(key);
    const nodes = kept?.resized(hashes) ?? new TileNodes(hashes, hash);
    const widest = kept !== undefined && kept.width > nodes.width ? kept : nodes;
    this.#tiles.delete(key);
    this.#tiles.set(key, widest);
    if (this.#tiles.size > this.#capacity) this.#tiles.delete(this.#tiles.keys().next().value!);
    return nodes;
  }
}

/** What a reader needs of a tile store. */
interface StoreReads extends Pick<TileStore, 'get' | 'atHand'> {
  /** The right bytes of a full tile whose file is damaged, for proofs; see `VerifiedTiles`. @throws `damage` */
  remade?(level: number, index: number, damage: unknown): Promise<Uint8Array>;
}

export class TreeReader {
  readonly snapshot: Snapshot;
  readonly #store: StoreReads;
  readonly #cache: TileCache;
  readonly #hash: Sha256;
  readonly #partial = new Map<number, TileNodes>();

  constructor(snapshot: Snapshot, store: StoreReads, cache: TileCache, hash: Sha256) {
    this.snapshot = snapshot;
    this.#store = store;
    this.#cache = cache;
    this.#hash = hash;
  }

  /** `width` hashes of 32 bytes, or undefined where the tile has fewer in this tree. */
  async tile(level: number, index: number, width: number): Promise<Uint8Array | undefined> {
    const has = tileWidth(level, index, this.snapshot.size);
    if (width < 1 || width > has) return undefined;
    const bytes = has < TILE_WIDTH ? this.snapshot.edge[level]! : await this.#fullTile(level, index);
    return bytes.subarray(0, width * HASH_SIZE);
  }

  /** Up to 256 leaf hashes of 32 bytes in level 0 tile `index`. No cache keeps them. */
  async leafHashes(index: number): Promise<Uint8Array> {
    const full = tileWidth(0, index, this.snapshot.size) === TILE_WIDTH;
    return full ? await this.#goodTile(0, index, { once: true }) : this.snapshot.edge[0]!;
  }

  /** The leaf hash of entry `index`, 32 bytes. Requires 0 <= index < size. */
  async leafHash(index: number): Promise<Uint8Array> {
    return (await this.#nodes(0, Math.floor(index / TILE_WIDTH))).node(0, index % TILE_WIDTH);
  }

  /** The bundle's first `width` entries, encoded, or undefined where the bundle has fewer in this tree. */
  async entryBundle(index: number, width: number): Promise<Uint8Array | undefined> {
    const has = tileWidth(0, index, this.snapshot.size);
    if (width < 1 || width > has) return undefined;
    if (has < TILE_WIDTH) return encodeBundle(this.snapshot.tail.slice(0, width));
    const bytes = await this.#blob(entryBundlePath(index, TILE_WIDTH));
    return width === TILE_WIDTH ? bytes : cutBundle(bytes, width);
  }

  /** The full tile or bundle at `path`, where a cache has it and this tree has it. `path` may be any text. */
  atHand(path: string): Uint8Array | undefined {
    const bytes = this.#store.atHand?.(path);
    // A store has nothing at a path that is not one.
    if (bytes === undefined) return undefined;
    // The bytes may belong to a larger tree, which is committed and not public yet.
    const { level, index, width } = path.startsWith('tile/entries/')
      ? { level: 0, ...parseEntryBundlePath(path) }
      : parseTilePath(path);
    return width <= tileWidth(level, index, this.snapshot.size) ? bytes : undefined;
  }

  /** Requires 0 <= index < size. */
  async entry(index: number): Promise<Uint8Array> {
    const { size, tail } = this.snapshot;
    const inTail = index - (size - tail.length);
    if (inTail >= 0) return tail[inTail]!;
    const bundleIndex = Math.floor(index / TILE_WIDTH);
    const bytes = await this.#blob(entryBundlePath(bundleIndex, TILE_WIDTH));
    return parseBundle(bytes, TILE_WIDTH)[index % TILE_WIDTH]!;
  }

  /**
   * A function that makes the inclusion proof of any of `indexes` without waiting, from the entry's leaf hash. It throws
   * MerkleError `bad-proof` where the proof does not lead to the root: that is a fault of this log, and the proof must not
   * leave the log.
   */
  async prover(indexes: readonly number[]): Promise<(index: number, leafHash: Uint8Array) => Uint8Array[]> {
    const { size } = this.snapshot;
    const tiles = new Set(indexes.map((index) => Math.floor(index / TILE_WIDTH)));
    const nodes: NodeId[] = [];
    for (const tile of tiles) nodes.push(...inclusionNodes(tile * TILE_WIDTH, size));
    const read = await this.#load(nodes);
    const provers = new Map<number, TileProver>();
    for (const tile of tiles) {
      provers.set(tile, new TileProver(tile, this.snapshot, await this.#nodes(0, tile), read, this.#hash));
    }
    return (index, leafHash) => provers.get(Math.floor(index / TILE_WIDTH))!.prove(index % TILE_WIDTH, leafHash);
  }

  /**
   * Requires 0 <= first <= second <= size. The proof is verified as a client does it, and a proof to `second` below the size
   * by a second one from there to this tree's root.
   * @throws MerkleError `bad-proof` where it does not lead to this tree: that is a fault of this log
   */
  async consistencyProof(first: number, second: number): Promise<Uint8Array[]> {
    if (first === 0 || first === second) return [];
    const { size, root } = this.snapshot;
    const secondRoot = second === size ? root : await this.rootAt(second);
    const hashes = await this.#proof(first, second, secondRoot);
    if (second < size) await this.#proof(second, size, root);
    return hashes;
  }

  async #proof(first: number, second: number, secondRoot: Uint8Array): Promise<Uint8Array[]> {
    const firstRoot = await this.rootAt(first);
    const read = await this.#load(consistencyNodes(first, second));
    const hashes = consistencyProof(first, second, read, this.#hash);
    verifyConsistency({ first, second, firstRoot, secondRoot, hashes }, this.#hash);
    return hashes;
  }

  /** The root hash of the first `size` entries. Requires 0 <= size <= the size of this tree. */
  async rootAt(size: number): Promise<Uint8Array> {
    return rootAt(size, await this.#load(rootNodes(size)), this.#hash);
  }

  /** The snapshot of the first `size` entries. Requires 0 <= size <= the size of this tree. */
  async snapshotAt(size: number): Promise<Snapshot> {
    const edge: Uint8Array[] = [];
    for (let level = 0, width = size; width > 0; level++, width = Math.floor(width / TILE_WIDTH)) {
      const index = Math.floor(width / TILE_WIDTH);
      edge.push(width % TILE_WIDTH === 0 ? new Uint8Array(0) : (await this.tile(level, index, width % TILE_WIDTH))!);
    }
    const width = size % TILE_WIDTH;
    const bundle = width === 0 ? undefined : await this.entryBundle(Math.floor(size / TILE_WIDTH), width);
    return snapshotOf(size, edge, bundle === undefined ? [] : parseBundle(bundle, width), this.#hash);
  }

  async #load(nodes: readonly NodeId[]): Promise<NodeReader> {
    const levels: Map<number, TileNodes>[] = [];
    for (const node of nodes) {
      const { tile } = nodeTile(node.level, node.index);
      levels[tile.level] ??= new Map();
      const level = levels[tile.level]!;
      if (!level.has(tile.index)) level.set(tile.index, await this.#nodes(tile.level, tile.index));
    }
    return (level, index) => {
      const { tile, height, offset } = nodeTile(level, index);
      return levels[tile.level]!.get(tile.index)!.node(height, offset);
    };
  }

  async #nodes(level: number, index: number): Promise<TileNodes> {
    if (tileWidth(level, index, this.snapshot.size) === TILE_WIDTH) {
      const kept = this.#cache.full(level, index);
      return kept ?? this.#cache.tile(level, index, await this.#goodTile(level, index), this.#hash);
    }
    let nodes = this.#partial.get(level);
    if (nodes === undefined) {
      nodes = this.#cache.tile(level, index, this.snapshot.edge[level]!, this.#hash);
      this.#partial.set(level, nodes);
    }
    return nodes;
  }

  /** The hashes of the tile, also where its file is damaged. */
  async #goodTile(level: number, index: number, options?: { readonly once: boolean }): Promise<Uint8Array> {
    try {
      return await this.#fullTile(level, index, options);
    } catch (error) {
      if (this.#store.remade === undefined) throw error;
      return await this.#store.remade(level, index, error);
    }
  }

  #fullTile(level: number, index: number, options?: { readonly once: boolean }): Promise<Uint8Array> {
    return this.#blob(tilePath({ level, index, width: TILE_WIDTH }), options);
  }

  async #blob(name: string, options?: { readonly once: boolean }): Promise<Uint8Array> {
    const bytes = await retried(() => this.#store.get(name, options));
    if (bytes !== undefined) return bytes;
    throw new ServerError(
      'corrupt',
      `the file ${name} is missing, though the committed tree contains it. Restore the data directory from a backup ` +
        'with `stele log restore`.',
    );
  }
}

/**
 * The tiles above level 0. They grow out of the roots of the bundles. Each is compared with the log's tile when it is full,
 * the partial ones at the end. Memory holds the right edge, at most 8 KiB a level, whatever the size of the tree.
 */
import { CompactRange } from '../../merkle/range.ts';
import { HASH_SIZE } from '../../merkle/rfc6962.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { TILE_HEIGHT, TILE_WIDTH, type Tile, TileNodes, tilePath } from '../../merkle/tile.ts';
import type { TileSource } from '../tiles/types.ts';
import { AuditProblem, about } from './audit-problem.ts';

const FULL_TILE = TILE_WIDTH * HASH_SIZE;

export class Levels {
  /** The unfinished tile of each level from 1 on: its hashes, one after the other. */
  readonly #edge: { bytes: Uint8Array; width: number }[] = [];
  readonly #source: TileSource;
  readonly #signal: AbortSignal | undefined;
  #bundles = 0;

  constructor(source: TileSource, signal?: AbortSignal) {
    this.#source = source;
    this.#signal = signal;
  }

  /** Number of full bundles below. */
  get bundles(): number {
    return this.#bundles;
  }

  /** The hashes of the unfinished tiles, level 1 first; `restore` takes them. */
  save(): Uint8Array[] {
    return this.#edge.map(({ bytes, width }) => bytes.slice(0, width * HASH_SIZE));
  }

  /** Goes on after `bundles` bundles. False where the widths of the edge do not follow from this number. */
  restore(bundles: number, edge: readonly Uint8Array[]): boolean {
    let rest = bundles;
    for (const [i, bytes] of edge.entries()) {
      if (bytes.length !== (rest % TILE_WIDTH) * HASH_SIZE) return false;
      const room = new Uint8Array(FULL_TILE);
      room.set(bytes);
      this.#edge[i] = { bytes: room, width: rest % TILE_WIDTH };
      rest = Math.floor(rest / TILE_WIDTH);
    }
    this.#bundles = bundles;
    return rest === 0;
  }

  /** Adds the root over the next full bundle. @throws AuditProblem, and what the source throws */
  async push(root: Uint8Array): Promise<void> {
    await this.#pushAt(1, root);
    this.#bundles++;
  }

  async #pushAt(level: number, hash: Uint8Array): Promise<void> {
    this.#edge[level - 1] ??= { bytes: new Uint8Array(FULL_TILE), width: 0 };
    const tile = this.#edge[level - 1]!;
    tile.bytes.set(hash, tile.width * HASH_SIZE);
    if (tile.width + 1 === TILE_WIDTH) {
      await this.#compare(level, this.#indexOf(level), tile.bytes);
      await this.#pushAt(level + 1, new Uint8Array(new TileNodes(tile.bytes, fastSha256).node(TILE_HEIGHT, 0)));
    }
    // Not before the comparison: where the source cannot read a tile, the edge stays as it was, and may be saved.
    tile.width = (tile.width + 1) % TILE_WIDTH;
  }

  /** Compares the partial tiles, which a source may keep elsewhere. @throws AuditProblem, and what the source throws */
  async finish(): Promise<void> {
    for (const [i, { bytes, width }] of this.#edge.entries()) {
      if (width > 0) await this.#compare(i + 1, this.#indexOf(i + 1), bytes.subarray(0, width * HASH_SIZE));
    }
  }

  /** The root of the tree of all bundles so far and `leaves` (0 to 255 leaf hashes) after them. */
  rootWith(leaves: Uint8Array): Uint8Array {
    const hashes = this.save().reverse().flatMap(subtrees);
    const size = this.#bundles * TILE_WIDTH + leaves.length / HASH_SIZE;
    return CompactRange.from(size, [...hashes, ...subtrees(leaves)], fastSha256).root();
  }

  /** Index of the unfinished tile of a level: the next bundle is below it. */
  #indexOf(level: number): number {
    return Math.floor(this.#bundles / TILE_WIDTH ** level);
  }

  async #compare(level: number, index: number, expected: Uint8Array): Promise<void> {
    const tile: Tile = { level, index, width: expected.length / HASH_SIZE };
    const path = tilePath(tile);
    const first = index * TILE_WIDTH ** (level + 1);
    let stored: Uint8Array;
    try {
      stored = await about(path, first, this.#source.tile(tile, this.#signal));
    } catch (error) {
      const elsewhere = tile.width < TILE_WIDTH && this.#source.partialsElsewhere !== undefined;
      if (elsewhere && error instanceof AuditProblem && error.code === 'missing') return;
      throw error;
    }
    if (Buffer.compare(stored, expected) === 0) return;
    const at = Math.floor(expected.findIndex((byte, i) => byte !== stored[i]) / HASH_SIZE);
    const entry = first + at * TILE_WIDTH ** level;
    const message = `${path} does not follow from the entries: its hash ${at} is not that over the ${TILE_WIDTH ** level} entries from ${entry} on`;
    throw new AuditProblem('corrupt', path, message, entry);
  }
}

/** The perfect subtrees over up to 256 hashes, the largest first. */
function subtrees(hashes: Uint8Array): readonly Uint8Array[] {
  const range = CompactRange.empty(fastSha256);
  for (let at = 0; at < hashes.length; at += HASH_SIZE) range.append(hashes.subarray(at, at + HASH_SIZE));
  return range.hashes;
}

/**
 * Inclusion proofs of the entries of one level 0 tile, each checked before it is handed out.
 *
 * A level 0 tile, the partial one at the right edge too, is a subtree of RFC 6962 section 2.1: sizes are split at powers
 * of two, so no split goes through a tile before all tiles are apart. Hence the proof of an entry is its proof within the
 * tile, followed by the proof of the tile in the tree whose leaves are the tiles:
 *
 *     size 700, entry 300:  PATH(44, the 256 entries of tile 1) : PATH(1, the 3 tiles)
 *
 * The second part is the same for all entries of a tile, so it is made and checked once. Measured (bench/micro/proof.ts,
 * 512 entries of a tree of 70,100, each proof checked): 15 µs an entry, against 26 with whole proofs, both at a time when
 * the machine hashed a node in 1 µs.
 */
import { inclusionProof, type NodeReader, rootAt, verifyInclusion } from '../../merkle/proof.ts';
import type { Sha256 } from '../../merkle/rfc6962.ts';
import { TILE_WIDTH, type TileNodes } from '../../merkle/tile.ts';

export class TileProver {
  readonly #width: number;
  /** RFC 6962 root of the tile's entries alone. */
  readonly #root: Uint8Array;
  readonly #above: readonly Uint8Array[];
  readonly #read: NodeReader;
  readonly #hash: Sha256;

  /**
   * Level 0 tile number `tile` of the tree with this size and root; `read` gives the nodes of the tree, `nodes` those of
   * the tile. Throws MerkleError `bad-proof` where they do not lead to the root.
   */
  constructor(
    tile: number,
    tree: { readonly size: number; readonly root: Uint8Array },
    nodes: TileNodes,
    read: NodeReader,
    hash: Sha256,
  ) {
    const { size, root } = tree;
    this.#width = nodes.width;
    this.#read = (level, index) => nodes.node(level, index);
    this.#hash = hash;
    this.#root = rootAt(this.#width, this.#read, hash);
    const within = inclusionProof(0, this.#width, this.#read, hash);
    this.#above = inclusionProof(tile * TILE_WIDTH, size, read, hash).slice(within.length);
    const tiles = Math.ceil(size / TILE_WIDTH);
    verifyInclusion({ index: tile, size: tiles, leafHash: this.#root, root, hashes: this.#above }, hash);
  }

  /**
   * The proof of the entry at `offset`, 0 <= offset < width. Throws MerkleError `bad-proof` where it does not lead from
   * `leafHash` to the root.
   */
  prove(offset: number, leafHash: Uint8Array): Uint8Array[] {
    const hashes = inclusionProof(offset, this.#width, this.#read, this.#hash);
    verifyInclusion({ index: offset, size: this.#width, leafHash, root: this.#root, hashes }, this.#hash);
    hashes.push(...this.#above);
    return hashes;
  }
}

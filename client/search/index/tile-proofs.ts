/** Inclusion proofs from the tiles in the index: no log is asked. */
import { MerkleError } from '../../../merkle/errors.ts';
import { inclusionNodes, inclusionProof, verifyInclusion } from '../../../merkle/proof.ts';
import { fastSha256 } from '../../../merkle/runtime/crypto/hash.ts';
import { nodeTile, TileNodes, tilesForNodes } from '../../../merkle/tile.ts';
import { ClientError } from '../../errors.ts';
import type { IndexStore } from './index-store.ts';
import { tileKey } from './log-index.ts';
import type { AnsweredHead } from './log-record.ts';

/** Tiles in memory, 16 KiB each with their inner nodes. */
const KEPT = 1024;

interface ProvenLeaf {
  readonly index: number;
  readonly leafHash: Uint8Array;
  readonly proof: readonly Uint8Array[];
}

export class TileProofs {
  readonly #store: IndexStore;
  /** By the tile's key and width. */
  readonly #kept = new Map<string, TileNodes>();

  constructor(store: IndexStore) {
    this.#store = store;
  }

  /**
   * Leaf hashes and proofs in the tree of `head`, each verified against its root.
   *
   * @throws ClientError `state`: the tiles in the index are not those of the tree; RuntimeError `store`
   */
  async prove(log: number, indexes: readonly number[], { size, root }: AnsweredHead): Promise<ProvenLeaf[]> {
    const nodes = indexes.flatMap((index) => [{ level: 0, index }, ...inclusionNodes(index, size)]);
    try {
      const read = await this.#read(log, nodes, size);
      return indexes.map((index) => {
        const leafHash = read(0, index).slice();
        const proof = inclusionProof(index, size, read, fastSha256).map((hash) => hash.slice());
        verifyInclusion({ index, size, leafHash, root, hashes: proof }, fastSha256);
        return { index, leafHash, proof };
      });
    } catch (cause) {
      if (!(cause instanceof MerkleError)) throw cause;
      const why = `the tiles in the index do not lead to the root of size ${size}: its files are damaged`;
      throw new ClientError('state', `${why}. Build it anew with --rebuild`, { cause });
    }
  }

  async #read(log: number, nodes: Parameters<typeof tilesForNodes>[0], size: number) {
    const tiles = new Map<string, TileNodes>();
    const missing: { readonly place: string; readonly name: string; readonly key: Buffer; readonly width: number }[] =
      [];
    for (const { level, index, width } of tilesForNodes(nodes, size)) {
      const [place, name] = [`${level}/${index}`, `${log}/${level}/${index}/${width}`];
      const found = this.#kept.get(name);
      if (found === undefined) missing.push({ place, name, key: tileKey(log, level, index), width });
      else {
        this.#kept.delete(name);
        this.#kept.set(name, found);
        tiles.set(place, found);
      }
    }
    const rows = await this.#store.getMany(missing.map(({ key }) => key));
    for (const [i, { place, name, width }] of missing.entries()) {
      // A tile in the store may have grown since.
      const tile = new TileNodes(new Uint8Array(rows[i] ?? []).slice(0, 32 * width), fastSha256);
      tiles.set(place, tile);
      this.#kept.set(name, tile);
      if (this.#kept.size > KEPT) this.#kept.delete(this.#kept.keys().next().value!);
    }
    return (level: number, index: number): Uint8Array => {
      const { tile, height, offset } = nodeTile(level, index);
      return tiles.get(`${tile.level}/${tile.index}`)!.node(height, offset);
    };
  }
}

/** A verifiable index in memory: map, posting logs, and an output log with its checkpoints. Nobody signs the checkpoints. */
import { formatCheckpoint } from '../../merkle/checkpoint.ts';
import { extractKeys } from '../../merkle/index/extract.ts';
import { type IndexKey, keyHash } from '../../merkle/index/keys.ts';
import { type Lookup, type LookupPostings, MAX_POSTINGS } from '../../merkle/index/lookup.ts';
import { postingHash } from '../../merkle/index/map-hashes.ts';
import { formatOutputLeaf } from '../../merkle/index/map-leaf.ts';
import { lookupPlace, lookupPostings, MapTree } from '../../merkle/index/map-tree.ts';
import { formatNote } from '../../merkle/note.ts';
import { inclusionProof, type NodeReader, rootAt } from '../../merkle/proof.ts';
import { leafHash, nodeHash } from '../../merkle/rfc6962.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';

export const INPUT_ORIGIN = 'log.example.com/input';
export const OUTPUT_ORIGIN = 'index.example.com/output';

/** The hash of any perfect subtree over leaf hashes. */
export function nodesOf(leaves: readonly Uint8Array[]): NodeReader {
  const read: NodeReader = (level, index) =>
    level === 0 ? leaves[index]! : nodeHash(read(level - 1, 2 * index), read(level - 1, 2 * index + 1), fastSha256);
  return read;
}

export function noteOf(origin: string, leaves: readonly Uint8Array[], extensions: readonly string[] = []): string {
  const root = rootAt(leaves.length, nodesOf(leaves), fastSha256);
  const signature = { name: origin, keyId: new Uint8Array(4), signature: new Uint8Array(64) };
  return formatNote(formatCheckpoint({ origin, size: leaves.length, root, extensions }), [signature]);
}

const hexOf = (hash: Uint8Array) => Buffer.from(hash).toString('hex');

export class MemoryIndex {
  tree = MapTree.empty(fastSha256);
  readonly #inputLeaves: Uint8Array[] = [];
  readonly #outputLeaves: Uint8Array[] = [];
  readonly #postings = new Map<string, number[]>();
  #outputLeaf = new Uint8Array();
  readonly #sign: (origin: string, leaves: readonly Uint8Array[]) => string;

  /** @param sign gives the checkpoint over the leaf hashes as a signed note; by default nobody signs it */
  constructor(sign: (origin: string, leaves: readonly Uint8Array[]) => string = noteOf) {
    this.#sign = sign;
  }

  get inputLeaves(): readonly Uint8Array[] {
    return this.#inputLeaves;
  }

  get outputLeaves(): readonly Uint8Array[] {
    return this.#outputLeaves;
  }

  /** The newest leaf of the output log. */
  get outputLeaf(): Uint8Array {
    return this.#outputLeaf;
  }

  get keys(): readonly string[] {
    return [...this.#postings.keys()];
  }

  add(body: Uint8Array): void {
    this.addKeys(
      leafHash(body, fastSha256),
      extractKeys(body, fastSha256).map((key) => keyHash(key, fastSha256)),
    );
  }

  addKeys(entryHash: Uint8Array, hashes: readonly Uint8Array[]): void {
    const index = this.#inputLeaves.push(entryHash) - 1;
    for (const hash of hashes) {
      const postings = this.#postings.get(hexOf(hash)) ?? [];
      postings.push(index);
      this.#postings.set(hexOf(hash), postings);
      this.#changed.add(hexOf(hash));
    }
  }
  readonly #changed = new Set<string>();

  /** Appends the root of the map to the output log. */
  publish(): void {
    const leaves = [...this.#changed].map((hex) => {
      const postings = this.#postings.get(hex)!;
      const root = rootAt(
        postings.length,
        nodesOf(postings.map((index) => postingHash(index, fastSha256))),
        fastSha256,
      );
      return { keyHash: new Uint8Array(Buffer.from(hex, 'hex')), count: postings.length, postingRoot: root };
    });
    this.#changed.clear();
    this.tree = this.tree.with(leaves);
    const inputCheckpoint = this.#sign(INPUT_ORIGIN, this.#inputLeaves);
    this.#outputLeaf = new Uint8Array(
      formatOutputLeaf({ root: this.tree.root, keys: this.tree.keys, inputCheckpoint }),
    );
    this.#outputLeaves.push(leafHash(this.#outputLeaf, fastSha256));
  }

  lookup(key: IndexKey, since = 0, limit = MAX_POSTINGS): Lookup {
    return this.lookupHash(keyHash(key, fastSha256), since, limit);
  }

  lookupHash(hash: Uint8Array, since = 0, limit = MAX_POSTINGS): Lookup {
    const path = this.tree.path(hash);
    const all = this.#postings.get(hexOf(hash));
    let postings: LookupPostings | undefined;
    if (all !== undefined) {
      const read = nodesOf(all.map((index) => postingHash(index, fastSha256)));
      postings = lookupPostings(all.length, since, all.slice(since, since + limit), read, fastSha256);
    }
    const size = this.#outputLeaves.length;
    return {
      siblings: path.siblings,
      place: lookupPlace(path, postings),
      outputLeaf: this.#outputLeaf,
      outputProof: inclusionProof(size - 1, size, nodesOf(this.#outputLeaves), fastSha256),
      outputCheckpoint: this.#sign(OUTPUT_ORIGIN, this.#outputLeaves),
    };
  }
}

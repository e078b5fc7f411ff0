/**
 * Postings of one key, and hashes of its posting log, from its chunks. An answer reads the chunks that it has postings of, and
 * about as many more as its proof has hashes: not all postings of the key.
 */
import type { NodeId, NodeReader } from '../../../merkle/proof.ts';
import { nodeHash } from '../../../merkle/rfc6962.ts';
import { fastSha256 } from '../../../merkle/runtime/crypto/hash.ts';
import { CHUNK, type Chunk, type KeyPostings } from './key-postings.ts';
import type { PostingLog } from './posting-log.ts';

/** Levels of the tree below the root of a chunk. */
const CHUNK_LEVEL = 8;

export class PostingReader {
  readonly postings: KeyPostings;
  readonly #chunk: (index: number) => Promise<Chunk>;
  readonly #hashes: PostingLog;
  /** Chunks of this answer. */
  readonly #read = new Map<number, Promise<Chunk>>();

  /** @param chunk reads a full chunk */
  constructor(chunk: (index: number) => Promise<Chunk>, postings: KeyPostings, hashes: PostingLog) {
    this.postings = postings;
    this.#chunk = chunk;
    this.#hashes = hashes;
  }

  /** The postings [from, to), of which there are as many. */
  async slice(from: number, to: number): Promise<number[]> {
    const found: number[] = [];
    for (let at = from; at < to; ) {
      const index = Math.floor(at / CHUNK);
      const { rest } = await this.#at(index);
      const end = Math.min(to - index * CHUNK, rest.length);
      for (let i = at % CHUNK; i < end; i++) found.push(rest[i]!);
      at = index * CHUNK + end;
    }
    return found;
  }

  /** A reader of these perfect subtrees of the posting log. */
  async nodes(nodes: readonly NodeId[]): Promise<NodeReader> {
    const read = new Map<string, Uint8Array>();
    // Each chunk comes from another thread: all of them are asked for at once.
    const work = nodes.map(async ({ level, index }) => read.set(`${level}/${index}`, await this.#node(level, index)));
    await Promise.all(work);
    return (level, index) => {
      const hash = read.get(`${level}/${index}`);
      if (hash === undefined) throw new Error(`the node ${index} at level ${level} was not read`);
      return hash;
    };
  }

  async #node(level: number, index: number): Promise<Uint8Array> {
    if (level <= CHUNK_LEVEL) {
      const width = 2 ** level;
      return this.#hashes.root({ edge: [], rest: await this.slice(index * width, (index + 1) * width) });
    }
    // The last subtree of the edge behind it, where it is a left half. A right half is joined from its own halves.
    if (index % 2 === 0) return (await this.#at((index + 1) * 2 ** (level - CHUNK_LEVEL))).edge.at(-1)!;
    const halves = await Promise.all([this.#node(level - 1, 2 * index), this.#node(level - 1, 2 * index + 1)]);
    return nodeHash(halves[0], halves[1], fastSha256);
  }

  /** A chunk with the edge before it; behind the last full one what follows. */
  async #at(index: number): Promise<Chunk> {
    if (index >= Math.floor(this.postings.count / CHUNK)) return this.postings;
    const chunk = this.#read.get(index) ?? this.#chunk(index);
    this.#read.set(index, chunk);
    return await chunk;
  }
}

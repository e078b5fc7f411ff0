/** The hashes of posting logs and of leaves (docs/index.md), computed in one piece of memory without an object for each. */
import { rangeHasher, rootInPlace } from '../../../merkle/runtime/crypto/rangehash.ts';
import { CHUNK, type KeyPostings } from './key-postings.ts';

const HASH = 32;
const KEY_LEAF = 2;
/** A leaf of a posting log: 0x00 and the posting. The leaf of a key: 0x02, key hash, count, root of the posting log. */
const POSTING_LEAF_BYTES = 9;
const LEAF_BYTES = 1 + HASH + 8 + HASH;
const LEAF_AT = 16;
const ROOT_AT = LEAF_AT + LEAF_BYTES - HASH;
const NODE_AT = 128;
/** The hashes of a chunk: each run of a power of two behind a byte that `rootInPlace` overwrites. */
const RUNS_AT = 256;
const RUN_ROOM = CHUNK * HASH + 2 * HASH;

/** 256 -> 8 runs at most; the edge has one hash for each perfect subtree of full chunks. */
type Postings = Pick<KeyPostings, 'edge' | 'rest'>;

export class PostingLog {
  readonly #hasher = rangeHasher(RUNS_AT + RUN_ROOM);
  readonly #memory = this.#hasher.memory;

  /**
   * Writes the leaf hash of a key (32 bytes) to `out` at `at`, where `keys` has the key.
   * @param count the postings of edge and rest
   */
  leaf(keys: Uint8Array, { count, edge, rest }: Omit<KeyPostings, 'last'>, out: Uint8Array, at: number): void {
    this.#root(edge, rest);
    this.#leaf(keys, count, out, at);
  }

  /** The same for a key with one posting. */
  leafOfOne(keys: Uint8Array, posting: number, out: Uint8Array, at: number): void {
    this.#posting(posting, ROOT_AT);
    this.#leaf(keys, 1, out, at);
  }

  #leaf(keys: Uint8Array, count: number, out: Uint8Array, at: number): void {
    const memory = this.#memory;
    memory[LEAF_AT] = KEY_LEAF;
    for (let i = 0; i < HASH; i++) memory[LEAF_AT + 1 + i] = keys[at + i]!;
    uint64(memory, LEAF_AT + 1 + HASH, count);
    this.#hasher.hash(LEAF_AT, LEAF_BYTES, NODE_AT);
    for (let i = 0; i < HASH; i++) out[at + i] = memory[NODE_AT + i]!;
  }

  /** The root of the posting log, 32 bytes. It has at least one posting. */
  root({ edge, rest }: Postings): Uint8Array {
    this.#root(edge, rest);
    return this.#memory.slice(ROOT_AT, ROOT_AT + HASH);
  }

  /** The edge behind `chunk`, which has 256 postings and the number `index`. */
  edgeBehind({ edge, rest }: Postings, index: number): Uint8Array[] {
    this.#root([], rest);
    let hash: Uint8Array = this.#memory.slice(ROOT_AT, ROOT_AT + HASH);
    const after = [...edge];
    for (let number = index; number % 2 === 1; number = (number - 1) / 2) hash = this.#node(after.pop()!, hash);
    after.push(hash);
    return after;
  }

  #node(left: Uint8Array, right: Uint8Array): Uint8Array {
    this.#memory[NODE_AT] = 1;
    this.#memory.set(left, NODE_AT + 1);
    this.#memory.set(right, NODE_AT + 1 + HASH);
    this.#hasher.hash(NODE_AT, 1 + 2 * HASH, NODE_AT);
    return this.#memory.slice(NODE_AT, NODE_AT + HASH);
  }

  /** Writes the root to ROOT_AT. */
  #root(edge: readonly Uint8Array[], rest: readonly number[]): void {
    const memory = this.#memory;
    if (edge.length === 0 && rest.length === 1) {
      this.#posting(rest[0]!, ROOT_AT);
      return;
    }
    // The perfect subtrees of the rest from the left to the right, the largest first.
    const runs: number[] = [];
    let at = RUNS_AT + 1;
    for (let done = 0, width = CHUNK; done < rest.length; width /= 2) {
      if (rest.length - done < width) continue;
      for (let i = 0; i < width; i++) this.#posting(rest[done + i]!, at + i * HASH);
      rootInPlace(this.#hasher, at, width);
      runs.push(at);
      done += width;
      at += width * HASH + 1;
    }
    let root: Uint8Array | undefined;
    for (const run of runs.reverse()) root = this.#joined(memory.slice(run, run + HASH), root);
    for (let i = edge.length - 1; i >= 0; i--) root = this.#joined(edge[i]!, root);
    memory.set(root!, ROOT_AT);
  }

  #joined(left: Uint8Array, right: Uint8Array | undefined): Uint8Array {
    return right === undefined ? left : this.#node(left, right);
  }

  /** Writes the leaf hash of a posting to `to`. */
  #posting(index: number, to: number): void {
    this.#memory[0] = 0;
    uint64(this.#memory, 1, index);
    this.#hasher.hash(0, POSTING_LEAF_BYTES, to);
  }
}

function uint64(memory: Uint8Array, at: number, value: number): void {
  const high = Math.floor(value / 2 ** 32);
  const low = value >>> 0;
  for (let i = 0; i < 4; i++) {
    memory[at + i] = high >>> (24 - 8 * i);
    memory[at + 4 + i] = low >>> (24 - 8 * i);
  }
}

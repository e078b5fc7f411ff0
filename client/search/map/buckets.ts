/**
 * The buckets of the trie: up to 24 entries in the order of their keys, in a chain of blocks of four.
 *
 * A bucket is named by one negative number: -1 minus 24 times its first block minus its length less one.
 */
import { PREFIX_BYTES } from './key-bits.ts';
import { Records } from './records.ts';

/** 12 bytes of the key hash, 32 of the leaf hash. */
export const ENTRY = PREFIX_BYTES + 32;
/** Most entries of a bucket. */
export const BUCKET = 24;
const ENTRY_WORDS = ENTRY / 4;
const PER_BLOCK = 4;
/** The number of the next block, then the entries. */
const BLOCK = 4 + PER_BLOCK * ENTRY;

export class Buckets {
  readonly #records = new Records(BLOCK);
  /** Where entries are gathered, and made into buckets. */
  readonly #words: Int32Array;

  constructor(words: Int32Array) {
    this.#words = words;
  }

  get memory(): number {
    return this.#records.memory;
  }

  /** Bytes that only the snapshot still needs. */
  get retired(): number {
    return this.#records.retired * BLOCK;
  }

  moveOn(): void {
    this.#records.moveOn();
  }

  /** Copies the entries of a bucket to the first of the gathered entries. Returns how many. */
  gather(handle: number): number {
    const length = lengthOf(handle);
    let block = blockOf(handle);
    for (let at = 0; at < length; at += PER_BLOCK) {
      const words = this.#records.words(block);
      const from = this.#records.wordAt(block);
      const count = Math.min(PER_BLOCK, length - at) * ENTRY_WORDS;
      const to = at * ENTRY_WORDS;
      for (let i = 0; i < count; i++) this.#words[to + i] = words[from + 1 + i]!;
      block = words[from]!;
    }
    return length;
  }

  /** The bucket of the gathered entries [from, to); 0 where there is none. */
  make(from: number, to: number): number {
    if (from === to) return 0;
    const first = this.#records.make();
    let block = first;
    for (let at = from; ; ) {
      const words = this.#records.words(block);
      const start = this.#records.wordAt(block);
      const count = Math.min(PER_BLOCK, to - at) * ENTRY_WORDS;
      const source = at * ENTRY_WORDS;
      for (let i = 0; i < count; i++) words[start + 1 + i] = this.#words[source + i]!;
      at += PER_BLOCK;
      if (at >= to) break;
      block = this.#records.make();
      words[start] = block;
    }
    return -(first * BUCKET + (to - from - 1)) - 1;
  }

  drop(handle: number): void {
    let block = blockOf(handle);
    for (let left = lengthOf(handle); left > 0; left -= PER_BLOCK) {
      const next = this.#records.words(block)[this.#records.wordAt(block)]!;
      this.#records.drop(block);
      block = next;
    }
  }

  /** Calls `look` with each entry of a bucket. */
  each(handle: number, look: (bytes: Uint8Array, at: number) => void): void {
    if (handle === 0) return;
    let block = blockOf(handle);
    for (let left = lengthOf(handle); left > 0; left -= PER_BLOCK) {
      const at = this.#records.byteAt(block) + 4;
      for (let i = 0; i < Math.min(left, PER_BLOCK); i++) look(this.#records.bytes(block), at + i * ENTRY);
      block = this.#records.words(block)[this.#records.wordAt(block)]!;
    }
  }
}

function blockOf(bucket: number): number {
  return Math.floor((-bucket - 1) / BUCKET);
}

function lengthOf(bucket: number): number {
  return ((-bucket - 1) % BUCKET) + 1;
}

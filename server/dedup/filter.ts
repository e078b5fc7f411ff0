/**
 * Which leaf hashes may be in a log: a Bloom filter (B. Bloom, 1970) whose bits for one hash all lie in one block of 64
 * bytes, a line of the processor's cache (F. Putze et al., "Cache-, Hash- and Space-Efficient Bloom Filters", 2007).
 *
 * The filter always finds a hash that was added. It takes 0.1 % of the other hashes for known ones where it has 16 bits for
 * each hash in it, and 3 % with 8 bits. A leaf hash is SHA-256, so its own bits choose the block and the places in the
 * block. An attacker who makes entries that look like known ones causes a look-up for each, and nothing else.
 */
import assert from 'node:assert';
import { HASH_SIZE } from '../../merkle/rfc6962.ts';

const BLOCK_WORDS = 16;
export const BLOCK_BYTES = 4 * BLOCK_WORDS;

export class LeafFilter {
  readonly #words: Uint32Array;
  readonly #blocks: number;

  private constructor(words: Uint32Array) {
    this.#words = words;
    this.#blocks = words.length / BLOCK_WORDS;
  }

  /** An empty filter of `bytes`, a multiple of 64 above 0. */
  static empty(bytes: number): LeafFilter {
    assert(bytes > 0 && bytes % BLOCK_BYTES === 0, 'a filter has whole blocks');
    return new LeafFilter(new Uint32Array(bytes / 4));
  }

  /** A filter over `bytes`, the bits of another filter. It keeps the array. */
  static from(bytes: Uint8Array): LeafFilter {
    assert(bytes.length > 0 && bytes.length % BLOCK_BYTES === 0, 'a filter has whole blocks');
    return new LeafFilter(new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4));
  }

  /** Size in bytes. */
  get length(): number {
    return this.#words.byteLength;
  }

  /** The bits, in the byte order of this machine's processor. They change as hashes are added. */
  get bytes(): Uint8Array {
    return new Uint8Array(this.#words.buffer, this.#words.byteOffset, this.#words.byteLength);
  }

  /** Adds the 32 bytes at `offset` of `hashes`. */
  add(hashes: Uint8Array, offset = 0): void {
    const words = this.#words;
    const block = this.#block(hashes, offset);
    // Six places of 9 bits: 4 bits choose the word, 5 the bit in the word.
    for (let at = offset + 4; at < offset + 12; at += 4) {
      const bits = wordAt(hashes, at);
      words[block + (bits & 15)]! |= 1 << ((bits >>> 4) & 31);
      words[block + ((bits >>> 9) & 15)]! |= 1 << ((bits >>> 13) & 31);
      words[block + ((bits >>> 18) & 15)]! |= 1 << ((bits >>> 22) & 31);
    }
  }

  /** False only for a hash that was never added. */
  mayHave(hash: Uint8Array): boolean {
    const words = this.#words;
    const block = this.#block(hash, 0);
    for (let at = 4; at < 12; at += 4) {
      const bits = wordAt(hash, at);
      const all =
        (words[block + (bits & 15)]! >>> ((bits >>> 4) & 31)) &
        (words[block + ((bits >>> 9) & 15)]! >>> ((bits >>> 13) & 31)) &
        (words[block + ((bits >>> 18) & 15)]! >>> ((bits >>> 22) & 31));
      if ((all & 1) === 0) return false;
    }
    return true;
  }

  /** The first word of the hash's block. */
  #block(hashes: Uint8Array, offset: number): number {
    assert(offset + HASH_SIZE <= hashes.length, 'a leaf hash has 32 bytes');
    return Math.floor(((wordAt(hashes, offset) >>> 0) * this.#blocks) / 2 ** 32) * BLOCK_WORDS;
  }
}

function wordAt(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}

/** Puts leaves into the trie in the order of their keys, some at a time, so that lookups get their turn. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type ChangedKeys, nameAt } from './changed-keys.ts';
import { prefixName, samePrefix } from './key-bits.ts';
import type { KeyPostings } from './key-postings.ts';
import type { MapStore } from './map-store.ts';
import type { PostingLog } from './posting-log.ts';
import type { Trie } from './trie.ts';

const HASH = 32;
/** Leaves that go into the trie in one turn: 2 ms. */
const AT_ONCE = 256;
const TURN_MS = 4;

export class TrieWriter {
  readonly #store: MapStore;
  readonly #trie: Trie;
  readonly #hashes: PostingLog;
  readonly #changed: ChangedKeys;
  #keys = new Uint8Array(AT_ONCE * HASH);
  #leaves = new Uint8Array(AT_ONCE * HASH);
  /** Whether each key is new. */
  #isNew: boolean[] = [];
  #turnStarted = 0;

  constructor(store: MapStore, trie: Trie, hashes: PostingLog, changed: ChangedKeys) {
    this.#store = store;
    this.#trie = trie;
    this.#hashes = hashes;
    this.#changed = changed;
  }

  /** Whether `flush` comes before this key, at `at` of `bytes`. Keys that share their first bytes go into the trie together. */
  isFull(bytes: Uint8Array, at: number): boolean {
    const length = this.#isNew.length;
    return length >= AT_ONCE && !samePrefix(this.#keys, (length - 1) * HASH, bytes, at);
  }

  /**
   * @param postings a number where there is one
   * @param isNew the key has no leaf, and the trie may have one whose key begins with the same bytes
   */
  add(key: Uint8Array, postings: KeyPostings | number, isNew: boolean): void {
    const at = this.#isNew.push(isNew) * HASH - HASH;
    if (at === this.#keys.length) {
      this.#keys = doubled(this.#keys);
      this.#leaves = doubled(this.#leaves);
    }
    for (let i = 0; i < HASH; i++) this.#keys[at + i] = key[i]!;
    if (typeof postings === 'number') this.#hashes.leafOfOne(this.#keys, postings, this.#leaves, at);
    else this.#hashes.leaf(this.#keys, postings, this.#leaves, at);
  }

  async flush(): Promise<void> {
    const { length } = this.#isNew;
    if (length > 0) this.#trie.put({ keys: this.#keys, hashes: this.#leaves, length }, await this.#ties());
    this.#isNew = [];
    if (performance.now() - this.#turnStarted < TURN_MS) return;
    await nextTurn();
    this.#turnStarted = performance.now();
  }

  /** For each new key whose first bytes a key in the trie has alone: that key. */
  async #ties(): Promise<Map<string, Uint8Array>> {
    const ties = new Map<string, Uint8Array>();
    for (const [i, isNew] of this.#isNew.entries()) {
      if (!isNew || !this.#trie.has(this.#keys, i * HASH)) continue;
      const key = this.#keys.slice(i * HASH, i * HASH + HASH);
      const name = prefixName(key, 0);
      if (this.#trie.isKnot(key) || ties.has(name)) continue;
      for await (const rows of this.#store.keys(key.subarray(0, 12), 16)) {
        const there = rows.find((row) => !this.#changed.isNew(nameAt(row.key, 0)));
        if (there !== undefined) ties.set(name, new Uint8Array(there.key));
        if (there !== undefined) break;
      }
    }
    return ties;
  }
}

function doubled(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const more = new Uint8Array(2 * bytes.length);
  more.set(bytes);
  return more;
}

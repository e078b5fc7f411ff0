/**
 * The trie of docs/index.md over millions of key hashes, in memory, with one snapshot.
 *
 * | part   | bytes                                          | one for               |
 * |--------|------------------------------------------------|-----------------------|
 * | entry  | 12 of the key hash, 32 of the leaf hash         | a key                 |
 * | block  | the number of the next block, 4 entries          | up to 4 keys          |
 * | bucket | a chain of blocks with up to 24 sorted entries    | a subtree             |
 * | node   | two children, their two hashes                   | an inner node above   |
 *
 * So a key takes about 50 bytes. The hashes below a bucket are computed when they are needed, 24 at most; that takes less time
 * than to keep them takes memory. A bucket with more entries becomes a node with two buckets, so that keys of long common
 * prefixes make a long path for themselves alone, and one path has at most 256 hashes whatever somebody grinds.
 *
 * Two keys whose first 12 bytes are the same (somebody who computes 2^48 hashes finds such a pair) share one entry: a *knot*,
 * whose whole keys are kept beside, and whose hash is that of the subtree at depth 96.
 *
 * Measured on 2 cores (Node 20.20): see bench/RESULTS.md.
 */
import type { RangeHasher } from '../../../merkle/runtime/crypto/rangehash.ts';
import { rangeHasher } from '../../../merkle/runtime/crypto/rangehash.ts';
import { BUCKET, Buckets, ENTRY } from './buckets.ts';
import { bitOf, comparePrefix, copy, PREFIX_BYTES, prefixName, samePrefix } from './key-bits.ts';
import { INNER, type Knot, KnotHashes, type Member, type TriePath } from './knots.ts';
import { Records } from './records.ts';

const HASH = 32;
/** Two children, then their hashes. */
const NODE = 8 + 2 * HASH;
const SLOT = 1 + 2 * HASH;
const DEPTHS = 256;

/** Where the parts lie in the memory of the hasher: two buckets of entries, a slot for each depth, one more hash. */
const SLOTS_AT = 2 * BUCKET * ENTRY;
const RESULT_AT = SLOTS_AT + (DEPTHS + 1) * SLOT;
const MEMORY = RESULT_AT + HASH;

/** A subtree: 0 is empty, n > 0 the node n - 1, n < 0 the bucket whose first block and length are in -n - 1. */
type Handle = number;

interface Version {
  readonly top: Handle;
  readonly root: Uint8Array;
  readonly count: number;
  readonly knots: ReadonlyMap<string, Knot>;
}

/** Leaves to put into the trie: one for each key hash, in the order of the key hashes. */
interface Leaves {
  /** 32 bytes a key, in order, none twice. */
  readonly keys: Uint8Array;
  /** 32 bytes a leaf. */
  readonly hashes: Uint8Array;
  readonly length: number;
}

const EMPTY: Version = { top: 0, root: new Uint8Array(HASH), count: 0, knots: new Map() };

export class Trie {
  readonly #buckets: Buckets;
  readonly #nodes = new Records(NODE);
  readonly #hasher: RangeHasher;
  readonly #memory: Uint8Array;
  #working = EMPTY;
  #shown = EMPTY;
  readonly #ties = new KnotHashes();
  #knots: ReadonlyMap<string, Knot> = EMPTY.knots;
  #entries = 0;
  /** Keys of knots beyond the first of each. */
  #more = 0;
  /** The leaves that `put` puts in, with knots in the place of keys that share their first bytes. */
  #prefixes = new Uint8Array(0);
  #hashes = new Uint8Array(0);

  constructor() {
    this.#hasher = rangeHasher(MEMORY + (4 - (MEMORY % 4)));
    this.#memory = this.#hasher.memory;
    this.#buckets = new Buckets(new Int32Array(this.#memory.buffer, 0, SLOTS_AT / 4));
    for (let depth = 0; depth <= DEPTHS; depth++) this.#memory[SLOTS_AT + depth * SLOT] = INNER;
  }

  /** The root of the trie with all leaves that were put in: 32 bytes. */
  get root(): Uint8Array {
    return this.#working.root;
  }

  /** Keys with all leaves that were put in. */
  get count(): number {
    return this.#working.count;
  }

  /** The root that the snapshot has. */
  get shownRoot(): Uint8Array {
    return this.#shown.root;
  }

  get shownCount(): number {
    return this.#shown.count;
  }

  /** Bytes, without those of the arrays that a call of `put` uses. */
  get memory(): number {
    return this.#buckets.memory + this.#nodes.memory;
  }

  /** Bytes that only the snapshot still needs. */
  get retired(): number {
    return this.#buckets.retired + this.#nodes.retired * NODE;
  }

  /** The snapshot moves on to the leaves that are there now. */
  show(): void {
    this.#shown = this.#working;
    this.#buckets.moveOn();
    this.#nodes.moveOn();
  }

  /** Whether a key with the 12 bytes of `key` from `from` on has a leaf, in what is being built. */
  has(key: Uint8Array, from = 0): boolean {
    let handle = this.#working.top;
    for (let depth = 0; handle > 0; depth++) {
      handle = this.#child(handle - 1, bitOf(key, from, depth));
    }
    let found = false;
    this.#buckets.each(handle, (bytes, at) => {
      found ||= samePrefix(bytes, at, key, from);
    });
    return found;
  }

  /** Whether keys with the first 12 bytes of `key` share an entry, so that their whole keys are known. */
  isKnot(key: Uint8Array): boolean {
    return this.#knots.size > 0 && this.#knots.has(prefixName(key, 0));
  }

  /**
   * Puts leaves in, in the place of the leaves that their keys had. Takes 5 to 15 µs a key: a caller that serves requests
   * meanwhile puts in some hundred at a time.
   *
   * @param ties for each new key whose first 12 bytes another key has that is there alone: that whole key, by `prefixName`
   */
  put(leaves: Leaves, ties: ReadonlyMap<string, Uint8Array>): void {
    const length = this.#collapse(leaves, ties);
    if (length === 0) return;
    const top = this.#update(this.#working.top, 0, 0, length, RESULT_AT);
    const root = this.#memory.slice(RESULT_AT, RESULT_AT + HASH);
    this.#working = { top, root, count: this.#entries + this.#more, knots: this.#knots };
  }

  /** The way to `key` in the snapshot. */
  prove(key: Uint8Array): TriePath {
    const { top, knots } = this.#shown;
    const siblings: (Uint8Array | undefined)[] = [];
    let handle = top;
    let depth = 0;
    for (; handle > 0; depth++) {
      const id = handle - 1;
      const bit = bitOf(key, 0, depth);
      const at = this.#nodes.byteAt(id) + 8 + (1 - bit) * HASH;
      const words = this.#nodes.words(id);
      const first = this.#nodes.wordAt(id);
      siblings.push(words[first + 1 - bit] === 0 ? undefined : this.#nodes.bytes(id).slice(at, at + HASH));
      handle = words[first + bit]!;
    }
    if (handle === 0) return { siblings, leaf: undefined };
    let [from, to] = [0, this.#buckets.gather(handle)];
    while (to - from > 1) {
      const middle = this.#split(from, to, depth);
      const [near, far] =
        bitOf(key, 0, depth) === 0
          ? [
              [from, middle],
              [middle, to],
            ]
          : [
              [middle, to],
              [from, middle],
            ];
      siblings.push(far[0] === far[1] ? undefined : this.#hashOf(far[0]!, far[1]!, depth + 1, knots));
      [from, to] = [near[0]!, near[1]!];
      depth++;
    }
    if (from === to) return { siblings, leaf: undefined };
    const prefix = this.#memory.slice(from * ENTRY, from * ENTRY + PREFIX_BYTES);
    const knot = knots.size > 0 ? knots.get(prefixName(prefix, 0)) : undefined;
    return knot === undefined ? { siblings, leaf: prefix } : this.#ties.prove(key, prefix, knot, depth, siblings);
  }

  #hashOf(from: number, to: number, depth: number, knots: Version['knots']): Uint8Array {
    this.#subtree(from, to, depth, RESULT_AT, knots);
    return this.#memory.slice(RESULT_AT, RESULT_AT + HASH);
  }

  /** Puts a knot in the place of leaves that share their first 12 bytes. Returns the number of entries to put in. */
  #collapse({ keys, hashes, length }: Leaves, ties: ReadonlyMap<string, Uint8Array>): number {
    if (this.#prefixes.length < length * PREFIX_BYTES) {
      this.#prefixes = new Uint8Array(length * PREFIX_BYTES);
      this.#hashes = new Uint8Array(length * HASH);
    }
    let made = 0;
    for (let i = 0; i < length; made++) {
      let end = i + 1;
      while (end < length && samePrefix(keys, end * HASH, keys, i * HASH)) end++;
      const name = end > i + 1 || ties.size > 0 || this.#knots.size > 0 ? prefixName(keys, i * HASH) : '';
      const there = ties.get(name);
      let hash = hashes.subarray(i * HASH, (i + 1) * HASH);
      if (end > i + 1 || there !== undefined || this.#knots.has(name)) {
        const members: Member[] = [];
        for (let at = i * HASH; at < end * HASH; at += HASH) {
          members.push({ whole: keys.slice(at, at + HASH), hash: hashes.slice(at, at + HASH) });
        }
        hash = this.#tie(name, members, there);
      }
      this.#hashes.set(hash, made * HASH);
      this.#prefixes.set(keys.subarray(i * HASH, i * HASH + PREFIX_BYTES), made * PREFIX_BYTES);
      i = end;
    }
    return made;
  }

  /** Makes a knot, or changes one. Returns its hash. */
  #tie(name: string, members: Member[], there: Uint8Array | undefined): Uint8Array {
    const before = this.#knots.get(name);
    if (before === undefined && there !== undefined) members.unshift({ whole: there, hash: this.#leafOf(there) });
    const knot = this.#ties.knot(before, members);
    this.#more += knot.keys.length - (before?.keys.length ?? 1);
    this.#knots = new Map(this.#knots).set(name, knot);
    return knot.hash;
  }

  /** The hash in the entry of a key that is there. */
  #leafOf(key: Uint8Array): Uint8Array {
    let handle = this.#working.top;
    for (let depth = 0; handle > 0; depth++) handle = this.#child(handle - 1, bitOf(key, 0, depth));
    let hash: Uint8Array | undefined;
    this.#buckets.each(handle, (bytes, at) => {
      if (samePrefix(bytes, at, key, 0)) hash = bytes.slice(at + PREFIX_BYTES, at + ENTRY);
    });
    if (hash === undefined) throw new Error('a key that shares its first bytes with a new one has no leaf');
    return hash;
  }

  #child(node: number, bit: number): Handle {
    return this.#nodes.words(node)[this.#nodes.wordAt(node) + bit]!;
  }

  /**
   * Puts the entries [from, to), whose keys are below the subtree at `depth`, into that subtree, and writes its hash to `to`.
   * Returns the subtree.
   */
  #update(handle: Handle, depth: number, from: number, to: number, result: number): Handle {
    if (handle > 0) return this.#updateNode(handle - 1, depth, from, to, result);
    if (to - from <= BUCKET) return this.#updateBucket(handle, depth, from, to, result);
    // So many entries get a node, with what the bucket has on its two sides.
    let [left, right] = [0, 0];
    if (handle < 0) {
      const length = this.#buckets.gather(handle);
      const middle = this.#split(0, length, depth);
      this.#buckets.drop(handle);
      left = this.#buckets.make(0, middle);
      right = this.#buckets.make(middle, length);
    }
    return this.#updateNode(this.#makeNode(left, right), depth, from, to, result, true);
  }

  #updateNode(id: number, depth: number, from: number, to: number, result: number, fresh = false): Handle {
    let middle = from;
    while (middle < to && bitOf(this.#prefixes, middle * PREFIX_BYTES, depth) === 0) middle++;
    const slot = SLOTS_AT + depth * SLOT;
    let left = this.#child(id, 0);
    let right = this.#child(id, 1);
    // The two sides use the slots below this one.
    const node = this.#nodes.byteAt(id) + 8;
    copy(this.#nodes.bytes(id), node, this.#memory, slot + 1, 2 * HASH);
    if (middle > from || fresh) left = this.#update(left, depth + 1, from, middle, slot + 1);
    if (to > middle || fresh) right = this.#update(right, depth + 1, middle, to, slot + 1 + HASH);
    let mine = id;
    if (!this.#nodes.isYoung(id)) {
      this.#nodes.drop(id);
      mine = this.#nodes.make();
    }
    const words = this.#nodes.words(mine);
    const at = this.#nodes.wordAt(mine);
    words[at] = left;
    words[at + 1] = right;
    copy(this.#memory, slot + 1, this.#nodes.bytes(mine), this.#nodes.byteAt(mine) + 8, 2 * HASH);
    this.#hasher.hash(slot, SLOT, result);
    return mine + 1;
  }

  #makeNode(left: Handle, right: Handle): number {
    const id = this.#nodes.make();
    const words = this.#nodes.words(id);
    words[this.#nodes.wordAt(id)] = left;
    words[this.#nodes.wordAt(id) + 1] = right;
    return id;
  }

  #updateBucket(handle: Handle, depth: number, from: number, to: number, result: number): Handle {
    let length = handle === 0 ? 0 : this.#buckets.gather(handle);
    if (to > from) {
      length = this.#merge(length, from, to);
      if (handle !== 0) this.#buckets.drop(handle);
      return this.#settle(0, length, depth, result);
    }
    this.#subtree(0, length, depth, result, this.#knots);
    return handle;
  }

  /** Makes the subtree of the gathered entries [from, to), and writes its hash to `result`. */
  #settle(from: number, to: number, depth: number, result: number): Handle {
    if (to - from <= BUCKET) {
      this.#subtree(from, to, depth, result, this.#knots);
      return this.#buckets.make(from, to);
    }
    const slot = SLOTS_AT + depth * SLOT;
    const middle = this.#split(from, to, depth);
    const left = this.#settle(from, middle, depth + 1, slot + 1);
    const right = this.#settle(middle, to, depth + 1, slot + 1 + HASH);
    const id = this.#makeNode(left, right);
    copy(this.#memory, slot + 1, this.#nodes.bytes(id), this.#nodes.byteAt(id) + 8, 2 * HASH);
    this.#hasher.hash(slot, SLOT, result);
    return id + 1;
  }

  /** Writes the hash of the gathered entries [from, to), which are below `depth`, to `result`. */
  #subtree(from: number, to: number, depth: number, result: number, knots: Version['knots']): void {
    const memory = this.#memory;
    if (to - from <= 1) {
      if (from === to) return void memory.fill(0, result, result + HASH);
      const at = from * ENTRY;
      const knot = knots.size > 0 ? knots.get(prefixName(memory, at)) : undefined;
      if (knot === undefined) copy(memory, at + PREFIX_BYTES, memory, result, HASH);
      else memory.set(this.#ties.wrapped(memory.slice(at, at + PREFIX_BYTES), knot.hash, depth), result);
      return;
    }
    const middle = this.#split(from, to, depth);
    const slot = SLOTS_AT + depth * SLOT;
    this.#subtree(from, middle, depth + 1, slot + 1, knots);
    this.#subtree(middle, to, depth + 1, slot + 1 + HASH, knots);
    this.#hasher.hash(slot, SLOT, result);
  }

  /** The first of the gathered entries [from, to) with a 1 at `depth`. */
  #split(from: number, to: number, depth: number): number {
    let middle = from;
    while (middle < to && bitOf(this.#memory, middle * ENTRY, depth) === 0) middle++;
    return middle;
  }

  /** Merges the new entries [from, to) into the gathered ones, from the last on. Returns how many there are then. */
  #merge(length: number, from: number, to: number): number {
    const memory = this.#memory;
    const prefixes = this.#prefixes;
    // New keys first, since each takes a place.
    let fresh = 0;
    for (let i = 0, k = from; k < to; k++) {
      while (i < length && comparePrefix(memory, i * ENTRY, prefixes, k * PREFIX_BYTES) < 0) i++;
      if (i === length || comparePrefix(memory, i * ENTRY, prefixes, k * PREFIX_BYTES) !== 0) fresh++;
    }
    this.#entries += fresh;
    let old = length - 1;
    let add = to - 1;
    for (let place = length + fresh - 1; add >= from; place--) {
      const order = old < 0 ? -1 : comparePrefix(memory, old * ENTRY, prefixes, add * PREFIX_BYTES);
      if (order > 0) memory.copyWithin(place * ENTRY, old * ENTRY, (old + 1) * ENTRY);
      else {
        copy(prefixes, add * PREFIX_BYTES, memory, place * ENTRY, PREFIX_BYTES);
        copy(this.#hashes, add * HASH, memory, place * ENTRY + PREFIX_BYTES, HASH);
        add--;
      }
      if (order >= 0) old--;
    }
    return length + fresh;
  }
}

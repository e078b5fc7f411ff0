/**
 * Keys whose first 12 bytes are the same, which share one entry of the trie: a *knot*. Somebody who computes 2^48 hashes finds two.
 * A knot never changes; the trie replaces it.
 */
import { type RangeHasher, rangeHasher } from '../../../merkle/runtime/crypto/rangehash.ts';
import { bitOf, nameOf, PREFIX_BYTES } from './key-bits.ts';

const HASH = 32;
const PREFIX_BITS = 8 * PREFIX_BYTES;
const SLOT = 1 + 2 * HASH;
/** The byte before the two hashes of an inner node (docs/index.md). */
export const INNER = 3;

export interface TriePath {
  /** The hash beside the path at each depth from the top; undefined where the subtree there is empty. */
  readonly siblings: readonly (Uint8Array | undefined)[];
  /** The first 12 bytes of the key whose leaf ends the path, or that whole key; undefined where the path ends at an empty place. */
  readonly leaf: Uint8Array | undefined;
}

/** Keys with the same first 12 bytes. */
export interface Knot {
  /** Whole keys in order, and their leaf hashes. */
  readonly keys: readonly Uint8Array[];
  readonly hashes: readonly Uint8Array[];
  /** Of the subtree at depth 96. */
  readonly hash: Uint8Array;
}

export interface Member {
  readonly whole: Uint8Array;
  readonly hash: Uint8Array;
}

export class KnotHashes {
  readonly #hasher: RangeHasher = rangeHasher(SLOT + HASH);

  /** The knot of these keys, one or more, in the place of `before`. */
  knot(before: Knot | undefined, members: readonly Member[]): Knot {
    const all = new Map<string, Member>();
    for (const [i, whole] of (before?.keys ?? []).entries())
      all.set(nameOf(whole), { whole, hash: before!.hashes[i]! });
    for (const member of members) all.set(nameOf(member.whole), member);
    const sorted = [...all.values()].sort((a, b) => Buffer.compare(a.whole, b.whole));
    const hash = this.#memberHash(sorted, PREFIX_BITS);
    return { keys: sorted.map(({ whole }) => whole), hashes: sorted.map((member) => member.hash), hash };
  }

  /** The rest of the way to `key`, from the depth at which a knot is alone. */
  prove(key: Uint8Array, prefix: Uint8Array, knot: Knot, from: number, siblings: (Uint8Array | undefined)[]): TriePath {
    let depth = from;
    for (; depth < PREFIX_BITS; depth++) {
      if (bitOf(key, 0, depth) === bitOf(prefix, 0, depth)) siblings.push(undefined);
      // The path leaves the way to the knot, which stands beside it as a whole.
      else {
        siblings.push(this.wrapped(prefix, knot.hash, depth + 1));
        return { siblings, leaf: undefined };
      }
    }
    let members = knot.keys.map((whole, i) => ({ whole, hash: knot.hashes[i]! }));
    for (; members.length > 1; depth++) {
      const bit = bitOf(key, 0, depth);
      const far = members.filter(({ whole }) => bitOf(whole, 0, depth) !== bit);
      siblings.push(far.length === 0 ? undefined : this.#memberHash(far, depth + 1));
      members = members.filter(({ whole }) => bitOf(whole, 0, depth) === bit);
    }
    return { siblings, leaf: members[0]?.whole };
  }

  /** The hash at `depth` of a subtree which is alone below it, and has `hash` at the depth of a knot. */
  wrapped(prefix: Uint8Array, hash: Uint8Array, depth: number): Uint8Array {
    let above = hash;
    for (let i = PREFIX_BITS - 1; i >= depth; i--) {
      above = bitOf(prefix, 0, i) === 0 ? this.#inner(above, undefined) : this.#inner(undefined, above);
    }
    return above;
  }

  /** The hash of the subtree at `depth` of the keys of a knot, one or more in order. */
  #memberHash(members: readonly Member[], depth: number): Uint8Array {
    if (members.length === 1) return members[0]!.hash;
    const middle = members.findIndex(({ whole }) => bitOf(whole, 0, depth) === 1);
    const end = middle < 0 ? members.length : middle;
    const sides = [members.slice(0, end), members.slice(end)];
    const [left, right] = sides.map((side) => (side.length === 0 ? undefined : this.#memberHash(side, depth + 1)));
    return this.#inner(left, right);
  }

  #inner(left: Uint8Array | undefined, right: Uint8Array | undefined): Uint8Array {
    const { memory } = this.#hasher;
    memory.fill(0);
    memory[0] = INNER;
    if (left !== undefined) memory.set(left, 1);
    if (right !== undefined) memory.set(right, 1 + HASH);
    this.#hasher.hash(0, SLOT, SLOT);
    return memory.slice(SLOT, SLOT + HASH);
  }
}

/**
 * The way of a leaf up to the root, hash by hash: what each step hashes, and where it goes wrong.
 *
 * A proof that leads to another root does not say which of its hashes is wrong. The tiles do: on every eighth level they hold the
 * hash of the subtree that the way goes through. Up to the first of these places that differs from what was computed, the way
 * holds; the fault lies between that place and the one before.
 */
import { checkedSize, equal } from '../../../merkle/bytes.ts';
import { badProof, MAX_PROOF } from '../../../merkle/proof.ts';
import { checkHash, nodeHash, type Sha256, sha256 } from '../../../merkle/rfc6962.ts';
import type { TreeHead } from '../../tiles/types.ts';

/** One hash on the way: the root over the entries [begin, end). */
export interface WayPlace {
  /** 0 for the leaf, and one more for each level; levels at the right edge without a sibling are passed over. */
  readonly level: number;
  readonly begin: number;
  readonly end: number;
  /** Computed here from the leaf, 32 bytes. */
  readonly hash: Uint8Array;
  /**
   * `agrees`: it is the hash that the tile, or at the top the signed checkpoint, has here. `differs`: that one is `expected`.
   * `computed`: nothing is there to compare it with.
   */
  readonly state: 'agrees' | 'differs' | 'computed';
  readonly expected?: Uint8Array;
}

/** A step from one place to the next: two hashes into one. */
interface WayStep {
  readonly side: 'left' | 'right';
  readonly sibling: { readonly begin: number; readonly end: number; readonly hash: Uint8Array };
  readonly parent: WayPlace;
}

export interface WayUp {
  readonly leaf: WayPlace;
  /** From the leaf upwards; at most 63. */
  readonly steps: readonly WayStep[];
  /** Whether the way ends at the root of the tree. */
  readonly holds: boolean;
  /**
   * Where it does not hold: the fault lies above the place number `above` and at or below number `at` (0 is the leaf, n is the
   * parent of step n - 1). `above` is -1 where nothing agrees below.
   */
  readonly fault?: { readonly above: number; readonly at: number };
}

/** The hash that the tiles have for the entries [begin, end), where they have one. */
export type KnownPlace = (begin: number, end: number) => Uint8Array | undefined;

interface WayClaim {
  readonly index: number;
  readonly leafHash: Uint8Array;
  readonly hashes: readonly Uint8Array[];
}

/**
 * Computes the way (RFC 9162 section 2.1.3.2, with the ranges of RFC 6962 section 2.1.1).
 *
 * @param head of the checkpoint that was verified
 * @throws MerkleError `bad-proof`, `bad-number`, `bad-hash`: the claim is not of an entry of this tree, or has another number of hashes
 */
export function wayUp(
  { index, leafHash, hashes }: WayClaim,
  { size, root }: TreeHead,
  known: KnownPlace = () => undefined,
  hash: Sha256 = sha256,
): WayUp {
  checkedSize(size);
  if (checkedSize(index, 'index') >= size) throw badProof(`there is no entry ${index} in a tree of size ${size}`);
  if (hashes.length > MAX_PROOF)
    throw badProof(`the proof has ${hashes.length} hashes; at most ${MAX_PROOF} are possible`);
  const ranges = rangesUp(index, size);
  if (ranges.length !== hashes.length) {
    throw badProof(`the proof has ${hashes.length} hashes, and an entry ${index} of ${size} has ${ranges.length}`);
  }
  const placeOf = (begin: number, end: number, value: Uint8Array): WayPlace => {
    const whole = begin === 0 && end === size;
    const expected = whole ? root : known(begin, end);
    const at = { level: levelOf(end - begin), begin, end, hash: value };
    if (expected === undefined) return { ...at, state: 'computed' };
    return equal(expected, value) ? { ...at, state: 'agrees' } : { ...at, state: 'differs', expected };
  };
  const leaf = placeOf(index, index + 1, checkHash(leafHash));
  const steps: WayStep[] = [];
  let below = leaf;
  for (const [i, { sibling, parent }] of ranges.entries()) {
    const value = checkHash(hashes[i]!);
    const side = sibling.begin < below.begin ? 'left' : 'right';
    const above = side === 'left' ? nodeHash(value, below.hash, hash) : nodeHash(below.hash, value, hash);
    below = placeOf(parent.begin, parent.end, above);
    steps.push({ side, sibling: { ...sibling, hash: value }, parent: below });
  }
  const holds = below.state === 'agrees';
  return { leaf, steps, holds, ...(holds ? {} : { fault: faultOf([leaf, ...steps.map(({ parent }) => parent)]) }) };
}

function faultOf(places: readonly WayPlace[]): { readonly above: number; readonly at: number } {
  const at = places.findIndex(({ state }) => state === 'differs');
  const above = places.slice(0, at).findLastIndex(({ state }) => state === 'agrees');
  return { above, at };
}

interface Entries {
  readonly begin: number;
  readonly end: number;
}

/** The sibling and the parent of each step, from the leaf upwards. */
function rangesUp(index: number, size: number): { readonly sibling: Entries; readonly parent: Entries }[] {
  const down: { readonly sibling: Entries; readonly parent: Entries }[] = [];
  let parent: Entries = { begin: 0, end: size };
  while (parent.end - parent.begin > 1) {
    const { begin, end } = parent;
    const middle = begin + splitOf(end - begin);
    const [left, right] = [
      { begin, end: middle },
      { begin: middle, end },
    ];
    const [own, sibling] = index < middle ? [left, right] : [right, left];
    down.push({ sibling, parent });
    parent = own;
  }
  return down.reverse();
}

/** The largest power of two below `length`, which is at least 2. */
function splitOf(length: number): number {
  let k = 1;
  while (k * 2 < length) k *= 2;
  return k;
}

/** The height of the subtree over so many entries. */
export function levelOf(length: number): number {
  let level = 0;
  for (let width = 1; width < length; width *= 2) level++;
  return level;
}

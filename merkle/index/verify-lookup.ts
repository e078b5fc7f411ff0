/** What an answer to a lookup proves: docs/index.md, "Verification". */
import { equal } from '../bytes.ts';
import { type Checkpoint, parseCheckpoint } from '../checkpoint.ts';
import { MerkleError } from '../errors.ts';
import { parseNote, type SignedNote } from '../note.ts';
import { consistencyRoots, verifyInclusion } from '../proof.ts';
import { CompactRange } from '../range.ts';
import { EMPTY_ROOT, HASH_SIZE, leafHash, type Sha256, sha256 } from '../rfc6962.ts';
import { type IndexKey, keyHash } from './keys.ts';
import { type Lookup, type LookupPostings, MAX_POSTINGS } from './lookup.ts';
import { bitAt, EMPTY_SUBTREE, MAX_DEPTH, mapLeafHash, mapNodeHash, postingHash } from './map-hashes.ts';
import { badLookup, parseOutputLeaf, type ReadOutputLeaf } from './map-leaf.ts';

/** What a client keeps of a key between two lookups. */
export interface KnownPostings {
  /** Postings so far. */
  readonly count: number;
  /** Root of the posting log of that size, 32 bytes. */
  readonly root: Uint8Array;
  /** The last posting; absent if there is none. */
  readonly last?: number;
}

/** What the client asked for, and of whom. */
interface LookupQuestion {
  readonly key: IndexKey;
  /** Origin of the log that the map is of. */
  readonly inputOrigin: string;
  /** Origin of the log with the roots of the map. */
  readonly outputOrigin: string;
  /** Of the last verified lookup of this key, if it was asked for with `since`. */
  readonly known?: KnownPostings;
}

/** What the answer proves, if the two checkpoints hold. Their signatures are not verified here. */
export interface VerifiedLookup {
  /** Indexes of entries with the key, ascending: all of them, or those after the ones that `known` has. */
  readonly indexes: readonly number[];
  /** Whether the map has the key. */
  readonly present: boolean;
  /**
   * Whether `indexes`, with those of `known`, are all postings of the key in the first `input.size` entries. Otherwise a further
   * lookup with `next` gives more.
   */
  readonly complete: boolean;
  /** For the next lookup of this key. */
  readonly next: KnownPostings;
  readonly input: Checkpoint;
  readonly output: Checkpoint;
  /** The caller verifies the signatures of both. */
  readonly inputNote: SignedNote;
  readonly outputNote: SignedNote;
}

/**
 * Verifies an answer against the two checkpoints in it. The caller then verifies the signatures and cosignatures of both
 * checkpoints, and that they are consistent with the ones that it knows.
 *
 * @throws MerkleError `bad-lookup` if the answer is of other logs, or does not follow from its checkpoints, or does not continue
 * what is known; `bad-proof` if a proof leads to another root; `bad-note` or `bad-checkpoint` if the output checkpoint is none
 */
export function verifyLookup(lookup: Lookup, question: LookupQuestion, hash: Sha256 = sha256): VerifiedLookup {
  const { key, known } = question;
  const outputNote = parseNote(lookup.outputCheckpoint);
  const output = parseCheckpoint(outputNote.text);
  if (output.origin !== question.outputOrigin) throw badLookup('the output checkpoint is of another log');
  const leaf = outputLeafOf(lookup, output, hash);
  const { input, inputNote } = leaf;
  if (input.origin !== question.inputOrigin) throw badLookup('the input checkpoint is of another log');

  const wanted = keyHash(key, hash);
  const { place } = lookup;
  const facts = { input, output, inputNote, outputNote };
  if (place.kind !== 'key') {
    if (known !== undefined && known.count > 0) throw badLookup('the map no longer has the key');
    checkPlace(lookup, wanted, leaf, absentHash(lookup, wanted, input.size, hash), hash);
    const next = { count: 0, root: EMPTY_ROOT.slice() };
    return { indexes: [], present: false, complete: true, next, ...facts };
  }
  const next = nextPostings(place, known, input.size, hash);
  const root = postingRootOf(place, next.root, hash);
  const own = mapLeafHash({ keyHash: wanted, count: place.count, postingRoot: root }, hash);
  checkPlace(lookup, wanted, leaf, own, hash);
  return { indexes: place.postings, present: true, complete: next.count === place.count, next, ...facts };
}

/** The last entry of the output log, which states the newest root: an older one would leave out the newest entries. */
function outputLeafOf({ outputLeaf, outputProof }: Lookup, output: Checkpoint, hash: Sha256): ReadOutputLeaf {
  if (output.size === 0) throw badLookup('the output log is empty');
  const claim = { index: output.size - 1, size: output.size, leafHash: leafHash(outputLeaf, hash), root: output.root };
  verifyInclusion({ ...claim, hashes: outputProof }, hash);
  return parseOutputLeaf(outputLeaf);
}

/** The hash of the place of a key that the map does not have. */
function absentHash({ place, siblings }: Lookup, wanted: Uint8Array, inputSize: number, hash: Sha256): Uint8Array {
  if (place.kind !== 'other') return EMPTY_SUBTREE;
  const { leaf } = place;
  if (leaf.keyHash.length !== HASH_SIZE || equal(leaf.keyHash, wanted))
    throw badLookup('the other key is the same key');
  if (leaf.count < 1 || leaf.count > inputSize) throw badLookup('the other key has a wrong number of postings');
  for (let depth = 0; depth < siblings.length; depth++) {
    if (bitAt(leaf.keyHash, depth) !== bitAt(wanted, depth)) throw badLookup('the other key is at another place');
  }
  return mapLeafHash(leaf, hash);
}

/** Folds the siblings over the place, and compares the root. */
function checkPlace(
  { siblings, place }: Lookup,
  wanted: Uint8Array,
  { root, keys }: ReadOutputLeaf,
  own: Uint8Array,
  hash: Sha256,
): void {
  if (siblings.length > MAX_DEPTH) throw badLookup(`the lookup has more than ${MAX_DEPTH} levels`);
  // A subtree with one leaf has the hash of that leaf: no trie has a node over it and nothing.
  if (siblings.length > 0 && siblings.at(-1) === undefined) throw badLookup('the lookup is longer than its path');
  let folded = own;
  let leaves = place.kind === 'empty' ? 0 : 1;
  for (let depth = siblings.length - 1; depth >= 0; depth--) {
    const sibling = siblings[depth];
    if (sibling !== undefined) {
      if (equal(sibling, EMPTY_SUBTREE)) throw badLookup('the lookup has the hash of an empty subtree');
      leaves++;
    }
    const beside = sibling ?? EMPTY_SUBTREE;
    folded = bitAt(wanted, depth) ? mapNodeHash(beside, folded, hash) : mapNodeHash(folded, beside, hash);
  }
  if (!equal(folded, root)) throw new MerkleError('bad-proof', 'the lookup leads to another root of the map');
  if (leaves > keys) throw badLookup('the map has more keys than its output leaf says');
}

/** The postings up to the last one of the answer. */
function nextPostings(
  { count, since, range, postings }: LookupPostings,
  known: KnownPostings | undefined,
  inputSize: number,
  hash: Sha256,
): KnownPostings {
  if (since !== (known?.count ?? 0)) throw badLookup('the lookup does not begin where the last one ended');
  const end = since + postings.length;
  if (count < 1 || end > count || count > inputSize) throw badLookup('the lookup has a wrong number of postings');
  if (postings.length > MAX_POSTINGS) throw badLookup(`the lookup has more than ${MAX_POSTINGS} postings`);
  // Without this, an operator could answer for ever with nothing.
  if (postings.length === 0 && since < count) throw badLookup('the lookup leaves out the postings that it names');
  const compact = CompactRange.from(since, range, hash);
  if (known !== undefined && !equal(compact.root(), known.root)) {
    throw new MerkleError('bad-proof', 'the postings that are known are no beginning of the posting log');
  }
  let last = known?.last ?? -1;
  for (const index of postings) {
    if (!(index > last)) throw badLookup('the postings are not ascending');
    last = index;
    compact.append(postingHash(index, hash));
  }
  if (last >= inputSize) throw badLookup('a posting is beyond the input log');
  return { count: end, root: compact.root(), ...(last >= 0 && { last }) };
}

/** The root of the whole posting log. */
function postingRootOf({ count, since, postings, rest }: LookupPostings, root: Uint8Array, hash: Sha256): Uint8Array {
  const first = since + postings.length;
  if (first === count) {
    if (rest.length > 0) throw badLookup('the lookup has a consistency proof that it does not need');
    return root;
  }
  const roots = consistencyRoots({ first, second: count, firstRoot: root, hashes: rest }, hash);
  if (!equal(roots.firstRoot, root)) {
    throw new MerkleError('bad-proof', 'the postings are no beginning of the posting log');
  }
  return roots.secondRoot;
}

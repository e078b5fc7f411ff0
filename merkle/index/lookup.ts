/**
 * The answer to a lookup, in bytes: docs/index.md, "Lookups". It does not hold the key: the client has it.
 *
 *   "stele-lookup@v1\n"
 *   uint8 place || uint16 depth || bitmap || siblings that are not empty
 *   place 1 (another leaf):  key hash || uint64 count || posting root
 *   place 2 (the key):       uint64 count || uint64 since || range || uint32 n || n * uint64 || uint8 m || m hashes
 *   uint16 length || output leaf || uint8 n || n hashes || uint32 length || output checkpoint
 */
import { checkedSize, concat, decodeUtf8, encodeUtf8, equal } from '../bytes.ts';
import { MAX_PROOF } from '../proof.ts';
import { HASH_SIZE } from '../rfc6962.ts';
import { MAX_DEPTH, type MapLeaf, uint64 } from './map-hashes.ts';
import { badLookup } from './map-leaf.ts';

/** Most postings of one answer. A client asks for the next ones with `since`. */
export const MAX_POSTINGS = 65_536;
/** Longest output checkpoint in bytes: 64 signatures of ML-DSA-44 have 220,000. */
const MAX_CHECKPOINT = 262_144;
/** Longest answer in bytes. */
export const MAX_LOOKUP = 1_048_576;

/** The postings of a key that the map holds, or a part of them. */
export interface LookupPostings {
  /** All postings of the key, 1 to 2^53 - 1. */
  readonly count: number;
  /** The postings before these, which the client has: 0 to `count`. */
  readonly since: number;
  /** The compact range of the first `since` postings, the largest subtree first. */
  readonly range: readonly Uint8Array[];
  /** Indexes of entries, ascending: the postings from `since` on, at most `MAX_POSTINGS`. */
  readonly postings: readonly number[];
  /** If these are not the last ones: the RFC 6962 consistency proof from `since + postings.length` to `count`. */
  readonly rest: readonly Uint8Array[];
}

/** What is at the place of the key in the trie. */
export type LookupPlace =
  | { readonly kind: 'empty' }
  | { readonly kind: 'other'; readonly leaf: MapLeaf }
  | ({ readonly kind: 'key' } & LookupPostings);

export interface Lookup {
  /** Hashes of the subtrees beside the path to the place, from the top: undefined for an empty one. At most 256. */
  readonly siblings: readonly (Uint8Array | undefined)[];
  readonly place: LookupPlace;
  /** The last entry of the output log: map-leaf.ts. */
  readonly outputLeaf: Uint8Array;
  /** Its inclusion proof. */
  readonly outputProof: readonly Uint8Array[];
  /** A signed note. */
  readonly outputCheckpoint: string;
}

const MAGIC = encodeUtf8('stele-lookup@v1\n');
const PLACES = ['empty', 'other', 'key'] as const;

/** @throws MerkleError `bad-lookup` unless `parseLookup` would read the same from the result */
export function formatLookup(lookup: Lookup): Uint8Array {
  const { siblings, place, outputLeaf, outputProof } = lookup;
  const checkpoint = encodeUtf8(lookup.outputCheckpoint);
  const bitmap = new Uint8Array(Math.ceil(siblings.length / 8));
  for (const [i, sibling] of siblings.entries()) if (sibling !== undefined) bitmap[i >> 3]! |= 0x80 >> (i & 7);
  const bytes = concat(
    MAGIC,
    Uint8Array.of(PLACES.indexOf(place.kind)),
    uint16(siblings.length),
    bitmap,
    ...siblings.filter((sibling) => sibling !== undefined),
    ...placeParts(place),
    uint16(outputLeaf.length),
    outputLeaf,
    Uint8Array.of(outputProof.length),
    ...outputProof,
    uint64(checkpoint.length).subarray(4),
    checkpoint,
  );
  const again = parseLookup(bytes);
  const isSame =
    again.siblings.length === siblings.length &&
    again.outputProof.length === outputProof.length &&
    (place.kind !== 'key' || (again.place as LookupPostings).postings.length === place.postings.length) &&
    equal(again.outputLeaf, outputLeaf);
  if (!isSame) throw badLookup('a part of the lookup is out of its range');
  return bytes;
}

function placeParts(place: LookupPlace): Uint8Array[] {
  if (place.kind === 'empty') return [];
  if (place.kind === 'other') return [place.leaf.keyHash, uint64(place.leaf.count), place.leaf.postingRoot];
  const { count, since, range, postings, rest } = place;
  const indexes = new Uint8Array(8 * postings.length);
  for (const [i, index] of postings.entries()) indexes.set(uint64(checkedSize(index, 'index')), 8 * i);
  return [
    uint64(checkedSize(count)),
    uint64(checkedSize(since)),
    ...range,
    uint64(postings.length).subarray(4),
    indexes,
    Uint8Array.of(rest.length),
    ...rest,
  ];
}

/**
 * Reads an answer, which proves nothing: see `verifyLookup`. The result has views of `bytes`.
 * @throws MerkleError `bad-lookup` for anything that `formatLookup` would not write
 */
export function parseLookup(bytes: Uint8Array): Lookup {
  if (bytes.length > MAX_LOOKUP) throw badLookup(`the lookup has more than ${MAX_LOOKUP} bytes`);
  const reader = new Reader(bytes);
  if (!equal(reader.take(MAGIC.length), MAGIC)) throw badLookup('the lookup does not begin with "stele-lookup@v1"');
  const kind = PLACES[reader.number(1)];
  if (kind === undefined) throw badLookup('the lookup has a place of an unknown kind');
  const depth = reader.number(2);
  if (depth > MAX_DEPTH) throw badLookup(`the lookup has more than ${MAX_DEPTH} levels`);
  const bitmap = reader.take(Math.ceil(depth / 8));
  const isThere = (i: number) => ((bitmap[i >> 3]! << (i & 7)) & 0x80) !== 0;
  for (let i = depth; i < 8 * bitmap.length; i++) {
    if (isThere(i)) throw badLookup('the lookup has a bit for a level that is not there');
  }
  const siblings = Array.from({ length: depth }, (_, i) => (isThere(i) ? reader.take(HASH_SIZE) : undefined));
  const place = readPlace(reader, kind);
  const outputLeaf = reader.take(reader.number(2));
  const outputProof = reader.hashes(reader.count(1, MAX_PROOF, 'hashes'));
  const length = reader.count(4, MAX_CHECKPOINT, 'bytes of a checkpoint');
  const outputCheckpoint = reader.text(length);
  reader.end();
  return { siblings, place, outputLeaf, outputProof, outputCheckpoint };
}

function readPlace(reader: Reader, kind: LookupPlace['kind']): LookupPlace {
  if (kind === 'empty') return { kind };
  if (kind === 'other') {
    const keyHash = reader.take(HASH_SIZE);
    const count = reader.number(8);
    return { kind, leaf: { keyHash, count, postingRoot: reader.take(HASH_SIZE) } };
  }
  const count = reader.number(8);
  const since = reader.number(8);
  const range = reader.hashes(bitsOf(since));
  const postings = reader.numbers(reader.count(4, MAX_POSTINGS, 'postings'));
  const rest = reader.hashes(reader.count(1, MAX_PROOF, 'hashes'));
  return { kind, count, since, range, postings, rest };
}

/** The number of perfect subtrees in a tree of this size. */
function bitsOf(size: number): number {
  let bits = 0;
  for (let left = size; left > 0; left = Math.floor(left / 2)) bits += left % 2;
  return bits;
}

class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  take(length: number): Uint8Array {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw badLookup('the lookup is cut short');
    const taken = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }

  /** A number of 1, 2, 4 or 8 bytes, below 2^53. */
  number(size: number): number {
    let value = 0;
    for (const byte of this.take(size)) value = value * 256 + byte;
    if (value > Number.MAX_SAFE_INTEGER) throw badLookup('the lookup has a number of 2^53 or more');
    return value;
  }

  /** A number of things that follow. */
  count(size: number, most: number, what: string): number {
    const count = this.number(size);
    if (count > most) throw badLookup(`the lookup has ${count} ${what}; the limit is ${most}`);
    return count;
  }

  hashes(count: number): Uint8Array[] {
    const all = this.take(count * HASH_SIZE);
    return Array.from({ length: count }, (_, i) => all.subarray(HASH_SIZE * i, HASH_SIZE * (i + 1)));
  }

  numbers(count: number): number[] {
    if (this.#at + 8 * count > this.#bytes.length) throw badLookup('the lookup is cut short');
    return Array.from({ length: count }, () => this.number(8));
  }

  text(length: number): string {
    try {
      return decodeUtf8(this.take(length));
    } catch (cause) {
      throw badLookup('the lookup has a checkpoint that is not UTF-8', cause);
    }
  }

  end(): void {
    if (this.#at !== this.#bytes.length) throw badLookup('the lookup has bytes after its end');
  }
}

function uint16(value: number): Uint8Array {
  return Uint8Array.of(Math.floor(value / 256), value % 256);
}

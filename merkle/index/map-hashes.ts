/**
 * The hashes of the map and of its posting logs: docs/index.md, "Posting logs" and "The map".
 *
 *   posting root     RFC 6962 root over the entries uint64(index), ascending
 *   leaf             SHA-256(0x02 ‖ key hash ‖ uint64 count ‖ posting root)
 *   empty subtree    32 zero bytes; a subtree with one leaf has the hash of that leaf
 *   other subtree    SHA-256(0x03 ‖ left ‖ right)
 */
import { concat } from '../bytes.ts';
import { checkHash, HASH_SIZE, leafHash, type Sha256, sha256 } from '../rfc6962.ts';

/** Bits of a key hash, and so the most levels below the root. */
export const MAX_DEPTH = 256;

/** The hash of a subtree without leaves. Callers must not change it. */
export const EMPTY_SUBTREE: Uint8Array = new Uint8Array(HASH_SIZE);

/** What the map holds for one key. */
export interface MapLeaf {
  /** 32 bytes. */
  readonly keyHash: Uint8Array;
  /** Number of postings, at least 1. */
  readonly count: number;
  /** Root of the posting log, 32 bytes. */
  readonly postingRoot: Uint8Array;
}

export function mapLeafHash({ keyHash, count, postingRoot }: MapLeaf, hash: Sha256 = sha256): Uint8Array {
  return hash(concat(Uint8Array.of(2), checkHash(keyHash), uint64(count), checkHash(postingRoot)));
}

const node = new Uint8Array(1 + 2 * HASH_SIZE);
node[0] = 3;

/** The hash of a subtree with at least two leaves, from those of its two halves, 32 bytes each. */
export function mapNodeHash(left: Uint8Array, right: Uint8Array, hash: Sha256 = sha256): Uint8Array {
  node.set(checkHash(left), 1);
  node.set(checkHash(right), 1 + HASH_SIZE);
  return hash(node);
}

/** The RFC 6962 leaf hash of a posting: of the index of an entry, 0 to 2^53 - 1. */
export function postingHash(index: number, hash: Sha256 = sha256): Uint8Array {
  return leafHash(uint64(index), hash);
}

/** Bit `depth` of a key hash: whether the key is in the right half of its subtree at this depth. */
export function bitAt(keyHash: Uint8Array, depth: number): boolean {
  return ((keyHash[depth >> 3]! >> (7 - (depth & 7))) & 1) === 1;
}

/** 8 bytes, the first one the largest. */
export function uint64(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, Math.floor(value / 2 ** 32));
  view.setUint32(4, value % 2 ** 32);
  return bytes;
}

/**
 * The hashes of a Merkle tree: RFC 6962 section 2.1 (June 2013; unchanged in RFC 9162 section 2.1.1), with SHA-256.
 *
 *   empty tree            SHA-256()
 *   leaf of an entry      SHA-256(0x00 || entry)
 *   node over two hashes  SHA-256(0x01 || left || right)
 *
 * The first byte separates leaves from nodes. Without it, an entry could have the hash of a node.
 *
 * Worked example: the tree over the one empty entry has the root
 * 6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d.
 */
import { sha256 as nobleSha256 } from '@noble/hashes/sha2.js';
import { MerkleError } from './errors.ts';

/**
 * SHA-256 of any bytes, as a new array of 32 bytes. The function must not keep `data`, because the caller overwrites it
 * after the call, and must not call a function of this module.
 */
export type Sha256 = (data: Uint8Array) => Uint8Array;

/** Length of a hash in bytes. */
export const HASH_SIZE = 32;

/** SHA-256 in JavaScript, on every platform; on Node, `fastSha256` of the runtime is faster. */
export const sha256: Sha256 = (data) => nobleSha256(data);

/** Root of the tree of size 0, 32 bytes. Callers must not change it. */
export const EMPTY_ROOT: Uint8Array = sha256(new Uint8Array(0));

/** Leaf hash of an entry of any length, 32 bytes. */
export function leafHash(entry: Uint8Array, hash: Sha256 = sha256): Uint8Array {
  const data = new Uint8Array(1 + entry.length);
  data.set(entry, 1);
  return hash(data);
}

// One buffer serves all nodes, as they are hashed one at a time: an allocation per node costs a third of the node's hash.
const node = new Uint8Array(1 + 2 * HASH_SIZE);
node[0] = 1;

/** Hash of the node over `left` and `right`, 32 bytes each. @throws MerkleError `bad-hash` for another length */
export function nodeHash(left: Uint8Array, right: Uint8Array, hash: Sha256 = sha256): Uint8Array {
  checkHash(left);
  checkHash(right);
  node.set(left, 1);
  node.set(right, 1 + HASH_SIZE);
  return hash(node);
}

/** Returns `value`. @throws MerkleError `bad-hash` unless `value` is 32 bytes long. */
export function checkHash(value: Uint8Array): Uint8Array {
  if (value.length !== HASH_SIZE) throw new MerkleError('bad-hash', `a hash has ${value.length} bytes instead of 32`);
  return value;
}

/**
 * Root hashes over whole files: the node of the tree that a full tile or a full bundle stands for. Both of one index give the
 * same node, so each is verified without the other. Measured for 256 entries of 500 bytes: 0.2 ms; 50 µs for a tile.
 */
import { BUNDLE_WIDTH, MAX_ENTRY } from '../../merkle/bundle.ts';
import { HASH_SIZE } from '../../merkle/rfc6962.ts';
import { type RangeHasher, rangeHasher, rootInPlace } from '../../merkle/runtime/crypto/rangehash.ts';
import { TILE_WIDTH } from '../../merkle/tile.ts';

const TILE_BYTES = TILE_WIDTH * HASH_SIZE;
/** `rootInPlace` needs the byte before the hashes. */
const HASHES_AT = 1;
const BUNDLE_AT = HASHES_AT + TILE_BYTES;
const LENGTH_BYTES = 2;
const MAX_BUNDLE = BUNDLE_WIDTH * (LENGTH_BYTES + MAX_ENTRY);

let hasher: RangeHasher | undefined;

/** The root over the 256 hashes of a full tile, 32 fresh bytes; undefined where `bytes` have another length. */
export function tileRoot(bytes: Uint8Array): Uint8Array | undefined {
  if (bytes.length !== TILE_BYTES) return undefined;
  const shared = sharedHasher();
  shared.memory.set(bytes, HASHES_AT);
  return rootOf(shared);
}

/** The root over the leaf hashes of a full bundle, 32 fresh bytes; undefined where `bytes` are not 256 whole entries. */
export function bundleRoot(bytes: Uint8Array): Uint8Array | undefined {
  return hashLeaves(bytes) ? rootOf(sharedHasher()) : undefined;
}

/** The tile of the leaf hashes of a full bundle, 8 KiB; undefined where `bytes` are not 256 whole entries. */
export function leavesOf(bytes: Uint8Array): Uint8Array | undefined {
  return hashLeaves(bytes) ? sharedHasher().memory.slice(HASHES_AT, BUNDLE_AT) : undefined;
}

function hashLeaves(bytes: Uint8Array): boolean {
  if (bytes.length > MAX_BUNDLE) return false;
  const { memory, hash } = sharedHasher();
  memory.set(bytes, BUNDLE_AT);
  const end = BUNDLE_AT + bytes.length;
  let at = BUNDLE_AT;
  for (let i = 0; i < BUNDLE_WIDTH; i++) {
    if (at + LENGTH_BYTES > end) return false;
    const length = (memory[at]! << 8) + memory[at + 1]!;
    const next = at + LENGTH_BYTES + length;
    if (next > end) return false;
    // The leaf hash is over 0x00 and the entry (RFC 6962 section 2.1): the second byte of the length makes room.
    memory[at + 1] = 0;
    hash(at + 1, 1 + length, HASHES_AT + i * HASH_SIZE);
    at = next;
  }
  return at === end;
}

function rootOf(shared: RangeHasher): Uint8Array {
  rootInPlace(shared, HASHES_AT, TILE_WIDTH);
  return shared.memory.slice(HASHES_AT, HASHES_AT + HASH_SIZE);
}

/** Room for the longest bundle, 16 MiB. The system provides only the pages that are used. */
function sharedHasher(): RangeHasher {
  hasher ??= rangeHasher(BUNDLE_AT + MAX_BUNDLE);
  return hasher;
}

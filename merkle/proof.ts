/**
 * Inclusion and consistency proofs. Proofs are made as in RFC 6962 sections 2.1.1 and 2.1.2, and verified as in RFC 9162
 * sections 2.1.3.2 and 2.1.4.2 (December 2021).
 *
 * A proof is a list of 32-byte hashes from the leaf upwards. Worked example (RFC 6962 section 2.1.3): in the tree of 7
 * entries with the leaf hashes a to g, the inclusion proof of entry 0 is [b, node(c,d), node(node(e,f),g)], and the
 * consistency proof from size 3 to size 7 is [c, d, node(a,b), node(node(e,f),g)].
 *
 * Each hash of a proof covers a half-open range of entries. Most ranges are perfect subtrees: (level, index) covers
 * [index * 2^level, (index + 1) * 2^level), and a tile or a compact range holds its hash. The range at the right edge of
 * the tree may consist of several perfect subtrees, whose hashes are folded into one.
 */
import { checkedSize, equal } from './bytes.ts';
import { MerkleError } from './errors.ts';
import { EMPTY_ROOT, HASH_SIZE, nodeHash, type Sha256, sha256 } from './rfc6962.ts';

/** A perfect subtree: the entries [index * 2^level, (index + 1) * 2^level). */
export interface NodeId {
  readonly level: number;
  readonly index: number;
}

/** Reads the hash of a perfect subtree, 32 bytes. Callers request only nodes of the tree. */
export type NodeReader = (level: number, index: number) => Uint8Array;

export interface InclusionClaim {
  /** Requires 0 <= index < size. */
  readonly index: number;
  /** Size of the tree, up to 2^53 - 1. */
  readonly size: number;
  readonly leafHash: Uint8Array;
  readonly root: Uint8Array;
  /** At most 63, 32 bytes each. */
  readonly hashes: readonly Uint8Array[];
}

interface ConsistencyClaim {
  /** Requires 0 <= first <= second <= 2^53 - 1. */
  readonly first: number;
  readonly second: number;
  readonly firstRoot: Uint8Array;
  readonly secondRoot: Uint8Array;
  /** At most 63, 32 bytes each; empty if `first` is 0 or equals `second`. */
  readonly hashes: readonly Uint8Array[];
}

/** No proof of a tree below 2^63 entries has more hashes. */
export const MAX_PROOF = 63;

/**
 * Checks that the tree with this size and root has the leaf at `index` (RFC 9162 section 2.1.3.2).
 * @throws MerkleError `bad-proof` if the proof does not verify, or a number or hash is out of its range
 */
export function verifyInclusion(claim: InclusionClaim, hash: Sha256 = sha256): void {
  const { index, size, hashes } = claim;
  checkProofNumber(index);
  checkProofNumber(size);
  if (index >= size) throw badProof(`there is no entry ${index} in a tree of size ${size}`);
  checkProofHashes(hashes, [claim.leafHash, claim.root]);
  let fn = index;
  let sn = size - 1;
  let root = claim.leafHash;
  for (const sibling of hashes) {
    if (sn === 0) throw badProof('the inclusion proof has too many hashes');
    if (fn % 2 === 1 || fn === sn) {
      root = nodeHash(sibling, root, hash);
      // At the right edge the subtree may have no sibling for several levels.
      while (fn % 2 === 0 && fn !== 0) {
        fn /= 2;
        sn = Math.floor(sn / 2);
      }
    } else {
      root = nodeHash(root, sibling, hash);
    }
    fn = Math.floor(fn / 2);
    sn = Math.floor(sn / 2);
  }
  if (sn !== 0) throw badProof('the inclusion proof has too few hashes');
  if (!equal(root, claim.root)) throw badProof('the inclusion proof leads to another root');
}

/**
 * Checks that the tree of size `first` is a prefix of the tree of size `second` (RFC 9162 section 2.1.4.2). The empty
 * tree is a prefix of every tree; its root must then be the empty root.
 * @throws MerkleError `bad-proof` if the proof does not verify, or a number or hash is out of its range
 */
export function verifyConsistency(claim: ConsistencyClaim, hash: Sha256 = sha256): void {
  const { first, second, firstRoot, secondRoot, hashes } = claim;
  checkProofNumber(first);
  checkProofNumber(second);
  if (first > second) throw badProof(`a tree of size ${first} is not a prefix of a tree of size ${second}`);
  if (first === 0 && !equal(firstRoot, EMPTY_ROOT)) throw badProof('the root of size 0 is not the empty root');
  if (first === second && !equal(firstRoot, secondRoot))
    throw badProof(`the two trees of size ${first} have different roots`);
  if (first === 0 || first === second) {
    if (hashes.length !== 0) throw badProof('the consistency proof has too many hashes');
    // Two trees of one size are compared by their roots alone, so the length of the roots does not matter.
    if (first !== second) checkProofHashes([], [firstRoot, secondRoot]);
    return;
  }
  checkProofHashes([], [secondRoot]);
  const roots = consistencyRoots({ first, second, firstRoot, hashes }, hash);
  if (!equal(roots.firstRoot, firstRoot)) throw badProof('the consistency proof leads to another first root');
  if (!equal(roots.secondRoot, secondRoot)) throw badProof('the consistency proof leads to another second root');
}

/**
 * The two roots that a consistency proof leads to (RFC 9162 section 2.1.4.2, steps 1 to 6). Requires 0 < first < second.
 * If `first` is a power of two, the proof does not contain the first root, and `firstRoot` is used in its place.
 * @throws MerkleError `bad-proof` for a proof of the wrong length, and for wrong sizes
 */
export function consistencyRoots(
  { first, second, firstRoot, hashes }: Omit<ConsistencyClaim, 'secondRoot'>,
  hash: Sha256 = sha256,
): { readonly firstRoot: Uint8Array; readonly secondRoot: Uint8Array } {
  checkProofNumber(first);
  checkProofNumber(second);
  if (first === 0 || first >= second)
    throw badProof(`no consistency proof with hashes exists from size ${first} to size ${second}`);
  checkProofHashes(hashes, [firstRoot]);
  let fn = first - 1;
  let sn = second - 1;
  while (fn % 2 === 1) {
    fn = Math.floor(fn / 2);
    sn = Math.floor(sn / 2);
  }
  // fn is 0 if `first` is a power of two. The first tree is then a subtree of the second, and its root starts the proof.
  const [seed, ...rest] = fn === 0 ? [firstRoot, ...hashes] : hashes;
  if (seed === undefined) throw badProof('the consistency proof has too few hashes');
  let fr = seed;
  let sr = seed;
  for (const sibling of rest) {
    if (sn === 0) throw badProof('the consistency proof has too many hashes');
    if (fn % 2 === 1 || fn === sn) {
      fr = nodeHash(sibling, fr, hash);
      sr = nodeHash(sibling, sr, hash);
      while (fn % 2 === 0 && fn !== 0) {
        fn /= 2;
        sn = Math.floor(sn / 2);
      }
    } else {
      sr = nodeHash(sr, sibling, hash);
    }
    fn = Math.floor(fn / 2);
    sn = Math.floor(sn / 2);
  }
  if (sn !== 0) throw badProof('the consistency proof has too few hashes');
  return { firstRoot: fr, secondRoot: sr };
}

/** Hashes of the inclusion proof. Requires 0 <= index < size <= 2^53 - 1. @throws MerkleError `bad-number` */
export function inclusionProof(index: number, size: number, read: NodeReader, hash: Sha256 = sha256): Uint8Array[] {
  return inclusionRanges(index, size).map((range) => foldRange(range, read, hash));
}

/** Hashes of the consistency proof. Requires 0 <= first <= second <= 2^53 - 1. @throws MerkleError `bad-number` */
export function consistencyProof(first: number, second: number, read: NodeReader, hash: Sha256 = sha256): Uint8Array[] {
  return consistencyRanges(first, second).map((range) => foldRange(range, read, hash));
}

/** Root hash at `size`, 32 bytes. @throws MerkleError `bad-number` */
export function rootAt(size: number, read: NodeReader, hash: Sha256 = sha256): Uint8Array {
  return checkedSize(size) === 0 ? EMPTY_ROOT.slice() : foldRange({ begin: 0, end: size }, read, hash);
}

/**
 * Hash of the subtree over the entries [begin, end), 32 bytes. Requires begin < end, and that `begin` is a multiple of the
 * least power of two that is not less than end - begin (see subtree.ts).
 */
export function rangeHash(begin: number, end: number, read: NodeReader, hash: Sha256 = sha256): Uint8Array {
  return foldRange({ begin, end }, read, hash);
}

/** Every node that `inclusionProof` reads. */
export function inclusionNodes(index: number, size: number): NodeId[] {
  return inclusionRanges(index, size).flatMap(rangeNodes);
}

/** Every node that `consistencyProof` reads. */
export function consistencyNodes(first: number, second: number): NodeId[] {
  return consistencyRanges(first, second).flatMap(rangeNodes);
}

/** Every node that `rootAt` reads: the compact range of that size, the largest subtree first. */
export function rootNodes(size: number): NodeId[] {
  return rangeNodes({ begin: 0, end: checkedSize(size) });
}

/** The entries [begin, end) of a subtree: `begin` is a multiple of the least power of two not less than its length. */
interface Range {
  readonly begin: number;
  readonly end: number;
}

/** The range of each hash of PATH(index, D[size]), in the order of the hashes. */
function inclusionRanges(index: number, size: number): Range[] {
  checkedSize(size);
  if (checkedSize(index, 'index') >= size) {
    throw new MerkleError('bad-number', `there is no entry ${index} in a tree of size ${size}`);
  }
  const ranges: Range[] = [];
  let begin = 0;
  let end = size;
  for (let k = splitOf(size); end - begin > 1; k /= 2) {
    if (k >= end - begin) continue;
    const middle = begin + k;
    if (index < middle) {
      ranges.push({ begin: middle, end });
      end = middle;
    } else {
      ranges.push({ begin, end: middle });
      begin = middle;
    }
  }
  return ranges.reverse();
}

/** The range of each hash of PROOF(first, D[second]), in the order of the hashes. */
function consistencyRanges(first: number, second: number): Range[] {
  checkedSize(second);
  if (checkedSize(first) > second) {
    throw new MerkleError('bad-number', `a tree of size ${first} is not a prefix of a tree of size ${second}`);
  }
  if (first === 0 || first === second) return [];
  const ranges: Range[] = [];
  let begin = 0;
  let end = second;
  for (let k = splitOf(second); first !== end; k /= 2) {
    if (k >= end - begin) continue;
    const middle = begin + k;
    if (first <= middle) {
      ranges.push({ begin: middle, end });
      end = middle;
    } else {
      ranges.push({ begin, end: middle });
      begin = middle;
    }
  }
  // If this subtree is the whole first tree, the verifier already has its root (SUBPROOF with b = true).
  if (begin !== 0) ranges.push({ begin, end });
  return ranges.reverse();
}

/** The largest power of two below `size`, or 1. */
function splitOf(size: number): number {
  let k = 1;
  while (k * 2 < size) k *= 2;
  return k;
}

/** The perfect subtrees that make up a range, the largest first. */
function rangeNodes({ begin, end }: Range): NodeId[] {
  const nodes: NodeId[] = [];
  let width = 1;
  let level = 0;
  while (width * 2 <= end - begin) {
    width *= 2;
    level++;
  }
  for (let at = begin; at < end; width /= 2, level--) {
    if (width > end - at) continue;
    nodes.push({ level, index: at / width });
    at += width;
  }
  return nodes;
}

function foldRange(range: Range, read: NodeReader, hash: Sha256): Uint8Array {
  const nodes = rangeNodes(range);
  let at = nodes.length - 1;
  let value = read(nodes[at]!.level, nodes[at]!.index);
  while (--at >= 0) value = nodeHash(read(nodes[at]!.level, nodes[at]!.index), value, hash);
  return value;
}

function checkProofNumber(value: number): void {
  if (!Number.isSafeInteger(value) || value < 0)
    throw badProof('a size or index is not an integer between 0 and 2^53 - 1');
}

function checkProofHashes(hashes: readonly Uint8Array[], others: readonly Uint8Array[]): void {
  if (hashes.length > MAX_PROOF)
    throw badProof(`the proof has ${hashes.length} hashes; at most ${MAX_PROOF} are possible`);
  for (const value of [...others, ...hashes]) {
    if (value.length !== HASH_SIZE) throw badProof(`a hash has ${value.length} bytes instead of ${HASH_SIZE}`);
  }
}

export function badProof(message: string): MerkleError {
  return new MerkleError('bad-proof', message);
}

/**
 * Subtrees and their consistency proofs: draft-ietf-plants-merkle-tree-certs-03, sections 4.1 and 4.4 (April 2026;
 * unchanged in the draft of 2026-08-20). c2sp.org/tlog-witness uses them for `sign-subtree`.
 *
 * A subtree is the Merkle tree over the entries [start, end) of a log, where `start` is a multiple of the least power of
 * two that is not less than `end - start`. The hash of a subtree is computed from nodes of the log's own tree.
 *
 * The proof lists hashes from the subtree upwards. Each step down from the root leaves one half of the current range
 * aside, and the proof contains the hash of that half. If the subtree extends over the middle of the range, it contains
 * the whole left half, and the next step goes right with the rest of the subtree. The verifier does not know the hash of
 * that rest, so the proof then starts with it. A proof with start 0 is the consistency proof of RFC 6962, and a proof of
 * one entry is the inclusion proof.
 *
 * Worked example: [4, 6) in a tree of 7 entries a to g has the proof [g, node(node(a,b),node(c,d))].
 */
import { checkedSize, equal } from './bytes.ts';
import { MerkleError } from './errors.ts';
import { badProof, MAX_PROOF, type NodeReader, rangeHash } from './proof.ts';
import { EMPTY_ROOT, HASH_SIZE, nodeHash, type Sha256, sha256 } from './rfc6962.ts';

interface SubtreeClaim {
  /** The subtree's entries: [start, end). */
  readonly start: number;
  readonly end: number;
  /** Size of the log's tree; `end` is at most this. */
  readonly size: number;
  readonly subtreeHash: Uint8Array;
  readonly root: Uint8Array;
  /** At most 63, 32 bytes each. */
  readonly hashes: readonly Uint8Array[];
}

/** Whether [start, end) is a subtree as defined above. [x, x) is a subtree: the empty tree. */
export function isValidSubtree(start: number, end: number): boolean {
  if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || start < 0 || start > end) return false;
  // A power of two above 2^53 is still exact, and 0 is its only multiple among the safe integers.
  let width = 1;
  while (width < end - start) width *= 2;
  return start % width === 0;
}

/**
 * Checks that the tree with this size and root has this subtree.
 * @throws MerkleError `bad-proof` if the proof does not verify, or [start, end) is not a subtree of the tree
 */
export function verifySubtree(claim: SubtreeClaim, hash: Sha256 = sha256): void {
  const { start, end, size, subtreeHash, root, hashes } = claim;
  if (!isValidSubtree(start, end) || !Number.isSafeInteger(size) || end > size) {
    throw badProof(`[${start}, ${end}) is not a subtree of a tree of size ${size}`);
  }
  if (hashes.length > MAX_PROOF) throw badProof(`the proof has more than ${MAX_PROOF} hashes`);
  for (const value of [subtreeHash, root, ...hashes]) {
    if (value.length !== HASH_SIZE) throw badProof(`a hash has ${value.length} bytes instead of ${HASH_SIZE}`);
  }
  if (start === end) {
    if (hashes.length > 0) throw badProof('the proof has too many hashes');
    if (!equal(subtreeHash, EMPTY_ROOT)) throw badProof('the hash of no entries is not the empty root');
    return;
  }
  const { steps, known } = pathTo(start, end, size);
  if (hashes.length !== steps.length + (known ? 0 : 1)) throw badProof('the proof has too many or too few hashes');
  let inner = known ? subtreeHash : hashes[0]!;
  let outer = inner;
  let at = known ? 0 : 1;
  for (const step of steps) {
    const sibling = hashes[at++]!;
    // A sibling left of the rest is part of the subtree. A sibling left of the whole subtree is not.
    if (step.inside) inner = nodeHash(sibling, inner, hash);
    outer = step.left ? nodeHash(sibling, outer, hash) : nodeHash(outer, sibling, hash);
  }
  if (!equal(inner, subtreeHash)) throw badProof('the proof leads to another hash of the subtree');
  if (!equal(outer, root)) throw badProof('the proof leads to another root');
}

/** Hashes of the proof. Requires that [start, end) is a subtree and end <= size. @throws MerkleError `bad-number` */
export function subtreeProof(
  start: number,
  end: number,
  size: number,
  read: NodeReader,
  hash: Sha256 = sha256,
): Uint8Array[] {
  checkedSize(size);
  checkSubtree(start, end);
  if (end > size)
    throw new MerkleError('bad-number', `there is no subtree [${start}, ${end}) in a tree of size ${size}`);
  if (start === end) return [];
  const { steps, known, rest } = pathTo(start, end, size);
  const ranges = [...(known ? [] : [rest]), ...steps.map((step) => step.aside)];
  return ranges.map(({ begin, end }) => rangeHash(begin, end, read, hash));
}

/** Hash of the subtree [start, end), 32 bytes. @throws MerkleError `bad-number` */
export function subtreeHash(start: number, end: number, read: NodeReader, hash: Sha256 = sha256): Uint8Array {
  checkSubtree(start, end);
  return start === end ? EMPTY_ROOT.slice() : rangeHash(start, end, read, hash);
}

interface Step {
  /** The half that the step leaves aside: the range of a hash in the proof. */
  readonly aside: { readonly begin: number; readonly end: number };
  /** `aside` is the left half. */
  readonly left: boolean;
  /** `aside` is part of the subtree. */
  readonly inside: boolean;
}

/** SUBTREE_SUBPROOF of section 4.4.1, without recursion: the steps down to the subtree, the lowest first. */
function pathTo(start: number, end: number, size: number) {
  const steps: Step[] = [];
  let known = true;
  let from = start;
  let begin = 0;
  let stop = size;
  let width = 1;
  while (width * 2 < size) width *= 2;
  for (; begin !== from || stop !== end; width /= 2) {
    if (width >= stop - begin) continue;
    const middle = begin + width;
    if (end <= middle) {
      steps.push({ aside: { begin: middle, end: stop }, left: false, inside: false });
      stop = middle;
    } else {
      const inside = from < middle;
      steps.push({ aside: { begin, end: middle }, left: true, inside });
      begin = middle;
      if (inside) {
        from = middle;
        known = false;
      }
    }
  }
  return { steps: steps.reverse(), known, rest: { begin, end: stop } };
}

function checkSubtree(start: number, end: number): void {
  if (!isValidSubtree(start, end)) throw new MerkleError('bad-number', `[${start}, ${end}) is not a subtree`);
}

/**
 * Subtrees and their consistency proofs: draft-ietf-plants-merkle-tree-certs-03, sections 4.1 and 4.4 (April 2026; the
 * same in the draft of 2026-08-20), which c2sp.org/tlog-witness names for `sign-subtree`.
 *
 * A subtree is the Merkle tree over the entries [start, end) of a log, where `start` is a multiple of the least power of
 * two that is no less than `end - start`. Its hash is then made of nodes of the log's own tree, and a proof shows that.
 *
 * The proof lists hashes from the subtree's place upwards. On the way down from the root, each step leaves one half of
 * the tree aside, whose hash the proof holds. Where the subtree reaches over the middle, it holds the whole left half,
 * and the way goes on to the right with the rest; the proof then starts with the hash of that rest, which the verifier
 * cannot know. With start 0 it is the consistency proof of RFC 6962, for one entry the inclusion proof.
 *
 * Worked example: [4, 6) in a tree of 7 entries a to g has the proof [g, node(node(a,b),node(c,d))].
 */
import { checkedSize, equal } from './bytes.ts';
import { MerkleError } from './errors.ts';
import { MAX_PROOF, type NodeReader, rangeHash } from './proof.ts';
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

/** Whether [start, end) is a subtree in the sense above. [x, x) is one, the empty tree. */
export function isValidSubtree(start: number, end: number): boolean {
  if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || start < 0 || start > end) return false;
  // Beyond 2^53 the power is still exact, and only 0 is a multiple of it.
  let width = 1;
  while (width < end - start) width *= 2;
  return start % width === 0;
}

/**
 * Checks that the tree of that size and root has this subtree.
 *
 * @throws MerkleError `bad-proof` for whatever does not hold, a range that is no subtree included
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
    // What stands to the left of the rest is in the subtree too; what stands to the left of all of it is not.
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
  /** What the step leaves aside: the range that the hash in the proof covers. */
  readonly aside: { readonly begin: number; readonly end: number };
  /** It stands to the left. */
  readonly left: boolean;
  /** It is part of the subtree. */
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

function badProof(message: string): MerkleError {
  return new MerkleError('bad-proof', message);
}

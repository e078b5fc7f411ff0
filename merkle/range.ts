/**
 * The compact range of a growing tree (RFC 6962 section 2.1): the roots of its largest perfect subtrees. They suffice to
 * append leaves and to compute the root.
 *
 * A tree of size n has one such subtree for each 1 in the binary form of n, the largest first. Worked example: size 11
 * is 1011, so the range holds the roots over the entries [0, 8), [8, 10) and [10, 11), and the root of the tree is
 * node(h8, node(h2, h1)).
 */
import { checkedSize, MAX_SIZE } from './bytes.ts';
import { MerkleError } from './errors.ts';
import { checkHash, EMPTY_ROOT, nodeHash, type Sha256, sha256 } from './rfc6962.ts';

/** Receives the perfect subtree over the entries [index * 2^level, (index + 1) * 2^level). It must not change `hash`. */
type OnNode = (level: number, index: number, hash: Uint8Array) => void;

export class CompactRange {
  readonly #hash: Sha256;
  readonly #hashes: Uint8Array[];
  #size: number;

  private constructor(size: number, hashes: Uint8Array[], hash: Sha256) {
    this.#size = size;
    this.#hashes = hashes;
    this.#hash = hash;
  }

  static empty(hash: Sha256 = sha256): CompactRange {
    return new CompactRange(0, [], hash);
  }

  /**
   * The range of a tree of `size` in [0, 2^53 - 1] with the subtree roots `hashes`, the largest subtree first. The hashes
   * are not verified: the caller compares `root()`.
   * @throws MerkleError `bad-number`, `bad-hash`, or `bad-state` if a tree of this size has another number of subtrees.
   */
  static from(size: number, hashes: readonly Uint8Array[], hash: Sha256 = sha256): CompactRange {
    let wanted = 0;
    for (let rest = checkedSize(size); rest > 0; rest = Math.floor(rest / 2)) wanted += rest % 2;
    if (hashes.length !== wanted) {
      throw new MerkleError('bad-state', `a tree of size ${size} has ${wanted} subtrees, not ${hashes.length}`);
    }
    const copies = hashes.map((value) => new Uint8Array(checkHash(value)));
    return new CompactRange(size, copies, hash);
  }

  /** Number of entries. */
  get size(): number {
    return this.#size;
  }

  /** Roots of the perfect subtrees, the largest first; 32 bytes each. The caller must not change them. */
  get hashes(): readonly Uint8Array[] {
    return this.#hashes.slice();
  }

  /**
   * Appends one leaf hash (32 bytes). Calls `onNode` for each perfect subtree that the leaf completes: first for the leaf
   * itself (level 0), then upwards. Over many calls, a call computes one node hash on average.
   * @throws MerkleError `bad-hash`, or `bad-number` at 2^53 - 1 entries; the range is then unchanged.
   */
  append(leaf: Uint8Array, onNode?: OnNode): void {
    if (this.#size >= MAX_SIZE) throw new MerkleError('bad-number', 'the tree has 2^53 - 1 entries and cannot grow');
    // The range keeps a copy: a leaf is often a view of the buffer of a whole batch, which the range would keep in memory
    // and which may be reused. slice() does not copy a Buffer.
    let hash: Uint8Array = new Uint8Array(checkHash(leaf));
    let index = this.#size;
    let level = 0;
    onNode?.(level, index, hash);
    while (index % 2 === 1) {
      hash = nodeHash(this.#hashes.pop()!, hash, this.#hash);
      index = (index - 1) / 2;
      level++;
      onNode?.(level, index, hash);
    }
    this.#hashes.push(hash);
    this.#size++;
  }

  /** Root hash of the tree, 32 bytes. */
  root(): Uint8Array {
    let at = this.#hashes.length - 1;
    if (at < 0) return EMPTY_ROOT.slice();
    let root = this.#hashes[at]!;
    while (--at >= 0) root = nodeHash(this.#hashes[at]!, root, this.#hash);
    return new Uint8Array(root);
  }

  /** An independent copy of the range. */
  clone(): CompactRange {
    return new CompactRange(this.#size, this.#hashes.slice(), this.#hash);
  }
}

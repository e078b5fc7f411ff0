/**
 * The map in memory, by its definition: docs/index.md, "The map". A tree never changes: `with` gives the next one, and both share
 * what is the same in them. The builder of an operator keeps its map on disk and is tested against this one.
 */
import { equal } from '../bytes.ts';
import { MerkleError } from '../errors.ts';
import { consistencyProof, type NodeReader, rootNodes } from '../proof.ts';
import { checkHash, type Sha256, sha256 } from '../rfc6962.ts';
import type { LookupPlace, LookupPostings } from './lookup.ts';
import { bitAt, EMPTY_SUBTREE, type MapLeaf, mapLeafHash, mapNodeHash } from './map-hashes.ts';

type TreeNode = LeafNode | InnerNode | undefined;

interface LeafNode {
  readonly hash: Uint8Array;
  readonly leaf: MapLeaf;
}

interface InnerNode {
  readonly hash: Uint8Array;
  readonly left: TreeNode;
  readonly right: TreeNode;
}

/** The path to the place of a key, and what is there. */
interface MapPath {
  readonly siblings: readonly (Uint8Array | undefined)[];
  /** The leaf at the place: of the key, or of another one. */
  readonly leaf?: MapLeaf;
}

export class MapTree {
  readonly #node: TreeNode;
  readonly #hash: Sha256;
  /** Number of keys. */
  readonly keys: number;

  private constructor(node: TreeNode, keys: number, hash: Sha256) {
    this.#node = node;
    this.keys = keys;
    this.#hash = hash;
  }

  static empty(hash: Sha256 = sha256): MapTree {
    return new MapTree(undefined, 0, hash);
  }

  /** 32 bytes. */
  get root(): Uint8Array {
    return (this.#node?.hash ?? EMPTY_SUBTREE).slice();
  }

  /** The tree with these leaves in the places of their keys, new or not. @throws MerkleError `bad-hash`, `bad-number` */
  with(leaves: readonly MapLeaf[]): MapTree {
    let node = this.#node;
    let { keys } = this;
    for (const leaf of leaves) {
      if (!(Number.isSafeInteger(leaf.count) && leaf.count >= 1))
        throw new MerkleError('bad-number', 'a key has a posting');
      if (this.get(leaf.keyHash, node) === undefined) keys++;
      node = this.#put(node, { leaf, hash: mapLeafHash(leaf, this.#hash) }, 0);
    }
    return new MapTree(node, keys, this.#hash);
  }

  /** The leaf of a key. */
  get(keyHash: Uint8Array, node: TreeNode = this.#node): MapLeaf | undefined {
    const { leaf } = walk(node, checkHash(keyHash));
    return leaf !== undefined && equal(leaf.keyHash, keyHash) ? leaf : undefined;
  }

  path(keyHash: Uint8Array): MapPath {
    return walk(this.#node, checkHash(keyHash));
  }

  #put(node: TreeNode, added: LeafNode, depth: number): TreeNode {
    if (node === undefined) return added;
    if (!('leaf' in node)) {
      return bitAt(added.leaf.keyHash, depth)
        ? this.#inner(node.left, this.#put(node.right, added, depth + 1))
        : this.#inner(this.#put(node.left, added, depth + 1), node.right);
    }
    if (equal(node.leaf.keyHash, added.leaf.keyHash)) return added;
    // The leaf that is here moves down until the two keys part.
    const alone = bitAt(node.leaf.keyHash, depth) ? this.#inner(undefined, node) : this.#inner(node, undefined);
    return this.#put(alone, added, depth);
  }

  #inner(left: TreeNode, right: TreeNode): InnerNode {
    return { left, right, hash: mapNodeHash(left?.hash ?? EMPTY_SUBTREE, right?.hash ?? EMPTY_SUBTREE, this.#hash) };
  }
}

function walk(from: TreeNode, keyHash: Uint8Array): MapPath {
  const siblings: (Uint8Array | undefined)[] = [];
  let node = from;
  while (node !== undefined && !('leaf' in node)) {
    const isRight = bitAt(keyHash, siblings.length);
    siblings.push((isRight ? node.left : node.right)?.hash);
    node = isRight ? node.right : node.left;
  }
  return { siblings, ...(node !== undefined && { leaf: node.leaf }) };
}

/** The place of a key in an answer. `postings` is what the map holds for the key; undefined if it does not have the key. */
export function lookupPlace({ leaf }: MapPath, postings: LookupPostings | undefined): LookupPlace {
  if (postings !== undefined) return { kind: 'key', ...postings };
  return leaf === undefined ? { kind: 'empty' } : { kind: 'other', leaf };
}

/**
 * The part of a posting log that answers a lookup: at most `limit` postings from `since` on.
 * @param postings those from `since` on
 * @param read hashes of perfect subtrees of the posting log
 */
export function lookupPostings(
  count: number,
  since: number,
  postings: readonly number[],
  read: NodeReader,
  hash: Sha256 = sha256,
): LookupPostings {
  const range = rootNodes(since).map(({ level, index }) => read(level, index));
  const end = since + postings.length;
  return { count, since, range, postings, rest: consistencyProof(end, count, read, hash) };
}

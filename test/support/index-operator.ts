/**
 * The operator of a verifiable index, honest or not: it publishes any leaf that a test wants in an output log. Its map is the
 * literal one (merkle/index/map-tree.ts), made anew for each leaf.
 */
import { extractKeys } from '../../merkle/index/extract.ts';
import { type IndexKey, keyHash } from '../../merkle/index/keys.ts';
import { postingHash } from '../../merkle/index/map-hashes.ts';
import { formatOutputLeaf } from '../../merkle/index/map-leaf.ts';
import { MapTree } from '../../merkle/index/map-tree.ts';
import { CompactRange } from '../../merkle/range.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { FakeLog, View } from './fake-log.ts';

export interface Lie {
  /** Leaves these postings out, or adds them, before the map is made. */
  readonly change?: (postings: Map<string, { readonly key: Uint8Array; readonly indexes: number[] }>) => void;
  readonly keys?: number;
  /** A note in the place of the input checkpoint. */
  readonly inputCheckpoint?: string;
}

/** The map over these entries, by its definition. */
export function literalMap(entries: readonly Uint8Array[], change?: Lie['change']): MapTree {
  const postings = new Map<string, { readonly key: Uint8Array; readonly indexes: number[] }>();
  for (const [index, body] of entries.entries()) {
    for (const key of extractKeys(body, fastSha256)) {
      const hash = keyHash(key, fastSha256);
      const name = Buffer.from(hash).toString('hex');
      const found = postings.get(name) ?? { key: hash, indexes: [] };
      found.indexes.push(index);
      postings.set(name, found);
    }
  }
  change?.(postings);
  const leaves = [...postings.values()].map(({ key, indexes }) => {
    const range = CompactRange.empty(fastSha256);
    for (const index of indexes) range.append(postingHash(index, fastSha256));
    return { keyHash: key, count: indexes.length, postingRoot: range.root() };
  });
  return MapTree.empty(fastSha256).with(leaves);
}

export function nameOf(key: IndexKey): string {
  return Buffer.from(keyHash(key, fastSha256)).toString('hex');
}

export class IndexOperator {
  readonly input: FakeLog;
  readonly output = new FakeLog(new View([]), 'output.test');

  constructor(input: FakeLog) {
    this.input = input;
  }

  /** The leaf over the first `size` entries of the input log. */
  leaf(size = this.input.size, { change, keys, inputCheckpoint }: Lie = {}): Uint8Array {
    const tree = literalMap(this.input.view.entries.slice(0, size), change);
    const note = inputCheckpoint ?? this.input.sign(this.input.text(size));
    return formatOutputLeaf({ root: tree.root, keys: keys ?? tree.keys, inputCheckpoint: note });
  }

  /** Appends a leaf to the output log. */
  publish(leaf: Uint8Array = this.leaf()): void {
    this.output.view.grow([leaf]);
    this.output.size = this.output.view.entries.length;
  }
}

import { hash } from 'node:crypto';
import { expect } from 'vitest';
import { encodeUtf8 } from '../../merkle/bytes.ts';
import { MerkleError, type MerkleErrorCode } from '../../merkle/errors.ts';
import { CompactRange } from '../../merkle/range.ts';
import { leafHash, type Sha256 } from '../../merkle/rfc6962.ts';

/** The code that `run` fails with; anything but a MerkleError fails the test. */
export function codeOf(run: () => unknown): MerkleErrorCode | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    expect(error).toBeInstanceOf(MerkleError);
    return (error as MerkleError).code;
  }
}

export const nodeSha256: Sha256 = (data) => new Uint8Array(hash('sha256', data, 'buffer'));

export function entriesOf(size: number): Uint8Array[] {
  return Array.from({ length: size }, (_, i) => encodeUtf8(`entry ${i}`));
}

/** Every perfect subtree of the tree over `entries`, by level and index, as a compact range reports them. */
export class GrownTree {
  readonly range = CompactRange.empty(nodeSha256);
  readonly levels: Uint8Array[][] = [];
  /** Roots by size. */
  readonly roots: Uint8Array[] = [this.range.root()];

  constructor(entries: readonly Uint8Array[], eachRoot = true) {
    for (const entry of entries) {
      this.range.append(leafHash(entry, nodeSha256), (level, index, node) => {
        this.levels[level] ??= [];
        if (this.levels[level].length !== index) throw new Error(`node ${index} at level ${level} is out of turn`);
        this.levels[level].push(node);
      });
      if (eachRoot) this.roots.push(this.range.root());
    }
  }

  read = (level: number, index: number): Uint8Array => {
    const hash = this.levels[level]?.[index];
    if (hash === undefined) throw new Error(`no node ${index} at level ${level}`);
    return hash;
  };
}

/** Proofs that must not verify: each hash corrupted, each dropped, each two neighbours swapped, one more at each end. */
export function* damaged(hashes: readonly Uint8Array[]): Generator<Uint8Array[]> {
  for (let i = 0; i < hashes.length; i++) {
    const flipped = hashes[i]!.slice();
    flipped[i % 32]! ^= 1 << (i % 8);
    yield hashes.with(i, flipped);
    yield hashes.toSpliced(i, 1);
    if (i > 0) yield hashes.with(i, hashes[i - 1]!).with(i - 1, hashes[i]!);
  }
  const extra = hashes[0] ?? new Uint8Array(32);
  yield [extra, ...hashes];
  yield [...hashes, extra];
}

/** The checkpoints that a log has shown before: each must be what the tree of the newest begins with. */
import { equal } from '../../merkle/bytes.ts';
import { printable } from '../../merkle/printable.ts';
import { HASH_SIZE } from '../../merkle/rfc6962.ts';
import { TILE_WIDTH } from '../../merkle/tile.ts';
import { ClientError } from '../errors.ts';
import type { Head } from './audit-head.ts';
import type { AuditState, SeenHead } from './audit-state.ts';
import type { Levels } from './levels.ts';
import { AuditProblem } from './types.ts';

/** Each interrupted audit may add one. */
const MAX_HEADS = 64;

export class History {
  readonly #before: readonly SeenHead[];
  #heads: readonly SeenHead[];

  /**
   * The history in `state`, none where it is undefined, with the checkpoint of now.
   *
   * @throws AuditProblem `bad-checkpoint`: it is smaller than one before, or of another tree of that size;
   *   ClientError `state`: the state is of another log
   */
  constructor(state: AuditState | undefined, head: Head) {
    this.#before = state?.heads ?? [];
    if (state !== undefined && state.origin !== head.origin) {
      throw new ClientError(
        'state',
        `the state is of the log ${printable(state.origin)}, and this is ${printable(head.origin)}: give each log a state of its own`,
      );
    }
    const last = this.#before.at(-1);
    if (last !== undefined && last.size > head.size) {
      throw bad(`the log went back: it has shown a tree of ${last.size} entries, and now one of ${head.size}`);
    }
    if (last?.size === head.size && !equal(last.root, head.root)) throw otherTree(last);
    const { note, size, root } = head;
    const heads = [...this.#before.filter((seen) => seen.size !== size), { note, size, root }];
    // The smallest is of the last audit that came to its end, which says the most.
    this.#heads = heads.length > MAX_HEADS ? heads.toSpliced(1, 1) : heads;
  }

  /** Smallest first, the checkpoint of now last. */
  get heads(): readonly SeenHead[] {
    return this.#heads;
  }

  /** Sizes of the trees before that end at or before this many entries. */
  extendedBy(entries: number): number[] {
    return this.#before.map(({ size }) => size).filter((size) => size <= entries);
  }

  /** Whether a tree before ends within the full bundle `index`. */
  endsWithin(index: number): boolean {
    return this.#before.some(({ size }) => Math.floor(size / TILE_WIDTH) === index);
  }

  /**
   * Compares the trees before that end within the bundle after those of `levels`, whose leaf hashes are `leaves`.
   *
   * @throws AuditProblem `bad-checkpoint`
   */
  check(levels: Levels, leaves: Uint8Array): void {
    for (const seen of this.#before) {
      const width = seen.size - levels.bundles * TILE_WIDTH;
      if (width < 0 || width >= TILE_WIDTH || width * HASH_SIZE > leaves.length) continue;
      if (!equal(levels.rootWith(leaves.subarray(0, width * HASH_SIZE)), seen.root)) throw otherTree(seen);
    }
  }

  /** All of it holds: whatever continues the tree of now continues all that it was found to continue. */
  forget(): void {
    this.#heads = this.#heads.slice(-1);
  }
}

function otherTree({ size }: SeenHead): AuditProblem {
  return bad(
    `the log shows another tree than before: at ${size} entries the root is not the one of the checkpoint that was seen then. ` +
      'The checkpoint in the state is the evidence: keep it',
  );
}

function bad(why: string): AuditProblem {
  return new AuditProblem('bad-checkpoint', 'checkpoint', why);
}

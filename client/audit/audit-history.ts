/** The checkpoints that a log has shown before: the tree of the newest must begin with the tree of each. */
import { equal } from '../../merkle/bytes.ts';
import { printable } from '../../merkle/printable.ts';
import { HASH_SIZE } from '../../merkle/rfc6962.ts';
import { TILE_WIDTH } from '../../merkle/tile.ts';
import { ClientError } from '../errors.ts';
import { standing } from '../follow/open-head.ts';
import type { AuditHead, SeenHead } from './audit-head.ts';
import { AuditProblem } from './audit-problem.ts';
import type { AuditState } from './audit-state.ts';
import type { Levels } from './levels.ts';

/** Each interrupted audit may add a head, and each that comes to its end a proven one. */
const MAX_HEADS = 64;

export class History {
  readonly #before: readonly SeenHead[];
  readonly #head: AuditHead;
  #proven: readonly SeenHead[];
  #heads: readonly SeenHead[];

  /**
   * The history in `state`, and the current checkpoint.
   *
   * `latestHead` has refused a checkpoint that is smaller than the last one.
   *
   * @throws AuditProblem `bad-checkpoint`: the checkpoint is of another tree of the same size; ClientError `state`: the state
   *   is of another log
   */
  constructor(state: AuditState | undefined, head: AuditHead) {
    this.#before = state?.heads ?? [];
    this.#proven = state?.proven ?? [];
    this.#head = head;
    if (state !== undefined && state.origin !== head.origin) {
      const why = `the state is of the log ${printable(state.origin)}, and this is ${printable(head.origin)}`;
      throw new ClientError('state', `${why}: give each log a state of its own`);
    }
    const last = this.#before.at(-1);
    if (last !== undefined && standing(last, head) === 'other-root') throw otherTree(last, head);
    const { note, size, root } = head;
    const heads = [...this.#before.filter((seen) => seen.size !== size), { note, size, root }];
    // The smallest is of the last audit that came to its end, and says the most.
    this.#heads = heads.length > MAX_HEADS ? heads.toSpliced(1, 1) : heads;
  }

  /** Smallest first; the current checkpoint is the last. */
  get heads(): readonly SeenHead[] {
    return this.#heads;
  }

  /** Smaller trees that are the beginning of the first of `heads`; smallest first. */
  get proven(): readonly SeenHead[] {
    return this.#proven;
  }

  /** Sizes of the earlier trees that end at or before this many entries. */
  extendedBy(entries: number): number[] {
    return this.#before.map(({ size }) => size).filter((size) => size <= entries);
  }

  /** Whether an earlier tree ends within the full bundle `index`. */
  endsWithin(index: number): boolean {
    return this.#before.some(({ size }) => Math.floor(size / TILE_WIDTH) === index);
  }

  /**
   * Compares the earlier trees that end within the bundle after those of `levels`.
   *
   * @param leaves leaf hashes of that bundle
   * @throws AuditProblem `bad-checkpoint`
   */
  check(levels: Levels, leaves: Uint8Array): void {
    for (const seen of this.#before) {
      const width = seen.size - levels.bundles * TILE_WIDTH;
      if (width < 0 || width >= TILE_WIDTH || width * HASH_SIZE > leaves.length) continue;
      if (!equal(levels.rootWith(leaves.subarray(0, width * HASH_SIZE)), seen.root)) throw otherTree(seen, this.#head);
    }
  }

  /** The whole history holds: a tree that continues the current one continues all earlier ones. */
  settle(): void {
    this.#proven = [...this.#proven, ...this.#heads.slice(0, -1)].slice(-MAX_HEADS);
    this.#heads = this.#heads.slice(-1);
  }
}

/** The log signed `head`, which does not continue the earlier checkpoint `seen`. */
export function otherTree({ size }: SeenHead, head: AuditHead): AuditProblem {
  return historyProblem(
    `the log shows another tree than before: at ${size} entries the root is not the one of the checkpoint that was seen then`,
    head,
  );
}

/** `head` and the checkpoints in the state do not fit together. */
export function historyProblem(why: string, { note }: AuditHead): AuditProblem {
  const evidence = 'The checkpoint in the state and this one are the evidence: keep both';
  return new AuditProblem('bad-checkpoint', 'checkpoint', `${why}. ${evidence}`, undefined, { note });
}

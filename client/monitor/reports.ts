/** Which conditions of a log were reported and last: each is told once, not in every round. */
import type { Reported } from './log-state.ts';

/** A lie that comes back after so long is reported again. */
const FORGIVEN_MS = 60 * 60_000;
/** These are over with the first good round. */
const PASSING: readonly string[] = ['stale', 'quorum-missing', 'bad-entry'];

/** Conditions by `Misbehaviour.condition`. */
export class Reports {
  readonly #lasting: Map<string, Reported>;
  #suspected: { readonly condition: string; readonly times: number } | undefined;

  constructor(lasting: Iterable<readonly [string, Reported]> = []) {
    this.#lasting = new Map(lasting);
  }

  /** A copy. */
  get lasting(): ReadonlyMap<string, Reported> {
    return new Map(this.#lasting);
  }

  /** How often in a row the condition, which is not proven, was seen: this time counts. */
  suspect(condition: string): number {
    const before = this.#suspected?.condition === condition ? this.#suspected.times : 0;
    this.#suspected = { condition, times: before + 1 };
    return before + 1;
  }

  /** Whether it was reported already; it is then known to last until `time`. */
  lasts(condition: string, time: number): boolean {
    const before = this.#lasting.get(condition);
    if (before !== undefined) this.#lasting.set(condition, { ...before, seen: time });
    return before !== undefined;
  }

  add(condition: string, reported: Reported): void {
    this.#lasting.set(condition, reported);
  }

  over(condition: string): void {
    this.#lasting.delete(condition);
  }

  /** After a good round; whether something is over by that. */
  good(time: number): boolean {
    this.#suspected = undefined;
    const before = this.#lasting.size;
    for (const [condition, { seen }] of this.#lasting) {
      if (PASSING.includes(condition) || time - seen >= FORGIVEN_MS) this.#lasting.delete(condition);
    }
    return this.#lasting.size !== before;
  }
}

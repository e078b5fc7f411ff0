/** Which conditions of a log the monitor has reported and still last: it reports each once, not in every round. */
import type { LogCondition } from './fact-alerts.ts';
import type { Reported } from './log-state.ts';

/** The monitor reports a condition again that comes back after so long. */
const FORGIVEN_MS = 60 * 60_000;
/** These end with the first good round. */
const PASSING: readonly string[] = ['stale', 'quorum-missing', 'bad-entry'];

/** Conditions by their name. */
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

  /** Whether the condition is proven, or the monitor has now seen it so many times in a row. */
  confirms({ proven, kind, condition, detail }: LogCondition, times: number): boolean {
    if (proven) return true;
    // A fault on the way makes other wrong bytes each time; a log that lies shows the same.
    const name = kind === 'bad-entry' ? `${condition} ${detail}` : condition;
    const before = this.#suspected?.condition === name ? this.#suspected.times : 0;
    this.#suspected = { condition: name, times: before + 1 };
    return before + 1 >= times;
  }

  /** Whether the monitor has reported the condition already. The condition then lasts until `time`. */
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

  /** After a good round; whether a condition has ended by that. */
  good(time: number): boolean {
    this.#suspected = undefined;
    const before = this.#lasting.size;
    for (const [condition, { seen }] of this.#lasting) {
      if (PASSING.includes(condition) || time - seen >= FORGIVEN_MS) this.#lasting.delete(condition);
    }
    return this.#lasting.size !== before;
  }
}

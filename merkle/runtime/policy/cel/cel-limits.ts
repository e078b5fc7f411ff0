/**
 * What a condition may cost. Its text, its nesting and the loops over lists that it writes out are bounded before anything runs;
 * what it does with data is metered while it runs. A condition that meets a limit fails, and a failure denies.
 */

export interface ConditionLimits {
  /** Code points of a condition. */
  readonly text: number;
  /** Levels of parentheses, operators, calls and members within each other. */
  readonly nesting: number;
  /** Units of work of one evaluation: about one for each operation, and for each 32 characters or elements that it reads. */
  readonly work: number;
  /** Characters and bytes that one evaluation makes, all told; an element counts as ten. */
  readonly built: number;
  /** Milliseconds of one evaluation, from the first look at the clock. It is a second net: the work bounds the time on any machine. */
  readonly time: number;
  /** Milliseconds of one decision, with all its conditions on all pieces of evidence. */
  readonly decision: number;
}

export const CONDITION_LIMITS: ConditionLimits = {
  text: 100_000,
  nesting: 250,
  work: 5_000_000,
  built: 4_000_000,
  time: 2_000,
  decision: 10_000,
};

/** A member of a list counts as so many characters: its memory is what a loop over a long list takes. */
export const MEMBER_WORK = 10;

/** So much work between two looks at the clock. */
const CLOCK_EVERY = 20_000;

/** Milliseconds. Unlike `performance`, it loads nothing. */
const clock = (): number => Number(process.hrtime.bigint()) / 1e6;

/** Counts the work of one evaluation at a time, and the time of the decision that it is for. */
export class Meter {
  readonly limits: ConditionLimits;
  /** The limit that the evaluation met: the sentence for people. Every further `work` throws. */
  met: string | undefined;
  readonly #clock: () => number;
  #work = 0;
  #built = 0;
  #nextLook = 0;
  /** Unknown until the first look: most evaluations end before. */
  #end: number | undefined;
  #decisionEnd = Number.POSITIVE_INFINITY;

  /** @param now milliseconds that only grow */
  constructor(limits: ConditionLimits, now: () => number = clock) {
    this.limits = limits;
    this.#clock = now;
  }

  startDecision(): void {
    this.#decisionEnd = this.#clock() + this.limits.decision;
  }

  endDecision(): void {
    this.#decisionEnd = Number.POSITIVE_INFINITY;
  }

  /** The decision takes longer than it may. It stays so until the decision ends. */
  get isLate(): boolean {
    return this.#clock() > this.#decisionEnd;
  }

  start(): void {
    this.met = undefined;
    this.#work = 0;
    this.#built = 0;
    this.#nextLook = CLOCK_EVERY;
    this.#end = undefined;
  }

  /** Units of work so far. */
  get spent(): number {
    return this.#work;
  }

  /** @throws Error where a limit is met */
  work(units: number): void {
    this.#work += units;
    if (this.#work >= this.#nextLook || this.met !== undefined) this.#look();
  }

  /** The evaluation makes `size` characters, bytes or elements. @throws Error where a limit is met */
  build(size: number): void {
    this.#built += size;
    if (this.#built > this.limits.built) {
      this.met ??= `it makes more than ${this.limits.built} characters and bytes, or a tenth of it elements`;
    }
    this.work(1 + size / 32);
  }

  #look(): void {
    const now = this.#clock();
    this.#end ??= now + this.limits.time;
    if (this.#work > this.limits.work) this.met ??= `it takes more than ${this.limits.work} units of work`;
    else if (now > this.#end) this.met ??= `it takes longer than ${this.limits.time} ms`;
    else if (now > this.#decisionEnd) this.met ??= `the decision takes longer than ${this.limits.decision} ms`;
    this.#nextLook = Math.min(this.#work + CLOCK_EVERY, this.limits.work + 1);
    if (this.met !== undefined) throw new Error(this.met);
  }
}

/** Of all decisions, since one is made at a time in a thread. */
export const METER = new Meter(CONDITION_LIMITS);

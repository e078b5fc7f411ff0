/** Names with a count, at most: the one that was first seen longest ago is forgotten for a new one. */
const MAX_NAMES = 100_000;

/** Counts events by name in windows of a fixed length. */
export class Window {
  readonly #windowMs: () => number;
  readonly #now: () => number;
  #counts = new Map<string, number>();
  #until = 0;

  /** `windowMs` is read when a window begins; `now` returns milliseconds that never go back. */
  constructor(windowMs: () => number, now: () => number = () => performance.now()) {
    this.#windowMs = windowMs;
    this.#now = now;
  }

  /** Whether `max` events of this name are counted in this window. */
  isFull(name: string, max: number): boolean {
    return this.#counted(name) >= max;
  }

  /** @param events how many, at least 1 */
  count(name: string, events = 1): void {
    const counted = this.#counted(name);
    if (counted === 0 && this.#counts.size >= MAX_NAMES) this.#counts.delete(this.#counts.keys().next().value!);
    this.#counts.set(name, counted + events);
  }

  /** Seconds until the window ends, at least 1. */
  get retryAfter(): number {
    return Math.max(1, Math.ceil((this.#until - this.#now()) / 1000));
  }

  #counted(name: string): number {
    const now = this.#now();
    if (now >= this.#until) {
      // All names share one window: the counts are dropped as a whole, and need no sweep.
      this.#counts = new Map();
      this.#until = now + this.#windowMs();
    }
    return this.#counts.get(name) ?? 0;
  }
}

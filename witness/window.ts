/** Counts events by name in windows of a fixed length. */
export class Window {
  readonly #max: number;
  readonly #windowMs: number;
  readonly #now: () => number;
  #counts = new Map<string, number>();
  #until = 0;

  /** Allows `max` events a name in `windowMs`; 0 is no limit. `now` returns milliseconds that never go back. */
  constructor(max: number, windowMs: number, now: () => number = () => performance.now()) {
    this.#max = max;
    this.#windowMs = windowMs;
    this.#now = now;
  }

  /** Counts one event. Returns false where the event is one too many. */
  take(name: string): boolean {
    if (this.#max === 0) return true;
    const now = this.#now();
    if (now >= this.#until) {
      // All names share one window: the counts are dropped as a whole, and need no sweep.
      this.#counts = new Map();
      this.#until = now + this.#windowMs;
    }
    const count = (this.#counts.get(name) ?? 0) + 1;
    if (count > this.#max) return false;
    this.#counts.set(name, count);
    return true;
  }

  /** Seconds until the window ends, at least 1. */
  get retryAfter(): number {
    return Math.max(1, Math.ceil((this.#until - this.#now()) / 1000));
  }
}

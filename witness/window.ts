/** Counts events by name in windows of a fixed length. */
export class Window {
  readonly #windowMs: number;
  readonly #now: () => number;
  #counts = new Map<string, number>();
  #until = 0;

  /** `now` returns milliseconds that never go back. */
  constructor(windowMs: number, now: () => number = () => performance.now()) {
    this.#windowMs = windowMs;
    this.#now = now;
  }

  /** Whether `max` events of this name are counted in this window. */
  isFull(name: string, max: number): boolean {
    return this.#counted(name) >= max;
  }

  count(name: string): void {
    this.#counts.set(name, this.#counted(name) + 1);
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
      this.#until = now + this.#windowMs;
    }
    return this.#counts.get(name) ?? 0;
  }
}

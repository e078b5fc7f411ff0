/**
 * How much one search may do. Work is counted in units of about a microsecond, so that a page ends at the same place each time,
 * however busy the machine is.
 */
import { cancelled } from '../../errors.ts';

/** Units of one request. */
const UNITS = 400_000;
/** The thread serves others after so long. */
const SLICE_MS = 4;

export class Work {
  readonly #signal: AbortSignal;
  #left: number;
  #slice = performance.now();

  constructor(signal: AbortSignal, units = UNITS) {
    this.#signal = signal;
    this.#left = units;
  }

  get isOver(): boolean {
    return this.#left <= 0;
  }

  spend(units: number): void {
    this.#left -= units;
  }

  /** Gives the thread to others where this search has had it for long. @throws ClientError `cancelled` */
  async breathe(): Promise<void> {
    if (performance.now() - this.#slice > SLICE_MS) {
      await new Promise((resolve) => setImmediate(resolve));
      this.#slice = performance.now();
    }
    if (this.#signal.aborted) throw cancelled(this.#signal.reason);
  }
}

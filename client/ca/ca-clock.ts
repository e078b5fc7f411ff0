/**
 * The clock of the authority, which decides from when to when a certificate is valid, and whether a token still is. It must not be
 * before the last certificate that was issued, nor before the last cosignature of a quorum of witnesses, also after a restart.
 */
import { timeText } from '../../merkle/x509/utc-time.ts';
import { CaError } from './ca-errors.ts';
import type { PromiseStore } from './promise-store.ts';

/** Milliseconds by which the clock may be back: clocks are set a little, and those of witnesses are others. */
const TOLERANCE_MS = 10_000;

interface CaClockOptions {
  readonly store: Pick<PromiseStore, 'latest'>;
  /** Milliseconds since 1970. */
  readonly wall?: () => number;
  /** Milliseconds of a clock that nobody sets. */
  readonly steady?: () => number;
}

export class CaClock {
  readonly #store: CaClockOptions['store'];
  readonly #wall: () => number;
  readonly #steady: () => number;
  /** The latest time of the witnesses, and when it came by the steady clock. */
  #witnessed = { time: 0, at: 0 };

  constructor({ store, wall = Date.now, steady = () => performance.now() }: CaClockOptions) {
    this.#store = store;
    this.#wall = wall;
    this.#steady = steady;
  }

  /** @returns milliseconds since 1970 @throws CaError `clock` */
  now(): number {
    const { problem } = this;
    if (problem === undefined) return this.#wall();
    throw new CaError('clock', `${problem}: no certificate leaves before its operator has set it right`);
  }

  /** What is wrong with the clock, in one sentence; undefined where nothing is. */
  get problem(): string | undefined {
    const now = this.#wall();
    const { time, at } = this.#witnessed;
    const least = Math.max(this.#store.latest, time === 0 ? 0 : time + this.#steady() - at);
    if (now >= least - TOLERANCE_MS) return undefined;
    return `the authority's clock says ${timeText(now)}, and its last certificate and the witnesses of the log say that it is ${timeText(least)} or later`;
  }

  /** A quorum of witnesses had cosigned at `time`. */
  sawWitnesses(time: number): void {
    const { time: before, at } = this.#witnessed;
    if (before === 0 || time >= before + this.#steady() - at) this.#witnessed = { time, at: this.#steady() };
  }

  /**
   * Whether the time at which a certificate begins is one that the witnesses agree with, who saw the certificate at `witnessed`.
   * A clock that is ahead gives certificates that are not valid yet.
   */
  agrees(notBefore: number, witnessed: number): boolean {
    return notBefore <= witnessed + TOLERANCE_MS;
  }
}

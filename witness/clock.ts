/**
 * The time that cosignatures say. Clients and logs compare it with their own clocks, and a cosignature cannot be taken back,
 * so a wrong clock must be found before it signs.
 *
 * While the witness runs, the wall clock is held against a clock that nobody sets. On Linux that is the time since the
 * machine's start (CLOCK_BOOTTIME, which `os.uptime` reads): it goes on while the machine is suspended, and Node's own
 * `performance.now` does not. A virtual machine that was paused has two clocks that stood still together; the step that
 * corrects its wall clock afterwards is a step like any other.
 */
import { uptime } from 'node:os';
import { requestError, WitnessError } from './errors.ts';

/** How far the two clocks may come apart, in milliseconds. */
const CLOCK_TOLERANCE_MS = 60_000;
/** What a clock that is corrected slowly may gain or lose: the fastest that adjtime(3) slews on Linux. */
const SLEW = 500e-6;

export interface Clocks {
  /** Milliseconds since 1970. */
  wall(): number;
  /** Milliseconds that nobody sets, and that go on while the machine is suspended. */
  steady(): number;
}

const SYSTEM_CLOCKS: Clocks = {
  wall: () => Date.now(),
  steady: process.platform === 'linux' ? () => uptime() * 1000 : () => performance.now(),
};

export class WitnessClock {
  readonly #clocks: Clocks;
  readonly #onChange: (wrong: string | undefined) => void;
  #isWrong = false;
  /** Wall clock minus steady clock, as it was while the two agreed. */
  #offset: number;
  /** The steady clock when `#offset` was last corrected. */
  #checked: number;

  /** `onChange` learns why the clock cannot be trusted any more, or with undefined that it can again. */
  constructor(clocks: Clocks = SYSTEM_CLOCKS, onChange: (wrong: string | undefined) => void = () => {}) {
    this.#clocks = clocks;
    this.#onChange = onChange;
    this.#checked = clocks.steady();
    this.#offset = clocks.wall() - this.#checked;
  }

  /** How far the wall clock has gone from the steady one since the start, in milliseconds; more than 0 is ahead. */
  drift(): number {
    const steady = this.#clocks.steady();
    const drift = this.#clocks.wall() - steady - this.#offset;
    if (Math.abs(drift) <= CLOCK_TOLERANCE_MS) {
      // A clock that is slewed is no wrong clock. One that jumped stays wrong, however long it does.
      const most = Math.max(0, steady - this.#checked) * SLEW;
      this.#offset += Math.min(most, Math.max(-most, drift));
      this.#checked = steady;
    }
    return drift;
  }

  /** Why the clock cannot be trusted, in one sentence; undefined where it can. */
  wrong(): string | undefined {
    const drift = this.drift();
    const wrong = Math.abs(drift) <= CLOCK_TOLERANCE_MS ? undefined : this.#sentence(drift);
    if ((wrong !== undefined) !== this.#isWrong) {
      this.#isWrong = wrong !== undefined;
      this.#onChange(wrong);
    }
    return wrong;
  }

  /** Seconds since 1970. @throws RequestError `clock` */
  now(): number {
    if (this.wrong() !== undefined) throw requestError('clock');
    return Math.floor(this.#clocks.wall() / 1000);
  }

  #sentence(drift: number): string {
    const seconds = Math.round(Math.abs(drift) / 1000);
    return (
      `the clock of this machine was set ${drift > 0 ? 'ahead' : 'back'} by ${seconds} s while the witness ran, to ` +
      `${shown(this.#clocks.wall() / 1000)}: nothing is cosigned until it is back within ${CLOCK_TOLERANCE_MS / 1000} s. If ` +
      'the clock is right now, restart the witness'
    );
  }
}

/**
 * Compares the clock of a start with the newest cosignature. Resolving a doubt is the operator's: no other clock is here.
 * @param newest seconds since 1970; undefined where nothing was cosigned yet
 * @throws WitnessError `clock`
 */
export function checkStartClock(now: number, newest: number | undefined, maxAheadMs: number): void {
  if (newest === undefined) return;
  const ahead = now - newest;
  if (ahead * 1000 > maxAheadMs) {
    throw new WitnessError(
      'clock',
      `the clock of this machine says ${shown(now)}, and the newest cosignature of this witness is of ${shown(newest)}, ` +
        `${days(ahead)} earlier. More than ${days(maxAheadMs / 1000)} (clock.maxAhead) is taken for a wrong clock, and a ` +
        'cosignature with a wrong time cannot be taken back. Set the clock; or, if it is right, start once with --accept-clock.',
    );
  }
  if (ahead * 1000 < -CLOCK_TOLERANCE_MS) {
    throw new WitnessError(
      'clock',
      `the clock of this machine says ${shown(now)}, and the newest cosignature of this witness is of ${shown(newest)}, ` +
        'which is later. Either the clock is wrong now, or it was when that was cosigned. Set the clock; or, if it is right, ' +
        'start once with --accept-clock. The witness then gives times before those that it gave, and whoever has both can ' +
        'see it; the other way is a new witness with a new key.',
    );
  }
}

/** A time in seconds since 1970, for people: it may lie beyond what `Date` can show. */
function shown(seconds: number): string {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? `${seconds} s after 1970` : date.toISOString();
}

function days(seconds: number): string {
  const whole = Math.floor(seconds / 86_400);
  return whole > 0 ? `${whole} days` : `${Math.round(seconds)} s`;
}

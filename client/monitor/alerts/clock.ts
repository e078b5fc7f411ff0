/** Time, as a parameter: an hour of failures must not take a test an hour. */
import { setTimeout as delay } from 'node:timers/promises';

export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Resolves after `ms`, or when the signal aborts. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

/** setTimeout takes no more; whoever wakes early looks again. */
const LONGEST_MS = 60 * 60_000;

export const SYSTEM_CLOCK: Clock = {
  now: Date.now,
  sleep: (ms, signal) => delay(Math.min(ms, LONGEST_MS), undefined, { signal }).catch(() => {}),
};

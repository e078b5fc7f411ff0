/**
 * How long a client waits before it tries again: pauses that double up to a bound, half of each at random, and never
 * less than the server asks for in `Retry-After` (RFC 9110 section 10.2.3).
 *
 * The random half keeps clients that failed together from coming back together.
 */
import { setTimeout as delay } from 'node:timers/promises';

/** Time as a parameter: a test of an hour of failures must not take an hour. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Resolves after `ms` milliseconds, or as soon as the signal aborts. The caller looks at the signal. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** setTimeout fires at once for a longer delay. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export const SYSTEM_CLOCK: Clock = {
  now: Date.now,
  sleep: (ms, signal) =>
    delay(Math.min(ms, LONGEST_TIMER_MS), undefined, signal === undefined ? {} : { signal }).catch(() => {}),
};

export interface BackOff {
  /** Longest pause after the first failure, in milliseconds. */
  readonly firstMs: number;
  /** Longest pause after any number of failures, in milliseconds. */
  readonly longestMs: number;
  /** Longest pause that a server may ask for, in milliseconds; a day by default. */
  readonly longestAskedMs?: number;
  /** From 0 up to 1; `Math.random` by default. */
  readonly random?: () => number;
}

const DAY_MS = 86_400_000;

/**
 * The pause after `failures` failures in a row, in whole milliseconds.
 * @param failures at least 1
 * @param askedMs what `parseRetryAfter` found in the last answer
 */
export function backOffMs(backOff: BackOff, failures: number, askedMs = 0): number {
  const { firstMs, longestMs, longestAskedMs = DAY_MS, random = Math.random } = backOff;
  const longest = Math.min(longestMs, firstMs * 2 ** Math.min(failures - 1, 30));
  return Math.round(Math.max(longest * (1 - random() / 2), Math.min(askedMs, longestAskedMs)));
}

/**
 * The value of a `Retry-After` header in milliseconds from `now`: a number of seconds or an HTTP date. At least 0, at
 * most a day.
 * @returns undefined where there is no header, or its value is neither
 */
export function parseRetryAfter(value: string | null | undefined, now = Date.now()): number | undefined {
  if (value === null || value === undefined) return undefined;
  if (/^[0-9]{1,9}$/.test(value)) return Math.min(Number(value) * 1000, DAY_MS);
  // Date.parse takes much that is no HTTP date, "5.5" among it.
  const ms = /^[A-Z][a-z]{2,8},? [\x20-\x7e]{10,40}$/.test(value) ? Date.parse(value) - now : Number.NaN;
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), DAY_MS);
}

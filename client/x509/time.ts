/** Periods of time, in milliseconds since 1970. */

/** Both ends belong to it; without an end it still lasts. */
export interface Period {
  readonly start: number;
  readonly end?: number;
}

export function within({ start, end }: Period, ms: number): boolean {
  return start <= ms && (end === undefined || ms <= end);
}

/** ISO 8601, also where what comes from outside is beyond what Date takes. */
export function timeText(ms: number): string {
  return Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : String(ms);
}

/** The times of digests: a time of day in UTC, so that no clock change skips or doubles one. */

const DAY_MS = 24 * 60 * 60_000;

/** Milliseconds after midnight of `HH:MM`. Requires what the schema of `digest` takes. */
export function timeOfDay(text: string): number {
  const [hours = 0, minutes = 0] = text.split(':').map(Number);
  return (hours * 60 + minutes) * 60_000;
}

/** The first moment after `ms` at which the day is `at` old. An alert of exactly that moment waits for the next one. */
export function nextDaily(ms: number, at: number): number {
  const midnight = Math.floor(ms / DAY_MS) * DAY_MS;
  return midnight + at > ms ? midnight + at : midnight + at + DAY_MS;
}

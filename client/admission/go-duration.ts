/** Durations as Go writes them (`time.Duration.String`, `time.ParseDuration`): `1m30s`, `2.5s`, `500ms`. */

const UNITS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};
const PART = /(\d{1,9}(?:\.\d{0,9})?)(ns|us|µs|μs|ms|s|m|h)/gy;

/** Milliseconds; undefined for any other text, for zero and for a negative duration. */
export function parseGoDuration(text: string): number | undefined {
  let total = 0;
  let end = 0;
  for (const [part, number, unit] of text.matchAll(PART)) {
    total += Number(number) * UNITS[unit!]!;
    end += part.length;
  }
  return end === text.length && total > 0 ? total : undefined;
}

/** Times for people. */

const UNITS: readonly [name: string, ms: number][] = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
];

/** `3 minutes`; `less than a minute` below one. */
export function durationWords(ms: number): string {
  for (const [name, length] of UNITS) {
    const count = Math.floor(Math.abs(ms) / length);
    if (count > 0) return `${count} ${name}${count === 1 ? '' : 's'}`;
  }
  return 'less than a minute';
}

/** `3 minutes ago`; a clock that is ahead of this one makes a time `3 minutes ahead of this clock`. */
export function ageWords(time: number, now: number): string {
  const age = now - time;
  return age < -60_000 ? `${durationWords(age)} ahead of this clock` : `${durationWords(Math.max(0, age))} ago`;
}

/** `2026-11-30 01:02:03 UTC` */
export function timeWords(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime())
    ? 'a time that no calendar has'
    : `${date.toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

/** With a thin space between thousands. */
export function numberWords(value: number): string {
  return String(value).replace(/\B(?=(?:[0-9]{3})+$)/g, '\u2009');
}

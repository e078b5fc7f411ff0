/** Times and periods in UTC, in milliseconds since 1970. Computed without `Date`, because the pure core has no clock. */

/** A period that includes both ends. A period without `end` is open-ended, and one from -Infinity on has no start. */
export interface Period {
  readonly start: number;
  readonly end?: number;
}

export function within({ start, end }: Period, ms: number): boolean {
  return start <= ms && (end === undefined || ms <= end);
}

const DAY = 86_400_000;
/** The largest time that `timeText` writes as ISO 8601: 100,000,000 days, as a JavaScript date. */
const MAX_TIME = DAY * 100_000_000;
const MONTHS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
/** Average length of a year in the Gregorian calendar, in days. */
const YEAR_DAYS = 365.2425;

/** Days from January 1 of the year 0 (a leap year) to January 1 of `year`. */
function daysBefore(year: number): number {
  return 365 * year + Math.floor((year + 3) / 4) - Math.floor((year + 99) / 100) + Math.floor((year + 399) / 400);
}

const EPOCH = daysBefore(1970);

function daysOf(year: number, month: number): number {
  const isLeap = daysBefore(year + 1) - daysBefore(year) === 366;
  return MONTHS[month - 1]! + (month === 2 && isLeap ? 1 : 0);
}

/** Milliseconds since 1970 of a Gregorian time, months and days from 1; undefined for a time that does not exist. */
export function timeOfDate(
  year: number,
  month: number,
  day: number,
  hour: number,
  minute: number,
  second: number,
): number | undefined {
  if (month < 1 || month > 12 || day < 1 || day > daysOf(year, month)) return undefined;
  if (hour > 23 || minute > 59 || second > 59) return undefined;
  let days = daysBefore(year) - EPOCH + day - 1;
  for (let before = 1; before < month; before++) days += daysOf(year, before);
  return days * DAY + ((hour * 60 + minute) * 60 + second) * 1000;
}

const RFC_3339 =
  /^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:[Zz]|([+-])([01]\d|2[0-3]):([0-5]\d))$/;

/**
 * Milliseconds since 1970 of a time of RFC 3339 section 5.6; smaller parts are cut off. Undefined for other text, for a time
 * that does not exist, and for a leap second.
 */
export function timeOfText(text: string): number | undefined {
  const match = RFC_3339.exec(text);
  if (match === null) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as Parameters<typeof timeOfDate>;
  const time = timeOfDate(year, month, day, hour, minute, second);
  if (time === undefined) return undefined;
  const offset = (Number(match[9] ?? 0) * 60 + Number(match[10] ?? 0)) * 60_000;
  const fraction = Math.floor(Number(`0.${match[7] ?? '0'}`) * 1000);
  return time + fraction - (match[8] === '-' ? -offset : offset);
}

/** ISO 8601 text with milliseconds; the number itself for a time beyond ±100,000,000 days. */
export function timeText(ms: number): string {
  if (!(Math.abs(ms) <= MAX_TIME)) return String(ms);
  const whole = Math.trunc(ms);
  let days = Math.floor(whole / DAY) + EPOCH;
  let year = Math.floor(days / YEAR_DAYS);
  while (daysBefore(year) > days) year--;
  while (daysBefore(year + 1) <= days) year++;
  days -= daysBefore(year);
  let month = 1;
  for (; days >= daysOf(year, month); month++) days -= daysOf(year, month);
  const rest = whole - Math.floor(whole / DAY) * DAY;
  const two = (value: number) => String(Math.floor(value)).padStart(2, '0');
  const [hour, minute, second] = [rest / 3_600_000, (rest / 60_000) % 60, (rest / 1000) % 60];
  const date = `${yearText(year)}-${two(month)}-${two(days + 1)}`;
  return `${date}T${two(hour)}:${two(minute)}:${two(second)}.${String(rest % 1000).padStart(3, '0')}Z`;
}

function yearText(year: number): string {
  if (year >= 0 && year <= 9999) return String(year).padStart(4, '0');
  return `${year < 0 ? '-' : '+'}${String(Math.abs(year)).padStart(6, '0')}`;
}

/**
 * Conversions of text, as google/cel-spec, doc/langdef.md, "Conversions", and cel-go read it. Those of @bufbuild/cel are
 * JavaScript's own: they take a day that does not exist, empty text and hexadecimal numbers. Here each of these is an error.
 */
import { Instant } from '../predicates/instant.ts';

export const MAX_INT = 2n ** 63n - 1n;
export const MIN_INT = -(2n ** 63n);
export const MAX_UINT = 2n ** 64n - 1n;
const SECOND = 1_000_000_000n;
/** From the first instant of the year 1 to the last of 9999, in nanoseconds since 1970. */
const MIN_INSTANT = -62_135_596_800n * SECOND;
const MAX_INSTANT = 253_402_300_800n * SECOND - 1n;

/** Longer text is no number, instant or duration. */
const MAX_TEXT = 128;

function unreadable(text: string, what: string): Error {
  return new Error(`${shown(text)} is not ${what}`);
}

function shown(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}

/** @throws Error outside 64 bits */
export function checkedInt(value: bigint): bigint {
  if (value < MIN_INT || value > MAX_INT) throw new Error('the result is outside an int of 64 bits');
  return value;
}

/** @throws Error outside 64 bits */
export function checkedUint(value: bigint): bigint {
  if (value < 0n || value > MAX_UINT) throw new Error('the result is outside a uint of 64 bits');
  return value;
}

export function intOfText(text: string): bigint {
  if (text.length > MAX_TEXT || !/^[+-]?\d+$/.test(text)) throw unreadable(text, 'an int');
  return checkedInt(BigInt(text.replace(/^\+/, '')));
}

export function uintOfText(text: string): bigint {
  if (text.length > MAX_TEXT || !/^\d+$/.test(text)) throw unreadable(text, 'a uint');
  return checkedUint(BigInt(text));
}

/** The whole number of a double, towards zero. @throws Error outside the range, and for NaN */
export function wholeOf(value: number, check: (whole: bigint) => bigint): bigint {
  if (!Number.isFinite(value)) throw new Error(`${value} is no whole number`);
  // A double next to the end of the range is refused with it: it may stand for a number outside.
  if (Math.abs(value) >= 2 ** 63 && check === checkedInt) throw new Error('the result is outside an int of 64 bits');
  if (value < 0 && check === checkedUint) throw new Error('the result is outside a uint of 64 bits');
  return check(BigInt(Math.trunc(value)));
}

export function doubleOfText(text: string): number {
  const named = /^(?:([+-]?)(inf|infinity)|nan)$/i.exec(text);
  if (named !== null) {
    if (named[2] === undefined) return Number.NaN;
    return named[1] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  }
  if (text.length > MAX_TEXT || !/^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i.test(text))
    throw unreadable(text, 'a double');
  const value = Number(text);
  if (!Number.isFinite(value)) throw unreadable(text, 'within the range of a double');
  return value;
}

export function boolOfText(text: string): boolean {
  if (['1', 't', 'T', 'TRUE', 'true', 'True'].includes(text)) return true;
  if (['0', 'f', 'F', 'FALSE', 'false', 'False'].includes(text)) return false;
  throw unreadable(text, 'a bool');
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export function textOfBytes(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw new Error('the bytes are not UTF-8');
  }
}

export function bytesOfText(text: string): Uint8Array {
  if (!text.isWellFormed()) throw new Error('the text holds a half of a character');
  return Buffer.from(text);
}

/** As Go writes it with %g: `1e+06`, `-0`, `+Inf`. */
export function textOfDouble(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf';
  const sign = value < 0 || Object.is(value, -0) ? '-' : '';
  const [digits, exponent] = Math.abs(value).toExponential().split('e') as [string, string];
  const power = Number(exponent);
  if (power >= -4 && power < 6) return sign + plain(digits.replace('.', ''), power);
  return `${sign}${digits}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`;
}

/** Decimal digits with the point after the digit of 10 to the power of `power`. */
function plain(digits: string, power: number): string {
  if (power < 0) return `0.${'0'.repeat(-power - 1)}${digits}`;
  const whole = digits.slice(0, power + 1).padEnd(power + 1, '0');
  return digits.length > power + 1 ? `${whole}.${digits.slice(power + 1)}` : whole;
}

/** Nanoseconds since 1970 of a time as RFC 3339 writes it. Digits after the ninth are left out. */
export function instantOfText(text: string): bigint {
  const instant = text.length <= MAX_TEXT ? Instant.parse(text.replace(/(\.\d{9})\d+/, '$1')) : undefined;
  if (instant === undefined) throw unreadable(text, 'a time as in RFC 3339, such as 2024-02-29T23:59:59Z');
  return instant.seconds * SECOND + BigInt(instant.nanos);
}

/** @throws Error outside the years 1 to 9999 */
export function checkedInstant(nanos: bigint): bigint {
  if (nanos < MIN_INSTANT || nanos > MAX_INSTANT) throw new Error('the time is outside the years 1 to 9999');
  return nanos;
}

/** @throws Error for more than 64 bits of nanoseconds, about 292 years */
export function checkedDuration(nanos: bigint): bigint {
  if (nanos < MIN_INT || nanos > MAX_INT) throw new Error('the duration is longer than 64 bits of nanoseconds');
  return nanos;
}

/** `2024-02-29T23:59:59.5Z`: no zeros at the end of the fraction. */
export function textOfInstant(nanos: bigint): string {
  const { seconds, rest } = split(nanos);
  const date = new Date(Number(seconds) * 1000);
  const whole = date.toISOString().replace(/\.\d+Z$/, '');
  return `${whole}${fraction(rest)}Z`;
}

/** Whole seconds towards the past, and the nanoseconds from there. */
export function split(nanos: bigint): { seconds: bigint; rest: bigint } {
  const rest = ((nanos % SECOND) + SECOND) % SECOND;
  return { seconds: (nanos - rest) / SECOND, rest };
}

function fraction(nanos: bigint): string {
  return nanos === 0n ? '' : `.${String(nanos).padStart(9, '0').replace(/0+$/, '')}`;
}

const UNITS: ReadonlyMap<string, bigint> = new Map([
  ['ns', 1n],
  ['us', 1_000n],
  ['µs', 1_000n],
  ['μs', 1_000n],
  ['ms', 1_000_000n],
  ['s', SECOND],
  ['m', 60n * SECOND],
  ['h', 3_600n * SECOND],
]);
const PART = /(\d*)(?:\.(\d*))?([a-zµμ]+)/y;

/** Nanoseconds of a duration as Go writes it, such as `1h30m` or `-1.5s`. */
export function durationOfText(text: string): bigint {
  const wrong = () => unreadable(text, 'a duration of hours and less, such as 720h, 1h30m or 1.5s');
  const unsigned = text.replace(/^[+-]/, '');
  if (unsigned === '0') return 0n;
  if (unsigned === '' || text.length > MAX_TEXT) throw wrong();
  let nanos = 0n;
  for (let at = 0; at < unsigned.length; ) {
    PART.lastIndex = at;
    const [part = '', whole = '', decimals = '', name = ''] = PART.exec(unsigned) ?? [];
    const unit = UNITS.get(name);
    if (unit === undefined || whole + decimals === '') throw wrong();
    nanos += BigInt(whole || 0) * unit + (BigInt(decimals || 0) * unit) / 10n ** BigInt(decimals.length);
    at += part.length;
  }
  return checkedDuration(text.startsWith('-') ? -nanos : nanos);
}

/** Seconds, as cel-go writes them, by way of a double: `5400s`, `1.5s`. */
export function textOfDuration(nanos: bigint): string {
  const seconds = Number(nanos / SECOND) + Number(nanos % SECOND) / 1e9;
  const [digits, exponent] = Math.abs(seconds).toExponential().split('e') as [string, string];
  return `${nanos < 0n ? '-' : ''}${plain(digits.replace('.', ''), Number(exponent))}s`;
}

const MINUTE = 60_000;

/**
 * The instant's date and time in a zone, as the UTC fields of the result. `zone` is a name of the IANA's database, or an offset
 * from UTC such as `+02:00`; the empty name is UTC.
 */
export function inZone(nanos: bigint, zone: string): Date {
  const { seconds, rest } = split(nanos);
  const ms = Number(seconds) * 1000 + Number(rest / 1_000_000n);
  if (zone === '' || zone === 'UTC') return new Date(ms);
  const offset = /^([+-]?)(\d\d):(\d\d)$/.exec(zone);
  if (offset === null) return new Date(ms + zoneOffset(ms, zone));
  const [hours, minutes] = [Number(offset[2]), Number(offset[3])];
  if (hours > 23 || minutes > 59) throw unreadable(zone, 'an offset from UTC');
  return new Date(ms + (hours * 60 + minutes) * MINUTE * (offset[1] === '-' ? -1 : 1));
}

/** A formatter takes 50 µs to make, and a policy names few zones. */
const formats = new Map<string, Intl.DateTimeFormat>();

function zoneOffset(ms: number, zone: string): number {
  let format = formats.get(zone);
  if (format === undefined) {
    format = formatOf(zone);
    if (formats.size >= 32) formats.clear();
    formats.set(zone, format);
  }
  const fields = Object.fromEntries(format.formatToParts(ms).map(({ type, value }) => [type, value]));
  const year = fields.era === 'BC' ? 1 - Number(fields.year) : Number(fields.year);
  const local = new Date(0);
  local.setUTCFullYear(year, Number(fields.month) - 1, Number(fields.day));
  local.setUTCHours(Number(fields.hour), Number(fields.minute), Number(fields.second));
  return local.getTime() - Math.floor(ms / 1000) * 1000;
}

function formatOf(zone: string): Intl.DateTimeFormat {
  const wrong = () => unreadable(zone, 'a time zone, such as Europe/Berlin or +02:00');
  if (zone.length > MAX_TEXT || !/^[A-Za-z]/.test(zone)) throw wrong();
  let format: Intl.DateTimeFormat;
  try {
    const two = '2-digit';
    format = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      hourCycle: 'h23',
      era: 'short',
      year: 'numeric',
      month: two,
      day: two,
      hour: two,
      minute: two,
      second: two,
    });
  } catch {
    throw wrong();
  }
  // Names are compared by their letters' case elsewhere.
  const known = format.resolvedOptions().timeZone;
  if (known !== zone && known.toLowerCase() === zone.toLowerCase()) throw wrong();
  return format;
}

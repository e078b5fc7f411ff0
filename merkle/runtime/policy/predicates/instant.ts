import { timeOfDate } from '../../../x509/utc-time.ts';

const RFC_3339 = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):(\d\d))$/;
/** The first and the last second of the years 1 to 9999, which protobuf's Timestamp and CEL have. */
const [FIRST, LAST] = [-62_135_596_800n, 253_402_300_799n];

/** A point in time, in nanoseconds. A `Date` has milliseconds alone. */
export class Instant {
  /** Seconds since 1970, from year 1 to 9999. */
  readonly seconds: bigint;
  /** 0 to 999,999,999. */
  readonly nanos: number;

  constructor(seconds: bigint, nanos: number) {
    this.seconds = seconds;
    this.nanos = nanos;
  }

  /**
   * The time that `text` names, in RFC 3339 section 5.6 with `T` and `Z` in upper case. An offset is taken: it names the same
   * time. Undefined for other text, for a day or an hour that does not exist, and for a leap second.
   */
  static parse(text: string): Instant | undefined {
    const match = RFC_3339.exec(text);
    if (match === null) return undefined;
    const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as Parameters<typeof timeOfDate>;
    const [offsetHours, offsetMinutes] = [Number(match[9] ?? 0), Number(match[10] ?? 0)];
    const local = timeOfDate(year, month, day, hour, minute, second);
    if (local === undefined || offsetHours > 23 || offsetMinutes > 59) return undefined;
    const offset = (offsetHours * 60 + offsetMinutes) * 60_000;
    const seconds = BigInt((local - (match[8] === '-' ? -offset : offset)) / 1000);
    if (seconds < FIRST || seconds > LAST) return undefined;
    return new Instant(seconds, Number((match[7] ?? '').padEnd(9, '0')));
  }

  /** Milliseconds since 1970; smaller parts are cut off. */
  get milliseconds(): number {
    return Number(this.seconds) * 1000 + Math.floor(this.nanos / 1e6);
  }
}

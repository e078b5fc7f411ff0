/**
 * Fields of times and durations: google/cel-spec, doc/langdef.md, "Timestamp and Duration". Those of @bufbuild/cel depend on the
 * time zone of the process.
 */
import { inZone } from './cel-conversions.ts';
import type { Meter } from './cel-limits.ts';
import { type CelFunctions, type CelValue, kindOf, nanosOf, noOverload } from './cel-values.ts';

const FIELDS: Readonly<Record<string, (date: Date) => number>> = {
  getFullYear: (date) => date.getUTCFullYear(),
  getMonth: (date) => date.getUTCMonth(),
  getDate: (date) => date.getUTCDate(),
  getDayOfMonth: (date) => date.getUTCDate() - 1,
  getDayOfWeek: (date) => date.getUTCDay(),
  getDayOfYear: (date) => {
    const start = new Date(0);
    start.setUTCFullYear(date.getUTCFullYear());
    return Math.floor((date.getTime() - start.getTime()) / 86_400_000);
  },
  getHours: (date) => date.getUTCHours(),
  getMinutes: (date) => date.getUTCMinutes(),
  getSeconds: (date) => date.getUTCSeconds(),
  getMilliseconds: (date) => date.getUTCMilliseconds(),
};

/** Nanoseconds of what a duration is counted in. */
const PARTS: Readonly<Record<string, bigint>> = {
  getHours: 3_600_000_000_000n,
  getMinutes: 60_000_000_000n,
  getSeconds: 1_000_000_000n,
  getMilliseconds: 1_000_000n,
};

/** What it takes to ask for the time in a zone. */
const ZONE_WORK = 200;

export const timeFunctions = (meter: Meter): CelFunctions =>
  Object.fromEntries(
    Object.entries(FIELDS).flatMap(([name, field]) => {
      const at = (value: CelValue, zone: CelValue): CelValue => {
        if (kindOf(value) !== 'timestamp' || typeof zone !== 'string') throw noOverload(name, value, zone);
        meter.work(zone === '' ? 1 : ZONE_WORK);
        return BigInt(field(inZone(nanosOf(value), zone)));
      };
      const inUtc = (value: CelValue): CelValue => {
        const kind = kindOf(value);
        const part = PARTS[name];
        if (kind === 'duration' && part !== undefined) return nanosOf(value) / part;
        if (kind !== 'timestamp') throw noOverload(name, value);
        return at(value, '');
      };
      return [
        [`${name}/1`, inUtc],
        [`${name}/2`, at],
      ];
    }),
  );

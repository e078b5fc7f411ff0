import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { timeOfDate, timeOfText, timeText } from '../../../merkle/x509/utc-time.ts';

describe('times', () => {
  it('are those of the calendar of JavaScript', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 100, max: 9_999 }),
        ...([fc.nat(13), fc.nat(32), fc.nat(24), fc.nat(60), fc.nat(60)] as const),
        (year, month, day, hour, minute, second) => {
          const date = new Date(Date.UTC(year, month - 1, day, hour, minute, second));
          const same =
            date.getUTCFullYear() === year &&
            date.getUTCMonth() === month - 1 &&
            date.getUTCDate() === day &&
            date.getUTCHours() === hour &&
            date.getUTCMinutes() === minute &&
            date.getUTCSeconds() === second;
          expect(timeOfDate(year, month, day, hour, minute, second)).toBe(same ? date.getTime() : undefined);
        },
      ),
      { numRuns: 1_000 },
    );
  });

  it('are written as JavaScript writes them', () => {
    const limit = 8.64e15;
    fc.assert(
      fc.property(fc.oneof(fc.integer({ min: -limit, max: limit }), fc.integer({ min: -2e14, max: 2e14 })), (ms) => {
        expect(timeText(ms)).toBe(new Date(ms).toISOString());
      }),
      { numRuns: 1_000 },
    );
    for (const ms of [-limit, limit, 0, -1, Date.UTC(2000, 1, 29), Date.UTC(1900, 1, 28, 23, 59, 59, 999)]) {
      expect(timeText(ms)).toBe(new Date(ms).toISOString());
    }
  });

  it('beyond that are numbers', () => {
    expect(timeText(8.64e15 + 1)).toBe('8640000000000001');
    expect(timeText(Number.NaN)).toBe('NaN');
  });
});

describe('timeOfText', () => {
  it.each([
    ['1970-01-01T00:00:00Z', 0],
    ['2026-08-01T12:00:00z', Date.UTC(2026, 7, 1, 12)],
    ['2026-08-01t14:00:00+02:00', Date.UTC(2026, 7, 1, 12)],
    ['2026-07-31T23:30:00-12:30', Date.UTC(2026, 7, 1, 12)],
    ['2024-02-29T23:59:59.9999Z', Date.UTC(2024, 1, 29, 23, 59, 59, 999)],
    ['2026-08-01T12:00:00.25Z', Date.UTC(2026, 7, 1, 12, 0, 0, 250)],
  ])('reads %s', (text, time) => expect(timeOfText(text)).toBe(time));

  it.each([
    '',
    '2026-08-01',
    '2026-08-01 12:00:00Z',
    '2026-08-01T12:00:00',
    '2026-08-01T12:00Z',
    '2026-02-29T00:00:00Z',
    '2026-08-01T24:00:00Z',
    '2026-08-01T12:00:60Z',
    '2026-08-01T12:00:00+24:00',
    '2026-08-01T12:00:00+0200',
    '2026-08-01T12:00:00.Z',
    ' 2026-08-01T12:00:00Z',
    '2026-08-01T12:00:00Z\n',
    '1785585600',
  ])('refuses %j', (text) => expect(timeOfText(text)).toBeUndefined());
});

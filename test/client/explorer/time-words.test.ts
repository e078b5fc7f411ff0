/** Times and numbers in words. */
import { expect, it } from 'vitest';
import { ageWords, durationWords, numberWords, timeWords } from '../../../client/explorer/model/time-words.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

it.each([
  [0, 'less than a minute'],
  [MINUTE - 1, 'less than a minute'],
  [MINUTE, '1 minute'],
  [HOUR - 1, '59 minutes'],
  [HOUR, '1 hour'],
  [DAY - 1, '23 hours'],
  [2 * DAY, '2 days'],
  [-3 * MINUTE, '3 minutes'],
])('a time of %d ms is %s', (ms, words) => expect(durationWords(ms)).toBe(words));

it.each([
  [5 * MINUTE, '5 minutes ago'],
  [0, 'less than a minute ago'],
  // Clocks differ a little.
  [-MINUTE, 'less than a minute ago'],
  [-MINUTE - 1, '1 minute ahead of this clock'],
  [-2 * DAY, '2 days ahead of this clock'],
])('an age of %d ms is %s', (age, words) => expect(ageWords(1e12, 1e12 + age)).toBe(words));

it('a point in time is in UTC, and a time that no calendar has is no error', () => {
  expect(timeWords(Date.UTC(2026, 10, 30, 1, 2, 3, 999))).toBe('2026-11-30 01:02:03 UTC');
  for (const none of [Number.NaN, Number.POSITIVE_INFINITY, 8.64e15 + 1]) {
    expect(timeWords(none)).toBe('a time that no calendar has');
  }
});

it.each([
  [0, '0'],
  [999, '999'],
  [1000, '1 000'],
  [1234567, '1 234 567'],
  [Number.MAX_SAFE_INTEGER, '9 007 199 254 740 991'],
])('%d is read as %s', (value, words) => expect(numberWords(value)).toBe(words.replaceAll(' ', '\u2009')));

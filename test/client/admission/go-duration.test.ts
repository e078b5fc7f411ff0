import { expect, it } from 'vitest';
import { parseGoDuration } from '../../../client/admission/go-duration.ts';

it.each([
  ['3s', 3000],
  ['1m0s', 60_000],
  ['2.5s', 2500],
  ['500ms', 500],
  ['1h1m1.5s', 3_661_500],
  ['250µs', 0.25],
])('%s is %d ms', (text, ms) => expect(parseGoDuration(text)).toBe(ms));

it.each(['', '0s', '0', '3', 's', '-3s', '+3s', '3s ', '3 s', '3sec', '1e3s', 'NaN', '.s', '99999999999s', '3s\n'])(
  '%j is no time',
  (text) => expect(parseGoDuration(text)).toBeUndefined(),
);

import { describe, expect, it } from 'vitest';
import { backOffMs, parseRetryAfter, SYSTEM_CLOCK } from '../../../../merkle/runtime/service/back-off.ts';

const longest = { firstMs: 100, longestMs: 1000, random: () => 0 };

describe('backOffMs', () => {
  it('doubles from the first pause up to the longest one, after any number of failures', () => {
    const pauses = [1, 2, 3, 4, 5, 1e6].map((failures) => backOffMs(longest, failures));
    expect(pauses).toEqual([100, 200, 400, 800, 1000, 1000]);
  });

  it('takes at most half of a pause away', () => {
    expect(backOffMs({ ...longest, random: () => 0.5 }, 2)).toBe(150);
    expect(backOffMs({ ...longest, random: () => 0.999_999 }, 2)).toBe(100);
    for (let run = 0; run < 1000; run++) {
      const pause = backOffMs({ firstMs: 100, longestMs: 1000 }, 2);
      expect(pause).toBeGreaterThanOrEqual(100);
      expect(pause).toBeLessThanOrEqual(200);
    }
  });

  it('never waits less than the server asks for, up to the bound', () => {
    expect(backOffMs(longest, 1, 5000)).toBe(5000);
    expect(backOffMs(longest, 3, 50)).toBe(400);
    expect(backOffMs({ ...longest, longestAskedMs: 3000 }, 1, 5000)).toBe(3000);
    expect(backOffMs(longest, 1, Number.MAX_SAFE_INTEGER)).toBe(86_400_000);
  });
});

describe('parseRetryAfter', () => {
  const now = Date.parse('Sun, 06 Nov 1994 08:49:37 GMT');

  it.each([
    ['0', 0],
    ['5', 5000],
    ['999999999', 86_400_000],
    ['Sun, 06 Nov 1994 08:49:57 GMT', 20_000],
    ['Sunday, 06-Nov-94 08:49:57 GMT', 20_000],
    ['Sun, 06 Nov 1994 08:49:17 GMT', 0],
    ['Sun, 06 Nov 2094 08:49:17 GMT', 86_400_000],
  ])('reads %s', (value, ms) => {
    expect(parseRetryAfter(value, now)).toBe(ms);
  });

  it.each([null, undefined, '', '5.5', '-1', '0x10', '1e3', '5 s', 'soon', '1994-11-06'])('ignores %s', (value) => {
    expect(parseRetryAfter(value, now)).toBeUndefined();
  });
});

describe('SYSTEM_CLOCK', () => {
  it('ends a sleep as soon as the signal aborts', async () => {
    const stop = new AbortController();
    const sleep = SYSTEM_CLOCK.sleep(86_400_000, stop.signal);
    stop.abort();
    await sleep;
    await SYSTEM_CLOCK.sleep(86_400_000, stop.signal);
  });

  it('takes a longer sleep than a timer can hold', async () => {
    const stop = new AbortController();
    let awake = false;
    const sleep = SYSTEM_CLOCK.sleep(2 ** 40, stop.signal).then(() => {
      awake = true;
    });
    // A timer that overflowed would fire after 1 ms, and so before this one.
    await SYSTEM_CLOCK.sleep(5);
    expect(awake).toBe(false);
    stop.abort();
    await sleep;
  });
});

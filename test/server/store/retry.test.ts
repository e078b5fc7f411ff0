import { describe, expect, it } from 'vitest';
import type { Clock } from '../../../merkle/runtime/service/back-off.ts';
import { ServerError } from '../../../server/errors.ts';
import { retried } from '../../../server/store/retry.ts';

describe('a call on a store that is unavailable', () => {
  /** Fails `times` times with `code`, and counts its calls; the clock counts the pauses. */
  function failing(times: number, code: 'unavailable' | 'store' | 'conflict' = 'unavailable') {
    const seen = { calls: 0, pauses: [] as number[] };
    const call = async () => {
      if (++seen.calls <= times) throw new ServerError(code, 'injected');
      return 'done';
    };
    const clock: Clock = { now: () => 0, sleep: async (ms) => void seen.pauses.push(ms) };
    return { seen, call, clock };
  }

  it('is made again after pauses that grow, until it succeeds', async () => {
    const { seen, call, clock } = failing(5);
    expect(await retried(call, undefined, clock)).toBe('done');
    expect(seen.calls).toBe(6);
    for (const [i, longest] of [50, 100, 200, 400, 800].entries()) {
      expect(seen.pauses[i]).toBeGreaterThanOrEqual(longest / 2);
      expect(seen.pauses[i]).toBeLessThanOrEqual(longest);
    }
  });

  it('is given up after six times', async () => {
    const { seen, call, clock } = failing(100);
    await expect(retried(call, undefined, clock)).rejects.toMatchObject({ code: 'unavailable' });
    expect([seen.calls, seen.pauses.length]).toEqual([6, 5]);
  });

  it.each(['store', 'conflict'] as const)('is not made again after %s', async (code) => {
    const { seen, call, clock } = failing(100, code);
    await expect(retried(call, undefined, clock)).rejects.toMatchObject({ code });
    expect([seen.calls, seen.pauses.length]).toEqual([1, 0]);
  });

  it('is not made again once the signal aborts', async () => {
    const { seen, call, clock } = failing(100);
    const stopped = new AbortController();
    const sleep = async () => stopped.abort();
    await expect(retried(call, stopped.signal, { ...clock, sleep })).rejects.toMatchObject({ code: 'unavailable' });
    expect(seen.calls).toBe(1);
  });
});

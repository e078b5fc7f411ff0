import { type BackOff, backOffMs, type Clock, SYSTEM_CLOCK } from '../../merkle/runtime/service/back-off.ts';
import { ServerError } from '../errors.ts';

/** With the pauses of `BACK_OFF`, a call is given up after 0.8 to 1.6 s. */
const MAX_TRIES = 6;
const BACK_OFF: BackOff = { firstMs: 50, longestMs: 1000 };

/**
 * Makes `call` until it does not reject with `unavailable`, six times at most, or until `signal` aborts.
 * @throws what the last call threw
 */
export async function retried<T>(
  call: () => Promise<T>,
  signal?: AbortSignal,
  clock: Clock = SYSTEM_CLOCK,
): Promise<T> {
  for (let failures = 1; ; failures++) {
    try {
      return await call();
    } catch (error) {
      const repeats = error instanceof ServerError && error.code === 'unavailable' && failures < MAX_TRIES;
      if (!repeats) throw error;
      await clock.sleep(backOffMs(BACK_OFF, failures), signal);
      if (signal?.aborted) throw error;
    }
  }
}

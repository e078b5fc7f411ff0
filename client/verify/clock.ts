/**
 * Evidence from the future: a signature that is dated after the present says nothing about when it was made. The caller hands
 * the present in, as the verifier has no clock.
 */
import { timeText } from '../../merkle/x509/utc-time.ts';
import { ClientError, usage } from '../errors.ts';
import type { Cosigned } from '../trust/quorum.ts';

/** How far the clocks of authorities, logs and witnesses may be ahead, in milliseconds. */
const TOLERANCE = 5 * 60_000;

/** @throws ClientError `usage` if `now` is not a number */
export function checkNow(now: number | undefined): void {
  if (now === undefined || (typeof now === 'number' && !Number.isNaN(now))) return;
  throw usage('the present time is not a number of milliseconds since 1970');
}

/** @throws ClientError `future-time` if one of the cosignatures is later than `now` */
export function checkCosigned(cosigned: readonly Cosigned[], now: number | undefined): void {
  for (const { timestamp, verifierKey } of cosigned) {
    checkPast(now, timestamp * 1000, () => `the cosignature of ${verifierKey}`);
  }
}

/**
 * @param now in milliseconds since 1970; without it, nothing is in the future
 * @param time when `what` was signed, in milliseconds since 1970
 * @throws ClientError `future-time`
 */
export function checkPast(now: number | undefined, time: number, what: () => string): void {
  if (now === undefined || time <= now + TOLERANCE) return;
  throw new ClientError(
    'future-time',
    `${what()} is dated ${timeText(time)}, and the clock says ${timeText(now)}: no evidence can be from the future. ` +
      'If this clock is wrong, give the time (--at, or now in the library)',
  );
}

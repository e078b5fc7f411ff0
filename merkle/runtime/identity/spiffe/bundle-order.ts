/** Which of two bundles of one trust domain is the newer one: SPIFFE Trust Domain and Bundle section 4.1.1. */
import { haveSameKeys, type SpiffeBundle } from '../../../spiffe/trust-bundle.ts';

interface Ordered {
  /** The bundle to use. */
  readonly bundle: SpiffeBundle;
  /** What is wrong with `next`, for people. */
  readonly problem: string | undefined;
}

/**
 * Never goes back to an older sequence. With the same sequence and other keys the newly read bundle counts, since a key may
 * have been revoked, and its publisher has made a mistake.
 */
export function newerOf(before: SpiffeBundle | undefined, next: SpiffeBundle): Ordered {
  if (before?.sequence === undefined) return { bundle: next, problem: undefined };
  const of = `the trust bundle of ${next.trustDomain}`;
  if (next.sequence === undefined) {
    return { bundle: next, problem: `${of} has no sequence any more, where it had ${before.sequence}` };
  }
  if (next.sequence < before.sequence) {
    return {
      bundle: before,
      problem: `${of} has the sequence ${next.sequence}, which is older than ${before.sequence}: it is not used`,
    };
  }
  const isOdd = next.sequence === before.sequence && !haveSameKeys(before, next);
  return {
    bundle: next,
    problem: isOdd ? `${of} has other keys than before under the same sequence ${next.sequence}` : undefined,
  };
}

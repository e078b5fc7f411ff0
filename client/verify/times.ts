/** RFC 3161 time stamps over the signature: each in a bundle must be by an authority of the trusted root, if it has any. */

import { printable } from '../../merkle/printable.ts';
import type { Primitives } from '../../merkle/rekor/primitives.ts';
import { verifyTimestamp } from '../../merkle/x509/timestamp.ts';
import { timeText } from '../../merkle/x509/utc-time.ts';
import type { Bundle } from '../formats/bundle.ts';
import { withClientErrors } from '../merkle-errors.ts';
import type { TrustedRoot } from '../trust/trusted-root.ts';
import type { Check, VerifiedTime } from './outcome.ts';

export interface CheckedTimestamps {
  readonly times: readonly VerifiedTime[];
  readonly checks: readonly Check[];
  /** How many are in the bundle that nobody was given to check with. */
  readonly unchecked: number;
}

/**
 * Where no authority at all was given, whoever verifies does not go by time stamps, and they stay unchecked. Where there are
 * authorities, each stamp must be by one of them.
 *
 * @throws ClientError `bad-timestamp`, `malformed`, `unsupported`
 */
export function checkTimestamps(
  { timestamps, content }: Bundle,
  root: TrustedRoot | undefined,
  primitives: Primitives,
): CheckedTimestamps {
  const authorities = root?.timestampAuthorities ?? [];
  if (authorities.length === 0) return { times: [], checks: [], unchecked: timestamps.length };
  const times = timestamps.map((reply): VerifiedTime => {
    const { time, certificate } = withClientErrors(() =>
      verifyTimestamp(reply, content.signature, authorities, primitives),
    );
    return { kind: 'timestamp', time, by: printable(certificate.subject) };
  });
  const checks = times.map(
    ({ time, by }): Check => ({ name: 'timestamp', detail: `the signature was there at ${timeText(time)}`, by }),
  );
  return { times, checks, unchecked: 0 };
}

/** RFC 3161 time stamps over the signature: each in a bundle must be by an authority of the trusted root. */
import type { Bundle } from '../bundle.ts';
import type { Primitives } from '../crypto.ts';
import { ClientError, printable } from '../errors.ts';
import { timeText } from '../x509/time.ts';
import { verifyTimestamp } from '../x509/timestamp.ts';
import type { Check, VerifiedTime } from './outcome.ts';
import type { TrustedRoot } from './trusted-root.ts';

export interface CheckedTimestamps {
  readonly times: readonly VerifiedTime[];
  readonly checks: readonly Check[];
  /** How many are in the bundle that nobody was given to check with. */
  readonly unchecked: number;
}

/**
 * @param needed whether the signer is a certificate, whose time must be known; a key is good at any time, so that stamps of
 * authorities that were not given may stay unchecked
 * @throws ClientError `bad-timestamp`, `malformed`, `unsupported`
 */
export function checkTimestamps(
  { timestamps, content }: Bundle,
  root: TrustedRoot | undefined,
  needed: boolean,
  primitives: Primitives,
): CheckedTimestamps {
  const authorities = root?.timestampAuthorities ?? [];
  if (timestamps.length > 0 && authorities.length === 0) {
    if (!needed) return { times: [], checks: [], unchecked: timestamps.length };
    throw new ClientError('bad-timestamp', 'the bundle has a time stamp, and the trusted root no authority for any');
  }
  const times = timestamps.map((reply): VerifiedTime => {
    const { time, certificate } = verifyTimestamp(reply, content.signature, authorities, primitives);
    return { kind: 'timestamp', time, by: printable(certificate.subject) };
  });
  const checks = times.map(
    ({ time, by }): Check => ({ name: 'timestamp', detail: `the signature was there at ${timeText(time)}`, by }),
  );
  return { times, checks, unchecked: 0 };
}

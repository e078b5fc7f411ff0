/** The RFC 3161 time stamps of a bundle: each by a time-stamp authority of the trusted root, if the root has any. */
import type { Primitives } from '../../merkle/rekor/primitives.ts';
import { verifyTimestamp } from '../../merkle/x509/timestamp.ts';
import type { Bundle } from '../formats/bundle.ts';
import { withClientErrors } from '../merkle-errors.ts';
import type { TrustedRoot } from '../trust/trusted-root.ts';
import type { VerifiedTime } from './outcome.ts';

interface CheckedTimestamps {
  readonly times: readonly VerifiedTime[];
  /** Number of time stamps in the bundle that no authority was given for. */
  readonly unchecked: number;
}

/**
 * Without an authority nobody relies on the time stamps, and they stay unchecked. If the trusted root has authorities,
 * each time stamp must be by one of them.
 *
 * @throws ClientError `bad-timestamp`, `malformed`, `unsupported`
 */
export function checkTimestamps(
  { timestamps, content }: Bundle,
  root: TrustedRoot | undefined,
  primitives: Primitives,
): CheckedTimestamps {
  const authorities = root?.timestampAuthorities ?? [];
  if (authorities.length === 0) return { times: [], unchecked: timestamps.length };
  const times = timestamps.map((reply): VerifiedTime => {
    const { time, certificate } = withClientErrors(() =>
      verifyTimestamp(reply, content.signature, authorities, primitives),
    );
    return { kind: 'timestamp', time, by: certificate.subject };
  });
  return { times, unchecked: 0 };
}

/** The RFC 3161 time stamps of a bundle, over its signature. */
import { printable } from '../../merkle/printable.ts';
import type { Primitives } from '../../merkle/rekor/primitives.ts';
import { verifyTimestamp } from '../../merkle/x509/timestamp.ts';
import { ClientError } from '../errors.ts';
import type { Bundle } from '../formats/bundle.ts';
import { withClientErrors } from '../merkle-errors.ts';
import type { TrustedRoot } from '../trust/trusted-root.ts';
import { checkPast } from './clock.ts';
import type { NotProven, VerifiedTime } from './outcome.ts';
import { countAuthorities, type Stamper } from './parties.ts';

export interface StampTrust {
  readonly trustedRoot?: TrustedRoot | undefined;
  /** The present in milliseconds since 1970: evidence that is more than five minutes later is refused. */
  readonly now?: number | undefined;
  /** How many different time-stamp authorities must have seen the signature; by default none. */
  readonly requireTimestamps?: number | undefined;
}

interface CheckedStamps {
  readonly times: readonly VerifiedTime[];
  readonly notProven: readonly NotProven[];
}

/**
 * Nobody relies on a time stamp of an authority that the trusted root does not have, so it stays unchecked. A time stamp that
 * names a known authority must be by it.
 *
 * @throws ClientError `bad-timestamp`, `malformed`, `unsupported`, `future-time`
 */
export function checkStamps(
  { timestamps, content }: Bundle,
  { trustedRoot, now, requireTimestamps = 0 }: StampTrust,
  primitives: Primitives,
): CheckedStamps {
  const authorities = trustedRoot?.timestampAuthorities ?? [];
  const times: VerifiedTime[] = [];
  const stampers: Stamper[] = [];
  const strangers: string[] = [];
  for (const reply of authorities.length === 0 ? [] : timestamps) {
    const found = withClientErrors(() => verifyTimestamp(reply, content.signature, authorities, primitives));
    if ('stranger' in found) {
      strangers.push(found.stranger);
      continue;
    }
    const by = found.certificate.subject;
    checkPast(now, found.time, () => `the time stamp of ${printable(by)}`);
    times.push({ kind: 'timestamp', time: found.time, by });
    stampers.push(found);
  }
  checkCount(requireTimestamps, stampers, trustedRoot);
  const unchecked = timestamps.length - times.length;
  if (unchecked === 0) return { times, notProven: [] };
  const by = strangers.length === 0 ? {} : { by: strangers };
  return { times, notProven: [{ name: 'timestamps', count: unchecked, ...by }] };
}

function checkCount(required: number, stampers: readonly Stamper[], root: TrustedRoot | undefined): void {
  if (required === 0) return;
  const count = countAuthorities(stampers, root);
  if (count >= required) return;
  throw new ClientError(
    'bad-timestamp',
    `${required} different time-stamp authorities are required, and ${count} of those that the trusted root has stamped the signature`,
  );
}

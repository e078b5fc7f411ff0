/** Whether metadata have expired, and how old the news of a repository are. The caller gives the time. */
import { timeText } from '../../../merkle/x509/utc-time.ts';
import { ClientError } from '../../errors.ts';

/** Metadata of any role. */
export interface Expiring {
  readonly version: number;
  /** Milliseconds since 1970. */
  readonly expires: number;
}

/** What to do where the local trust has expired. */
export const UPDATE = 'run `stele trust update` where the mirror can be reached';

/**
 * Section 5.3.10, 5.4.4, 5.5.6 and 5.6.5: metadata count before the time at which they expire.
 *
 * @param now milliseconds since 1970
 * @param advice what to do, the end of a sentence
 * @throws ClientError `tuf-expired`
 */
export function checkExpiry(what: string, { version, expires }: Expiring, now: number, advice: string): void {
  if (now < expires) return;
  const times = `expired at ${timeText(expires)}, and it is ${timeText(now)} by this machine's clock`;
  throw new ClientError('tuf-expired', `${what}, version ${version}, ${times}: ${advice}`);
}

/** How far two clocks may be apart. */
const CLOCK_SLACK_MS = 5 * 60_000;

/** The last millisecond at which `checkExpiry` passes for all of them, and `checkAge` for the age of a timestamp that was accepted then. */
export function lastUsable(signed: readonly Expiring[], accepted: number, maxAge = Number.POSITIVE_INFINITY): number {
  return Math.min(accepted + maxAge, ...signed.map(({ expires }) => expires - 1));
}

export interface TrustAge {
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Milliseconds since the timestamp was accepted first. */
  readonly age: number;
  /** The longest age. Without it an expired timestamp or snapshot is a warning. */
  readonly maxAge?: number | undefined;
  readonly warn?: ((sentence: string) => void) | undefined;
}

/** Whether the news are too old. @throws ClientError `tuf-expired` */
export function checkAge(timestamp: Expiring, snapshot: Expiring, { now, age, maxAge, warn }: TrustAge): void {
  if (maxAge !== undefined && age > maxAge) {
    const why = `the newest timestamp of the followed repository is here for ${duration(age)}, longer than --max-trust-age allows (of a service: the setting trust.maxAge)`;
    throw new ClientError('tuf-expired', `${why}: ${UPDATE}`);
  }
  if (age < -CLOCK_SLACK_MS) {
    warn?.(
      `this machine's clock shows a time before the last update of the followed repository: what has expired since, it does not know`,
    );
  }
  const isTimestamp = timestamp.expires <= snapshot.expires;
  const { expires } = isTimestamp ? timestamp : snapshot;
  if (now < expires) return;
  const since = `${duration(now - expires)} ago, at ${timeText(expires)}`;
  warn?.(
    `the ${isTimestamp ? 'timestamp' : 'snapshot'} of the followed repository expired ${since}, and its news are not known here: ${UPDATE}`,
  );
}

/** `3 days`, `5 hours`, `2 minutes`. */
export function duration(ms: number): string {
  const units = [
    [86_400_000, 'day'],
    [3_600_000, 'hour'],
    [60_000, 'minute'],
    [1000, 'second'],
  ] as const;
  const [size, name] = units.find(([unit]) => ms >= unit) ?? [1000, 'second'];
  const count = Math.max(0, Math.floor(ms / size));
  return `${count} ${name}${count === 1 ? '' : 's'}`;
}

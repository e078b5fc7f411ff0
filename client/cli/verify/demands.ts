/** What the options of `stele verify` demand of the evidence: thresholds, certificate transparency, and the clock. */
import { printable } from '../../../merkle/printable.ts';
import { timeOfText } from '../../../merkle/x509/utc-time.ts';
import { usage } from '../../errors.ts';
import { MAX_BUNDLE_EVIDENCE } from '../../formats/bundle.ts';
import type { VerifyOptions } from './arguments.ts';

/** What a certificate must show of certificate transparency, as `VerifyRequest`. */
export interface SctWish {
  readonly requireSct: boolean;
  readonly ignoreSct: boolean;
}

export function sctWish({
  requireSct,
  insecureIgnoreSct,
}: Pick<VerifyOptions, 'requireSct' | 'insecureIgnoreSct'>): SctWish {
  return { requireSct: requireSct === true, ignoreSct: insecureIgnoreSct === true };
}

/** How many different logs and authorities must vouch, as `VerifyRequest`. */
export interface Thresholds {
  readonly requireLogs: number | undefined;
  readonly requireTimestamps: number | undefined;
}

/** @throws ClientError `usage` */
export function thresholds({
  requireLogs,
  requireTimestamps,
}: Pick<VerifyOptions, 'requireLogs' | 'requireTimestamps'>): Thresholds {
  return {
    requireLogs: threshold(requireLogs, '--require-logs'),
    requireTimestamps: threshold(requireTimestamps, '--require-timestamps'),
  };
}

function threshold(given: string | undefined, flag: string): number | undefined {
  if (given === undefined) return undefined;
  const count = /^[1-9][0-9]?$/.test(given) ? Number(given) : Number.NaN;
  if (count <= MAX_BUNDLE_EVIDENCE) return count;
  throw usage(`${flag} ${printable(given)} is not a number from 1 to ${MAX_BUNDLE_EVIDENCE}`);
}

/**
 * What the clock says, in milliseconds since 1970: the time of --at, or that of this machine.
 *
 * @throws ClientError `usage`
 */
export function presentTime({ at }: Pick<VerifyOptions, 'at'>): number {
  const time = at === undefined ? Date.now() : timeOfText(at);
  if (time !== undefined) return time;
  throw usage(`--at ${printable(at ?? '')} is not a time of RFC 3339, like 2026-08-01T12:00:00Z`);
}

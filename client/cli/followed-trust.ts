/**
 * The followed TUF repository as the trust of a command.
 * `refresh-trust.ts` fetches its news, for the commands that are online anyway.
 */
import { parseMonitoredLogs } from '../trust/monitor-config.ts';
import { parseSigningConfig } from '../trust/signing-config.ts';
import { SIGNING_CONFIG_FILE } from '../trust/trust-files.ts';
import { parseTrustedRoots } from '../trust/trusted-root.ts';
import { MONITOR_CONFIG_TARGET } from '../trust/tuf/followed-targets.ts';
import { type FollowedTrust, loadTrust } from '../trust/tuf/load-trust.ts';
import { notFollowed, TrustStore } from '../trust/tuf/trust-store.ts';
import { followedRoot, followedTarget } from './followed-files.ts';
import { warn } from './report.ts';
import { maxAgeOf, type TrustOptions, trustDirOf } from './trust-options.ts';

/** Which followed repository a monitor takes: that of --trust in any case, the usual one where its configuration names no log. */
export function followedDirs({ trust }: Pick<TrustOptions, 'trust'>): { trust?: string; otherwise: string } {
  return { ...(trust === undefined ? {} : { trust: trustDirOf({ trust }) }), otherwise: trustDirOf({}) };
}

/**
 * The followed repository, from the local directory alone; undefined where none is followed and none was named.
 *
 * @param now milliseconds since 1970
 * @throws ClientError as `loadTrust`; `trust` where --trust names a directory without one; `usage`
 */
export function followedTrust(options: TrustOptions, now = Date.now()): FollowedTrust | undefined {
  const maxAge = maxAgeOf(options);
  const dir = trustDirOf(options);
  const trust = loadTrust(new TrustStore(dir), { now, maxAge, warn: (sentence) => warn(sentence) });
  if (trust === undefined && (options.trust !== undefined || maxAge !== undefined)) throw notFollowed(dir);
  return trust;
}

/** Whether the repository says anything about the log at this address: where clients write or monitors read, or its key. */
export function isFollowedLog(trust: FollowedTrust, url: string): boolean {
  const signing = trust.target(SIGNING_CONFIG_FILE);
  const monitor = trust.target(MONITOR_CONFIG_TARGET);
  const known = [
    ...(signing === undefined ? [] : parseSigningConfig(signing).rekorTlogUrls.map((service) => service.url)),
    ...(monitor === undefined ? [] : parseMonitoredLogs(monitor).rekorLogs.map(({ readUrl }) => readUrl)),
    ...parseTrustedRoots(followedRoot(trust)).flatMap(({ tlogs }) => tlogs.map(({ baseUrl }) => baseUrl)),
  ];
  return known.some((one) => placeOf(one) === placeOf(url));
}

/** Without the scheme, which a trusted root may leave out, and without the API of Rekor. */
function placeOf(url: string): string {
  return url
    .replace(/^https?:\/\//, '')
    .replace(/\/+$/, '')
    .replace(/\/api\/v2$/, '')
    .replace(/\/+$/, '');
}

/** Sigstore's monitor configuration. @throws ClientError `trust` where the repository has none */
export function followedMonitorConfig(trust: FollowedTrust): Uint8Array {
  return followedTarget(trust, MONITOR_CONFIG_TARGET);
}

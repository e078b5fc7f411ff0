/**
 * The followed TUF repository as the trust of a command: where its local directory is, and what a command takes of it.
 * `refresh-trust.ts` fetches its news, for the commands that are online anyway.
 */
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { decodeUtf8 } from '../../merkle/bytes.ts';
import { printable } from '../../merkle/printable.ts';
import { ClientError, usage } from '../errors.ts';
import { parseMonitoredLogs } from '../trust/monitor-config.ts';
import { parseSigningConfig } from '../trust/signing-config.ts';
import { SIGNING_CONFIG_FILE } from '../trust/trust-files.ts';
import { parseTrustedRoots } from '../trust/trusted-root.ts';
import {
  isLastCheckpoint,
  MONITOR_CONFIG_TARGET,
  POLICY_TARGET,
  TRUSTED_ROOT_TARGETS,
} from '../trust/tuf/followed-targets.ts';
import { type FollowedTrust, loadTrust } from '../trust/tuf/load-trust.ts';
import { notFollowed, TrustStore } from '../trust/tuf/trust-store.ts';
import { warn } from './report.ts';
import type { TrustOptions } from './trust-options.ts';

/** The absolute path of the local trust, whether a repository is followed there or not. */
export function trustDirOf({ trust }: TrustOptions): string {
  const { STELE_TRUST: named, XDG_DATA_HOME: data } = process.env;
  if (trust !== undefined && trust !== '') return resolve(trust);
  if (named !== undefined && named !== '') return resolve(named);
  return join(data !== undefined && data !== '' ? resolve(data) : join(home(), '.local', 'share'), 'stele', 'trust');
}

/** A container may run as a user that has no entry and no HOME: it gets the home that Docker gives such users. */
function home(): string {
  try {
    return homedir();
  } catch {
    return '/';
  }
}

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
  const maxAge = options.maxTrustAge === undefined ? undefined : durationOf(options.maxTrustAge);
  const dir = trustDirOf(options);
  const trust = loadTrust(new TrustStore(dir), { now, maxAge, warn: (sentence) => warn(sentence) });
  if (trust === undefined && (options.trust !== undefined || maxAge !== undefined)) throw notFollowed(dir);
  return trust;
}

/** @throws ClientError `trust` where the repository has no trusted root */
export function followedRoot(trust: FollowedTrust): Uint8Array {
  for (const name of TRUSTED_ROOT_TARGETS) {
    const bytes = trust.target(name);
    if (bytes !== undefined) return bytes;
  }
  throw lacks(trust, TRUSTED_ROOT_TARGETS.at(-1)!);
}

/** The text of the policy; undefined where the repository has none. */
export function followedPolicy(trust: FollowedTrust): string | undefined {
  const bytes = trust.target(POLICY_TARGET);
  return bytes && decodeUtf8(bytes);
}

/** The last checkpoints of frozen logs. */
export function followedLastCheckpoints(trust: FollowedTrust): Uint8Array[] {
  const names = [...trust.targets.targets.keys()].filter(isLastCheckpoint);
  return names.map((name) => followedTarget(trust, name));
}

/** @throws ClientError `trust` where the repository has no such target */
export function followedTarget(trust: FollowedTrust, name: string): Uint8Array {
  const bytes = trust.target(name);
  if (bytes === undefined) throw lacks(trust, name);
  return bytes;
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

function lacks({ state }: FollowedTrust, name: string): ClientError {
  return new ClientError(
    'trust',
    `the followed repository ${printable(state.mirror)} has no ${printable(name)}, which is needed here`,
  );
}

const UNITS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds of `90s`, `30m`, `12h` or `7d`. @throws ClientError `usage` */
function durationOf(text: string): number {
  const [, count, unit] = /^([0-9]{1,6})([smhd])$/.exec(text) ?? [];
  if (count !== undefined && unit !== undefined) return Number(count) * UNITS[unit]!;
  throw usage(`--max-trust-age ${printable(text)} is not a duration such as 30m, 12h or 7d`);
}

/** The targets of a repository that Stele's commands use. */
import { SIGNING_CONFIG_FILE } from '../trust-files.ts';

/** Of two trusted roots the first one that is there counts: v0.2 names operators too. */
export const TRUSTED_ROOT_TARGETS: readonly string[] = ['trusted_root.v0.2.json', 'trusted_root.json'];
export const POLICY_TARGET = 'policy';
export const MONITOR_CONFIG_TARGET = 'monitor_config.json';

/** Targets that are looked for in delegated roles too. */
const SEARCHED_TARGETS: readonly string[] = [
  ...TRUSTED_ROOT_TARGETS,
  SIGNING_CONFIG_FILE,
  MONITOR_CONFIG_TARGET,
  POLICY_TARGET,
  'log.vkey',
  'monitor.yaml',
];

/** What commands take of a followed repository. */
export interface FollowedTargets {
  /** The URL of its mirror. */
  readonly mirror: string;
  /** Names of the last checkpoints of frozen logs. */
  readonly lastCheckpoints: readonly string[];
  /**
   * A target; undefined where the repository has none of this name.
   *
   * @throws ClientError `trust`: it is not here, or was changed; `tuf-expired`: of a delegated role
   */
  target(name: string): Uint8Array | undefined;
  /** The last millisecond since 1970 at which the repository, and the targets that were taken so far, may be used without an update. */
  readonly usableUntil: number;
}

/** Names of targets that commands may use. @param top names of the top-level role */
export function followedNames(top: Iterable<string>): Set<string> {
  return new Set([...SEARCHED_TARGETS, ...[...top].filter(isFollowed)]);
}

/** Whether a target of the top-level role is fetched too: what belongs to each shard. */
function isFollowed(name: string): boolean {
  return isLastCheckpoint(name) || /^[^/]+\.vkey$/.test(name);
}

/** Whether a target is the last checkpoint of a frozen log. */
export function isLastCheckpoint(name: string): boolean {
  return /^[^/]+\.last-checkpoint$/.test(name);
}

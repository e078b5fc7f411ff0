/** The targets of a repository that Stele's commands use. */
import { SIGNING_CONFIG_FILE } from '../trust-files.ts';

/** Of two trusted roots the first one that is there counts: v0.2 names operators too. */
export const TRUSTED_ROOT_TARGETS: readonly string[] = ['trusted_root.v0.2.json', 'trusted_root.json'];
export const POLICY_TARGET = 'policy';
export const MONITOR_CONFIG_TARGET = 'monitor_config.json';

/** Targets that are looked for in delegated roles too. */
export const SEARCHED_TARGETS: readonly string[] = [
  ...TRUSTED_ROOT_TARGETS,
  SIGNING_CONFIG_FILE,
  MONITOR_CONFIG_TARGET,
  POLICY_TARGET,
  'log.vkey',
  'monitor.yaml',
];

/** Whether a target of the top-level role is fetched too: what belongs to each shard. */
export function isFollowed(name: string): boolean {
  return isLastCheckpoint(name) || /^[^/]+\.vkey$/.test(name);
}

/** Whether a target is the last checkpoint of a frozen log. */
export function isLastCheckpoint(name: string): boolean {
  return /^[^/]+\.last-checkpoint$/.test(name);
}

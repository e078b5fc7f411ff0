/** A followed TUF repository as the source of a monitor's logs: which they are, their keys, and the policy for them. */
import { parsePolicy } from '../../../merkle/policy.ts';
import { ClientError } from '../../errors.ts';
import { MONITOR_CONFIG_TARGET, POLICY_TARGET, TRUSTED_ROOT_TARGETS } from '../../trust/tuf/followed-targets.ts';
import { type FollowedTrust, loadTrust } from '../../trust/tuf/load-trust.ts';
import { notFollowed, TrustStore } from '../../trust/tuf/trust-store.ts';
import type { ShardSource } from '../types.ts';

/**
 * @param dir the local directory of the repository, which somebody else updates. Each read takes what is there then; the policy
 *   is that of now.
 * @throws ClientError as `loadTrust`; `trust` where no repository is followed; MerkleError `bad-policy`
 */
export function followedSource(dir: string): ShardSource {
  const store = new TrustStore(dir);
  const load = (takeExpired: boolean): FollowedTrust => {
    const trust = loadTrust(store, { takeExpired });
    if (trust === undefined) throw notFollowed(dir);
    return trust;
  };
  // A monitor that was off for long must start, and fetches the news then. No log is read by what has expired.
  const now = load(true);
  const policy = now.target(POLICY_TARGET);
  const root = TRUSTED_ROOT_TARGETS.find((name) => now.targets.targets.has(name));
  return {
    name: `the repository ${now.state.mirror}`,
    monitorConfig: MONITOR_CONFIG_TARGET,
    trustedRoot: root ?? TRUSTED_ROOT_TARGETS[0]!,
    lastCheckpoints: TARGETS,
    ...(policy === undefined ? {} : { policy: parsePolicy(policy) }),
    read: async (location) => {
      const name = location.startsWith(`${TARGETS}/`)
        ? decodeURIComponent(location.slice(TARGETS.length + 1))
        : location;
      const bytes = load(false).target(name);
      if (bytes === undefined) throw new ClientError('missing', `the followed repository has no ${name}`);
      return bytes;
    },
  };
}

/** Stands before the name of a last checkpoint. */
const TARGETS = 'targets';

/** Whether a repository is followed in this directory, whole or damaged. */
export function isFollowedIn(dir: string): boolean {
  return new TrustStore(dir).isThere();
}

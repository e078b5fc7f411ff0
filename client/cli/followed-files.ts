/** What commands take of a followed repository: its targets. */
import { decodeUtf8 } from '../../merkle/bytes.ts';
import { printable } from '../../merkle/printable.ts';
import { ClientError } from '../errors.ts';
import { type FollowedTargets, POLICY_TARGET, TRUSTED_ROOT_TARGETS } from '../trust/tuf/followed-targets.ts';

/** @throws ClientError `trust` where the repository has no trusted root */
export function followedRoot(trust: FollowedTargets): Uint8Array {
  for (const name of TRUSTED_ROOT_TARGETS) {
    const bytes = trust.target(name);
    if (bytes !== undefined) return bytes;
  }
  throw lacks(trust, TRUSTED_ROOT_TARGETS.at(-1)!);
}

/** The text of the policy; undefined where the repository has none. */
export function followedPolicy(trust: FollowedTargets): string | undefined {
  const bytes = trust.target(POLICY_TARGET);
  return bytes && decodeUtf8(bytes);
}

/** The last checkpoints of frozen logs. */
export function followedLastCheckpoints(trust: FollowedTargets): Uint8Array[] {
  return trust.lastCheckpoints.map((name) => followedTarget(trust, name));
}

/** @throws ClientError `trust` where the repository has no such target */
export function followedTarget(trust: FollowedTargets, name: string): Uint8Array {
  const bytes = trust.target(name);
  if (bytes === undefined) throw lacks(trust, name);
  return bytes;
}

function lacks({ mirror }: FollowedTargets, name: string): ClientError {
  return new ClientError(
    'trust',
    `the followed repository ${printable(mirror)} has no ${printable(name)}, which is needed here`,
  );
}

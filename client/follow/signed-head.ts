/** Checkpoints of a log, verified with Node's own primitives: see open-head.ts. */
import type { VerifierKey } from '../../merkle/note.ts';
import { nodeNotePrimitives } from '../../merkle/runtime/crypto/verify.ts';
import { openHeadWith, openSignedWith, quorumMissingWith, quorumSeenWith, withPlainBy } from './open-head.ts';
import type { FollowedLog, SignedHead } from './types.ts';

/** @throws MerkleError as `openSignedWith` */
export function openSigned(keys: readonly VerifierKey[], note: string): SignedHead {
  return openSignedWith(nodeNotePrimitives, keys, note);
}

/** @throws ClientError `bad-checkpoint` as `openHeadWith` */
export function openHead(log: Pick<FollowedLog, 'origin' | 'keys'>, bytes: Uint8Array | string): SignedHead {
  return openHeadWith(nodeNotePrimitives, log, bytes);
}

/** As `quorumMissingWith`. */
export function quorumMissing(log: Pick<FollowedLog, 'policy'>, head: SignedHead): string | undefined {
  return quorumMissingWith(nodeNotePrimitives, log, head);
}

/** @throws ClientError as `withPlainBy` */
export async function withPlain(...[log, head, source, signal]: WithPlain): Promise<SignedHead> {
  return await withPlainBy(nodeNotePrimitives, log, head, source, signal);
}

type WithPlain = Parameters<typeof withPlainBy> extends [unknown, ...infer Rest] ? Rest : never;

/** As `quorumSeenWith`. */
export function quorumSeen(log: Pick<FollowedLog, 'policy'>, head: SignedHead): number | undefined {
  return quorumSeenWith(nodeNotePrimitives, log, head);
}

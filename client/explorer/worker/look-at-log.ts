/** What a log shows now, verified: its checkpoint, its witnesses, and how it stands to what this browser saw before. */
import type { ExplorerLog } from '../../../merkle/explorer-config.ts';
import { nobleNotePrimitives } from '../../../merkle/noble.ts';
import type { PolicyWitness } from '../../../merkle/policy.ts';
import { ClientError } from '../../errors.ts';
import { openHeadWith, quorumMissingWith, quorumSeenWith, withPlainBy } from '../../follow/open-head.ts';
import type { FollowedLog, SignedHead } from '../../follow/types.ts';
import { verifyQuorum } from '../../trust/quorum.ts';
import { openInBrowser } from '../model/browser-files.ts';
import type { TaskContext } from './protocol.ts';

export interface LookInput {
  readonly log: ExplorerLog;
}

/** A witness of the policy, and what its line under the checkpoint is worth. */
export interface WitnessLook {
  readonly name: string;
  /** When it cosigned, by its own clock, in ms since 1970; undefined without a cosignature that verifies. */
  readonly cosigned: number | undefined;
  /** Why its line does not count. */
  readonly problem: string | undefined;
}

export interface LogLook {
  readonly head: SignedHead;
  /** Why the quorum of the policy is missing; undefined where it is met or no policy is known. */
  readonly quorumMissing: string | undefined;
  /** When the quorum last cosigned, in ms since 1970. */
  readonly quorumSeen: number | undefined;
  readonly witnesses: readonly WitnessLook[];
}

/** @throws ClientError `bad-checkpoint`, `missing`; of `openInBrowser` */
export async function lookAtLog({ log }: LookInput, { signal }: TaskContext): Promise<LogLook> {
  const source = openInBrowser(log.url);
  const trust = followed(log);
  const own = openHeadWith(nobleNotePrimitives, trust, await source.checkpoint(signal, true));
  const head = await withPlainBy(nobleNotePrimitives, trust, own, source, signal);
  const missing = quorumMissingWith(nobleNotePrimitives, trust, head);
  const cosigned = head.plain ?? head;
  return {
    head,
    quorumMissing: missing,
    quorumSeen: missing === undefined ? quorumSeenWith(nobleNotePrimitives, trust, cosigned) : undefined,
    witnesses: (log.policy?.witnesses ?? []).map((witness) => lookAtWitness(witness, cosigned)),
  };
}

/** The part of a log's trust that checkpoints are verified by. */
export function followed({ origin, keys, policy }: ExplorerLog): Pick<FollowedLog, 'origin' | 'keys' | 'policy'> {
  return { origin, keys, ...(policy && { policy }) };
}

function lookAtWitness(witness: PolicyWitness, { signed }: SignedHead): WitnessLook {
  const alone = { logs: [], witnesses: [witness], groups: [], quorum: undefined };
  try {
    const [line] = verifyQuorum(alone, signed, nobleNotePrimitives);
    return { name: witness.name, cosigned: line && line.timestamp * 1000, problem: undefined };
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    return { name: witness.name, cosigned: undefined, problem: error.message };
  }
}

/** The checkpoint of a proof: who signed it, and who cosigned it. Nothing here depends on which of its entries is proven. */
import type { Checkpoint } from '../../merkle/checkpoint.ts';
import type { VerifierKey } from '../../merkle/note.ts';
import type { Policy } from '../../merkle/policy.ts';
import type { Primitives } from '../../merkle/rekor/primitives.ts';
import { timeText } from '../../merkle/x509/utc-time.ts';
import type { InclusionProof } from '../formats/log-entry.ts';
import { isSameLog, type LogKey, userLogKey } from '../trust/log-key.ts';
import { type Cosigned, logKeyOf, quorumTime, verifyQuorum } from '../trust/quorum.ts';
import type { TrustedRoot } from '../trust/trusted-root.ts';
import type { CheckpointMemory } from './checkpoint-memory.ts';
import type { Check, VerifiedTime } from './outcome.ts';
import { openTree, readNote, type SignedTree } from './tree.ts';

/** Who says which logs and witnesses count. One of the first three is there; all that are must hold. */
export interface LogTrust {
  readonly root: TrustedRoot | undefined;
  readonly logKey: VerifierKey | undefined;
  readonly policy: Policy | undefined;
  readonly witnessTime: boolean;
  readonly memory: CheckpointMemory | undefined;
}

/** A checkpoint that the log signed. */
export interface OpenedCheckpoint {
  readonly checkpoint: Checkpoint;
  /** That which signed. */
  readonly key: LogKey;
  /** The keys that may have signed. */
  readonly keys: readonly LogKey[];
  /** Names of signature lines by keys other than those of the log. */
  readonly others: readonly string[];
}

/** One that the witnesses of the policy cosigned too, if there is one. */
export interface WitnessedCheckpoint extends OpenedCheckpoint {
  readonly cosigned: readonly Cosigned[];
  /** Of `others` those that are no witness's either. */
  readonly unverified: readonly string[];
  readonly checks: readonly Check[];
  readonly times: readonly VerifiedTime[];
}

/**
 * @param note the checkpoint of `proof`
 * @param keys one of which must have signed
 * @throws ClientError `bad-checkpoint`, `policy`
 */
export function openCheckpoint(
  proof: InclusionProof,
  note: string,
  keys: readonly LogKey[],
  { policy }: LogTrust,
  primitives: Primitives,
): OpenedCheckpoint {
  const { tree, key } = openWith(proof, keys, primitives);
  // A policy may leave the log to the trusted root, and name witnesses alone.
  const extra =
    policy === undefined || policy.logs.length === 0 ? undefined : userLogKey(logKeyOf(policy, readNote(note)));
  if (extra !== undefined && !isSameLog(extra, key)) openTree(proof, extra, primitives);
  const { checkpoint, others } = tree;
  return { checkpoint, key, keys, others: others.filter((name) => name !== extra?.label.split('+')[0]) };
}

/** @throws ClientError `quorum` */
export function checkWitnesses(
  opened: OpenedCheckpoint,
  note: string,
  { policy, witnessTime }: LogTrust,
  primitives: Primitives,
): WitnessedCheckpoint {
  const { key, others } = opened;
  const checks: Check[] = [{ name: 'checkpoint', detail: 'the tree is signed by the log', by: key.label }];
  const times: VerifiedTime[] = [];
  if (policy === undefined) return { ...opened, cosigned: [], unverified: others, checks, times };
  const cosigned = verifyQuorum(policy, readNote(note), primitives.cosignature);
  for (const { verifierKey, timestamp } of cosigned) {
    checks.push({ name: 'cosignature', detail: `witnessed at ${timeText(timestamp * 1000)}`, by: verifierKey });
  }
  const { quorum } = policy;
  if (quorum !== undefined) checks.push({ name: 'quorum', detail: `"${quorum.name}" of the policy is met` });
  const seconds = quorum !== undefined && witnessTime ? quorumTime(policy, cosigned) : undefined;
  if (quorum !== undefined && seconds !== undefined) {
    const time = seconds * 1000;
    times.push({ kind: 'witness', time, by: `the quorum "${quorum.name}" of the policy` });
    checks.push({ name: 'witness-time', detail: `enough witnesses had seen the tree at ${timeText(time)}` });
  }
  const known = new Set(cosigned.map(({ verifierKey }) => verifierKey.slice(0, verifierKey.indexOf('+'))));
  return { ...opened, cosigned, unverified: others.filter((name) => !known.has(name)), checks, times };
}

function openWith(
  proof: InclusionProof,
  keys: readonly LogKey[],
  primitives: Primitives,
): { readonly tree: SignedTree; readonly key: LogKey } {
  let failure: unknown;
  for (const key of keys) {
    try {
      return { tree: openTree(proof, key, primitives), key };
    } catch (error) {
      failure ??= error;
    }
  }
  throw failure;
}

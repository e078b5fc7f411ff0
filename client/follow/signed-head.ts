/** A checkpoint as it comes in: signed by the log's keys, and how far its quorum is met. */
import { decodeUtf8, encodeBase64, equal } from '../../merkle/bytes.ts';
import { type Checkpoint, isFrozen, parseCheckpoint } from '../../merkle/checkpoint.ts';
import { checkpointVerifier } from '../../merkle/cosignature.ts';
import { MerkleError } from '../../merkle/errors.ts';
import {
  formatNote,
  type NoteSignature,
  openNote,
  parseNote,
  type SignedNote,
  type VerifierKey,
} from '../../merkle/note.ts';
import { quorumMet } from '../../merkle/policy.ts';
import { printable } from '../../merkle/printable.ts';
import { nodePrimitives } from '../../merkle/runtime/crypto/verify.ts';
import { ClientError } from '../errors.ts';
import type { FollowedLog } from '../monitor/follow-settings.ts';
import { verifyQuorum } from '../trust/quorum.ts';

/** A checkpoint that the log signed. Whether it may be believed is for the follower to say. */
export interface Head extends Checkpoint {
  /** As it came, with every signature. */
  readonly note: string;
  /** `note`, parsed. */
  readonly signed: SignedNote;
  /** With the log's own signatures alone: what is kept, and goes into evidence. */
  readonly own: string;
  /** The keys that signed it. */
  readonly keys: readonly VerifierKey[];
  /** It says that it is the last one. */
  readonly frozen: boolean;
}

/**
 * Opens a checkpoint of `log`.
 *
 * @throws ClientError `bad-checkpoint`: it is no signed note, of another log, or not signed by one of the log's keys. No
 * log can be blamed for such a one.
 */
export function openHead(log: Pick<FollowedLog, 'origin' | 'keys'>, bytes: Uint8Array | string): Head {
  try {
    const note = typeof bytes === 'string' ? bytes : decodeUtf8(bytes);
    const signed = parseNote(note);
    const opened = openNote(
      signed,
      log.keys.map((key) => checkpointVerifier(key, nodePrimitives)),
    );
    const checkpoint = parseCheckpoint(opened.text);
    if (checkpoint.origin !== log.origin) throw otherLog(log.origin, checkpoint.origin);
    return {
      ...checkpoint,
      note,
      signed,
      own: formatNote(opened.text, opened.verified),
      keys: log.keys.filter((key) => opened.verified.some((signature) => isBy(signature, key))),
      frozen: isFrozen(checkpoint),
    };
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    if (cause.code === 'unknown-key') throw otherLog(log.origin, originOf(bytes), cause);
    throw new ClientError('bad-checkpoint', `what is served as checkpoint cannot be used: ${cause.message}`, { cause });
  }
}

/** Why the quorum that the log's policy asks for is not there; undefined where it is, or none is asked for. */
export function quorumMissing(log: FollowedLog, head: Head): string | undefined {
  if (log.policy === undefined) return undefined;
  try {
    verifyQuorum(log.policy, head.signed, nodePrimitives);
    return undefined;
  } catch (error) {
    if (error instanceof ClientError && error.code === 'quorum') return error.message;
    throw error;
  }
}

/**
 * When the quorum last looked, in milliseconds since 1970: the latest time such that the witnesses that cosigned at it or
 * later are enough. One witness alone can so not keep an old checkpoint young. Undefined without a quorum.
 */
export function quorumSeen({ policy }: Pick<FollowedLog, 'policy'>, head: Head): number | undefined {
  if (policy?.quorum === undefined) return undefined;
  const cosigned = verifyQuorum(policy, head.signed, nodePrimitives);
  const times = [...new Set(cosigned.map(({ timestamp }) => timestamp))].sort((a, b) => b - a);
  const seen = times.find((time) =>
    quorumMet(policy, ({ name }) => cosigned.some(({ witness, timestamp }) => witness === name && timestamp >= time)),
  );
  return seen === undefined ? undefined : seen * 1000;
}

/** Whether both are about the same tree. */
export function sameTree(a: Pick<Head, 'size' | 'root'>, b: Pick<Head, 'size' | 'root'>): boolean {
  return a.size === b.size && equal(a.root, b.root);
}

/** For people and for the IDs of alerts. */
export function describeHead({ size, root }: Pick<Head, 'size' | 'root'>): string {
  return `size ${size}, root ${encodeBase64(root)}`;
}

function otherLog(wanted: string, found: string, cause?: unknown): ClientError {
  return new ClientError(
    'bad-checkpoint',
    found === wanted
      ? `the checkpoint names "${printable(wanted)}", but none of its signatures is by a key of that log: either it is another log, or its key was changed`
      : `the checkpoint is of another log, "${printable(found)}" instead of "${printable(wanted)}": check the URL`,
    { cause },
  );
}

/** What a note that nobody vouches for calls itself. */
function originOf(bytes: Uint8Array | string): string {
  try {
    return parseCheckpoint(parseNote(bytes).text).origin;
  } catch {
    return 'something that is no checkpoint';
  }
}

function isBy({ name, keyId }: NoteSignature, key: VerifierKey): boolean {
  return name === key.name && equal(keyId, key.keyId);
}

/**
 * Checkpoints of a log (c2sp.org/tlog-checkpoint): whether the log's keys signed them, and how far a quorum is met. The caller
 * gives the primitives, so that this runs in a browser too; signed-head.ts has those of Node.
 */
import { decodeUtf8, encodeBase64, equal } from '../../merkle/bytes.ts';
import { isFrozen, parseCheckpoint } from '../../merkle/checkpoint.ts';
import { type CosignaturePrimitives, checkpointVerifier, coversExtensions } from '../../merkle/cosignature.ts';
import { MerkleError } from '../../merkle/errors.ts';
import { formatNote, type NoteSignature, openNote, parseNote, type VerifierKey } from '../../merkle/note.ts';
import { quorumMet } from '../../merkle/policy.ts';
import { printable } from '../../merkle/printable.ts';
import { ClientError } from '../errors.ts';
import type { TileSource, TreeHead } from '../tiles/types.ts';
import { verifyQuorum } from '../trust/quorum.ts';
import type { FollowedLog, SignedHead } from './types.ts';

/**
 * The checkpoint in `note`, which one or more of the keys signed.
 *
 * @throws MerkleError: it is no signed note, no checkpoint, or (`unknown-key`) none of the keys signed it
 */
export function openSignedWith(
  primitives: CosignaturePrimitives,
  keys: readonly VerifierKey[],
  note: string,
): SignedHead {
  const signed = parseNote(note);
  const verifiers = keys.map((key) => checkpointVerifier(key, primitives));
  const { text, verified } = openNote(signed, verifiers);
  const checkpoint = parseCheckpoint(text);
  const signers = keys.filter((key) => verified.some((signature) => isBy(signature, key)));
  const frozen = isFrozen(checkpoint) && signers.some(coversExtensions);
  return { ...checkpoint, note, signed, own: formatNote(text, verified), keys: signers, frozen };
}

/**
 * Opens a checkpoint of `log`.
 *
 * @throws ClientError `bad-checkpoint`: it is no signed note, of another log, or not signed by one of the log's keys.
 *   Nobody can blame the log for such a checkpoint.
 */
export function openHeadWith(
  primitives: CosignaturePrimitives,
  log: Pick<FollowedLog, 'origin' | 'keys'>,
  bytes: Uint8Array | string,
): SignedHead {
  try {
    const head = openSignedWith(primitives, log.keys, typeof bytes === 'string' ? bytes : decodeUtf8(bytes));
    if (head.origin !== log.origin) throw otherLog(log.origin, head.origin);
    return head;
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    if (cause.code === 'unknown-key') throw otherLog(log.origin, originOf(bytes), cause);
    throw new ClientError('bad-checkpoint', `what is served as checkpoint cannot be used: ${cause.message}`, { cause });
  }
}

/**
 * Why the checkpoint lacks the quorum of the log's policy; undefined where it has one, or needs none. The plain checkpoint of
 * a frozen log counts for its last one: witnesses may refuse a checkpoint with a further line.
 */
export function quorumMissingWith(
  primitives: CosignaturePrimitives,
  { policy }: Pick<FollowedLog, 'policy'>,
  head: SignedHead,
): string | undefined {
  if (policy === undefined) return undefined;
  try {
    verifyQuorum(policy, (head.plain ?? head).signed, primitives);
    return undefined;
  } catch (error) {
    if (error instanceof ClientError && error.code === 'quorum') return error.message;
    throw error;
  }
}

/**
 * The last checkpoint of a frozen log together with the plain one, where only that one has the quorum.
 *
 * @throws ClientError of a source
 */
export async function withPlainBy(
  primitives: CosignaturePrimitives,
  log: Pick<FollowedLog, 'origin' | 'keys' | 'policy'>,
  head: SignedHead,
  source: Pick<TileSource, 'plainCheckpoint'>,
  signal?: AbortSignal,
): Promise<SignedHead> {
  if (!head.frozen || quorumMissingWith(primitives, log, head) === undefined) return head;
  const bytes = await source.plainCheckpoint?.(signal);
  if (bytes === undefined) return head;
  const plain = openHeadWith(primitives, log, bytes);
  return plain.extensions.length === 0 && sameTree(plain, head) ? { ...head, plain } : head;
}

/**
 * When the quorum last cosigned: the latest time such that the witnesses that cosigned at it or later meet the quorum. So
 * one witness alone cannot make an old checkpoint look young.
 *
 * @returns milliseconds since 1970; undefined without a quorum
 */
export function quorumSeenWith(
  primitives: CosignaturePrimitives,
  { policy }: Pick<FollowedLog, 'policy'>,
  head: SignedHead,
): number | undefined {
  if (policy?.quorum === undefined) return undefined;
  const cosigned = verifyQuorum(policy, head.signed, primitives);
  const times = [...new Set(cosigned.map(({ timestamp }) => timestamp))].sort((a, b) => b - a);
  const seen = times.find((time) =>
    quorumMet(policy, ({ name }) => cosigned.some(({ witness, timestamp }) => witness === name && timestamp >= time)),
  );
  return seen === undefined ? undefined : seen * 1000;
}

/**
 * How `head` stands to a tree that the log has shown before, by size and root alone. Only tiles tell whether a larger or
 * smaller tree is of the same history.
 */
export function standing(before: TreeHead, head: TreeHead): 'same' | 'other-root' | 'larger' | 'smaller' {
  if (head.size !== before.size) return head.size > before.size ? 'larger' : 'smaller';
  return equal(head.root, before.root) ? 'same' : 'other-root';
}

/** Whether both are about the same tree. */
export function sameTree(a: TreeHead, b: TreeHead): boolean {
  return standing(a, b) === 'same';
}

/** For messages and for the IDs of alerts. */
export function describeHead({ size, root }: TreeHead): string {
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

/** The origin that a note claims which none of the keys signed. */
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

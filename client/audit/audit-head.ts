/** The checkpoint that an audit is about: who signed it, and who cosigned it. */
import { decodeUtf8 } from '../../merkle/bytes.ts';
import { type Checkpoint, isFrozen, parseCheckpoint } from '../../merkle/checkpoint.ts';
import { MerkleError } from '../../merkle/errors.ts';
import { formatVerifierKey, parseNote, type SignedNote, type VerifierKey } from '../../merkle/note.ts';
import type { Policy } from '../../merkle/policy.ts';
import { printable } from '../../merkle/printable.ts';
import { nodeNotePrimitives } from '../../merkle/runtime/crypto/verify.ts';
import { ClientError } from '../errors.ts';
import { sameTree } from '../follow/open-head.ts';
import { openSigned } from '../follow/signed-head.ts';
import { type Cosigned, verifyQuorum, withoutQuorum } from '../trust/quorum.ts';
import { AuditProblem } from './audit-problem.ts';

/** A checkpoint as a log has shown it. */
export interface SeenHead {
  /** The signed note. */
  readonly note: string;
  readonly size: number;
  /** 32 bytes. */
  readonly root: Uint8Array;
}

export interface AuditHead extends SeenHead {
  readonly origin: string;
  /** Verifier keys; empty where the caller gives no key. */
  readonly signedBy: readonly string[];
  readonly cosigned: readonly Cosigned[];
}

const PATH = 'checkpoint';

/**
 * The tree head of a checkpoint. With a key or a policy, a log's key must have signed it; with a policy, the quorum must
 * have cosigned it as well.
 *
 * @throws AuditProblem `bad-checkpoint`, `quorum`
 */
export function readHead(bytes: Uint8Array, key: VerifierKey | undefined, policy: Policy | undefined): AuditHead {
  try {
    const note = decodeUtf8(bytes);
    const keys = key === undefined ? policy?.logs.map((log) => log.key) : [key];
    const { signed, signedBy, origin, size, root } = keys === undefined ? unsigned(note) : signedByLog(keys, note);
    const cosigned = policy === undefined ? [] : verifyQuorum(policy, signed, nodeNotePrimitives);
    return { note, origin, size, root, signedBy: signedBy.map(formatVerifierKey), cosigned };
  } catch (cause) {
    if (cause instanceof MerkleError) throw bad(explain(cause, bytes), cause);
    if (cause instanceof ClientError && cause.code === 'quorum') {
      throw new AuditProblem('quorum', PATH, cause.message, undefined, { cause });
    }
    throw cause;
  }
}

/**
 * As `readHead`, of the last checkpoint of a frozen log, whose quorum is on the plain checkpoint of the same tree.
 *
 * @returns undefined where `bytes` is not such a checkpoint, or `plain` is not of its tree
 * @throws AuditProblem `bad-checkpoint`, `quorum`
 */
export function readFrozenHead(
  bytes: Uint8Array,
  plain: Uint8Array,
  key: VerifierKey | undefined,
  policy: Policy,
): AuditHead | undefined {
  const head = readHead(bytes, key, withoutQuorum(policy));
  const counted = readHead(plain, key, policy);
  const isLast = isFrozen(parseCheckpoint(parseNote(bytes).text));
  const isPlain = parseCheckpoint(parseNote(plain).text).extensions.length === 0;
  if (!isLast || !isPlain || counted.origin !== head.origin || !sameTree(counted, head)) return undefined;
  return { ...head, cosigned: counted.cosigned };
}

/** The tree head of a checkpoint that an earlier run has verified. @throws MerkleError */
export function readSeen(note: string): SeenHead {
  const { size, root } = unsigned(note);
  return { note, size, root };
}

interface Opened extends Checkpoint {
  readonly signed: SignedNote;
  readonly signedBy: readonly VerifierKey[];
}

function unsigned(note: string): Opened {
  const signed = parseNote(note);
  return { ...parseCheckpoint(signed.text), signed, signedBy: [] };
}

function signedByLog(keys: readonly VerifierKey[], note: string): Opened {
  const { keys: signedBy, ...head } = openSigned(keys, note);
  const other = signedBy.find(({ name }) => name !== head.origin);
  if (other === undefined) return { ...head, signedBy };
  throw bad(`it is signed with the key of ${printable(other.name)}, and says that it is of ${printable(head.origin)}`);
}

function explain(cause: MerkleError, bytes: Uint8Array): string {
  if (cause.code === 'unknown-key') return 'it is not signed with a key of the log that was asked for';
  // The answer of a server that is not a log at all.
  if (bytes[0] === 0x3c) return `what is there looks like a web page (${cause.message}); is it the address of a log?`;
  return cause.message;
}

function bad(why: string, cause?: unknown): AuditProblem {
  return new AuditProblem('bad-checkpoint', PATH, `the checkpoint does not hold: ${why}`, undefined, { cause });
}

/** The checkpoint that an audit is about: who signed it, and who cosigned it. */
import { decodeUtf8 } from '../../merkle/bytes.ts';
import { type Checkpoint, parseCheckpoint } from '../../merkle/checkpoint.ts';
import { checkpointVerifier } from '../../merkle/cosignature.ts';
import { MerkleError } from '../../merkle/errors.ts';
import {
  formatVerifierKey,
  openNote,
  parseNote,
  parseVerifierKey,
  type SignedNote,
  type VerifierKey,
} from '../../merkle/note.ts';
import type { Policy } from '../../merkle/policy.ts';
import { printable } from '../../merkle/printable.ts';
import { nodeNotePrimitives } from '../../merkle/runtime/crypto/verify.ts';
import { ClientError } from '../errors.ts';
import { type Cosigned, verifyQuorum } from '../trust/quorum.ts';
import { AuditProblem } from './types.ts';

export interface Head {
  /** The signed note as it was read. */
  readonly note: string;
  readonly origin: string;
  readonly size: number;
  /** 32 bytes. */
  readonly root: Uint8Array;
  /** Verifier keys; empty where none was given. */
  readonly signedBy: readonly string[];
  readonly cosigned: readonly Cosigned[];
}

const PATH = 'checkpoint';

/** @throws ClientError `log-key` */
export function parseLogKey(vkey: string): VerifierKey {
  try {
    const key = parseVerifierKey(vkey.trim());
    checkpointVerifier(key, nodeNotePrimitives);
    return key;
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    throw new ClientError(
      'log-key',
      `what was given as the log's key cannot be used: ${cause.message}. It looks like log.example.com+1a2b3c4d+AbCd…`,
      { cause },
    );
  }
}

/**
 * The tree head of a checkpoint. With a key or a policy it must be signed; with a policy, cosigned as well.
 *
 * @throws AuditProblem `bad-checkpoint`, `quorum`
 */
export function readHead(bytes: Uint8Array, key: VerifierKey | undefined, policy: Policy | undefined): Head {
  try {
    const note = decodeUtf8(bytes);
    const signed = parseNote(note);
    const { checkpoint, signedBy } = open(signed, key === undefined ? policy?.logs.map((log) => log.key) : [key]);
    const { origin, size, root } = checkpoint;
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

/** The tree head of a checkpoint that an earlier run has verified. @throws MerkleError */
export function readSeen(note: string): Checkpoint {
  return parseCheckpoint(parseNote(note).text);
}

function open(
  note: SignedNote,
  keys: readonly VerifierKey[] | undefined,
): { checkpoint: Checkpoint; signedBy: readonly VerifierKey[] } {
  if (keys === undefined) return { checkpoint: parseCheckpoint(note.text), signedBy: [] };
  const verifiers = keys.map((key) => ({ key, verifier: checkpointVerifier(key, nodeNotePrimitives) }));
  const { text, verified } = openNote(
    note,
    verifiers.map(({ verifier }) => verifier),
  );
  const checkpoint = parseCheckpoint(text);
  const signedBy = keys.filter((key) =>
    verified.some(({ name, keyId }) => name === key.name && Buffer.compare(keyId, key.keyId) === 0),
  );
  const other = signedBy.find(({ name }) => name !== checkpoint.origin);
  if (other !== undefined) {
    throw bad(
      `it is signed with the key of ${printable(other.name)}, and says that it is of ${printable(checkpoint.origin)}`,
    );
  }
  return { checkpoint, signedBy };
}

function explain(cause: MerkleError, bytes: Uint8Array): string {
  if (cause.code === 'unknown-key') return 'it is not signed with a key of the log that was asked for';
  // What a server answers that is no log at all.
  if (bytes[0] === 0x3c) return `what is there looks like a web page (${cause.message}); is it the address of a log?`;
  return cause.message;
}

function bad(why: string, cause?: unknown): AuditProblem {
  return new AuditProblem('bad-checkpoint', PATH, `the checkpoint does not hold: ${why}`, undefined, { cause });
}

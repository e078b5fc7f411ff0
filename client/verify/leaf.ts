/**
 * Is this leaf in the log that is trusted? One check for the log's own reply, and for proofs that come from elsewhere: the
 * checkpoint's signature, the witnesses that the policy asks for, and the inclusion proof, offline.
 */
import { equal } from '../../merkle/bytes.ts';
import { type Checkpoint, parseCheckpoint } from '../../merkle/checkpoint.ts';
import { MerkleError } from '../../merkle/errors.ts';
import { logId, noteVerifier, openNote, parseNote, type VerifierKey } from '../../merkle/note.ts';
import type { Policy } from '../../merkle/policy.ts';
import type { Primitives } from '../../merkle/rekor/primitives.ts';
import { leafHash } from '../../merkle/rfc6962.ts';
import { ClientError } from '../errors.ts';
import { canonicalEntry, type Signed } from '../formats/entry.ts';
import type { LogEntry } from '../formats/log-entry.ts';
import { type Cosigned, logKeyOf, verifyQuorum } from '../trust/quorum.ts';
import { checkInclusion, readNote } from './tree.ts';

/** Who must have signed the checkpoint: a log's key, the log and the witnesses of a policy, or both. */
export type LogTrust =
  | { readonly logKey: VerifierKey; readonly policy?: Policy | undefined }
  | { readonly logKey?: VerifierKey | undefined; readonly policy: Policy };

/** What holds of a leaf in a log once verification succeeded. */
export interface LoggedLeaf {
  /** Name of the log, signed by it. */
  readonly origin: string;
  readonly logKey: VerifierKey;
  /** Index of the entry, in [0, treeSize). */
  readonly index: number;
  readonly treeSize: number;
  /** Root hash of that tree, 32 bytes. */
  readonly root: Uint8Array;
  /** RFC 6962 leaf hash of the entry, 32 bytes. */
  readonly leafHash: Uint8Array;
  /** Witnesses of the policy that cosigned, each once; none without a policy. */
  readonly cosigned: readonly Cosigned[];
  /** Names of signature lines by keys that are not known here. Nothing is known about them. */
  readonly unverified: readonly string[];
}

export interface LeafProof {
  readonly leafHash: Uint8Array;
  readonly index: number;
  readonly hashes: readonly Uint8Array[];
  /** The signed note of the checkpoint. */
  readonly checkpoint: string;
}

/**
 * @throws ClientError `bad-checkpoint`, `quorum`, `bad-proof`; `policy` where that names no log and no key is given
 */
export function verifyLeaf(proof: LeafProof, trust: LogTrust, primitives: Primitives): LoggedLeaf {
  // One of the two is there: the type says so, but the compiler does not see it.
  const logKey = trust.logKey ?? logKeyOf(trust.policy!, readNote(proof.checkpoint));
  const { checkpoint, unverified } = openCheckpoint(proof.checkpoint, logKey, primitives);
  const cosigned =
    trust.policy === undefined ? [] : verifyQuorum(trust.policy, readNote(proof.checkpoint), primitives.cosignature);
  const { origin, size: treeSize, root } = checkpoint;
  const { index, hashes, leafHash: leaf } = proof;
  checkInclusion({ index, hashes }, leaf, checkpoint, (data) => primitives.hash('sha256', data));
  const known = new Set(cosigned.map(({ verifierKey }) => verifierKey.slice(0, verifierKey.indexOf('+'))));
  return {
    origin,
    logKey,
    index,
    treeSize,
    root,
    leafHash: leaf,
    cosigned,
    unverified: unverified.filter((name) => !known.has(name)),
  };
}

/**
 * Checks a log's reply as a verifier would: that the entry is exactly what was signed, and is in the tree that the log
 * signed. The signature itself must have been verified before.
 *
 * @throws ClientError `entry-mismatch`, `bad-promise` and the codes of `verifyLeaf`
 */
export function verifyReply(entry: LogEntry, signed: Signed, trust: LogTrust, primitives: Primitives): LoggedLeaf {
  const body = canonicalEntry(signed);
  if (entry.kind !== 'hashedrekord' || entry.version !== '0.0.2' || !equal(entry.body, body)) {
    throw new ClientError(
      'entry-mismatch',
      'the logged entry is not the one that this digest, signature and key give: the proof is about something else',
    );
  }
  const { index, hashes, checkpoint } = entry;
  const logged = verifyLeaf({ leafHash: leafHash(body), index, hashes, checkpoint }, trust, primitives);
  if (logged.treeSize !== entry.treeSize || !equal(logged.root, entry.root)) {
    throw new ClientError('bad-checkpoint', 'the checkpoint is about another tree than the proof says');
  }
  // Both go into the bundle, where a verifier refuses them.
  if (!equal(entry.logId, logId(logged.logKey))) {
    throw new ClientError(
      'bad-checkpoint',
      'the reply has the ID of another log than the one that signed the checkpoint',
    );
  }
  if (entry.integratedTime !== 0) {
    throw new ClientError('bad-promise', 'the reply names a time, and the log did not sign a promise of it');
  }
  return logged;
}

function openCheckpoint(
  note: string,
  logKey: VerifierKey,
  primitives: Primitives,
): { checkpoint: Checkpoint; unverified: string[] } {
  try {
    const { text, others } = openNote(parseNote(note), [noteVerifier(logKey, primitives.cosignature)]);
    const checkpoint = parseCheckpoint(text);
    if (checkpoint.origin !== logKey.name) {
      throw new ClientError(
        'bad-checkpoint',
        'the checkpoint is signed by the key, but names another log as its origin',
      );
    }
    return { checkpoint, unverified: others.map(({ name }) => name) };
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    const why =
      cause.code === 'unknown-key'
        ? `it has no signature by ${logKey.name}'s key; the entry is in another log, or the log has another key`
        : cause.message;
    throw new ClientError('bad-checkpoint', `the checkpoint is not one of the log whose key was given: ${why}`, {
      cause,
    });
  }
}

/**
 * Is the entry in a tree that its log signed? Checkpoint (c2sp.org/tlog-checkpoint; that of Rekor v1 has the origin
 * "name - tree ID" and an extension line with a time), its signature, and the inclusion proof.
 */
import { encodeBase64, equal } from '../../merkle/bytes.ts';
import { type Checkpoint, parseCheckpoint } from '../../merkle/checkpoint.ts';
import { MerkleError } from '../../merkle/errors.ts';
import { openNote, parseNote, type SignedNote } from '../../merkle/note.ts';
import { printable } from '../../merkle/printable.ts';
import { verifyInclusion } from '../../merkle/proof.ts';
import type { Primitives } from '../../merkle/rekor/primitives.ts';
import type { Sha256 } from '../../merkle/rfc6962.ts';
import { ClientError } from '../errors.ts';
import type { InclusionProof } from '../formats/log-entry.ts';
import type { LogKey } from '../trust/log-key.ts';

export interface SignedTree {
  readonly checkpoint: Checkpoint;
  /** Names of signature lines by keys that are not known here. */
  readonly others: readonly string[];
}

/**
 * The tree of a proof, once `key` was found to have signed it.
 *
 * @throws ClientError `bad-checkpoint`
 */
export function openTree(proof: InclusionProof, key: LogKey, primitives: Primitives): SignedTree {
  const { checkpoint: note = '' } = proof;
  try {
    // The first line is the origin. It is believed once the note is found to be signed.
    const name = signerOf(note.slice(0, Math.max(0, note.indexOf('\n'))), key);
    const { text, others } = openNote(parseNote(note), [key.noteVerifier(name, primitives)]);
    const checkpoint = parseCheckpoint(text);
    if (checkpoint.size !== proof.treeSize || !equal(checkpoint.root, proof.root)) {
      throw new ClientError('bad-checkpoint', 'the checkpoint is about another tree than the proof leads to');
    }
    return { checkpoint, others: others.map((signature) => signature.name) };
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    const why =
      cause.code === 'unknown-key'
        ? 'it has no signature by that key; the entry is in another log, or the log has another key'
        : cause.message;
    throw new ClientError('bad-checkpoint', `the checkpoint is not one of the log ${key.label}: ${why}`, { cause });
  }
}

/** @throws ClientError `bad-proof` */
export function checkInclusion(
  { index, hashes }: Pick<InclusionProof, 'index' | 'hashes'>,
  leafHash: Uint8Array,
  { size, root }: Pick<Checkpoint, 'size' | 'root'>,
  sha256: Sha256,
): void {
  try {
    verifyInclusion({ index, size, leafHash, root, hashes }, sha256);
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    throw new ClientError(
      'bad-proof',
      `the inclusion proof does not lead from the entry at index ${index} (leaf ${encodeBase64(leafHash)}) to the root of the tree`,
      { cause },
    );
  }
}

/** Under which name a log with this origin signs. */
function signerOf(origin: string, key: LogKey): string {
  const v1 = /^(.+) - [0-9]{1,20}$/.exec(origin)?.[1];
  if (key.isNamed(origin, false)) return origin;
  if (v1 !== undefined && key.isNamed(v1, true)) return v1;
  throw new ClientError(
    'bad-checkpoint',
    `the checkpoint is of a log that calls itself "${printable(origin.slice(0, 120))}", which is not the log ${key.label}`,
  );
}

/** @throws ClientError `bad-checkpoint` */
export function readNote(note: string): SignedNote {
  try {
    return parseNote(note);
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    throw new ClientError('bad-checkpoint', `the checkpoint is no signed note: ${cause.message}`, { cause });
  }
}

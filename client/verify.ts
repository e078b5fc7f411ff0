/**
 * Offline verification: is this signature over this file in the log that this key signs for?
 *
 * Everything that is not given by the caller is rebuilt from what is: the entry from digest, signature and key, so that the
 * proof is about them and not about an entry that only resembles them.
 */
import { equal } from '../merkle/bytes.ts';
import { type Checkpoint, parseCheckpoint } from '../merkle/checkpoint.ts';
import { MerkleError } from '../merkle/errors.ts';
import { noteVerifier, openNote, parseVerifierKey, type VerifierKey } from '../merkle/note.ts';
import { verifyInclusion } from '../merkle/proof.ts';
import { leafHash } from '../merkle/rfc6962.ts';
import type { Bundle } from './bundle.ts';
import { canonicalEntry, type Signed } from './entry.ts';
import { ClientError } from './errors.ts';
import { keyHint, type PublicKey } from './key.ts';
import type { LogEntry } from './log-entry.ts';

/** What holds once verification succeeded. */
export interface Verified {
  /** Name of the log, signed by it. */
  readonly origin: string;
  /** Index of the entry, in [0, treeSize). */
  readonly index: number;
  readonly treeSize: number;
  /** Root hash of that tree, 32 bytes. */
  readonly root: Uint8Array;
  /** RFC 6962 leaf hash of the entry, 32 bytes. */
  readonly leafHash: Uint8Array;
  /** Names of signature lines by keys that are not known here, such as witnesses'. Nothing is known about them. */
  readonly unverified: readonly string[];
}

/** @throws ClientError `log-key` */
export function parseLogKey(vkey: string): VerifierKey {
  try {
    const key = parseVerifierKey(vkey.trim());
    noteVerifier(key);
    return key;
  } catch (cause) {
    const why = cause instanceof MerkleError ? cause.message : 'it is not a verifier key';
    throw new ClientError(
      'log-key',
      `what was given as the log's key cannot be used: ${why}. It looks like log.example.com+1a2b3c4d+AbCd…; the log prints it at start and shows it at /stele/v1/log`,
      { cause },
    );
  }
}

/**
 * @param digest of the file, made with `publicKey.digest`
 * @throws ClientError `unsupported`, `digest-mismatch`, `bad-signature` and the codes of `verifyEntry`
 */
export function verifyBundle(bundle: Bundle, digest: Uint8Array, publicKey: PublicKey, logKey: VerifierKey): Verified {
  if (bundle.digestAlgorithm !== publicKey.digest) {
    throw new ClientError(
      'digest-mismatch',
      `the bundle is about a ${bundle.digestAlgorithm.slice(0, 40)} digest, but a key of the kind ${publicKey.name} signs ${publicKey.digest}`,
    );
  }
  if (!equal(bundle.digest, digest)) {
    throw new ClientError(
      'digest-mismatch',
      'the file is not the one that was signed: its digest differs from the one in the bundle. It was changed, or the bundle belongs to another file',
    );
  }
  const signed = { digest, signature: bundle.signature, publicKey };
  checkSignature(signed, bundle.hint);
  return verifyEntry(bundle.entry, signed, logKey);
}

function checkSignature({ digest, signature, publicKey }: Signed, hint: string): void {
  if (publicKey.verify(digest, signature)) return;
  // The hint is nobody's promise, but it tells the likelier of two mistakes.
  const other = hint !== '' && hint !== keyHint(publicKey);
  throw new ClientError(
    'bad-signature',
    other
      ? 'the signature is not by the given key: the bundle says that another key signed. Give that key, if you trust it'
      : 'the signature in the bundle does not verify with the given key over this file: the bundle was changed or damaged',
  );
}

/**
 * Checks that the entry is about what was signed, is in the tree, and that the log signed that tree. `signed.signature` must
 * have been verified before.
 *
 * @throws ClientError `entry-mismatch`, `bad-proof`, `bad-checkpoint`
 */
export function verifyEntry(entry: LogEntry, signed: Signed, logKey: VerifierKey): Verified {
  return verifyLogged(entry, canonicalEntry(signed), logKey);
}

/**
 * The same for an entry that the caller rebuilt: `body` is the canonical `hashedrekord` of what was signed.
 *
 * @throws ClientError `entry-mismatch`, `bad-proof`, `bad-checkpoint`
 */
export function verifyLogged(entry: LogEntry, body: Uint8Array, logKey: VerifierKey): Verified {
  if (entry.kind !== 'hashedrekord' || entry.version !== '0.0.2' || !equal(entry.body, body)) {
    throw new ClientError(
      'entry-mismatch',
      'the logged entry is not the one that this file, signature and key give: the proof is about something else',
    );
  }
  const leaf = leafHash(body);
  const { checkpoint, unverified } = openCheckpoint(entry.checkpoint, logKey);
  if (checkpoint.size !== entry.treeSize || !equal(checkpoint.root, entry.root)) {
    throw new ClientError('bad-checkpoint', 'the checkpoint is about another tree than the proof leads to');
  }
  try {
    verifyInclusion({
      index: entry.index,
      size: checkpoint.size,
      leafHash: leaf,
      root: checkpoint.root,
      hashes: entry.hashes,
    });
  } catch (cause) {
    throw new ClientError(
      'bad-proof',
      `the inclusion proof does not lead from the entry at index ${entry.index} to the root that the log signed`,
      { cause },
    );
  }
  const { origin, size: treeSize, root } = checkpoint;
  return { origin, index: entry.index, treeSize, root, leafHash: leaf, unverified };
}

function openCheckpoint(note: string, logKey: VerifierKey): { checkpoint: Checkpoint; unverified: string[] } {
  try {
    const { text, others } = openNote(note, [noteVerifier(logKey)]);
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

/** The checkpoint that is public, checked against the committed tree and the log's own key. */
import { decodeUtf8, equal } from '../../merkle/bytes.ts';
import { type Checkpoint, parseCheckpoint } from '../../merkle/checkpoint.ts';
import { MerkleError } from '../../merkle/errors.ts';
import { noteVerifier, openNote, parseNote } from '../../merkle/note.ts';
import { nodeNotePrimitives } from '../../merkle/runtime/crypto/verify.ts';
import { ServerError } from '../errors.ts';
import type { CommittedTree } from '../tree/committed.ts';
import type { CheckpointSigner } from './sign.ts';
import type { Published } from './types.ts';

/**
 * Reads the published checkpoint, or undefined for a log that has none yet. A frozen log's last checkpoint is made
 * public here, where a crash kept it from being so.
 *
 * Throws `ServerError`: `key-mismatch` where the log's key did not sign it, `origin-mismatch`, `corrupt` where it is no
 * checkpoint or is missing, `rollback` where the committed tree does not extend it.
 */
export async function openPublished(
  tree: CommittedTree,
  signer: Pick<CheckpointSigner, 'origin' | 'keys'>,
): Promise<Published | undefined> {
  const { state } = tree;
  const stored = tree.checkpoint ?? state.lastCheckpoint;
  if (stored === undefined && state.size > 0) {
    throw new ServerError(
      'corrupt',
      `the published checkpoint is missing, though the tree has ${state.size} entries. Put the file back from a backup ` +
        'or a mirror: without it nobody can tell whether the tree goes back behind what was shown.',
    );
  }
  if (stored === undefined) return undefined;
  let note = stored;
  const checkpoint = openCheckpoint(note, signer);
  await checkExtends(tree, checkpoint, 'the published checkpoint');
  const last = state.lastCheckpoint;
  // The public one may have got more cosignatures since the freeze.
  if (last !== undefined && parseNote(last).text !== parseNote(note).text) {
    note = last;
  }
  // Written again also where nothing changed: it may be there by a rename whose fsync failed, or that a crash kept from
  // its fsync, and what is shown must not be undone by the next loss of power.
  await tree.putCheckpoint(note);
  const { size } = openCheckpoint(note, signer);
  const snapshot = size === tree.snapshot.size ? tree.snapshot : await tree.reader().snapshotAt(size);
  return { checkpoint: decodeUtf8(note), reader: tree.reader(snapshot) };
}

/**
 * Throws `rollback` where the committed tree does not extend `head`. `what` names the head in the message, as in "the
 * published checkpoint".
 */
export async function checkExtends(
  tree: CommittedTree,
  head: { readonly size: number; readonly root: Uint8Array },
  what: string,
): Promise<void> {
  const { size } = tree.state;
  if (head.size > size) {
    throw new ServerError(
      'rollback',
      `${what} has ${head.size} entries, and the committed tree only ${size}: the state is an old copy, or the disk lost ` +
        'what it said was stored. Restore the directory with `stele log restore`.',
    );
  }
  if (!equal(await tree.reader().rootAt(head.size), head.root)) {
    throw new ServerError(
      'rollback',
      `the committed tree does not extend ${what} of ${head.size} entries. Restore the data directory with \`stele log ` +
        'restore`.',
    );
  }
}

/** Verifies and parses the log's own checkpoint. */
function openCheckpoint(note: Uint8Array, signer: Pick<CheckpointSigner, 'origin' | 'keys'>): Checkpoint {
  const own = signer.keys[0]!;
  let checkpoint: Checkpoint;
  try {
    const { text } = openNote(parseNote(note), [noteVerifier(own, nodeNotePrimitives)]);
    checkpoint = parseCheckpoint(text);
  } catch (error) {
    if (!(error instanceof MerkleError)) throw error;
    if (error.code === 'unknown-key' || error.code === 'bad-signature') {
      throw new ServerError(
        'key-mismatch',
        `the stored checkpoint was not signed by the configured key (${own.name}). Configure the key that signed it; a ` +
          'log cannot change its key.',
      );
    }
    throw new ServerError(
      'corrupt',
      `the stored checkpoint cannot be read: ${error.message}. Put it back from a backup.`,
    );
  }
  if (checkpoint.origin !== signer.origin) {
    throw new ServerError(
      'origin-mismatch',
      `the stored checkpoint is of the log "${checkpoint.origin}", and the configured origin is "${signer.origin}".`,
    );
  }
  return checkpoint;
}

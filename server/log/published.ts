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
 * Reads the published checkpoint; undefined for a log that has none yet. The last checkpoint of a frozen log is made public
 * here if a crash came before that.
 * @throws ServerError `key-mismatch` if the log's key did not sign it, `origin-mismatch`, `corrupt` if it is no checkpoint
 * or is missing, `rollback` if the committed tree does not extend it
 */
export async function openPublished(
  tree: CommittedTree,
  signer: Pick<CheckpointSigner, 'origin' | 'keys'>,
): Promise<Published | undefined> {
  const { state } = tree;
  const stored = tree.checkpoint ?? state.lastCheckpoint;
  if (stored === undefined && state.size > 0 && state.unpublished === undefined) {
    throw new ServerError(
      'corrupt',
      `the published checkpoint is missing, though the tree has ${state.size} entries. Put the file back from a backup ` +
        'or a mirror: without it nobody can tell whether the tree is older than the one that was shown.',
    );
  }
  if (stored === undefined) return undefined;
  let note = stored;
  const checkpoint = openCheckpoint(note, signer);
  await checkExtends(tree, checkpoint, 'the published checkpoint');
  const last = state.lastCheckpoint;
  // The public checkpoint may have got more cosignatures since the freeze.
  if (last !== undefined && parseNote(last).text !== parseNote(note).text) {
    note = last;
  }
  // It is written again even if nothing changed. Its file may come from a rename whose fsync failed, or never ran before a
  // crash, and the next loss of power must not undo a checkpoint that was shown.
  await tree.putCheckpoint(note);
  const { size } = openCheckpoint(note, signer);
  const snapshot = size === tree.snapshot.size ? tree.snapshot : await tree.reader().snapshotAt(size);
  const plain = state.plainCheckpoint && decodeUtf8(state.plainCheckpoint);
  return { checkpoint: decodeUtf8(note), reader: tree.reader(snapshot), plain };
}

/** @throws ServerError `rollback` if the committed tree does not extend `head`; the message names it as `what` */
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
        'writes that it had confirmed. Restore the directory with `stele log restore`.',
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
        `the stored checkpoint was not signed by the configured key (${own.name}), or was damaged. If the log began with ` +
          'this key, put the file `public/checkpoint` back from a backup or a mirror; else configure the key that signed it, ' +
          'as a log cannot change its key.',
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

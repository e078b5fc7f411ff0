/** A checkpoint of the log that its operator found elsewhere. The log must have all of its tree, and go on from there. */
import { equal } from '../../merkle/bytes.ts';
import { type Checkpoint, isFrozen, parseCheckpoint } from '../../merkle/checkpoint.ts';
import { MerkleError } from '../../merkle/errors.ts';
import { noteVerifier, openNote, parseNote, parseVerifierKey } from '../../merkle/note.ts';
import { nodeNotePrimitives } from '../../merkle/runtime/crypto/verify.ts';
import { readFileIfThere } from '../../merkle/runtime/disk/files.ts';
import { ServerError } from '../errors.ts';
import { MAX_CHECKPOINT_BYTES } from '../store/blobs.ts';
import type { CommittedTree } from '../tree/committed.ts';

export interface KnownHead extends Checkpoint {
  readonly file: string;
}

/** What the messages say about the tree that is compared. */
interface Wording {
  /** What has the tree: "the backup". */
  readonly what: string;
  /** What to do where the tree lacks entries, and where it was taken before the log was frozen. */
  readonly less: string;
  readonly frozen: string;
}

/**
 * Reads the checkpoint in `file`, which the log's own key must have signed.
 * @param verifierKeys of the log, its own first
 * @throws ServerError `config`
 */
export async function readKnown(file: string, origin: string, verifierKeys: readonly string[]): Promise<KnownHead> {
  const note = await readFileIfThere(file, MAX_CHECKPOINT_BYTES);
  if (note === undefined) throw new ServerError('config', `the checkpoint ${file} is not there.`);
  try {
    const own = noteVerifier(parseVerifierKey(verifierKeys[0]!), nodeNotePrimitives);
    const checkpoint = parseCheckpoint(openNote(parseNote(note), [own]).text);
    if (checkpoint.origin === origin) return { ...checkpoint, file };
    throw new ServerError('config', `the checkpoint ${file} is of the log "${checkpoint.origin}", not of "${origin}".`);
  } catch (error) {
    if (!(error instanceof MerkleError)) throw error;
    throw new ServerError('config', `${file} is not a checkpoint that this log signed: ${error.message}`);
  }
}

/** @throws ServerError `rollback` where the tree does not extend the checkpoint, or is from before a freeze that it shows */
export async function checkKnown(
  tree: CommittedTree,
  known: KnownHead,
  { what, less, frozen }: Wording,
): Promise<void> {
  const { size } = tree.snapshot;
  const { file } = known;
  if (isFrozen(known) && tree.state.status === 'open') {
    throw new ServerError(
      'rollback',
      `${file} shows that the log was frozen for ever, and ${what} is from before: it would take entries and sign again. ` +
        frozen,
    );
  }
  if (known.size > size) {
    throw new ServerError(
      'rollback',
      `${what} has ${size} entries, and ${file} shows that the log had ${known.size}: entries that somebody holds a proof ` +
        `for are missing. ${less}`,
    );
  }
  if (!equal(await tree.reader().rootAt(known.size), known.root)) {
    throw new ServerError(
      'rollback',
      `${what} is not the log that ${file} shows: their trees differ at size ${known.size}. Do not start either before you ` +
        'know why.',
    );
  }
}

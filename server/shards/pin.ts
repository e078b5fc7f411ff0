/**
 * The pin of a shard: the last checkpoint of the shard before it, kept in the directory of the shard that follows.
 *
 * A shard signs nothing before its pin is durable, and a pin is made of a frozen log alone. So no two shards ever take entries
 * at one time, also after a crash anywhere. An old copy of the earlier shard's data has another last checkpoint, or none, and
 * is not opened.
 */
import { join } from 'node:path';
import { decodeUtf8, encodeUtf8 } from '../../merkle/bytes.ts';
import { type Checkpoint, isFrozen, parseCheckpoint } from '../../merkle/checkpoint.ts';
import { MerkleError } from '../../merkle/errors.ts';
import { noteVerifier, openNote, parseNote, parseVerifierKey } from '../../merkle/note.ts';
import { nodeNotePrimitives } from '../../merkle/runtime/crypto/verify.ts';
import { readFileIfThere, writeFileDurable } from '../../merkle/runtime/disk/files.ts';
import { ServerError } from '../errors.ts';
import { MAX_CHECKPOINT_BYTES } from '../store/blobs.ts';
import type { CommittedTree } from '../tree/committed.ts';

/** A log that has ended. */
interface Ended {
  readonly origin: string;
  /** Its own key first. */
  readonly verifierKeys: readonly string[];
}

/** The last checkpoint of a frozen log. */
export interface Pin extends Checkpoint {
  /** The text that was signed: it does not change, while cosignatures may be added to the note. */
  readonly text: string;
  /** The signed note. */
  readonly note: string;
  /** The file that holds it. */
  readonly file: string;
}

export function pinPath(dir: string): string {
  return join(dir, 'predecessor.checkpoint');
}

/**
 * The pin in the shard directory `dir`; undefined where there is none.
 * @param before the log that was frozen
 * @throws ServerError `corrupt` where it is not a last checkpoint that the key of that log signed
 */
export async function readPin(dir: string, before: Ended): Promise<Pin | undefined> {
  const file = pinPath(dir);
  const bytes = await readFileIfThere(file, MAX_CHECKPOINT_BYTES);
  return bytes && openPin(bytes, before, file);
}

/**
 * Makes the pin durable. A pin that is there must be the same.
 * @param note the last checkpoint, which the log `before` has stored
 * @throws ServerError `rollback` where the shard has pinned another last checkpoint; `corrupt`
 */
export async function writePin(dir: string, before: Ended, note: string): Promise<Pin> {
  const made = openPin(encodeUtf8(note), before, pinPath(dir));
  const found = await readPin(dir, before);
  if (found === undefined) {
    await writeFileDurable(pinPath(dir), encodeUtf8(note));
    return made;
  }
  if (found.text !== made.text) throw otherEnd(found);
  return found;
}

/**
 * Refuses a tree that did not end as the next shard has pinned. Nothing of the tree is written or signed before.
 * @throws ServerError `rollback`
 */
export function checkPinned({ state }: Pick<CommittedTree, 'state'>, pin: Pin): void {
  const last = state.status === 'frozen' ? state.lastCheckpoint : undefined;
  if (last === undefined || parseNote(last).text !== pin.text) throw otherEnd(pin);
}

function otherEnd({ origin, size, file }: Pin): ServerError {
  return new ServerError(
    'rollback',
    `the log "${origin}" was frozen with ${size} entries, and the next log began: ${file} is its last checkpoint. The data ` +
      `directory of "${origin}" does not end with this checkpoint, so it is an old copy or another log, and would show a second ` +
      'history. Put its newest directory back (`stele log restore`).',
  );
}

function openPin(bytes: Uint8Array, { origin, verifierKeys }: Ended, file: string): Pin {
  const wrong = (why: string) =>
    new ServerError(
      'corrupt',
      `${file} is not the last checkpoint of "${origin}": ${why}. Put the file back from a backup.`,
    );
  try {
    const own = noteVerifier(parseVerifierKey(verifierKeys[0]!), nodeNotePrimitives);
    const { text } = openNote(parseNote(bytes), [own]);
    const checkpoint = parseCheckpoint(text);
    if (checkpoint.origin !== origin) throw wrong(`it is of the log "${checkpoint.origin}"`);
    if (!isFrozen(checkpoint)) throw wrong('it does not say that the log is frozen');
    return { ...checkpoint, text, note: decodeUtf8(bytes), file };
  } catch (error) {
    if (!(error instanceof MerkleError)) throw error;
    throw wrong(error.message);
  }
}

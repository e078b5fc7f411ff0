/**
 * A leaf of the output log: docs/index.md, "Output log".
 *
 *   stele-index@v1 newline || base64(map root) newline || number of keys newline || input checkpoint, a signed note
 */
import { MAX_ENTRY } from '../bundle.ts';
import { decodeBase64, decodeUtf8, encodeBase64, encodeUtf8, equal, parseDecimal } from '../bytes.ts';
import { type Checkpoint, parseCheckpoint } from '../checkpoint.ts';
import { MerkleError } from '../errors.ts';
import { parseNote, type SignedNote } from '../note.ts';
import { HASH_SIZE } from '../rfc6962.ts';
import { EMPTY_SUBTREE } from './map-hashes.ts';

/** The first line: the format, the map's rules and the extractor, all of which `v1` freezes. */
const FORMAT = 'stele-index@v1';

/** What an operator publishes of one state of its map. */
interface OutputLeaf {
  /** Root of the map, 32 bytes. */
  readonly root: Uint8Array;
  /** Number of keys in the map. */
  readonly keys: number;
  /** The checkpoint of the input log, a signed note, from whose tree the map is made. */
  readonly inputCheckpoint: string;
}

/** A leaf with its checkpoint read. No signature of the note is verified. */
export interface ReadOutputLeaf extends OutputLeaf {
  readonly input: Checkpoint;
  readonly inputNote: SignedNote;
}

/** The entry of the output log. @throws MerkleError `bad-lookup` unless `parseOutputLeaf` would read the same from it */
export function formatOutputLeaf({ root, keys, inputCheckpoint }: OutputLeaf): Uint8Array {
  const bytes = encodeUtf8(`${FORMAT}\n${encodeBase64(root)}\n${keys}\n${inputCheckpoint}`);
  parseOutputLeaf(bytes);
  return bytes;
}

/**
 * Reads an entry of the output log, which verifies nothing.
 * @throws MerkleError `bad-lookup` for anything that `formatOutputLeaf` would not write: also for a map without keys that has a
 * root, and for one with keys of an empty log
 */
export function parseOutputLeaf(bytes: Uint8Array): ReadOutputLeaf {
  if (bytes.length > MAX_ENTRY) throw badLookup(`the output leaf has more than ${MAX_ENTRY} bytes`);
  const text = reading('is not UTF-8', () => decodeUtf8(bytes));
  const [format, rootText, keysText] = text.split('\n', 3);
  if (format !== FORMAT) throw badLookup(`the output leaf does not begin with the line "${FORMAT}"`);
  if (rootText === undefined || keysText === undefined) throw badLookup('the output leaf has under four lines');
  const root = reading('has a root that is not base64', () => decodeBase64(rootText));
  if (root.length !== HASH_SIZE) throw badLookup('the output leaf has a root that is not 32 bytes long');
  const keys = reading('has a number of keys that is not decimal', () => parseDecimal(keysText));
  const inputCheckpoint = text.slice(FORMAT.length + rootText.length + keysText.length + 3);
  const inputNote = reading('does not end with a signed note', () => parseNote(inputCheckpoint));
  const input = reading('does not end with a checkpoint', () => parseCheckpoint(inputNote.text));
  if ((keys === 0) !== equal(root, EMPTY_SUBTREE))
    throw badLookup('the output leaf has a root without keys, or keys without root');
  if ((keys === 0) !== (input.size === 0))
    throw badLookup('the output leaf has keys without entries, or entries without keys');
  return { root, keys, inputCheckpoint, input, inputNote };
}

function reading<T>(why: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw badLookup(`the output leaf ${why}`, cause);
  }
}

export function badLookup(message: string, cause?: unknown): MerkleError {
  return new MerkleError('bad-lookup', message, cause === undefined ? undefined : { cause });
}

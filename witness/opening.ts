/** Opens the notes of requests, with refusals that a caller over HTTP sees. */
import { MerkleError } from '../merkle/errors.ts';
import { type AsyncNoteVerifier, type OpenedNote, openNoteAsync, parseNote } from '../merkle/note.ts';
import { RuntimeError } from '../merkle/runtime/runtime-errors.ts';
import { requestError } from './errors.ts';

/** Different signatures of one key that are verified in one note. */
const PER_KEY = 2;

/**
 * The note, if one of the keys signed it. The signatures by known keys are counted before any of them is verified.
 * @throws RequestError `signature`, `malformed`; `busy` where a thread that verifies has failed
 */
export async function openSigned(note: Uint8Array, verifiers: readonly AsyncNoteVerifier[]): Promise<OpenedNote> {
  try {
    return await openNoteAsync(parseNote(note), verifiers, PER_KEY * verifiers.length);
  } catch (error) {
    if (error instanceof RuntimeError) throw requestError('busy', 'the signatures cannot be verified now');
    if (!(error instanceof MerkleError)) throw error;
    const unsigned = error.code === 'unknown-key' || error.code === 'bad-signature';
    throw requestError(unsigned ? 'signature' : 'malformed', error.message);
  }
}

/** Turns a `MerkleError` of `run` into the error of a request. */
export function refusing<T>(code: 'malformed' | 'proof', run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof MerkleError) throw requestError(code, error.message);
    throw error;
  }
}

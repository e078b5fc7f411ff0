/**
 * Signed notes: c2sp.org/signed-note v1.0.0 (C2SP b3a911e, 2026-04-23).
 *
 *   note           = text, ending in a newline || newline || one or more signature lines
 *   signature line = "— " key name " " base64(4-byte key ID || signature) newline
 *
 * A note is valid UTF-8 and has no control character below U+0020 except newline. The last empty line ends the text, which
 * may hold other empty lines.
 *
 * Worked example (from the specification), with the verifier key
 * example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k:
 *
 *   This is an example message.
 *
 *   — example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
 */
import { concat, decodeBase64, decodeUtf8, encodeBase64, encodeHex, encodeUtf8, equal } from './bytes.ts';
import { MerkleError } from './errors.ts';
import { type AsyncNoteVerifier, hasControl, isKeyName, type KeyIdentity, type NoteVerifier } from './verifier-key.ts';

export {
  type AsyncNoteVerifier,
  ecdsaVerifierKey,
  ed25519VerifierKey,
  formatVerifierKey,
  KEY_TYPE,
  type KeyType,
  logId,
  makeVerifierKey,
  type NoteVerifier,
  noteVerifier,
  parseVerifierKey,
  type VerifierKey,
  type VerifyPrimitives,
} from './verifier-key.ts';

/** Longest note that is accepted, in bytes. */
export const MAX_NOTE = 1_048_576;
/** Most signatures in a note; the specification requires at least 16. */
export const MAX_SIGNATURES = 100;

export interface NoteSignature {
  /** Key name: non-empty, without white space or "+". */
  readonly name: string;
  /** 4 bytes. */
  readonly keyId: Uint8Array;
  /** The bytes after the key ID: at least one. */
  readonly signature: Uint8Array;
}

/** The parts of a note. No signature is verified: see `openNote`. */
export interface SignedNote {
  /** The text, with its last newline. */
  readonly text: string;
  /** 1 to 100 signatures, in the order of their lines. */
  readonly signatures: readonly NoteSignature[];
}

export interface OpenedNote {
  readonly text: string;
  /** The first signature of each known key that signed: at least one. */
  readonly verified: readonly NoteSignature[];
  /** Signatures by unknown keys, not verified. */
  readonly others: readonly NoteSignature[];
}

const SEPARATOR = '\n\n';
const MARK = '— ';

/**
 * Parses a note of at most 1 MiB. A caller parses each note once and passes the result on.
 * @throws MerkleError `bad-note` for anything that `formatNote` would not write.
 */
export function parseNote(note: Uint8Array | string): SignedNote {
  const whole = noteText(note);
  const end = whole.lastIndexOf(SEPARATOR);
  if (end < 0) throw badNote('no empty line stands between its text and its signatures');
  if (!whole.endsWith('\n')) throw badNote('it does not end in a newline');
  return { text: whole.slice(0, end + 1), signatures: parseLines(whole.slice(end + SEPARATOR.length)) };
}

/** Parses 1 to 100 signature lines, each with its newline, as a witness sends them. @throws MerkleError `bad-note` */
export function parseSignatures(lines: Uint8Array | string): NoteSignature[] {
  const text = noteText(lines);
  if (!text.endsWith('\n')) throw badNote('it does not end in a newline');
  return parseLines(text);
}

function parseLines(text: string): NoteSignature[] {
  // The text ends in a newline, so the last part of the split is empty.
  const lines = text.split('\n', MAX_SIGNATURES + 2);
  lines.pop();
  if (lines.length === 0) throw badNote('it has no signature');
  checkCount(lines.length);
  return lines.map(parseLine);
}

/** `text` ends in a newline; 1 to 100 signatures. @throws MerkleError `bad-note` if the result would not be a note */
export function formatNote(text: string, signatures: readonly NoteSignature[]): string {
  if (!text.endsWith('\n')) throw badNote('its text does not end in a newline');
  if (signatures.length === 0) throw badNote('it has no signature');
  checkCount(signatures.length);
  return noteText(`${text}\n${signatures.map(formatSignature).join('')}`);
}

/** One signature line, with its newline. @throws MerkleError `bad-note` */
export function formatSignature({ name, keyId, signature }: NoteSignature): string {
  if (!isKeyName(name)) throw badNote('a key name is empty, or has white space, a "+" or a control character');
  if (keyId.length !== 4) throw badNote(`a key ID has 4 bytes, not ${keyId.length}`);
  if (signature.length === 0) throw badNote('a signature is empty');
  return `${MARK}${name} ${encodeBase64(concat(keyId, signature))}\n`;
}

/**
 * Verifies that at least one of `verifiers` signed the note.
 *
 * Every signature with the name and ID of a known key must verify; equal lines are verified once. `openNote` ignores
 * signatures by unknown keys, even if an unknown key has the name or the ID of a known key.
 *
 * @param most different signatures by known keys that are verified; a note with more is refused before the first
 *   verification. A service that takes notes from strangers gives its own number.
 * @throws MerkleError `bad-signature`; `unknown-key` if no known key signed; `bad-note` if known keys signed more than
 * `most` times; `bad-verifier-key` if two verifiers share name and ID.
 */
export function openNote(note: SignedNote, verifiers: readonly NoteVerifier[], most = MAX_SIGNATURES): OpenedNote {
  const matched = matchKeys(note, verifiers, most);
  for (const { verifier, signature } of matched.known) {
    if (!verifier.verify(matched.message, signature.signature)) throw wrongSignature(verifier);
  }
  return opened(matched);
}

/** `openNote` with verifiers that may run outside the caller's thread: same result, same errors. */
export async function openNoteAsync(
  note: SignedNote,
  verifiers: readonly AsyncNoteVerifier[],
  most = MAX_SIGNATURES,
): Promise<OpenedNote> {
  const matched = matchKeys(note, verifiers, most);
  const slow = matched.known.filter(({ verifier }) => verifier.slow);
  const inOrder = slow.length === 0 ? matched.known : [...matched.known.filter((it) => !slow.includes(it)), ...slow];
  for (const { verifier, signature } of inOrder) {
    if (!(await verifier.verify(matched.message, signature.signature))) throw wrongSignature(verifier);
  }
  return opened(matched);
}

interface Matched<Verifier> {
  readonly text: string;
  readonly message: Uint8Array;
  /** Signatures with the name and ID of a known key, not verified; no two are equal. */
  readonly known: readonly { readonly verifier: Verifier; readonly signature: NoteSignature }[];
  readonly others: readonly NoteSignature[];
}

function matchKeys<Verifier extends KeyIdentity>(
  { text, signatures }: SignedNote,
  verifiers: readonly Verifier[],
  most: number,
): Matched<Verifier> {
  const byIdentity = new Map<string, Verifier>();
  for (const verifier of verifiers) {
    const id = identity(verifier);
    if (byIdentity.has(id)) throw new MerkleError('bad-verifier-key', `two verifiers share the name and key ID ${id}`);
    byIdentity.set(id, verifier);
  }
  const known: { verifier: Verifier; signature: NoteSignature }[] = [];
  const others: NoteSignature[] = [];
  for (const signature of signatures) {
    const verifier = byIdentity.get(identity(signature));
    if (verifier === undefined) others.push(signature);
    else if (!known.some((it) => it.verifier === verifier && equal(it.signature.signature, signature.signature))) {
      // At once: comparing many long signatures is work as well.
      if (known.length === most) throw badNote(`known keys signed it more than ${most} times`);
      known.push({ verifier, signature });
    }
  }
  if (known.length === 0) throw new MerkleError('unknown-key', 'no signature of the note is by a known key');
  return { text, message: encodeUtf8(text), known, others };
}

/** The result of `openNote`, for a note whose signatures by known keys all verified. */
function opened({ text, known, others }: Matched<KeyIdentity>): OpenedNote {
  const verified = new Map<KeyIdentity, NoteSignature>();
  for (const { verifier, signature } of known) {
    if (!verified.has(verifier)) verified.set(verifier, signature);
  }
  return { text, verified: [...verified.values()], others };
}

function wrongSignature(key: KeyIdentity): MerkleError {
  return new MerkleError('bad-signature', `the signature of the key ${identity(key)} does not verify`);
}

function identity(key: KeyIdentity): string {
  return `${key.name}+${encodeHex(key.keyId)}`;
}

function parseLine(line: string): NoteSignature {
  const space = line.indexOf(' ', MARK.length);
  const name = line.slice(MARK.length, space);
  if (!line.startsWith(MARK) || space < 0 || !isKeyName(name)) throw badNote('a signature line is not "— name base64"');
  let bytes: Uint8Array;
  try {
    bytes = decodeBase64(line.slice(space + 1));
  } catch (cause) {
    throw badNote('a signature is not canonical base64', cause);
  }
  if (bytes.length < 5) throw badNote('a signature has no more than its key ID');
  return { name, keyId: bytes.slice(0, 4), signature: bytes.slice(4) };
}

/** The note as text, after the checks of length and characters. */
function noteText(note: Uint8Array | string): string {
  // A text never has more UTF-16 units than UTF-8 bytes, so this check bounds the work of encoding.
  if (note.length > MAX_NOTE) throw badNote(`it is longer than ${MAX_NOTE} bytes`);
  let text: string;
  try {
    const bytes = typeof note === 'string' ? encodeUtf8(note) : note;
    if (bytes.length > MAX_NOTE) throw badNote(`it is longer than ${MAX_NOTE} bytes`);
    text = typeof note === 'string' ? note : decodeUtf8(note);
  } catch (cause) {
    if (cause instanceof MerkleError && cause.code === 'bad-note') throw cause;
    throw badNote('it is not valid UTF-8', cause);
  }
  if (hasControl(text)) throw badNote('it has a control character other than newline');
  return text;
}

function checkCount(count: number): void {
  if (count > MAX_SIGNATURES) throw badNote(`it has more than ${MAX_SIGNATURES} signatures`);
}

function badNote(why: string, cause?: unknown): MerkleError {
  return new MerkleError('bad-note', `the note is wrong: ${why}`, { cause });
}

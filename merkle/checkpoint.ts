/**
 * The text of a tree head: c2sp.org/tlog-checkpoint v1.0.0 (C2SP c0d0289, 2026-07-11). It is signed as a note (note.ts).
 *
 *   origin newline || tree size in decimal newline || base64(root hash) newline || any number of: extension line newline
 *
 * Worked example (from the specification):
 *
 *   example.com/behind-the-sofa
 *   20852163
 *   CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
 */
import { decodeBase64, encodeBase64, encodeUtf8, parseDecimal } from './bytes.ts';
import { MerkleError } from './errors.ts';
import { MAX_NOTE } from './note.ts';
import { HASH_SIZE } from './rfc6962.ts';
import { hasControl } from './verifier-key.ts';

export interface Checkpoint {
  /** The log's identity: one non-empty line. */
  readonly origin: string;
  /** Number of entries, 0 to 2^53 - 1. */
  readonly size: number;
  /** Root hash, 32 bytes. */
  readonly root: Uint8Array;
  /** Further lines, non-empty, without their newlines. */
  readonly extensions: readonly string[];
}

/** The note text of a checkpoint. @throws MerkleError `bad-checkpoint` if a field is out of its range. */
export function formatCheckpoint({ origin, size, root, extensions }: Checkpoint): string {
  const text = `${[origin, String(size), encodeBase64(root), ...extensions].join('\n')}\n`;
  // Parsing the text again is the shortest check that no field holds a newline, is empty or is out of range.
  const again = parseCheckpoint(text);
  if (again.extensions.length !== extensions.length) throw badCheckpoint('a line holds a newline');
  return text;
}

/**
 * Parses the text of a note. Verify the note first with `openNote`.
 * @throws MerkleError `bad-checkpoint` for anything that `formatCheckpoint` would not write, and for a tree of 2^53 or
 * more entries, which this implementation does not support.
 */
export function parseCheckpoint(text: string): Checkpoint {
  checkText(text);
  const lines = text.split('\n');
  if (lines.pop() !== '') throw badCheckpoint('it does not end in a newline');
  const [origin, size, root, ...extensions] = lines;
  if (origin === undefined || size === undefined || root === undefined) throw badCheckpoint('it has under three lines');
  if (lines.includes('')) throw badCheckpoint('a line is empty');
  return { origin, size: parseSize(size), root: parseRoot(root), extensions };
}

/** Start of the extension line in the last checkpoint of a frozen log, as Rekor v2 writes it. The time follows. */
export const FROZEN_MARK = 'Log frozen — ';

/** Whether the checkpoint says that the log is frozen: the log signs no larger tree. */
export function isFrozen({ extensions }: Pick<Checkpoint, 'extensions'>): boolean {
  return extensions.some((line) => line.startsWith(FROZEN_MARK));
}

function parseSize(text: string): number {
  try {
    return parseDecimal(text);
  } catch (cause) {
    throw badCheckpoint('its size is not a decimal number below 2^53 without leading zeroes', cause);
  }
}

function parseRoot(text: string): Uint8Array {
  let root: Uint8Array;
  try {
    root = decodeBase64(text);
  } catch (cause) {
    throw badCheckpoint('its root hash is not canonical base64', cause);
  }
  if (root.length !== HASH_SIZE) throw badCheckpoint(`its root hash has ${root.length} bytes instead of ${HASH_SIZE}`);
  return root;
}

function checkText(text: string): void {
  if (text.length > MAX_NOTE) throw badCheckpoint(`it is longer than ${MAX_NOTE} bytes`);
  try {
    encodeUtf8(text);
  } catch (cause) {
    throw badCheckpoint('it is not valid text', cause);
  }
  if (hasControl(text)) throw badCheckpoint('it has a control character other than newline');
}

function badCheckpoint(why: string, cause?: unknown): MerkleError {
  return new MerkleError('bad-checkpoint', `the checkpoint is wrong: ${why}`, { cause });
}

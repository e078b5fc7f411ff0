/**
 * Offline proofs that an entry is in a log: c2sp.org/tlog-proof (C2SP ab17a74, 2026-05-22).
 *
 *   "c2sp.org/tlog-proof@v1" newline
 *   ["extra " base64(opaque data) newline]
 *   "index " decimal newline
 *   any number of: base64(32-byte hash) newline           the inclusion proof, from the leaf's sibling upwards
 *   newline
 *   the checkpoint, a signed note, verbatim
 *
 * This module verifies no signature and no proof. The extra data is not signed.
 *
 * Worked example: entry 2 of a tree of 3. Its only sibling covers the entries 0 and 1.
 *
 *   c2sp.org/tlog-proof@v1
 *   extra aGVsbG8=
 *   index 2
 *   gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=
 *
 *   example.com/log
 *   3
 *   sFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=
 *
 *   — example.com/log hI2DJw…
 */
import { checkedSize, decodeBase64, decodeUtf8, encodeBase64, encodeUtf8, parseDecimal } from './bytes.ts';
import { type Checkpoint, parseCheckpoint } from './checkpoint.ts';
import { MerkleError } from './errors.ts';
import { MAX_NOTE, parseNote } from './note.ts';
import { MAX_PROOF } from './proof.ts';
import { HASH_SIZE } from './rfc6962.ts';

export interface TlogProof {
  /** Opaque bytes, at least one; undefined if the line is absent. */
  readonly extra: Uint8Array | undefined;
  /** Index of the entry, in [0, 2^53). */
  readonly index: number;
  /** At most 63 hashes of 32 bytes, from the leaf's sibling upwards. */
  readonly hashes: readonly Uint8Array[];
  /** The signed note of the checkpoint. Its signatures are not verified. */
  readonly checkpoint: string;
}

/** Longest extra data that is accepted, in bytes. */
const MAX_EXTRA = 1_048_576;
/** Longest proof that is accepted, in bytes: a note, the extra data in base64, and 63 hashes. */
export const MAX_TLOG_PROOF = MAX_NOTE + Math.ceil(MAX_EXTRA / 3) * 4 + 8_192;

const HEADER = 'c2sp.org/tlog-proof@v1';
const EXTRA = 'extra ';
const INDEX = 'index ';

/**
 * Parses a proof of at most `MAX_TLOG_PROOF` bytes, and verifies nothing. Accepts only what `formatTlogProof` writes.
 * @throws MerkleError `bad-tlog-proof`, and the codes of `parseNote` and `parseCheckpoint` for its last part
 */
export function parseTlogProof(file: Uint8Array): TlogProof {
  if (file.length > MAX_TLOG_PROOF) throw bad(`it is longer than ${MAX_TLOG_PROOF} bytes`);
  let text: string;
  try {
    text = decodeUtf8(file);
  } catch (cause) {
    throw bad('it is not UTF-8 text', cause);
  }
  const lines = new Lines(text);
  if (lines.next() !== HEADER) throw bad(`it does not start with the line "${HEADER}"`);
  let line = lines.next();
  let extra: Uint8Array | undefined;
  if (line?.startsWith(EXTRA)) {
    extra = base64(line.slice(EXTRA.length), 'the extra data');
    if (extra.length === 0) throw bad('its extra line is empty: a proof without extra data has no extra line');
    if (extra.length > MAX_EXTRA) throw bad(`its extra data is longer than ${MAX_EXTRA} bytes`);
    line = lines.next();
  }
  if (!line?.startsWith(INDEX)) throw bad('its line "index" with a number is missing, or not where it should be');
  const index = decimal(line.slice(INDEX.length));
  const hashes: Uint8Array[] = [];
  for (line = lines.next(); line !== ''; line = lines.next()) {
    if (line === undefined) throw bad('no empty line and checkpoint follow the hashes');
    if (hashes.length === MAX_PROOF) throw bad(`it has more than ${MAX_PROOF} hashes`);
    hashes.push(hashOf(line));
  }
  const checkpoint = lines.rest();
  checkpointOf(checkpoint);
  return { extra, index, hashes, checkpoint };
}

/** Writes a proof. @throws MerkleError `bad-tlog-proof`, `bad-number`, `bad-note`, `bad-checkpoint` for a bad part */
export function formatTlogProof({ extra, index, hashes, checkpoint }: TlogProof): Uint8Array {
  if (extra !== undefined && (extra.length === 0 || extra.length > MAX_EXTRA)) {
    throw bad(`extra data has 1 to ${MAX_EXTRA} bytes, not ${extra.length}`);
  }
  if (hashes.length > MAX_PROOF) throw bad(`it has more than ${MAX_PROOF} hashes`);
  for (const hash of hashes) if (hash.length !== HASH_SIZE) throw bad(`a hash has ${hash.length} bytes`);
  checkpointOf(checkpoint);
  const lines = [
    HEADER,
    ...(extra === undefined ? [] : [`${EXTRA}${encodeBase64(extra)}`]),
    `${INDEX}${checkedSize(index, 'index')}`,
    ...hashes.map(encodeBase64),
    '',
    checkpoint,
  ];
  return encodeUtf8(lines.join('\n'));
}

/** Reads line after line. The checkpoint follows the empty line. */
class Lines {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** Without its newline; undefined if no whole line is left. */
  next(): string | undefined {
    const end = this.#text.indexOf('\n', this.#at);
    if (end < 0) return undefined;
    const line = this.#text.slice(this.#at, end);
    this.#at = end + 1;
    return line;
  }

  rest(): string {
    return this.#text.slice(this.#at);
  }
}

function checkpointOf(note: string): Checkpoint {
  return parseCheckpoint(parseNote(note).text);
}

function decimal(text: string): number {
  try {
    return parseDecimal(text);
  } catch (cause) {
    throw bad('its index is not a decimal number below 2^53 without leading zeroes', cause);
  }
}

function hashOf(line: string): Uint8Array {
  // Checking the length first avoids decoding a line of a megabyte.
  const hash = line.length === 44 ? base64(line, 'a hash') : undefined;
  if (hash?.length !== HASH_SIZE) throw bad('a line of its inclusion proof is not the base64 of 32 bytes');
  return hash;
}

function base64(text: string, what: string): Uint8Array {
  try {
    return decodeBase64(text);
  } catch (cause) {
    throw bad(`${what} is not canonical, padded base64`, cause);
  }
}

function bad(why: string, cause?: unknown): MerkleError {
  return new MerkleError('bad-tlog-proof', `the proof is wrong: ${why}`, { cause });
}

/**
 * The request and response bodies of c2sp.org/tlog-witness (C2SP 95978ca, 2026-07-06).
 *
 *   add-checkpoint   "old " size newline || up to 63 proof lines: base64(hash) newline || newline || signed checkpoint
 *   sign-subtree     "subtree " start " " end newline || base64(hash) newline || up to 63 proof lines || newline || checkpoint
 *   200 response     one or more signature lines of a note
 *   409 response     size newline, as text/x.tlog.size
 *
 * Worked example (from the specification), without its signatures:
 *
 *   old 20852014
 *   PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
 *   jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
 *   5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
 *   /6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=
 *
 *   example.com/behind-the-sofa
 *   20852163
 *   CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
 */
import {
  checkedSize,
  concat,
  decodeBase64,
  decodeUtf8,
  encodeBase64,
  encodeHex,
  encodeUtf8,
  parseDecimal,
} from './bytes.ts';
import { MerkleError } from './errors.ts';
import { formatSignature, type NoteSignature, parseSignatures } from './note.ts';
import { MAX_PROOF } from './proof.ts';
import { HASH_SIZE, type Sha256, sha256 } from './rfc6962.ts';

/** `Content-Type` of the 409 response, which holds the tree size that the witness has. */
export const TREE_SIZE_TYPE = 'text/x.tlog.size';
/** Longest request body that is accepted, in bytes. The specification sets no limit. */
export const MAX_WITNESS_BODY = 128 * 1024;

export interface AddCheckpoint {
  /** Size of the last checkpoint that the witness cosigned, as far as the client knows. */
  readonly oldSize: number;
  /** At most 63 hashes of 32 bytes. */
  readonly proof: readonly Uint8Array[];
  /** The signed checkpoint, unparsed. */
  readonly note: Uint8Array;
}

interface SignSubtree {
  readonly start: number;
  readonly end: number;
  /** Hash of the subtree, 32 bytes. */
  readonly hash: Uint8Array;
  /** At most 63 hashes of 32 bytes, from the subtree to the checkpoint. */
  readonly proof: readonly Uint8Array[];
  /** The checkpoint with the witness's own cosignature, unparsed. */
  readonly note: Uint8Array;
}

/** Upper bound for the first empty line's offset: two lines of numbers, a hash, and 63 hashes of 45 bytes each. */
const MAX_HEAD = 64 + (1 + MAX_PROOF) * 45;
const NEWLINE = 0x0a;

/** Parses the body of add-checkpoint, but not its note. @throws MerkleError `bad-request` */
export function parseAddCheckpoint(body: Uint8Array): AddCheckpoint {
  const { lines, note } = split(body);
  const [old, ...proof] = lines;
  const size = /^old ([0-9]+)$/.exec(old ?? '')?.[1];
  if (size === undefined) throw badRequest('its first line is not "old" and a size');
  return { oldSize: decimal(size), proof: hashes(proof), note };
}

/** @throws MerkleError `bad-request`, `bad-number` */
export function formatAddCheckpoint({ oldSize, proof, note }: AddCheckpoint): Uint8Array {
  return join(`old ${checkedSize(oldSize)}\n`, proof, note);
}

/** Parses the body of sign-subtree. Does not check that [start, end) is a subtree. @throws MerkleError `bad-request` */
export function parseSignSubtree(body: Uint8Array): SignSubtree {
  const { lines, note } = split(body);
  const [range, hash, ...proof] = lines;
  const [, start, end] = /^subtree ([0-9]+) ([0-9]+)$/.exec(range ?? '') ?? [];
  if (start === undefined || end === undefined) throw badRequest('its first line is not "subtree", start and end');
  if (hash === undefined) throw badRequest('it has no subtree hash');
  return { start: decimal(start), end: decimal(end), hash: hashes([hash])[0]!, proof: hashes(proof), note };
}

/** @throws MerkleError `bad-request`, `bad-number` */
export function formatSignSubtree({ start, end, hash, proof, note }: SignSubtree): Uint8Array {
  return join(`subtree ${checkedSize(start)} ${checkedSize(end)}\n${encodeBase64(hash)}\n`, proof, note);
}

/**
 * The origin of the checkpoint in a body. The rest of the body is not parsed, so that a witness can refuse unknown logs
 * cheaply. Undefined if the body has no line in the origin's place.
 */
export function peekOrigin(body: Uint8Array): string | undefined {
  const start = noteStart(body);
  if (start === undefined) return undefined;
  const end = body.indexOf(NEWLINE, start);
  if (end <= start) return undefined;
  try {
    const origin = decodeUtf8(body.subarray(start, end));
    // This empty line is inside the note: the empty line before the checkpoint is missing.
    return origin.startsWith('— ') ? undefined : origin;
  } catch {
    return undefined;
  }
}

/** The body of a 200 response: signature lines. @throws MerkleError `bad-note` */
export function formatCosignatures(signatures: readonly NoteSignature[]): string {
  return signatures.map(formatSignature).join('');
}

/** The signatures in a 200 response, 1 to 100, not verified. @throws MerkleError `bad-request` */
export function parseCosignatures(body: Uint8Array | string): NoteSignature[] {
  try {
    return parseSignatures(body);
  } catch (cause) {
    throw badRequest('its lines are not the signature lines of a note', cause);
  }
}

/** The body of a 409 response. @throws MerkleError `bad-number` unless `size` is in [0, 2^53 - 1] */
export function formatTreeSize(size: number): string {
  return `${checkedSize(size)}\n`;
}

/** The tree size in a 409 response, in [0, 2^53 - 1]. @throws MerkleError `bad-request` */
export function parseTreeSize(body: Uint8Array | string): number {
  let text: string;
  try {
    text = typeof body === 'string' ? body : decodeUtf8(body.subarray(0, 32));
  } catch (cause) {
    throw badRequest('it is not text', cause);
  }
  if (body.length > 17 || !text.endsWith('\n')) throw badRequest('it is not one line with a size');
  return decimal(text.slice(0, -1));
}

/** How a witness names a log in its URLs: lower-case hex of the origin's SHA-256. */
export function originHash(origin: string, hash: Sha256 = sha256): string {
  return encodeHex(hash(encodeUtf8(origin)));
}

function split(body: Uint8Array): { lines: string[]; note: Uint8Array } {
  const start = noteStart(body);
  if (start === undefined)
    throw badRequest('no empty line stands before its checkpoint, or its first lines are too long');
  let head: string;
  try {
    head = decodeUtf8(body.subarray(0, start - 2));
  } catch (cause) {
    throw badRequest('it is not text', cause);
  }
  return { lines: head.split('\n'), note: body.subarray(start) };
}

/** Offset of the checkpoint: it follows the first empty line. */
function noteStart(body: Uint8Array): number | undefined {
  for (let at = body.indexOf(NEWLINE); at >= 0 && at < MAX_HEAD; at = body.indexOf(NEWLINE, at + 1)) {
    if (body[at + 1] === NEWLINE) return at + 2;
  }
  return undefined;
}

function hashes(lines: readonly string[]): Uint8Array[] {
  if (lines.length > MAX_PROOF) throw badRequest(`it has more than ${MAX_PROOF} proof lines`);
  return lines.map((line) => {
    let hash: Uint8Array;
    try {
      hash = decodeBase64(line);
    } catch (cause) {
      throw badRequest('a hash is not canonical base64', cause);
    }
    if (hash.length !== HASH_SIZE) throw badRequest(`a hash has ${hash.length} bytes instead of ${HASH_SIZE}`);
    return hash;
  });
}

function join(head: string, proof: readonly Uint8Array[], note: Uint8Array): Uint8Array {
  if (proof.length > MAX_PROOF) throw badRequest(`it has more than ${MAX_PROOF} proof lines`);
  return concat(encodeUtf8(`${head}${proof.map((hash) => `${encodeBase64(hash)}\n`).join('')}\n`), note);
}

function decimal(text: string): number {
  try {
    return parseDecimal(text);
  } catch (cause) {
    throw badRequest('a size is not a decimal number below 2^53 without leading zeroes', cause);
  }
}

function badRequest(why: string, cause?: unknown): MerkleError {
  return new MerkleError('bad-request', `the body is wrong: ${why}`, { cause });
}

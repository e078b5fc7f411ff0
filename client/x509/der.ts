/**
 * DER (ITU-T X.690 sections 8 and 10), as certificates and time stamps are written in: one encoding for each value.
 *
 * All that a verifier needs of ASN.1 is here: where each element begins and ends, checked to be in its one encoding. What an
 * element means is told by its tag alone (fields.ts). Libraries read BER, which must then be encoded again to tell, and take
 * as long to load as a whole verification; the tests hold this against one.
 *
 *   30 06 02 01 05 01 01 ff    SEQUENCE { INTEGER 5, BOOLEAN TRUE }
 */
import { concat } from '../../merkle/bytes.ts';
import { ClientError } from '../errors.ts';

/** Whole identifier octets: class, constructed bit, number. */
export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  enumerated: 0x0a,
  utf8: 0x0c,
  printable: 0x13,
  t61: 0x14,
  ia5: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  universal: 0x1c,
  bmp: 0x1e,
  sequence: 0x30,
  set: 0x31,
} as const;

/** Identifier of a context-specific element: primitive `[n] IMPLICIT`, or constructed. */
export const primitive = (n: number): number => 0x80 + n;
export const constructed = (n: number): number => 0xa0 + n;

/** One element. `bytes` and `content` are parts of the input, not copies. */
export interface Der {
  readonly tag: number;
  /** The whole element: identifier, length, contents. */
  readonly bytes: Uint8Array;
  readonly content: Uint8Array;
  /** Empty where the element is primitive. */
  readonly children: readonly Der[];
}

/** A time stamp with the certificates of its authority has about 6,000 bytes, a certificate 2,000. */
const MAX_SIZE = 65_536;
const MAX_DEPTH = 32;
/** Of `MAX_SIZE`. */
const MAX_LENGTH_BYTES = 3;

/**
 * Exactly one element. The result refers to `input`, which must not be changed afterwards.
 *
 * @param what for the message: `the certificate`
 * @throws ClientError `malformed`: not DER, more than 65,536 bytes, deeper than 32, or bytes after its end
 */
export function parseDer(input: Uint8Array, what: string): Der {
  if (input.length > MAX_SIZE) {
    throw malformed(what, `has ${input.length} bytes; ${MAX_SIZE} are the most that is read`);
  }
  const node = elementAt(input, 0, input.length, 1, what);
  if (node.end < input.length) throw malformed(what, 'has bytes after its end');
  return node;
}

/** Parts of the input are made when they are asked for: most never are, and each costs as much as parsing an element. */
class Element implements Der {
  readonly tag: number;
  readonly children: readonly Der[];
  readonly #input: Uint8Array;
  readonly #at: number;
  readonly #start: number;
  readonly end: number;

  constructor(input: Uint8Array, at: number, start: number, end: number, children: readonly Der[]) {
    this.tag = input[at]!;
    this.children = children;
    this.#input = input;
    this.#at = at;
    this.#start = start;
    this.end = end;
  }

  get bytes(): Uint8Array {
    return this.#input.subarray(this.#at, this.end);
  }

  get content(): Uint8Array {
    return this.#input.subarray(this.#start, this.end);
  }
}

const NONE: readonly Der[] = [];

/** The element that begins at `at`, and ends at `limit` at the latest. */
function elementAt(input: Uint8Array, at: number, limit: number, depth: number, what: string): Element {
  if (depth > MAX_DEPTH) throw malformed(what, 'is nested too deep');
  if (limit - at < 2) throw malformed(what, 'ends within an element');
  const tag = input[at]!;
  const { length, start } = lengthAt(input, at + 1, limit, what);
  const end = start + length;
  if (end > limit) throw malformed(what, 'ends within an element');
  if (!isPlain(input, tag, start, end)) throw malformed(what, 'is not in its one DER encoding');
  if (!isConstructed(tag)) return new Element(input, at, start, end, NONE);
  const children: Element[] = [];
  for (let next = start; next < end; ) {
    const child = elementAt(input, next, end, depth + 1, what);
    children.push(child);
    next = child.end;
  }
  return new Element(input, at, start, end, children);
}

/** A length of up to 127 stands in one byte; a longer one in as few as hold it, after a byte with their number. */
function lengthAt(input: Uint8Array, at: number, limit: number, what: string): { length: number; start: number } {
  const first = input[at]!;
  const start = at + 1;
  if (first < 0x80) return { length: first, start };
  const count = first - 0x80;
  if (count > MAX_LENGTH_BYTES || count > limit - start)
    throw malformed(what, 'is longer than the bytes that there are');
  let length = 0;
  for (let i = 0; i < count; i++) length = length * 256 + input[start + i]!;
  // Without bytes it is the indefinite length of BER.
  if (length < 0x80 || input[start] === 0) throw malformed(what, 'is not in its one DER encoding');
  return { length, start: start + count };
}

/** In X.690 bit 6; those of several bytes are refused anyway. */
function isConstructed(tag: number): boolean {
  return Math.floor(tag / 0x20) % 2 === 1;
}

/** The rules of X.690 sections 8, 10 and 11 for the contents of an element. */
function isPlain(input: Uint8Array, tag: number, start: number, end: number): boolean {
  if ((tag & 0x1f) === 0x1f) return false; // a tag of several bytes, which nothing here has
  if (tag >= 0x40) return true;
  const size = end - start;
  const first = input[start];
  switch (tag) {
    case TAG.sequence:
    case TAG.set:
      return true;
    case TAG.boolean:
      return size === 1 && (first === 0 || first === 0xff);
    case TAG.integer:
    case TAG.enumerated:
      return isShortest(input, start, size);
    case TAG.null:
      return size === 0;
    case TAG.bmp:
      return size % 2 === 0;
    case TAG.universal:
      return size % 4 === 0;
    case TAG.bitString:
      if (size === 0 || first! > 7) return false;
      return size === 1 ? first === 0 : input[end - 1]! % 2 ** first! === 0;
    default:
      // No other type is constructed, and neither is a sequence or set primitive; 0 ends what has no length.
      return tag !== 0 && tag < 0x20 && tag !== 0x10 && tag !== 0x11;
  }
}

/** Whether a number is in as few bytes as hold it: its first nine bits are not all the same. */
function isShortest(input: Uint8Array, start: number, size: number): boolean {
  if (size < 2) return size === 1;
  const first = input[start]!;
  const negative = input[start + 1]! >= 0x80;
  return negative ? first !== 0xff : first !== 0;
}

/** The encoding of one element around what is encoded already. */
export function encodeDer(tag: number, ...contents: readonly Uint8Array[]): Uint8Array {
  const content = concat(...contents);
  const length: number[] = [];
  for (let rest = content.length; rest > 0; rest = Math.floor(rest / 256)) length.unshift(rest % 256);
  const head = content.length < 0x80 ? [content.length] : [0x80 + length.length, ...length];
  return concat(Uint8Array.of(tag, ...head), content);
}

export function malformed(what: string, why: string, cause?: unknown): ClientError {
  return new ClientError('malformed', `${what} ${why}`, cause === undefined ? undefined : { cause });
}

/**
 * DER (ITU-T X.690 sections 8 and 10), the encoding of certificates and time stamps: one encoding for each value.
 *
 * node-forge parses BER and is lenient in places. Its result is therefore encoded again and must give the same bytes, and
 * this file checks what node-forge ignores (booleans, bit strings, long tags, constructed strings).
 *
 *   30 06 02 01 05 01 01 ff    SEQUENCE { INTEGER 5, BOOLEAN TRUE }
 *
 * Measured on Node 20, a certificate of 1,500 bytes: 40 µs of CPU time on a busy machine, a third of it to encode again.
 */
import asn1, { type Asn1 } from 'node-forge/lib/asn1.js';
import { concat } from '../bytes.ts';
import { MerkleError } from '../errors.ts';

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

/**
 * Exactly one element. The result refers to `input`, which must not be changed afterwards.
 *
 * @param what for the message: `the certificate`
 * @throws MerkleError `bad-der`: not DER, more than 65,536 bytes, deeper than 32, or bytes after its end
 */
export function parseDer(input: Uint8Array, what: string): Der {
  if (input.length > MAX_SIZE) {
    throw badDer(what, `has ${input.length} bytes; ${MAX_SIZE} are the most that is read`);
  }
  const text = binary(input);
  let node: Asn1;
  let again: string;
  try {
    node = asn1.fromDer(text, { strict: true, parseAllBytes: true, decodeBitStrings: false, maxDepth: MAX_DEPTH });
    again = asn1.toDer(node).getBytes();
  } catch (cause) {
    throw badDer(what, 'is not DER, or is nested too deep', cause);
  }
  if (again !== text) throw badDer(what, 'is not in its one DER encoding');
  return place(node, input, 0, what);
}

/** Makes views of the input on demand: callers read few of them, and each costs as much as parsing an element. */
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

/** The same element with its place in `input`, which was found to be its encoding. */
function place(node: Asn1, input: Uint8Array, at: number, what: string): Element {
  const first = input[at + 1]!;
  let start = at + 2;
  let length = first;
  if (first >= 0x80) {
    length = 0;
    for (const end = start + (first - 0x80); start < end; start++) length = length * 256 + input[start]!;
  }
  const end = start + length;
  if (!isPlain(input, input[at]!, start, end)) throw badDer(what, 'is not in its one DER encoding');
  if (typeof node.value === 'string') return new Element(input, at, start, end, NONE);
  const children: Element[] = [];
  let next = start;
  for (const child of node.value) {
    const placed = place(child, input, next, what);
    children.push(placed);
    next = placed.end;
  }
  return new Element(input, at, start, end, children);
}

/** The rules of X.690 sections 10 and 11 that encoding again does not show. */
function isPlain(input: Uint8Array, tag: number, start: number, end: number): boolean {
  if ((tag & 0x1f) === 0x1f) return false; // a tag of several bytes, which node-forge takes for one
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
      return size > 0;
    case TAG.null:
      return size === 0;
    case TAG.bitString:
      if (size === 0 || first! > 7) return false;
      return size === 1 ? first === 0 : input[end - 1]! % 2 ** first! === 0;
    default:
      // No other type is constructed, and neither is a sequence or set primitive; 0 ends what has no length.
      return tag !== 0 && tag < 0x20 && tag !== 0x10 && tag !== 0x11;
  }
}

/** The encoding of one element around what is encoded already. */
export function encodeDer(tag: number, ...contents: readonly Uint8Array[]): Uint8Array {
  const content = concat(...contents);
  const length: number[] = [];
  for (let rest = content.length; rest > 0; rest = Math.floor(rest / 256)) length.unshift(rest % 256);
  const head = content.length < 0x80 ? [content.length] : [0x80 + length.length, ...length];
  return concat(Uint8Array.of(tag, ...head), content);
}

export function badDer(what: string, why: string, cause?: unknown): MerkleError {
  return new MerkleError('bad-der', `${what} ${why}`, cause === undefined ? undefined : { cause });
}

/** One character a byte; `TextDecoder` has no such encoding (its latin1 is windows-1252). `apply` is 6 times `...`. */
function binary(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 4096) {
    text += String.fromCharCode.apply(null, bytes.subarray(at, at + 4096) as unknown as number[]);
  }
  return text;
}

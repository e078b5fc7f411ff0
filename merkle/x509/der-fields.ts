/** Reads DER elements as values: numbers, texts, times, object identifiers and the fields of a SEQUENCE. */
import { decodeUtf8, encodeHex } from '../bytes.ts';
import { badDer, type Der, TAG } from './der.ts';
import { timeOfDate } from './utc-time.ts';

/** Reads the elements of a SEQUENCE or SET, one after the other. */
export interface Fields {
  /** The next element, which must have this tag. @throws MerkleError `bad-der` */
  next(tag: number): Der;
  /** The next element if it has this tag. */
  optional(tag: number): Der | undefined;
  /** The next element, with any tag. @throws MerkleError `bad-der` if no element is left */
  any(): Der;
  more(): boolean;
  /** @throws MerkleError `bad-der` if an element is left */
  end(): void;
}

/** @param what names the input in error messages: `the certificate` */
export function fieldsOf(node: Der, what: string): Fields {
  const { children } = node;
  let at = 0;
  const any = (): Der => {
    const child = children[at++];
    if (child === undefined) throw badDer(what, 'lacks a field');
    return child;
  };
  return {
    any,
    next: (tag) => expectTag(any(), tag, what),
    optional: (tag) => (children[at]?.tag === tag ? children[at++] : undefined),
    more: () => at < children.length,
    end() {
      if (at < children.length) throw badDer(what, 'has a field too many');
    },
  };
}

/** Returns `node` if it has this tag. @throws MerkleError `bad-der` */
export function expectTag(node: Der | undefined, tag: number, what: string): Der {
  if (node?.tag === tag) return node;
  throw badDer(what, 'does not have the field that its specification requires');
}

/**
 * Dotted decimal of an OBJECT IDENTIFIER (X.690 section 8.19). An arc may have any size: one made from a UUID has 128 bits
 * (ITU-T X.667). Only the input bounds the text, which has at most 2.5 characters for a byte of the input.
 * @throws MerkleError `bad-der`
 */
export function oidOf(node: Der, what: string): string {
  const { content } = expectTag(node, TAG.oid, what);
  let text = '';
  let start = 0; // of this arc
  for (let at = 0; at < content.length; at++) {
    if (content[at]! >= 0x80) continue;
    // The shortest encoding has no leading zero bits.
    if (content[start] === 0x80) break;
    const arc = arcOf(content, start, at + 1);
    text += text === '' ? firstArcs(arc) : `.${arc}`;
    start = at + 1;
  }
  if (start === 0 || start < content.length) throw badDer(what, 'has a malformed object identifier');
  return text;
}

/** The first two arcs share one number: 40 times the first, which is at most 2, plus the second. */
function firstArcs(both: number | bigint): string {
  if (both < 80) return both < 40 ? `0.${both}` : `1.${Number(both) - 40}`;
  return `2.${typeof both === 'bigint' ? both - 80n : both - 80}`;
}

/** The value of groups of 7 bits. */
function arcOf(bytes: Uint8Array, start: number, end: number): number | bigint {
  // Nearly all arcs are small, and numbers are faster. 7 bytes have 49 bits.
  if (end - start <= 7) {
    let arc = 0;
    for (let at = start; at < end; at++) arc = arc * 128 + (bytes[at]! & 0x7f);
    return arc;
  }
  // To shift one large number for each byte would take a quadratic time.
  const bits = Array.from(bytes.subarray(start, end), (byte) => (byte & 0x7f).toString(2).padStart(7, '0'));
  return BigInt(`0b${bits.join('')}`);
}

/** An object identifier for a message, which stays short: an identifier may have thousands of digits. */
export function shownOid(oid: string): string {
  return oid.length > 64 ? `${oid.slice(0, 64)}…` : oid;
}

/** A non-negative INTEGER of at most 6 bytes. @throws MerkleError `bad-der` */
export function smallInteger(node: Der, what: string): number {
  return countOf(expectTag(node, TAG.integer, what).content, what);
}

/** The contents of a non-negative INTEGER of at most 6 bytes, whose tag may be implicit. @throws MerkleError `bad-der` */
export function countOf(content: Uint8Array, what: string): number {
  const [first, second] = content;
  const isShortest = first !== undefined && (first !== 0 || second === undefined || second >= 0x80);
  if (!isShortest || first >= 0x80 || content.length > 6) throw badDer(what, 'has a number out of its range');
  let value = 0;
  for (const byte of content) value = value * 256 + byte;
  return value;
}

/** Lower-case hex of an INTEGER's contents, without the leading zero byte of a positive number. @throws MerkleError `bad-der` */
export function integerHex(node: Der, what: string): string {
  const { content } = expectTag(node, TAG.integer, what);
  return encodeHex(content.length > 1 && content[0] === 0 ? content.subarray(1) : content);
}

/** The value of a BOOLEAN. @throws MerkleError `bad-der` */
export function booleanOf(node: Der, what: string): boolean {
  return expectTag(node, TAG.boolean, what).content[0] === 0xff;
}

/** The bytes of a BIT STRING that has no unused bits. @throws MerkleError `bad-der` */
export function wholeBits(node: Der, what: string): Uint8Array {
  const { content } = expectTag(node, TAG.bitString, what);
  if (content[0] !== 0) throw badDer(what, 'has a bit string with unused bits');
  return content.subarray(1);
}

/** Text of contents that are UTF-8. @throws MerkleError `bad-der` */
export function utf8Of(content: Uint8Array, what: string): string {
  try {
    return decodeUtf8(content);
  } catch (cause) {
    throw badDer(what, 'has text that is not UTF-8', cause);
  }
}

/** Text of an IA5String's contents. @throws MerkleError `bad-der` */
export function asciiOf(content: Uint8Array, what: string): string {
  if (content.some((byte) => byte >= 0x80)) throw badDer(what, 'has text that is not ASCII');
  return utf8Of(content, what);
}

const TIME = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:\.(\d{0,8}[1-9]))?Z$/;

/**
 * Milliseconds since 1970 of a UTCTime (the years 1950 to 2049) or GeneralizedTime, to the second and in UTC: RFC 5280
 * section 4.1.2.5.
 * @param fraction whether a GeneralizedTime may have parts of a second, as in time stamps (RFC 3161 section 2.4.2); the
 * result is cut to milliseconds
 * @throws MerkleError `bad-der`
 */
export function timeOf(node: Der, what: string, fraction = false): number {
  const text = asciiOf(node.content, what);
  let full: string | undefined;
  if (node.tag === TAG.utcTime) full = (text.slice(0, 2) < '50' ? '20' : '19') + text;
  if (node.tag === TAG.generalizedTime) full = text;
  const match = TIME.exec(full ?? '');
  if (match === null || (match[7] !== undefined && (!fraction || node.tag === TAG.utcTime))) {
    throw badDer(what, 'does not have a time in the form that its specification requires');
  }
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as Parameters<typeof timeOfDate>;
  const time = timeOfDate(year, month, day, hour, minute, second);
  // A year before 100 is a typing error.
  if (time === undefined || year < 100) throw badDer(what, 'has a time that does not exist');
  return time + Math.floor(Number(`0.${match[7] ?? '0'}`) * 1000);
}

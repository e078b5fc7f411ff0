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

/** Dotted decimal of an OBJECT IDENTIFIER with arcs below 2^53. @throws MerkleError `bad-der` */
export function oidOf(node: Der, what: string): string {
  const { content } = expectTag(node, TAG.oid, what);
  let text = '';
  let arc = 0;
  let first = true; // of the bytes of this arc
  for (const byte of content) {
    if ((first && byte === 0x80) || arc >= 2 ** 46) throw badDer(what, 'has a malformed object identifier');
    arc = arc * 128 + (byte & 0x7f);
    first = byte < 0x80;
    if (!first) continue;
    if (text === '') {
      const root = arc < 40 ? 0 : arc < 80 ? 1 : 2;
      text = `${root}.${arc - 40 * root}`;
    } else {
      text += `.${arc}`;
    }
    arc = 0;
  }
  if (!first || text === '') throw badDer(what, 'has a malformed object identifier');
  return text;
}

/** A non-negative INTEGER of at most 6 bytes. @throws MerkleError `bad-der` */
export function smallInteger(node: Der, what: string): number {
  const { content } = expectTag(node, TAG.integer, what);
  if (content.length > 6 || content[0]! >= 0x80) throw badDer(what, 'has a number out of its range');
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

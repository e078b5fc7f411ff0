/** Reading DER elements as the values that a specification says they are. */
import { decodeUtf8, encodeHex } from '../bytes.ts';
import { badDer, type Der, TAG } from './der.ts';
import { timeOfDate } from './utc-time.ts';

/** The elements of a SEQUENCE or SET, one after the other. */
export interface Fields {
  /** The next element, which must have this tag. @throws MerkleError `bad-der` */
  next(tag: number): Der;
  /** The next element where it has this tag. */
  optional(tag: number): Der | undefined;
  /** The next element, whatever it is. @throws MerkleError `bad-der` where there is none */
  any(): Der;
  more(): boolean;
  /** @throws MerkleError `bad-der` where elements are left */
  end(): void;
}

/** @param what for the message: `the certificate` */
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
    next(tag) {
      const child = any();
      if (child.tag !== tag) throw badDer(what, 'has another field than its specification says');
      return child;
    },
    optional: (tag) => (children[at]?.tag === tag ? children[at++] : undefined),
    more: () => at < children.length,
    end() {
      if (at < children.length) throw badDer(what, 'has a field too many');
    },
  };
}

/** `node` where it has this tag. @throws MerkleError `bad-der` */
export function expectTag(node: Der | undefined, tag: number, what: string): Der {
  if (node?.tag === tag) return node;
  throw badDer(what, 'has another field than its specification says');
}

/** Dotted decimal of an OBJECT IDENTIFIER. Arcs of 2^53 and more are refused. @throws MerkleError `bad-der` */
export function oidOf(node: Der, what: string): string {
  const { content } = expectTag(node, TAG.oid, what);
  let text = '';
  let arc = 0;
  let first = true; // of the bytes of this arc
  for (const byte of content) {
    if ((first && byte === 0x80) || arc >= 2 ** 46) throw badDer(what, 'has an object identifier that is none');
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
  if (!first || text === '') throw badDer(what, 'has an object identifier that is none');
  return text;
}

/** A non-negative INTEGER that fits a number. @throws MerkleError `bad-der` */
export function smallInteger(node: Der, what: string): number {
  const { content } = expectTag(node, TAG.integer, what);
  if (content.length > 6 || content[0]! >= 0x80) throw badDer(what, 'has a number out of its range');
  let value = 0;
  for (const byte of content) value = value * 256 + byte;
  return value;
}

/** Lower-case hex of an INTEGER's contents, without the leading zero byte of a positive one. */
export function integerHex(node: Der, what: string): string {
  const { content } = expectTag(node, TAG.integer, what);
  return encodeHex(content.length > 1 && content[0] === 0 ? content.subarray(1) : content);
}

export function booleanOf(node: Der, what: string): boolean {
  return expectTag(node, TAG.boolean, what).content[0] === 0xff;
}

/** The bytes of a BIT STRING that has no unused bits. @throws MerkleError `bad-der` */
export function wholeBits(node: Der, what: string): Uint8Array {
  const { content } = expectTag(node, TAG.bitString, what);
  if (content[0] !== 0) throw badDer(what, 'has a bit string that is not of whole bytes');
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
 *
 * @param fraction whether parts of a second are taken, as in time stamps (RFC 3161 section 2.4.2); cut to milliseconds
 * @throws MerkleError `bad-der`
 */
export function timeOf(node: Der, what: string, fraction = false): number {
  const text = asciiOf(node.content, what);
  let full: string | undefined;
  if (node.tag === TAG.utcTime) full = (text.slice(0, 2) < '50' ? '20' : '19') + text;
  if (node.tag === TAG.generalizedTime) full = text;
  const match = TIME.exec(full ?? '');
  if (match === null || (match[7] !== undefined && (!fraction || node.tag === TAG.utcTime))) {
    throw badDer(what, 'has a time in another form than its specification says');
  }
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as Parameters<typeof timeOfDate>;
  const time = timeOfDate(year, month, day, hour, minute, second);
  // Years before 100 are typing errors.
  if (time === undefined || year < 100) throw badDer(what, 'has a time that no calendar has');
  return time + Math.floor(Number(`0.${match[7] ?? '0'}`) * 1000);
}

/**
 * Bytes, text and numbers, parsed strictly: a parser accepts a text only if encoding the result gives the same text.
 * The platform's own parsers accept more: `atob` skips white space, `Number('0x10')` is 16, and `TextDecoder` replaces
 * invalid bytes.
 */
import { MerkleError } from './errors.ts';

/** Largest size of a tree, 2^53 - 1: the largest integer that a JavaScript number holds exactly. */
export const MAX_SIZE = Number.MAX_SAFE_INTEGER;

/** Whether `a` and `b` hold the same bytes. For public values only: the time depends on the values. */
export function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const out = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

const encoder = new TextEncoder();
// ignoreBOM keeps a leading U+FEFF in the text. Without this option the decoder drops those three bytes.
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** UTF-8 of `text`. @throws MerkleError `bad-utf8` if `text` holds half of a surrogate pair. */
export function encodeUtf8(text: string): Uint8Array {
  // TextEncoder would write U+FFFD for a lone surrogate, and two texts would share one encoding.
  // For a checkpoint of 600 characters `isWellFormed` takes 0.9 µs, and a regular expression 4.8 µs.
  if (!text.isWellFormed()) throw new MerkleError('bad-utf8', 'the text holds half of a surrogate pair');
  return encoder.encode(text);
}

/** The text of UTF-8 `bytes`. @throws MerkleError `bad-utf8` if `bytes` are not valid UTF-8. */
export function decodeUtf8(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw new MerkleError('bad-utf8', 'the bytes are not valid UTF-8');
  }
}

/** Bytes; the hex of more is made in a buffer. */
const SHORT_HEX = 64;
const HEX_DIGITS = Uint8Array.from('0123456789abcdef', (digit) => digit.charCodeAt(0));
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** Lower-case hex, two digits a byte. */
export function encodeHex(bytes: Uint8Array): string {
  if (bytes.length > SHORT_HEX) return encodeLongHex(bytes);
  let text = '';
  for (let i = 0; i < bytes.length; i++) text += HEX[bytes[i]!]!;
  return text;
}

function encodeLongHex(bytes: Uint8Array): string {
  const digits = new Uint8Array(2 * bytes.length);
  for (let i = 0; i < bytes.length; i++) {
    digits[2 * i] = HEX_DIGITS[bytes[i]! >> 4]!;
    digits[2 * i + 1] = HEX_DIGITS[bytes[i]! & 15]!;
  }
  return decoder.decode(digits);
}

/** @throws MerkleError `bad-hex` unless `text` is lower-case hex with two digits a byte. */
export function decodeHex(text: string): Uint8Array {
  if (text.length % 2 !== 0 || !/^[0-9a-f]*$/.test(text)) {
    throw new MerkleError('bad-hex', 'not lower-case hex with two digits a byte');
  }
  const bytes = new Uint8Array(text.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const PAD = 0x3d;
const BAD = 255;
/** The value of each UTF-16 unit as a digit. A table for all units has no lookup that is undefined. */
const STANDARD = digitValues(ALPHABET);
let urlSafe: Uint8Array | undefined;
const DIGITS = Uint8Array.from(ALPHABET, (digit) => digit.charCodeAt(0));
/** Bytes; a longer text is made in a buffer. */
const SHORT = 4096;

function digitValues(alphabet: string): Uint8Array {
  const values = new Uint8Array(65_536).fill(BAD);
  for (let i = 0; i < 64; i++) values[alphabet.charCodeAt(i)] = i;
  return values;
}

/** Standard, padded base64 (RFC 4648 section 4). */
export function encodeBase64(bytes: Uint8Array): string {
  // A text that grows by four characters at a time takes ten times its length in memory.
  if (bytes.length > SHORT) return encodeLong(bytes);
  let text = '';
  let i = 0;
  for (; i + 2 < bytes.length; i += 3) {
    const bits = (bytes[i]! << 16) | (bytes[i + 1]! << 8) | bytes[i + 2]!;
    text += ALPHABET[bits >> 18]! + ALPHABET[(bits >> 12) & 63]! + ALPHABET[(bits >> 6) & 63]! + ALPHABET[bits & 63]!;
  }
  if (i + 1 === bytes.length) {
    const bits = bytes[i]!;
    text += `${ALPHABET[bits >> 2]!}${ALPHABET[(bits << 4) & 63]!}==`;
  } else if (i + 2 === bytes.length) {
    const bits = (bytes[i]! << 8) | bytes[i + 1]!;
    text += `${ALPHABET[bits >> 10]!}${ALPHABET[(bits >> 4) & 63]!}${ALPHABET[(bits << 2) & 63]!}=`;
  }
  return text;
}

function encodeLong(bytes: Uint8Array): string {
  const whole = bytes.length - (bytes.length % 3);
  const digits = new Uint8Array((whole / 3) * 4);
  let at = 0;
  for (let i = 0; i < whole; i += 3) {
    const bits = (bytes[i]! << 16) | (bytes[i + 1]! << 8) | bytes[i + 2]!;
    digits[at++] = DIGITS[bits >> 18]!;
    digits[at++] = DIGITS[(bits >> 12) & 63]!;
    digits[at++] = DIGITS[(bits >> 6) & 63]!;
    digits[at++] = DIGITS[bits & 63]!;
  }
  return decoder.decode(digits) + encodeBase64(bytes.subarray(whole));
}

/**
 * Bytes of standard, padded, canonical base64 (RFC 4648 section 4).
 * @throws MerkleError `bad-base64` for any other text: one with white space, base64url digits, missing padding, or
 * non-zero bits after the last byte (section 3.5). Several such texts can encode the same bytes.
 */
export function decodeBase64(text: string): Uint8Array {
  const bytes = text.length % 4 === 0 ? decodeDigits(text, digitsOf(text), STANDARD) : undefined;
  if (bytes === undefined) throw new MerkleError('bad-base64', 'not canonical, padded base64 of RFC 4648 section 4');
  return bytes;
}

/**
 * Bytes as DSSE and proto3 JSON allow them: base64 of the standard or of the URL-safe alphabet (RFC 4648 sections 4 and 5),
 * with all of its padding or none. One text has digits of one alphabet.
 * @throws MerkleError `bad-base64` for any other text, as `decodeBase64`
 */
export function decodeEitherBase64(text: string): Uint8Array {
  const digits = text.length % 4 === 0 ? digitsOf(text) : text.length;
  urlSafe ??= digitValues(ALPHABET.replace('+/', '-_'));
  const bytes = decodeDigits(text, digits, STANDARD) ?? decodeDigits(text, digits, urlSafe);
  if (bytes === undefined) throw new MerkleError('bad-base64', 'not canonical base64 of RFC 4648 section 4 or 5');
  return bytes;
}

/** The number of characters before the padding, in a text whose length is a multiple of 4. */
function digitsOf(text: string): number {
  const { length } = text;
  if (text.charCodeAt(length - 1) !== PAD) return length;
  return text.charCodeAt(length - 2) === PAD ? length - 2 : length - 1;
}

/** The bytes of the first `count` characters; undefined where one is no digit, or where bits are left over that are not 0. */
function decodeDigits(text: string, count: number, values: Uint8Array): Uint8Array | undefined {
  const rest = count % 4;
  if (rest === 1) return undefined;
  const whole = count - rest;
  const bytes = new Uint8Array((whole / 4) * 3 + (rest === 0 ? 0 : rest - 1));
  let at = 0;
  for (let i = 0; i < whole; i += 4) {
    const a = values[text.charCodeAt(i)]!;
    const b = values[text.charCodeAt(i + 1)]!;
    const c = values[text.charCodeAt(i + 2)]!;
    const d = values[text.charCodeAt(i + 3)]!;
    if ((a | b | c | d) === BAD) return undefined;
    bytes[at++] = (a << 2) | (b >> 4);
    bytes[at++] = (b << 4) | (c >> 2);
    bytes[at++] = (c << 6) | d;
  }
  if (rest === 0) return bytes;
  const a = values[text.charCodeAt(whole)]!;
  const b = values[text.charCodeAt(whole + 1)]!;
  const c = rest === 2 ? 0 : values[text.charCodeAt(whole + 2)]!;
  if ((a | b | c) === BAD || (rest === 2 ? b & 15 : c & 3) !== 0) return undefined;
  bytes[at++] = (a << 2) | (b >> 4);
  if (rest === 3) bytes[at] = (b << 4) | (c >> 2);
  return bytes;
}

/** Parses a decimal in [0, 2^53 - 1]: ASCII digits, without sign or leading zeroes. @throws MerkleError `bad-number` */
export function parseDecimal(text: string): number {
  if (text.length > 16 || !/^(?:0|[1-9][0-9]*)$/.test(text)) {
    throw new MerkleError('bad-number', 'not a decimal number below 2^53 without sign and leading zeroes');
  }
  return checkedSize(Number(text));
}

/** Returns `value` if it is a tree size or index: an integer in [0, 2^53 - 1]. @throws MerkleError `bad-number` */
export function checkedSize(value: number, what = 'size'): number {
  // -0 is a safe integer. It formats as "0", but dividing by it gives -Infinity.
  if (!Number.isSafeInteger(value) || value < 0 || Object.is(value, -0)) {
    throw new MerkleError('bad-number', `the ${what} is not an integer between 0 and 2^53 - 1: ${String(value)}`);
  }
  return value;
}

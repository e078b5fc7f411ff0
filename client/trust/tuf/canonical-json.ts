/**
 * The JSON of TUF metadata: a strict reader, and the canonical form that signatures cover (TUF 1.0.34 section 4.1, the
 * "Canonical JSON" of OLPC: names sorted, no white space, and in strings only `"` and `\` escaped).
 *
 * Implementations differ on numbers that are no integers below 2^53, on the order of names outside ASCII, and on `null` in
 * the place of a missing member. A file with any of these is refused, so that one file cannot mean two things.
 */
import { canonicalize } from '@tufjs/canonical-json';
import { decodeUtf8, encodeUtf8 } from '../../../merkle/bytes.ts';
import { printable } from '../../../merkle/printable.ts';
import { parseStrictJson } from '../../../merkle/rekor/strict-json.ts';
import { asTufMalformed, TUF_LIMITS, tufMalformed } from './role.ts';

/** A value of TUF metadata: JSON without null, and with integers alone. */
export type TufJson = string | number | boolean | readonly TufJson[] | TufObject;
export type TufObject = { readonly [name: string]: TufJson };

const INTEGER = /^(?:0|-?[1-9][0-9]{0,15})$/;
const PRINTABLE_ASCII = /^[\x20-\x7e]*$/;

/**
 * Parses one object.
 * @param what names the file in error messages
 * @param limit most bytes of the file
 * @throws ClientError `tuf-malformed`
 */
export function parseTufJson(bytes: Uint8Array, what: string, limit: number): TufObject {
  const value = asTufMalformed(what, () => parseStrictJson(bytes, what, limit, TUF_LIMITS.depth));
  checkNumbers(decodeUtf8(bytes), what);
  checkCanonical(value, what);
  if (!isTufObject(value)) throw tufMalformed(what, 'is not an object');
  return value;
}

/** The bytes that a signature over `value` covers. @throws ClientError `tuf-malformed` for a value that no file may hold */
export function canonicalJson(value: unknown, what: string): Uint8Array {
  checkCanonical(value, what);
  return encodeUtf8(canonicalize(value));
}

export function isTufObject(value: unknown): value is TufObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** JSON.parse turns 1.0, 1e3 and 2^53 + 1 into integers, so the text decides. It is JSON already. */
function checkNumbers(text: string, what: string): void {
  // In one step, as a command that verifies one file waits for it. The pattern needs no memory for a long string.
  const outside = text.replace(/"[^"\\]*(?:\\.[^"\\]*)*"/gs, '""');
  for (const [number] of outside.matchAll(/-?[0-9][0-9.eE+-]*/g)) {
    if (INTEGER.test(number) && Number.isSafeInteger(Number(number))) continue;
    throw tufMalformed(what, `holds the number ${number.slice(0, 40)}: TUF metadata hold integers below 2^53 alone`);
  }
}

function checkCanonical(value: unknown, what: string): asserts value is TufJson {
  if (typeof value === 'boolean') return;
  if (typeof value === 'string') {
    if (!value.isWellFormed()) throw tufMalformed(what, 'holds half of a surrogate pair');
    return;
  }
  if (typeof value === 'number') {
    if (Number.isSafeInteger(value)) return;
    throw tufMalformed(what, `holds the number ${value}: TUF metadata hold integers below 2^53 alone`);
  }
  if (typeof value !== 'object' || value === null)
    throw tufMalformed(what, `holds ${String(value)}, which clients read differently`);
  if (Array.isArray(value)) {
    for (const item of value) checkCanonical(item, what);
    return;
  }
  for (const [name, member] of Object.entries(value)) {
    if (!PRINTABLE_ASCII.test(name)) {
      throw tufMalformed(
        what,
        `has the member "${printable(name.slice(0, 60))}": names are printable ASCII, which all clients sort alike`,
      );
    }
    checkCanonical(member, what);
  }
}

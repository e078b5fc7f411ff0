/**
 * Reads JSON of unknown origin (RFC 8259): bounded in length and depth, and without repeated members.
 *
 * `JSON.parse` uses the last of two members with one name, but another verifier may use the first. `JSON.parse` also
 * recurses, so the depth must be bounded before it runs (0.6 s for 4 MiB of brackets). `scanJson` finds repeated members and
 * too much depth. It only separates strings from the rest: its result means nothing for text that is not JSON, which
 * `JSON.parse` refuses afterwards.
 *
 * Most of a request or bundle is in strings, and `indexOf` finds the end of a string fast: 1.5 µs for 700 bytes.
 */
import { decodeUtf8 } from '../bytes.ts';
import { MerkleError } from '../errors.ts';
import { printable } from '../printable.ts';

interface JsonScan {
  /** The text is nested deeper than allowed. The scan ended there. */
  readonly tooDeep: boolean;
  /** The text has more values than allowed. The scan ended there. */
  readonly tooMany: boolean;
  /** The first repeated name within each element of the array `itemsOf`, by index; -1 is the text outside of that array. */
  readonly repeated: ReadonlyMap<number, string>;
}

interface Frame {
  /** The names so far; undefined in an array. */
  readonly names: Set<string> | undefined;
  /** The next string of an object is a name. */
  nameNext: boolean;
  name: string;
  /** Index of the current element of an array. */
  index: number;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
export const DEFAULT_DEPTH = 32;
/** Most values that are built from one text. A member of an object takes up to 350 bytes of memory, an empty object 90. */
export const MAX_VALUES = 1_048_576;

/**
 * Parses the JSON value in `bytes`.
 * @param what names the input in error messages: `the bundle`
 * @param limit most bytes of the input
 * @param depth most levels of nested arrays and objects
 * @throws MerkleError `bad-json` unless `bytes` are UTF-8 JSON of 1 to `limit` bytes and at most `MAX_VALUES` values, without
 * repeated members
 */
export function parseStrictJson(bytes: Uint8Array, what: string, limit: number, depth = DEFAULT_DEPTH): unknown {
  const text = textOf(bytes, what, limit);
  const { tooDeep, tooMany, repeated } = scanJson(text, depth, undefined, MAX_VALUES);
  if (tooDeep) throw badJson(what, `is nested deeper than ${depth}`);
  if (tooMany) throw badJson(what, `has more than ${MAX_VALUES} values`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw badJson(what, 'is not JSON', cause);
  }
  const twice = repeated.get(-1);
  if (twice !== undefined) throw repeatedMember(what, twice);
  return value;
}

/** The text of `bytes`. @throws MerkleError `bad-json` unless they are UTF-8 of 1 to `limit` bytes */
export function textOf(bytes: Uint8Array, what: string, limit: number): string {
  if (bytes.length > limit) throw badJson(what, `is longer than ${limit} bytes`);
  if (bytes.length === 0) throw badJson(what, 'is empty');
  try {
    return decodeUtf8(bytes);
  } catch (cause) {
    throw badJson(what, 'is not UTF-8 text', cause);
  }
}

/**
 * Finds repeated members and too much depth in `text`.
 * @param depth most levels of nested arrays and objects
 * @param itemsOf name of a member of the outermost object: an array whose items are accepted or refused one by one
 * @param most arrays, objects, and commas between values
 */
export function scanJson(text: string, depth: number, itemsOf?: string, most = Number.POSITIVE_INFINITY): JsonScan {
  const repeated = new Map<number, string>();
  const frames: Frame[] = [];
  let frame: Frame | undefined;
  let values = 0;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case QUOTE: {
        const end = endOfString(text, at);
        if (frame?.names !== undefined && frame.nameNext) {
          frame.nameNext = false;
          frame.name = unquoted(text, at, end);
          if (frame.names.has(frame.name)) {
            const item = itemIndex(frames, itemsOf);
            if (!repeated.has(item)) repeated.set(item, frame.name);
          }
          frame.names.add(frame.name);
        }
        at = end;
        break;
      }
      case 0x7b: // {
      case 0x5b: // [
        if (frames.length === depth) return { tooDeep: true, tooMany: false, repeated };
        if (++values > most) return { tooDeep: false, tooMany: true, repeated };
        frame = { names: text[at] === '{' ? new Set() : undefined, nameNext: true, name: '', index: 0 };
        frames.push(frame);
        break;
      case 0x7d: // }
      case 0x5d: // ]
        frames.pop();
        frame = frames.at(-1);
        break;
      case 0x2c: // ,
        if (++values > most) return { tooDeep: false, tooMany: true, repeated };
        if (frame !== undefined) {
          frame.nameNext = true;
          frame.index += 1;
        }
        break;
    }
  }
  return { tooDeep: false, tooMany: false, repeated };
}

/** The index of the closing quote of the string that opens at `open`, or the end of the text if the string is not closed. */
export function endOfString(text: string, open: number): number {
  let quote = open;
  for (;;) {
    quote = text.indexOf('"', quote + 1);
    if (quote === -1) return text.length;
    let backslashes = 0;
    while (text.charCodeAt(quote - 1 - backslashes) === BACKSLASH) backslashes += 1;
    if (backslashes % 2 === 0) return quote;
  }
}

/** Resolves the escapes of a name: `"a"` and `"\u0061"` are the same name. */
export function unquoted(text: string, open: number, close: number): string {
  const raw = text.slice(open + 1, close);
  if (!raw.includes('\\')) return raw;
  try {
    return String(JSON.parse(`"${raw}"`));
  } catch {
    return raw;
  }
}

function itemIndex(frames: readonly Frame[], itemsOf: string | undefined): number {
  const [outer, list] = frames;
  const isItem = itemsOf !== undefined && outer?.name === itemsOf && list !== undefined && list.names === undefined;
  return isItem && frames.length > 2 ? list.index : -1;
}

export function badJson(what: string, why: string, cause?: unknown): MerkleError {
  return new MerkleError('bad-json', `${what} ${why}`, { cause });
}

export function repeatedMember(what: string, name: string): MerkleError {
  return badJson(what, `has the field "${printable(name.slice(0, 60))}" twice`);
}

/**
 * JSON of unknown origin (RFC 8259): bounded in length and depth, and without a member given twice.
 *
 * `JSON.parse` alone takes the last of two equal members, where another verifier may take the first; and it recurses, so
 * that depth must be bounded before it runs (0.6 s for 4 MiB of brackets). `scanJson` finds both. It only tells strings from
 * the rest: on text that is not JSON it may find anything, and `JSON.parse` refuses such text afterwards.
 *
 * The engine looks for the ends of strings, which are most of a request or bundle: 1.5 µs for 700 bytes.
 */
import { decodeUtf8 } from '../bytes.ts';
import { MerkleError } from '../errors.ts';
import { printable } from '../printable.ts';

interface JsonScan {
  /** The text is nested deeper than allowed; the rest of it was not looked at. */
  readonly tooDeep: boolean;
  /** The first name given twice within each element of the array `itemsOf`; under -1 for the text outside of that array. */
  readonly repeated: ReadonlyMap<number, string>;
}

interface Frame {
  /** The names so far; undefined in an array. */
  readonly names: Set<string> | undefined;
  /** The next string of an object is a name. */
  nameNext: boolean;
  name: string;
  /** The present element of an array. */
  index: number;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const DEFAULT_DEPTH = 32;

/**
 * The value in `bytes`.
 *
 * @param what for the message: `the bundle`
 * @param limit most bytes that are read
 * @param depth how deep arrays and objects may stand in each other
 * @throws MerkleError `bad-json` unless `bytes` are UTF-8 JSON of 1 to `limit` bytes, without a member given twice
 */
export function parseStrictJson(bytes: Uint8Array, what: string, limit: number, depth = DEFAULT_DEPTH): unknown {
  if (bytes.length > limit) throw badJson(what, `is longer than ${limit} bytes`);
  if (bytes.length === 0) throw badJson(what, 'is empty');
  let text: string;
  try {
    text = decodeUtf8(bytes);
  } catch (cause) {
    throw badJson(what, 'is not UTF-8 text', cause);
  }
  const { tooDeep, repeated } = scanJson(text, depth);
  if (tooDeep) throw badJson(what, `is nested deeper than ${depth}`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw badJson(what, 'is not JSON', cause);
  }
  const twice = repeated.get(-1);
  if (twice !== undefined) throw badJson(what, `has the field "${printable(twice.slice(0, 60))}" twice`);
  return value;
}

/**
 * @param depth how deep arrays and objects may stand in each other
 * @param itemsOf name in the outermost object whose array holds items that stand or fall alone
 */
export function scanJson(text: string, depth: number, itemsOf?: string): JsonScan {
  const repeated = new Map<number, string>();
  const frames: Frame[] = [];
  let frame: Frame | undefined;
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
        if (frames.length === depth) return { tooDeep: true, repeated };
        frame = { names: text[at] === '{' ? new Set() : undefined, nameNext: true, name: '', index: 0 };
        frames.push(frame);
        break;
      case 0x7d: // }
      case 0x5d: // ]
        frames.pop();
        frame = frames.at(-1);
        break;
      case 0x2c: // ,
        if (frame !== undefined) {
          frame.nameNext = true;
          frame.index += 1;
        }
        break;
    }
  }
  return { tooDeep: false, repeated };
}

/** The index of the closing quote of the string that opens at `open`; the end of the text where there is none. */
function endOfString(text: string, open: number): number {
  let quote = open;
  for (;;) {
    quote = text.indexOf('"', quote + 1);
    if (quote === -1) return text.length;
    let backslashes = 0;
    while (text.charCodeAt(quote - 1 - backslashes) === BACKSLASH) backslashes += 1;
    if (backslashes % 2 === 0) return quote;
  }
}

/** `"a"` and `"\u0061"` are the same name. */
function unquoted(text: string, open: number, close: number): string {
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

function badJson(what: string, why: string, cause?: unknown): MerkleError {
  return new MerkleError('bad-json', `${what} ${why}`, { cause });
}

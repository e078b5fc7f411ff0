/**
 * Reads the outermost members of a large JSON object, and checks all of the text as strict-json.ts does, but builds no
 * values: the predicate of an attestation may have millions, which nobody reads here.
 *
 * JSON of RFC 8259: `JSON.parse` takes and refuses the same texts.
 */
import { badJson, DEFAULT_DEPTH, MAX_VALUES, repeatedMember, textOf, unquoted } from './strict-json.ts';

/** The value of a member, as it stands in the text. */
export interface JsonMember {
  readonly text: string;
  /** The values in it, with itself: those of its members and items at all levels. */
  readonly values: number;
}

/** A list finds a repeated name among so many faster than a set. */
const FEW_NAMES = 8;
const ESCAPES = new Set('"\\/bfnrt');
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const MINUS = 0x2d;
const ZERO = 0x30;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;

/**
 * The members of the object in `bytes`, by name.
 *
 * @param what names the input in error messages: `the statement`
 * @param limit most bytes of the input
 * @param depth most levels of nested arrays and objects
 * @throws MerkleError `bad-json` unless `bytes` are a JSON object in UTF-8 of at most `limit` bytes, without repeated members,
 * and no object in it has more than `MAX_VALUES` members
 */
export function readMembers(
  bytes: Uint8Array,
  what: string,
  limit: number,
  depth = DEFAULT_DEPTH,
): ReadonlyMap<string, JsonMember> {
  return new Reader(textOf(bytes, what, limit), what, depth).members();
}

/** Checks all of `text`, which is one JSON value of any kind, as `readMembers` does. Returns the number of values in it. */
export function countValues(text: string, what: string, depth: number): number {
  return new Reader(text, what, depth).count();
}

/** Each method passes one part of the grammar, and leaves `#at` after it. */
class Reader {
  readonly #text: string;
  readonly #what: string;
  readonly #depth: number;
  #at = 0;
  #values = 0;

  constructor(text: string, what: string, depth: number) {
    this.#text = text;
    this.#what = what;
    this.#depth = depth;
  }

  members(): Map<string, JsonMember> {
    const members = new Map<string, JsonMember>();
    this.#space();
    if (this.#code() === OPEN_OBJECT) this.#object(1, members);
    else {
      this.#value(0);
      throw badJson(this.#what, 'is not an object');
    }
    this.#end();
    return members;
  }

  count(): number {
    this.#space();
    this.#value(0);
    this.#end();
    return this.#values;
  }

  #end(): void {
    this.#space();
    if (this.#at < this.#text.length) throw this.#bad();
  }

  /** @param level number of the arrays and objects around the value */
  #value(level: number): void {
    this.#values += 1;
    const code = this.#code();
    if (code === QUOTE) this.#string();
    else if (code === OPEN_OBJECT) this.#object(level + 1);
    else if (code === OPEN_ARRAY) this.#array(level + 1);
    else if (code === 0x74) this.#word('true');
    else if (code === 0x66) this.#word('false');
    else if (code === 0x6e) this.#word('null');
    else this.#number();
  }

  #object(level: number, members?: Map<string, JsonMember>): void {
    this.#open(level);
    if (this.#closes(CLOSE_OBJECT)) return;
    const few: string[] = [];
    let names: Set<string> | undefined;
    do {
      this.#space();
      const open = this.#at;
      if (this.#code() !== QUOTE) throw this.#bad();
      this.#string();
      const name = unquoted(this.#text, open, this.#at - 1);
      if (names === undefined ? few.includes(name) : names.has(name)) throw repeatedMember(this.#what, name);
      if (names !== undefined) {
        if (names.size === MAX_VALUES) throw badJson(this.#what, `has an object with more than ${MAX_VALUES} members`);
        names.add(name);
      } else if (few.push(name) > FEW_NAMES) names = new Set(few);
      this.#space();
      if (this.#code() !== COLON) throw this.#bad();
      this.#at += 1;
      this.#space();
      const [start, before] = [this.#at, this.#values];
      this.#value(level);
      members?.set(name, { text: this.#text.slice(start, this.#at), values: this.#values - before });
    } while (this.#goesOn(CLOSE_OBJECT));
  }

  #array(level: number): void {
    this.#open(level);
    if (this.#closes(CLOSE_ARRAY)) return;
    do {
      this.#space();
      this.#value(level);
    } while (this.#goesOn(CLOSE_ARRAY));
  }

  #open(level: number): void {
    if (level > this.#depth) throw badJson(this.#what, `is nested deeper than ${this.#depth}`);
    this.#at += 1;
  }

  /** Whether the array or object ends here, without an item. */
  #closes(close: number): boolean {
    this.#space();
    if (this.#code() !== close) return false;
    this.#at += 1;
    return true;
  }

  /** Whether another item follows: a comma, and not the end. */
  #goesOn(close: number): boolean {
    this.#space();
    const code = this.#code();
    if (code !== COMMA && code !== close) throw this.#bad();
    this.#at += 1;
    return code === COMMA;
  }

  #string(): void {
    const text = this.#text;
    let at = this.#at + 1;
    for (;;) {
      const code = text.charCodeAt(at);
      if (code === QUOTE) break;
      // Also where the text ends: the code is then NaN.
      if (!(code >= 0x20)) throw this.#bad();
      at += code === BACKSLASH ? this.#escape(at + 1) : 1;
    }
    this.#at = at + 1;
  }

  /** The length of the escape whose backslash stands before `at`. */
  #escape(at: number): number {
    if (ESCAPES.has(this.#text.charAt(at))) return 2;
    if (/^u[0-9a-fA-F]{4}$/.test(this.#text.slice(at, at + 5))) return 6;
    throw this.#bad();
  }

  #word(word: string): void {
    if (!this.#text.startsWith(word, this.#at)) throw this.#bad();
    this.#at += word.length;
  }

  #number(): void {
    if (this.#code() === MINUS) this.#at += 1;
    if (this.#code() === ZERO) this.#at += 1;
    else this.#digits();
    if (this.#code() === 0x2e) {
      this.#at += 1;
      this.#digits();
    }
    if ((this.#code() | 0x20) === 0x65) {
      this.#at += 1;
      if (this.#code() === 0x2b || this.#code() === MINUS) this.#at += 1;
      this.#digits();
    }
  }

  /** At least one digit. */
  #digits(): void {
    const start = this.#at;
    while (this.#code() >= ZERO && this.#code() <= 0x39) this.#at += 1;
    if (this.#at === start) throw this.#bad();
  }

  #space(): void {
    for (;;) {
      const code = this.#code();
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.#at += 1;
    }
  }

  /** NaN at the end of the text. */
  #code(): number {
    return this.#text.charCodeAt(this.#at);
  }

  #bad(): Error {
    return badJson(this.#what, 'is not JSON');
  }
}

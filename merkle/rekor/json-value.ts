/**
 * Builds the values of JSON of unknown origin (RFC 8259) without losing a digit: every integer is a bigint, and only a number
 * with a fraction or an exponent is a double. `JSON.parse` turns 9007199254740993 into 9007199254740992, so that a condition
 * over a number would hold for another number than the signed one.
 *
 * json-members.ts checks the text. The builder trusts that, and only tells the parts of the text from each other.
 */
import { countValues, type JsonMember } from './json-members.ts';
import { badJson, DEFAULT_DEPTH, endOfString, MAX_VALUES, textOf, unquoted } from './strict-json.ts';

export type JsonValue = null | boolean | string | number | bigint | JsonList | JsonRecord;
type JsonList = readonly JsonValue[];
/** Has no prototype: `__proto__` and `constructor` are names as any other. */
export type JsonRecord = { readonly [name: string]: JsonValue };

/** Most characters of a number. The time to read one grows with the square of its digits. */
const MAX_NUMBER = 1000;
const NUMBER = /[0-9.eE+-]+/y;

/**
 * Parses the JSON value in `bytes`.
 *
 * @param what names the input in error messages: `the predicate`
 * @param limit most bytes of the input
 * @param depth most levels of nested arrays and objects
 * @throws MerkleError `bad-json` unless `bytes` are UTF-8 JSON of 1 to `limit` bytes and at most `MAX_VALUES` values, without
 * repeated members, with numbers of at most 1,000 characters that a double or an integer can hold
 */
export function parseJsonValue(bytes: Uint8Array, what: string, limit: number, depth = DEFAULT_DEPTH): JsonValue {
  const text = textOf(bytes, what, limit);
  return memberValue({ text, values: countValues(text, what, depth) }, what);
}

/** The value of a member that `readMembers` gave. @throws MerkleError `bad-json`: too many values, or a number out of range */
export function memberValue({ text, values }: JsonMember, what: string): JsonValue {
  if (values > MAX_VALUES) throw badJson(what, `has more than ${MAX_VALUES} values`);
  return new Builder(text, what).value();
}

export function isJsonRecord(value: JsonValue | undefined): value is JsonRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Each method builds one part of the grammar, and leaves `#at` after it. */
class Builder {
  readonly #text: string;
  readonly #what: string;
  #at = 0;

  constructor(text: string, what: string) {
    this.#text = text;
    this.#what = what;
  }

  value(): JsonValue {
    switch (this.#next()) {
      case '{':
        return this.#object();
      case '[':
        return this.#array();
      case '"':
        return this.#string();
      case 't':
        return this.#word('true', true);
      case 'f':
        return this.#word('false', false);
      case 'n':
        return this.#word('null', null);
      default:
        return this.#number();
    }
  }

  #object(): JsonRecord {
    const members: Record<string, JsonValue> = Object.create(null);
    this.#at += 1;
    while (this.#next() !== '}') {
      if (this.#next() === ',') this.#at += 1;
      this.#next();
      const name = this.#string();
      this.#next(); // the colon
      this.#at += 1;
      members[name] = this.value();
    }
    this.#at += 1;
    return members;
  }

  #array(): JsonList {
    const items: JsonValue[] = [];
    this.#at += 1;
    while (this.#next() !== ']') {
      if (this.#next() === ',') this.#at += 1;
      items.push(this.value());
    }
    this.#at += 1;
    return items;
  }

  #string(): string {
    const end = endOfString(this.#text, this.#at);
    const value = unquoted(this.#text, this.#at, end);
    this.#at = end + 1;
    return value;
  }

  #word<T>(word: string, value: T): T {
    this.#at += word.length;
    return value;
  }

  #number(): number | bigint {
    NUMBER.lastIndex = this.#at;
    const [number = ''] = NUMBER.exec(this.#text) ?? [];
    this.#at += number.length;
    if (number.length > MAX_NUMBER) throw badJson(this.#what, `has a number of more than ${MAX_NUMBER} characters`);
    if (/^-?[0-9]+$/.test(number)) return BigInt(number);
    const value = Number(number);
    if (!Number.isFinite(value))
      throw badJson(this.#what, `has the number ${number.slice(0, 40)}, which is out of range`);
    return value;
  }

  /** The next character that is no white space. */
  #next(): string {
    while (this.#text.charCodeAt(this.#at) <= 0x20) this.#at += 1;
    return this.#text.charAt(this.#at);
  }
}

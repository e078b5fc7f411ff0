/**
 * The tokens of an expression: google/cel-spec, doc/langdef.md, "Syntax", read strictly. Numbers outside 64 bits, unknown escapes,
 * escapes of code points in bytes, surrogates and text without an end are errors.
 */
import { celUint } from '@bufbuild/cel';

export type Literal = null | boolean | bigint | number | string | Uint8Array | ReturnType<typeof celUint>;

export interface Token {
  /** `quoted` is a field in back quotes. */
  readonly kind: 'name' | 'quoted' | 'literal' | 'number' | 'symbol' | 'end';
  /** The name, the symbol, or the digits of a number as they are written. */
  readonly text: string;
  /** Offset in UTF-16 units. */
  readonly at: number;
  /** Of a literal. A number has its value from `numberOf`, since a sign may belong to it. */
  readonly value?: Literal;
}

/** An error in the text of an expression. */
export class CelSyntaxError extends Error {
  readonly at: number;

  constructor(message: string, at: number) {
    super(message);
    this.at = at;
  }
}

const SPACE = /(?:[\t\n\f\r ]+|\/\/[^\r\n]*)+/y;
const NAME = /[A-Za-z_][A-Za-z0-9_]*/y;
const QUOTED = /`[A-Za-z0-9_.\-/ ]+`/y;
const NUMBER = /0x[0-9a-fA-F]+[uU]?|(?:\d+\.\d+|\.\d+|\d+(?=[eE][+-]?\d))(?:[eE][+-]?\d+)?|\d+[uU]?/y;
const STRING = /([bB]?)([rR]?)("""|'''|"|')/y;
const SYMBOL = /==|!=|<=|>=|&&|\|\||[()[\]{}.,:?!<>+\-*/%]/y;

export function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  const match = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    return pattern.exec(text);
  };
  for (;;) {
    at += match(SPACE)?.[0].length ?? 0;
    if (at >= text.length) return [...tokens, { kind: 'end', text: '', at: text.length }];
    const opening = match(STRING);
    if (opening !== null) {
      const { value, end } = readString(text, at, opening);
      tokens.push({ kind: 'literal', text: text.slice(at, end), at, value });
      at = end;
      continue;
    }
    const token = plainToken(match, text, at);
    tokens.push(token);
    at += token.kind === 'quoted' ? token.text.length + 2 : token.text.length;
  }
}

const PLAIN = [
  ['number', NUMBER],
  ['name', NAME],
  ['quoted', QUOTED],
  ['symbol', SYMBOL],
] as const;

function plainToken(match: (pattern: RegExp) => RegExpExecArray | null, text: string, at: number): Token {
  for (const [kind, pattern] of PLAIN) {
    const found = match(pattern)?.[0];
    if (found === undefined) continue;
    const after = text[at + found.length] ?? '';
    if (kind === 'number' && /[A-Za-z0-9_]/.test(after)) throw new CelSyntaxError(`${found}${after} is no number`, at);
    return { kind, text: kind === 'quoted' ? found.slice(1, -1) : found, at };
  }
  throw new CelSyntaxError(`${JSON.stringify(String.fromCodePoint(text.codePointAt(at)!))} means nothing here`, at);
}

/** The value of a number with its sign: an int or a uint within 64 bits, or a finite double. */
export function numberOf({ text, at }: Token, negative: boolean): Literal {
  const hex = text.startsWith('0x');
  if (!hex && /[.eE]/.test(text)) {
    const value = Number(text);
    if (!Number.isFinite(value)) throw new CelSyntaxError(`${text} is too large for a double`, at);
    return negative ? -value : value;
  }
  const unsigned = /[uU]$/.test(text);
  const digits = unsigned ? text.slice(0, -1) : text;
  // More digits than 64 bits have are not read: the time would grow faster than their number.
  const short = digits.replace(/^(0x)?0+(?=[\da-fA-F])/, '$1').slice(0, 30);
  const size = BigInt(short);
  if (unsigned) {
    if (negative) throw new CelSyntaxError(`-${text}: a uint has no sign`, at);
    if (size >= 2n ** 64n) throw new CelSyntaxError(`${text} is too large for a uint of 64 bits`, at);
    return celUint(size);
  }
  const value = negative ? -size : size;
  if (value >= 2n ** 63n || value < -(2n ** 63n)) {
    throw new CelSyntaxError(`${negative ? '-' : ''}${text} is outside an int of 64 bits`, at);
  }
  return value;
}

const ESCAPES: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
  '?': '?',
  '"': '"',
  "'": "'",
  '`': '`',
};
const NUMBERED = /x([0-9a-fA-F]{2})|X([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})/y;

function readString(
  text: string,
  start: number,
  [opening, b, raw, quote]: RegExpExecArray,
): { value: string | Uint8Array; end: number } {
  const bytes = b !== '';
  const parts: (string | number)[] = [];
  let at = start + opening.length;
  let from = at;
  const take = (): void => {
    if (at > from) parts.push(text.slice(from, at));
  };
  while (!text.startsWith(quote!, at)) {
    const char = text[at];
    if (char === undefined || (quote!.length === 1 && (char === '\n' || char === '\r'))) {
      throw new CelSyntaxError(`this text has no end: ${quote} is missing`, start);
    }
    if (char !== '\\' || raw !== '') {
      at++;
      continue;
    }
    take();
    const simple = ESCAPES[text[at + 1] ?? ''];
    NUMBERED.lastIndex = at + 1;
    const numbered = NUMBERED.exec(text);
    if (simple !== undefined) {
      parts.push(simple);
      at += 2;
    } else if (numbered !== null) {
      parts.push(codeOf(numbered, bytes, at));
      at += 1 + numbered[0].length;
    } else {
      throw new CelSyntaxError(
        `\\${text[at + 1] ?? ''} is not an escape of the language. Write \\\\ for a backslash`,
        at,
      );
    }
    from = at;
  }
  take();
  const end = at + quote!.length;
  if (!bytes) return { value: parts.join(''), end };
  return {
    value: Buffer.concat(parts.map((part) => (typeof part === 'number' ? Buffer.of(part) : Buffer.from(part)))),
    end,
  };
}

/** The character of a numbered escape in text, or its byte in bytes. */
function codeOf([written, x, X, u, U, octal]: RegExpExecArray, bytes: boolean, at: number): string | number {
  const code = octal === undefined ? Number.parseInt((x ?? X ?? u ?? U)!, 16) : Number.parseInt(octal, 8);
  if (bytes) {
    if (u !== undefined || U !== undefined) throw new CelSyntaxError(`\\${written} does not stand in bytes`, at);
    return code;
  }
  if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) {
    throw new CelSyntaxError(`\\${written} is not a character of Unicode`, at);
  }
  return String.fromCodePoint(code);
}

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeUtf8 } from '../../../merkle/bytes.ts';
import { readMembers } from '../../../merkle/rekor/json-members.ts';
import { parseStrictJson } from '../../../merkle/rekor/strict-json.ts';
import { codeOf } from '../helpers.ts';

const LIMIT = 10_000_000;
const read = (text: string | Uint8Array, depth?: number) =>
  readMembers(typeof text === 'string' ? encodeUtf8(text) : text, 'it', LIMIT, depth);

/** The values in a value, with itself. */
function count(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 1;
  return Object.values(value).reduce((sum: number, inner) => sum + count(inner), 1);
}

/** What strict JSON makes of the text: the members of an object, or that it is refused. */
function expected(bytes: Uint8Array, depth?: number): unknown {
  try {
    const value = parseStrictJson(bytes, 'it', LIMIT, depth);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : 'refused';
  } catch {
    return 'refused';
  }
}

function expectSame(text: string | Uint8Array, depth?: number): void {
  const bytes = typeof text === 'string' ? encodeUtf8(text) : text;
  const value = expected(bytes, depth);
  if (value === 'refused')
    expect(
      codeOf(() => read(bytes, depth)),
      JSON.stringify(text),
    ).toBe('bad-json');
  else {
    const members = [...read(bytes, depth)].map(([name, member]) => [name, JSON.parse(member.text)]);
    expect(Object.fromEntries(members), JSON.stringify(text)).toEqual(value);
  }
}

/** Pieces of JSON, whole and broken. */
const PIECES = [
  ...[
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"',
    '"a"',
    '"b":',
    '"\\u0061"',
    '"\\',
    '"\\x"',
    '"\\u12g4"',
    '"\\ud800"',
    '"\\""',
    '"\t"',
  ],
  ...[
    '0',
    '-',
    '-0',
    '01',
    '1.',
    '.5',
    '1.5',
    '1e',
    '1e5',
    '1E+5',
    '1e-',
    '12345678901234567890',
    'true',
    'tru',
    'false',
    'null',
    'nul',
  ],
  ...[
    ' ',
    '\n',
    '\r',
    '\t',
    '\u00a0',
    '\ufeff',
    '\u2028',
    'é',
    '"é—😀"',
    '/',
    "'a'",
    '{"a":1}',
    '[1,"x"]',
    'NaN',
    'Infinity',
  ],
];
const soup = fc.array(fc.constantFrom(...PIECES), { maxLength: 8 }).map((pieces) => pieces.join(''));

describe('the members of an object', () => {
  it('are those of strict JSON, whatever the values are', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 6 })),
        fc.constantFrom(undefined, 1, '\t'),
        (value, indent) => {
          const text = JSON.stringify(value, undefined, indent);
          expectSame(text);
          for (const [name, { text: part, values }] of read(text)) {
            expect(values).toBe(count(JSON.parse(part)));
            expect(JSON.parse(part)).toEqual(JSON.parse(text)[name]);
          }
        },
      ),
    );
  });

  it('are refused where strict JSON refuses the text, and only there', () => {
    fc.assert(
      fc.property(soup, (text) => expectSame(`{"m":${text}}`)),
      { numRuns: 4_000 },
    );
    fc.assert(
      fc.property(soup, (text) => expectSame(`{${text}}`)),
      { numRuns: 4_000 },
    );
    fc.assert(
      fc.property(soup, (text) => expectSame(text)),
      { numRuns: 1_000 },
    );
  });

  it('are refused where one byte of a good text is changed or missing, as strict JSON refuses it', () => {
    const good = encodeUtf8(
      '{"a": [1, -2.5e+3, "x\\n\\u0041é"], "b": {"c": null, "d": [true, false, {}, []]}, "": ""}',
    );
    expectSame(good);
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.nat(255), (at, byte) => {
        const changed = Uint8Array.from(good);
        changed[at] = byte;
        expectSame(changed);
        expectSame(good.slice(0, at));
        expectSame(Uint8Array.of(...good.slice(0, at), ...good.slice(at + 1)));
      }),
      { numRuns: 600 },
    );
  });

  it('are refused where a name stands twice in one object, at every level and among many names', () => {
    const many = Array.from({ length: 100 }, (_, at) => `"n${at}":0`);
    for (const at of [0, 1, 7, 8, 9, 50, 99]) {
      expect(read(`{"a":{${many}}}`).get('a')!.values).toBe(101);
      expect(() => read(`{"a":[{${[...many, `"\\u006e${at}":1`]}}]}`)).toThrow(`it has the field "n${at}" twice`);
    }
    expect(() => read('{"a":1,"\\u0061":2}')).toThrow('it has the field "a" twice');
    expect([...read('{"a":{"b":1},"b":{"a":1}}').keys()]).toEqual(['a', 'b']);
    expect([...read('{"__proto__":1,"constructor":2}').keys()]).toEqual(['__proto__', 'constructor']);
  });

  it('are bounded in the members of one object', () => {
    const members = (count: number) =>
      `{"a":{${Array.from({ length: count }, (_, at) => `"${at.toString(36)}":0`).join(',')}}}`;
    const most = 1_048_576;
    expect(readMembers(encodeUtf8(members(most)), 'it', 2 * LIMIT).get('a')!.values).toBe(most + 1);
    const limit = 'it has an object with more than 1048576 members';
    expect(() => readMembers(encodeUtf8(members(most + 1)), 'it', 2 * LIMIT)).toThrow(limit);
  });

  it('are bounded in depth and in bytes', () => {
    const nested = (depth: number) => `{"a":${'['.repeat(depth - 1)}"${'[{'.repeat(100)}"${']'.repeat(depth - 1)}}`;
    for (const depth of [32, 33]) expectSame(nested(depth));
    expect(() => read(nested(33))).toThrow('it is nested deeper than 32');
    expect(read(nested(256), 256).get('a')!.values).toBe(256);
    expect(() => read(`{"a":${'['.repeat(1_000_000)}`, 256)).toThrow('it is nested deeper than 256');
    expect(() => readMembers(encodeUtf8('{"a":1}'), 'it', 6)).toThrow('it is longer than 6 bytes');
    for (const text of ['', ' ', '[]', '"a"', '1', 'null'])
      expect(
        codeOf(() => read(text)),
        text,
      ).toBe('bad-json');
  });
});

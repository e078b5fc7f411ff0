import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeUtf8 } from '../../../merkle/bytes.ts';
import { MerkleError } from '../../../merkle/errors.ts';
import { MAX_VALUES, parseStrictJson, scanJson } from '../../../merkle/rekor/strict-json.ts';

const code = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    if (error instanceof MerkleError) return error.code;
    throw error;
  }
  return 'no error';
};
const parse = (text: string) => parseStrictJson(encodeUtf8(text), 'it', 1_000_000);

/** Text that a walk along quotes, backslashes and colons may trip over. */
const tricky = fc.string({ unit: fc.constantFrom('"', '\\', '{', '}', ':', ' ', 'a', 'é', '—'), maxLength: 4 });
/** A string of JSON, with any of its characters written as \uXXXX. */
const token = (value: string, escaped: boolean) =>
  escaped
    ? `"${[...value].map((char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')}"`
    : JSON.stringify(value);
const space = fc.string({ unit: fc.constantFrom(' ', '\t', '\r', '\n'), maxLength: 3 });
const members = fc.array(
  fc.record({ name: tricky, value: tricky, escaped: fc.boolean(), before: space, after: space, nested: fc.boolean() }),
  { maxLength: 6 },
);

describe('JSON of unknown origin', () => {
  it('is refused where a member is given twice, however it is written, and only there', () => {
    fc.assert(
      fc.property(members, (list) => {
        const text = `{${list
          .map(({ name, value, escaped, before, after, nested }) => {
            const text = token(value, escaped);
            // The same name in another object is another member, and a string in a list is none.
            const inner = nested ? `{${token(name, false)}:[${text},${text}]}` : text;
            return `${before}${token(name, escaped)}${after}:${before}${inner}${after}`;
          })
          .join(',')}}`;
        const twice = new Set(list.map(({ name }) => name)).size < list.length;
        if (twice) expect(code(() => parse(text))).toBe('bad-json');
        else expect(parse(text)).toEqual(JSON.parse(text));
      }),
      { numRuns: 2_000 },
    );
  });

  it.each([
    '"',
    '"a',
    '"a\\',
    '{"a":1,"a',
    '{"a\\":1}',
    '"\\\\\\"',
    '{"a\u0001":1}',
    '{"\\x":1}',
    '\u00a0{}',
    '{"a"\u00a0:1}',
  ])('is refused where it is none: %j', (text) => expect(code(() => parse(text))).toBe('bad-json'));

  it('is bounded in depth, and what has as many brackets in its strings is not', () => {
    const nested = (depth: number) => `${'['.repeat(depth)}"${'[{'.repeat(100)}"${']'.repeat(depth)}`;
    expect(parse(nested(32))).toBeInstanceOf(Array);
    expect(code(() => parse(nested(33)))).toBe('bad-json');
  });
});

it('is bounded in the number of its values', () => {
  const bounded = (text: string) => parseStrictJson(encodeUtf8(text), 'it', 10_000_000);
  const list = (length: number) => `[${'0,'.repeat(length - 1)}"${','.repeat(100)}"]`;
  expect(bounded(list(MAX_VALUES))).toHaveLength(MAX_VALUES);
  expect(() => bounded(list(MAX_VALUES + 1))).toThrow('it has more than 1048576 values');
  expect(() => bounded('{"":{}'.repeat(1_000_000))).toThrow('it is nested deeper than 32');
  expect(() => bounded(`[${'{},'.repeat(MAX_VALUES)}{}]`)).toThrow('it has more than 1048576 values');
});

describe('scanJson', () => {
  it('finds no key twice in what JSON.stringify writes, and one where it is put in', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
        const text = JSON.stringify({ requests: [0, value] });
        expect(scanJson(text, 16, 'requests').repeated.size).toBe(0);
        const json = JSON.stringify(value);
        const twice = `{"requests":[0,{"a":${json},"\\u0061":${json}}]}`;
        expect([...scanJson(twice, 16, 'requests').repeated]).toEqual([[1, 'a']]);
        expect([...scanJson(twice, 16).repeated]).toEqual([[-1, 'a']]);
      }),
      { numRuns: 500 },
    );
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeUtf8 } from '../../../merkle/bytes.ts';
import { readMembers } from '../../../merkle/rekor/json-members.ts';
import { isJsonRecord, type JsonValue, memberValue, parseJsonValue } from '../../../merkle/rekor/json-value.ts';
import { parseStrictJson } from '../../../merkle/rekor/strict-json.ts';
import { codeOf } from '../helpers.ts';

const parse = (text: string, depth?: number) => parseJsonValue(encodeUtf8(text), 'it', 10_000_000, depth);

/** The value with doubles in the place of bigints, and ordinary objects. */
function plain(value: JsonValue): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (Array.isArray(value)) return value.map(plain);
  if (!isJsonRecord(value)) return value;
  const out: Record<string, unknown> = {};
  for (const [name, member] of Object.entries(value)) {
    Object.defineProperty(out, name, { value: plain(member), enumerable: true, configurable: true, writable: true });
  }
  return out;
}

describe('values of JSON', () => {
  it('keep every digit of an integer', () => {
    expect(parse('[9007199254740993, -9007199254740993, 18446744073709551616, 0, -0, 1]')).toEqual([
      9007199254740993n,
      -9007199254740993n,
      18446744073709551616n,
      0n,
      0n,
      1n,
    ]);
    const long = `1${'0'.repeat(998)}7`;
    expect(parse(long)).toBe(BigInt(long));
  });

  it('are doubles where the text has a fraction or an exponent', () => {
    expect(parse('[1.0, 1e3, 1E-2, -1.5, 1e+2, 5e-324, 1e-999]')).toEqual([1, 1000, 0.01, -1.5, 100, 5e-324, 0]);
  });

  it.each([
    ['a number of 1,001 digits', '1'.repeat(1001)],
    ['a double beyond all doubles', '1e309'],
    ['a repeated member', '{"a":1,"a":1}'],
    ['a repeated member, one of them escaped', '{"a":1,"\\u0061":1}'],
    ['a repeated __proto__', '{"__proto__":1,"__proto__":2}'],
    ['a leading zero', '01'],
    ['a plus sign', '+1'],
    ['hex', '0x10'],
    ['a point without digits', '1.'],
    ['NaN', 'NaN'],
    ['two values', '1 2'],
    ['a comma at the end', '[1,]'],
    ['a comma at the beginning', '{,"a":1}'],
    ['nothing', ''],
    ['white space alone', ' '],
    ['a byte order mark', '\ufeff1'],
    ['a control character in a string', '"\u0001"'],
    ['a no-break space', '\u00a01'],
  ])('are refused: %s', (_, text) => expect(codeOf(() => parse(text))).toBe('bad-json'));

  it('are bounded in length, depth and number', () => {
    expect(codeOf(() => parseJsonValue(encodeUtf8('[1]'), 'it', 2))).toBe('bad-json');
    expect(parse('[[1]]', 2)).toEqual([[1n]]);
    expect(codeOf(() => parse('[[1]]', 1))).toBe('bad-json');
    expect(codeOf(() => parse('['.repeat(1_000_000)))).toBe('bad-json');
    expect(codeOf(() => parse(`[${'0,'.repeat(1_048_576)}0]`))).toBe('bad-json');
    const wide = readMembers(encodeUtf8(`{"a":[${'0,'.repeat(1_048_576)}0]}`), 'it', 10_000_000).get('a')!;
    expect(codeOf(() => memberValue(wide, 'it'))).toBe('bad-json');
  });

  it('have no prototype', () => {
    const value = parse('{"__proto__":{"admin":true},"constructor":1,"b":{"toString":null}}');
    expect(Object.getPrototypeOf(value)).toBeNull();
    expect(Object.keys(value as object)).toEqual(['__proto__', 'constructor', 'b']);
    expect((value as Record<string, unknown>).admin).toBeUndefined();
  });

  it('are what JSON.parse makes of the text, apart from integers', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 5 }), fc.constantFrom(0, 1, 2), (text, indent) => {
        const spaced = indent === 0 ? text : JSON.stringify(JSON.parse(text), null, indent === 1 ? '\t' : ' \r\n');
        const value = parse(spaced);
        expect(plain(value)).toEqual(parseStrictJson(encodeUtf8(spaced), 'it', 10_000_000));
      }),
      { numRuns: 2_000 },
    );
  });

  it('give the value of one member of a large object', () => {
    const members = readMembers(encodeUtf8('{ "a": [1, {"b": "\\u00e9\\"}"}], "c": 2.5 }'), 'it', 1000);
    expect(plain(memberValue(members.get('a')!, 'it'))).toEqual([1, { b: 'é"}' }]);
    expect(memberValue(members.get('c')!, 'it')).toBe(2.5);
  });
});

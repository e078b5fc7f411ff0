import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  checkedSize,
  concat,
  decodeBase64,
  decodeHex,
  decodeUtf8,
  encodeBase64,
  encodeHex,
  encodeUtf8,
  equal,
  parseDecimal,
} from '../../merkle/bytes.ts';
import { codeOf } from './helpers.ts';

const bytes = fc.uint8Array({ maxLength: 200 });
// Texts near the format find more than random ones.
const nearBase64 = fc.string({ unit: fc.constantFrom(...'AQgwZ/+-_= \n9Bé'), maxLength: 12 });

describe('base64', () => {
  it('is that of Node', () => {
    fc.assert(
      fc.property(bytes, (value) => {
        const text = Buffer.from(value).toString('base64');
        expect(encodeBase64(value)).toBe(text);
        expect(decodeBase64(text)).toEqual(value);
      }),
    );
  });

  it('takes a text only where encoding gives it again', () => {
    fc.assert(
      fc.property(nearBase64, (text) => {
        const canonical = Buffer.from(text, 'base64').toString('base64') === text;
        expect(codeOf(() => decodeBase64(text))).toBe(canonical ? undefined : 'bad-base64');
      }),
      { numRuns: 5000 },
    );
  });

  it.each(['A', 'AA', 'AAA', 'AA==\n', ' AA==', 'AB==', 'AAB=', 'A===', '====', 'AA=A', 'A-__', 'AAAA====', 'ĀAAA'])(
    'refuses %j',
    (text) => expect(codeOf(() => decodeBase64(text))).toBe('bad-base64'),
  );
});

describe('hex, UTF-8 and bytes', () => {
  it('come back as they went', () => {
    fc.assert(
      fc.property(bytes, (value) => {
        expect(decodeHex(encodeHex(value))).toEqual(value);
      }),
    );
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(decodeUtf8(encodeUtf8(text))).toBe(text);
      }),
    );
    expect(decodeUtf8(encodeUtf8('\ufeffa'))).toBe('\ufeffa');
    expect(concat(Uint8Array.of(1), new Uint8Array(0), Uint8Array.of(2, 3))).toEqual(Uint8Array.of(1, 2, 3));
  });

  it('are refused where another form means the same', () => {
    for (const text of ['0', 'AB', '0x', ' 0', 'g0']) expect(codeOf(() => decodeHex(text))).toBe('bad-hex');
    for (const value of [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xe2, 0x82]]) {
      expect(codeOf(() => decodeUtf8(Uint8Array.from(value)))).toBe('bad-utf8');
    }
    expect(codeOf(() => encodeUtf8('\ud83d'))).toBe('bad-utf8');
  });

  it('are equal only in length and every byte', () => {
    expect(equal(Uint8Array.of(1, 2), Uint8Array.of(1, 2))).toBe(true);
    expect(equal(Uint8Array.of(1, 2), Uint8Array.of(1, 3))).toBe(false);
    expect(equal(Uint8Array.of(1, 2), Uint8Array.of(1, 2, 0))).toBe(false);
  });
});

describe('numbers', () => {
  it('come back as they went', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (n) => {
        expect(parseDecimal(String(n))).toBe(n);
      }),
    );
    expect(parseDecimal('9007199254740991')).toBe(Number.MAX_SAFE_INTEGER);
  });

  it.each([
    '',
    '00',
    '01',
    '-1',
    '-0',
    '+1',
    ' 5',
    '5 ',
    '5\n',
    '0x10',
    '1e3',
    '1.0',
    '٣',
    '9007199254740992',
    '9'.repeat(400),
  ])('refuses the decimal %j', (text) => expect(codeOf(() => parseDecimal(text))).toBe('bad-number'));

  it.each([-1, -0, 0.5, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY])('refuses the size %d', (value) => {
    expect(codeOf(() => checkedSize(value))).toBe('bad-number');
  });
});

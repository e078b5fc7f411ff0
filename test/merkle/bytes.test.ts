import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  checkedSize,
  concat,
  decodeBase64,
  decodeEitherBase64,
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

describe('long base64', () => {
  it.each([4095, 4096, 4097, 4098, 4099, 1_000_000])('of %i bytes is that of Node', (length) => {
    const value = randomBytes(length);
    const text = value.toString('base64');
    expect(encodeBase64(value)).toBe(text);
    expect(value.equals(decodeBase64(text))).toBe(true);
    expect(codeOf(() => decodeBase64(`${text.slice(0, -8)}AA-A${text.slice(-4)}`))).toBe('bad-base64');
  });
});

describe('base64 of DSSE and proto3 JSON', () => {
  const forms = (value: Uint8Array) => {
    const [standard, url] = [Buffer.from(value).toString('base64'), Buffer.from(value).toString('base64url')];
    const padding = standard.slice(url.length);
    return [standard, standard.replaceAll('=', ''), url + padding, url];
  };

  it('is the same bytes in every form', () => {
    fc.assert(
      fc.property(bytes, (value) => {
        for (const text of forms(value)) expect(decodeEitherBase64(text)).toEqual(value);
      }),
    );
  });

  it('is refused in every other form', () => {
    fc.assert(
      fc.property(nearBase64, (text) => {
        const known = forms(Buffer.from(text, 'base64')).includes(text);
        expect(codeOf(() => decodeEitherBase64(text))).toBe(known ? undefined : 'bad-base64');
      }),
      { numRuns: 5000 },
    );
  });

  it('is refused where padding, an alphabet or the last bits are changed', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 60 }), (value) => {
        for (const text of forms(value)) {
          const wrong = [`=${text}`, `${text}\n`, ` ${text}`, `${text.slice(0, 1)} ${text.slice(1)}`, `-+AA${text}`];
          if (text.endsWith('=')) wrong.push(`${text}=`);
          if (text.endsWith('==')) wrong.push(text.slice(0, -1));
          if (value.length % 3 !== 0) wrong.push(strayBits(text));
          for (const one of wrong) {
            const why = codeOf(() => decodeEitherBase64(one));
            expect(why, one).toBe('bad-base64');
          }
        }
      }),
    );
  });

  // Go's protojson gives the same, but it takes bits after the last byte. go-securesystemslib takes no missing padding.
  it.each([
    ['+/8=', 'fbff'],
    ['-_8=', 'fbff'],
    ['+/8', 'fbff'],
    ['-_8', 'fbff'],
    ['AA', '00'],
    ['', ''],
    ['+_8=', undefined],
    ['-/8', undefined],
    ['-_8==', undefined],
    ['AA=', undefined],
    ['A', undefined],
    ['AAAAA', undefined],
    ['AA ==', undefined],
    ['AB==', undefined],
    ['AB', undefined],
    ['AAB', undefined],
    ['AA==\n', undefined],
    ['Ā/8=', undefined],
  ])('%j is %s', (text, hex) => {
    if (hex === undefined) expect(codeOf(() => decodeEitherBase64(text))).toBe('bad-base64');
    else expect(encodeHex(decodeEitherBase64(text))).toBe(hex);
  });
});

/** The text with its last bit set, which no byte holds. */
function strayBits(text: string): string {
  const digits = text.replaceAll('=', '');
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
  const all = alphabet + (/[-_]/.test(text) ? '-_' : '+/');
  const last = all[all.indexOf(digits.at(-1)!) | 1]!;
  return digits.slice(0, -1) + last + text.slice(digits.length);
}

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

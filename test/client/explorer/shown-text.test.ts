/** Texts of strangers: nothing in them is invisible, turns the direction, or floods the page. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LONG_TEXT, SHORT_TEXT, showText } from '../../../client/explorer/model/shown-text.ts';

const flat = (text: string, most?: number, lines?: boolean) =>
  showText(text, most, lines)
    .parts.map(({ text: part }) => part)
    .join('');

describe('a text of unknown origin', () => {
  it.each([
    ['a plain text', 'release@example.com', 'release@example.com'],
    ['markup', '<img src=x onerror=alert(1)>', '<img src=x onerror=alert(1)>'],
    ['a right-to-left override', 'a\u202egpj.exe', 'a\\u{202e}gpj.exe'],
    ['isolates and marks', '\u2066a\u2069\u200f\u061c', '\\u{2066}a\\u{2069}\\u{200f}\\u{61c}'],
    ['zero-width characters', 'ad\u200bmin\u2060\ufeff', 'ad\\u{200b}min\\u{2060}\\u{feff}'],
    ['control characters', 'a\0\x1b[2J\r\n\x7f\x9b', 'a\\u{0}\\u{1b}[2J\\u{d}\\u{a}\\u{7f}\\u{9b}'],
    ['fillers', '\u3164\uffa0\u115f', '\\u{3164}\\u{ffa0}\\u{115f}'],
    ['variation selectors and tags', 'a\ufe0f\u{e0041}', 'a\\u{fe0f}\\u{e0041}'],
    ['other spaces', 'a\u00a0b\u2003c\u3000', 'a\\u{a0}b\\u{2003}c\\u{3000}'],
    ['half of a pair', 'a\ud800b', 'a\\u{d800}b'],
    ['what reads like an escape', '\\u{202e}', '\\\\u{202e}'],
    ['private characters', '\ue000', '\\u{e000}'],
    ['a letter under a heap of marks', `e${'\u0301'.repeat(6)}`, `e${'\u0301'.repeat(3)}${'\\u{301}'.repeat(3)}`],
  ])('with %s', (_what, text, expected) => expect(flat(text)).toBe(expected));

  it('is cut, and says how much is missing', () => {
    const long = 'x'.repeat(10_000);
    expect(showText(long)).toEqual({ parts: [{ text: 'x'.repeat(SHORT_TEXT), escape: false }], cut: 9_700 });
    expect(showText(long, LONG_TEXT).cut).toBe(0);
    expect(showText('😀'.repeat(200), 299)).toMatchObject({ cut: 400 - 298 });
  });

  it('keeps its lines where it has several', () => {
    expect(flat('a\nb\r\n', SHORT_TEXT, true)).toBe('a\nb\\u{d}\n');
    expect(flat('a\nb')).toBe('a\\u{a}b');
  });

  it('never shows a hidden character, and two different texts never look the same', () => {
    const hidden = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Surrogate}\p{Default_Ignorable_Code_Point}]/u;
    const odd = fc.string({
      unit: fc.constantFrom('a', '\\', '\u202e', '\n', 'u{202e}', '\u200b', '\ud800', '{', '}'),
      maxLength: 12,
    });
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), odd), (text) => {
        expect(flat(text)).not.toMatch(hidden);
      }),
    );
    fc.assert(fc.property(odd, odd, (a, b) => (a === b) === (flat(a) === flat(b))));
  });

  it.each([
    ['раураl.com', 'several scripts'],
    ['аpple@example.com', 'several scripts'],
    ['οpen', 'several scripts'],
    ['хосе', 'look like Latin'],
    ['ｅｘａｍｐｌｅ', 'look like plain ones: example'],
    ['𝐞𝐱𝐚𝐦𝐩𝐥𝐞', 'look like plain ones: example'],
  ])('%s gets a hint', (text, hint) => expect(showText(text).hint).toContain(hint));

  it.each(['release@example.com', 'müller', 'Пётр Иванов', '東京タワー', 'Tokyo 東京', ''])('%s gets none', (text) =>
    expect(showText(text).hint).toBeUndefined(),
  );
});

/**
 * A text of unknown origin for a page: what is invisible is written out, a long text is cut, and letters that look like others are
 * pointed at. The page shows the parts as text, isolated from the text around them.
 */
import { characterEscape, HIDDEN_CHARACTER } from '../../formats/hidden-characters.ts';

interface TextPart {
  readonly text: string;
  /** The text stands for a character that cannot be seen. */
  readonly escape: boolean;
}

interface ShownText {
  readonly parts: readonly TextPart[];
  /** Characters that were cut off. */
  readonly cut: number;
  /** Why the text may be read as another one; absent where nothing was found. */
  readonly hint?: string;
}

/** Characters of a text that are shown at first. */
export const SHORT_TEXT = 300;
/** Most characters that a page shows at all, of an entry that has 65,535 bytes. */
export const LONG_TEXT = 70_000;
/** Marks above and below one letter that are shown; a letter with more covers other lines. */
const MAX_MARKS = 3;
/** Characters that are looked at for a hint. */
const HINT_LENGTH = 2_000;

const SPLIT = new RegExp(`(\\\\|\\n|${HIDDEN_CHARACTER.source})|(?<=\\p{M}{${MAX_MARKS}})(\\p{M})`, 'gu');

/** @param lines whether line ends stay: for a text of several lines */
export function showText(text: string, most = SHORT_TEXT, lines = false): ShownText {
  const kept = cutAt(text, most);
  const parts: TextPart[] = [];
  let at = 0;
  for (const match of kept.matchAll(SPLIT)) {
    const [found] = match;
    if (found === '\n' && lines) continue;
    if (match.index > at) parts.push({ text: kept.slice(at, match.index), escape: false });
    parts.push({ text: found === '\\' ? '\\\\' : characterEscape(found), escape: true });
    at = match.index + found.length;
  }
  if (at < kept.length) parts.push({ text: kept.slice(at), escape: false });
  const hint = hintOf(text.slice(0, HINT_LENGTH));
  return { parts, cut: text.length - kept.length, ...(hint === undefined ? {} : { hint }) };
}

/** At most `most` UTF-16 units, and no half of a pair at the end. */
function cutAt(text: string, most: number): string {
  if (text.length <= most) return text;
  const last = text.charCodeAt(most - 1);
  return text.slice(0, last >= 0xd800 && last < 0xdc00 ? most - 1 : most);
}

const SCRIPTS = [
  'Latin',
  'Cyrillic',
  'Greek',
  'Armenian',
  'Cherokee',
  'Hebrew',
  'Arabic',
  'Han',
  'Hiragana',
  'Katakana',
  'Hangul',
  'Thai',
  'Devanagari',
] as const;
/** These stand together in one text of one language. */
const TOGETHER: readonly (readonly string[])[] = [
  ['Latin', 'Han', 'Hiragana', 'Katakana'],
  ['Latin', 'Han', 'Hangul'],
];
const TESTS = SCRIPTS.map((name) => ({ name, test: new RegExp(`\\p{Script=${name}}`, 'u') }));
/** Small letters of other scripts that look like Latin ones. */
const LOOKALIKES = /^[асеоԁһіјӏорԛѕѵԝхуʏ\u03bf\u03b1\u03bd\u03c1\u0578\u057d\u0585]+$/u;

function hintOf(text: string): string | undefined {
  if (/^[\0-\x7f]*$/.test(text)) return undefined;
  const found = TESTS.filter(({ test }) => test.test(text)).map(({ name }) => name);
  const mixed = found.length > 1 && !TOGETHER.some((set) => found.every((name) => set.includes(name)));
  if (mixed) return `It has letters of several scripts, which may look alike: ${found.join(', ')}.`;
  const words = text.toLowerCase().match(/\p{L}+/gu) ?? [];
  if (words.some((word) => word.length > 1 && LOOKALIKES.test(word))) {
    return `It has a word of ${found.join(', ')} letters that look like Latin ones.`;
  }
  const plain = text.normalize('NFKC');
  if (/^[\0-\x7f]*$/.test(plain)) return `It has characters that look like plain ones: ${plain.slice(0, 80)}`;
  return undefined;
}

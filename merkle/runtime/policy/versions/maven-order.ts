/** Versions of Maven artifacts (Maven's POM reference, "Version Order Specification", as of Maven 3.9). */
import { compareDigits, compareText, scheme } from './version-scheme.ts';

/** A number, a word, or what stands after a dash or between digits and letters. */
type Item = { readonly digits: string } | { readonly word: string } | Item[];

const WORDS = ['alpha', 'beta', 'milestone', 'rc', 'snapshot', '', 'sp'];
const RELEASE = WORDS.indexOf('');
const ALIASES: Readonly<Record<string, string>> = { ga: '', final: '', release: '', cr: 'rc' };
const SHORT: Readonly<Record<string, string>> = { a: 'alpha', b: 'beta', m: 'milestone' };
const VERSION = /^[0-9a-z._+-]+$/;

function read(text: string): Item[] | undefined {
  const version = text.toLowerCase();
  if (!VERSION.test(version) || !/[0-9a-z]/.test(version)) return undefined;
  const all: Item[] = [];
  const lists = [all];
  let list = all;
  const nest = () => {
    const inner: Item[] = [];
    list.push(inner);
    lists.push(inner);
    list = inner;
  };
  const tokens = version.match(/[0-9]+|[a-z+]+|[._-]/g)!;
  let isOpen = true; // nothing stands yet between the last separator and here
  for (const [i, token] of tokens.entries()) {
    if (/^[._-]$/.test(token)) {
      if (isOpen) list.push({ digits: '0' });
      if (token !== '.') nest();
      isOpen = true;
    } else if (/^[0-9]/.test(token)) {
      if (!isOpen) nest();
      list.push({ digits: token });
      isOpen = false;
    } else {
      // `.x` and `1x` mean `-x`.
      if (list.length > 0) nest();
      list.push({ word: wordOf(token, /^[0-9]/.test(tokens[i + 1] ?? '')) });
      isOpen = false;
    }
  }
  for (const one of lists.reverse()) trim(one);
  return all;
}

function wordOf(token: string, beforeDigit: boolean): string {
  const word = beforeDigit && Object.hasOwn(SHORT, token) ? SHORT[token]! : token;
  return Object.hasOwn(ALIASES, word) ? ALIASES[word]! : word;
}

/** What means nothing at the end, or before a nested list, goes: `1.0-0` is `1`. */
function trim(list: Item[]): void {
  for (let i = list.length - 1; i >= 0; i--) {
    const item = list[i]!;
    if (isNothing(item)) list.splice(i, 1);
    else if (!Array.isArray(item)) break;
  }
}

function isNothing(item: Item): boolean {
  if (Array.isArray(item)) return item.length === 0;
  return 'word' in item ? item.word === '' : /^0+$/.test(item.digits);
}

/** A missing item is undefined. */
function compareItems(a: Item | undefined, b: Item | undefined): number {
  if (a === undefined) return b === undefined ? 0 : -compareToNothing(b);
  if (b === undefined) return compareToNothing(a);
  const order = kindOf(a) - kindOf(b);
  if (order !== 0) return order;
  if (Array.isArray(a)) return compareLists(a, b as Item[]);
  return 'digits' in a
    ? compareDigits(a.digits, (b as { digits: string }).digits)
    : compareWords(a.word, (b as { word: string }).word);
}

function kindOf(item: Item): number {
  return Array.isArray(item) ? 1 : 'word' in item ? 0 : 2;
}

function compareToNothing(item: Item): number {
  if (Array.isArray(item)) {
    for (const inner of item) {
      const order = compareToNothing(inner);
      if (order !== 0) return order;
    }
    return 0;
  }
  return 'word' in item ? compareWords(item.word, '') : compareDigits(item.digits, '0');
}

/** Known words in their order, then all others as text. */
function compareWords(a: string, b: string): number {
  const [left, right] = [WORDS.indexOf(a), WORDS.indexOf(b)];
  if (left === -1 && right === -1) return compareText(a, b);
  return left === -1 ? 1 : right === -1 ? -1 : left - right;
}

function compareLists(a: readonly Item[], b: readonly Item[]): number {
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const order = compareItems(a[i], b[i]);
    if (order !== 0) return order;
  }
  return 0;
}

function hasEarlyWord(items: readonly Item[]): boolean {
  return items.some((item) => {
    if (Array.isArray(item)) return hasEarlyWord(item);
    return 'word' in item && WORDS.includes(item.word) && WORDS.indexOf(item.word) < RELEASE;
  });
}

export const MAVEN_ORDER = scheme(read, compareLists, hasEarlyWord);

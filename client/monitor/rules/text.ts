/** Compares and displays names and values of unknown origin. */
import { RE2JS } from 're2js';
import { ClientError } from '../../errors.ts';
import { characterEscape, HIDDEN_CHARACTER } from '../../formats/hidden-characters.ts';
import type { TextMatch } from './types.ts';

/** Most characters of a pattern. */
export const MAX_PATTERN = 512;
const MAX_SHOWN = 300;
const HIDDEN = new RegExp(`\\\\|${HIDDEN_CHARACTER.source}`, 'gu');

/**
 * Escapes `text` for one line: invisible and misleading characters (control characters, right-to-left marks and similar) as
 * `\u{202e}`, and `\` as `\\`. No two texts thus differ only in invisible characters. The result has at most 300 characters;
 * `…` marks a cut text.
 */
export function escaped(text: string): string {
  const clean = text
    .slice(0, MAX_SHOWN + 1)
    .replace(HIDDEN, (char) => (char === '\\' ? '\\\\' : characterEscape(char)));
  return text.length > MAX_SHOWN || clean.length > MAX_SHOWN ? `${clean.slice(0, MAX_SHOWN)}…` : clean;
}

/**
 * Compiles a pattern in RE2's syntax. Matching takes time linear in the text.
 *
 * @throws ClientError `usage` for an invalid or empty pattern, or one over 512 characters; the message says why
 */
export function compilePattern(pattern: string): RE2JS {
  if (pattern === '' || pattern.length > MAX_PATTERN) {
    throw new ClientError('usage', `a pattern has 1 to ${MAX_PATTERN} characters, not ${pattern.length}`);
  }
  try {
    return RE2JS.compile(pattern);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ClientError('usage', `${escaped(why)} (RE2 syntax: no look-around, no back-references)`, { cause });
  }
}

/** A function that compares texts with `match`: exactly, or with a pattern for the whole text. */
export function textMatcher(match: TextMatch): (text: string) => boolean {
  if (typeof match === 'string') return (text) => text === match;
  const pattern = compilePattern(match.pattern);
  return (text) => pattern.matches(text);
}

/** The longest text that a simple scan finds in every text that `pattern` matches, or '' if the scan cannot tell. */
export function requiredLiteral(pattern: string): string {
  // Flags change what a letter means, alternatives make every part optional, and a quoted part has its own rules.
  if (/\(\?|\||\\[QpPx]/.test(pattern)) return '';
  let best = '';
  let run = '';
  let depth = 0;
  const end = (): void => {
    if (run.length > best.length) best = run;
    run = '';
  };
  for (let at = 0; at < pattern.length; at++) {
    const char = pattern[at]!;
    if (char === '[') {
      end();
      at = classEnd(pattern, at);
    } else if (char === '(' || char === ')') {
      end();
      depth += char === '(' ? 1 : -1;
    } else if (char === '*' || char === '?' || char === '+' || char === '{') {
      // The character before may be optional.
      run = run.slice(0, -1);
      end();
      if (char === '{') at = Math.max(at, pattern.indexOf('}', at));
    } else if (char === '\\') {
      const next = pattern[++at] ?? '';
      if (/[A-Za-z0-9]/.test(next)) end();
      else if (depth === 0) run += next;
    } else if (char === '.' || char === '^' || char === '$') end();
    else if (depth === 0) run += char;
  }
  end();
  return best;
}

/** The end of the character class that starts at `at`: `[]a]` has two characters, and `[[:alpha:]]` contains a class. */
function classEnd(pattern: string, at: number): number {
  let i = at + 1;
  if (pattern[i] === '^') i++;
  if (pattern[i] === ']') i++;
  for (; i < pattern.length && pattern[i] !== ']'; i++) {
    if (pattern[i] === '\\') i++;
    else if (pattern.startsWith('[:', i)) i = Math.max(i, pattern.indexOf(':]', i) + 1);
  }
  return i;
}

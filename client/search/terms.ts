/** What a term means: the index, its service and each client that checks a page compare values by this file. */
import type { RE2JS } from 're2js';
import { encodeUtf8 } from '../../merkle/bytes.ts';
import { isKeyKind, MAX_KEY_VALUE } from '../../merkle/index/keys.ts';
import { patternSteps } from '../../merkle/pattern-steps.ts';
import { printable } from '../../merkle/printable.ts';
import { costOfSets } from './pattern-cost.ts';
import { SearchError } from './search-errors.ts';
import type { SearchQuery, SearchTerm } from './types.ts';

export const MAX_TERMS = 8;
export const MAX_HITS = 1000;
/** Characters of a pattern. */
const MAX_PATTERN = 512;
/** Size of a pattern with its repetitions written out: a comparison takes time in proportion to it, and to the text. */
const MAX_STEPS = 256;
/** An index or a time has less than 2^48. */
const MAX_BOUND = 2 ** 48 - 1;
const MAX_ORIGIN = 1024;
const MAX_TOKEN = 256;

/** @throws SearchError `bad-query`: a part of the query is not of its form */
export function checkQuery(query: SearchQuery): void {
  const { log, terms, from, to, after, before, limit, page, order } = query;
  if (typeof log !== 'string' || log.length > MAX_ORIGIN)
    throw bad('log', `an origin of at most ${MAX_ORIGIN} characters`);
  if (!Array.isArray(terms) || terms.length < 1 || terms.length > MAX_TERMS)
    throw bad('terms', `a list of 1 to ${MAX_TERMS}`);
  for (const term of terms) checkTerm(term);
  checkRange('from', from, 'to', to);
  checkRange('after', after, 'before', before);
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_HITS) throw bad('limit', `an integer from 1 to ${MAX_HITS}`);
  if (page !== undefined && (typeof page !== 'string' || page.length > MAX_TOKEN))
    throw bad('page', 'the `next` of a page');
  if (order !== undefined && order !== 'ascending' && order !== 'descending')
    throw bad('order', 'ascending or descending');
}

function checkTerm({ kind, match, value }: SearchTerm): void {
  if (typeof kind !== 'string' || !isKeyKind(kind)) throw bad('kind', 'the kind of a key');
  if (match !== 'exact' && match !== 'prefix' && match !== 're2') throw bad('match', 'exact, prefix or re2');
  if (typeof value !== 'string' || value.length > MAX_KEY_VALUE || !value.isWellFormed()) {
    throw bad(kind, `well-formed text of at most ${MAX_KEY_VALUE} bytes`);
  }
  if (encodeUtf8(value).length > MAX_KEY_VALUE) throw bad(kind, `well-formed text of at most ${MAX_KEY_VALUE} bytes`);
  if (match !== 'exact' && value === '')
    throw bad(kind, `a ${match === 're2' ? 'pattern' : 'prefix'} of at least one character`);
}

function checkRange(low: string, from: number | undefined, high: string, to: number | undefined): void {
  for (const [name, value] of [[low, from] as const, [high, to] as const]) {
    if (value === undefined) continue;
    if (!Number.isInteger(value) || value < 0 || value > MAX_BOUND)
      throw bad(name, `an integer from 0 to ${MAX_BOUND}`);
  }
  if (from !== undefined && to !== undefined && from > to) throw bad(low, `at most ${high}`);
}

function bad(name: string, wanted: string): SearchError {
  return new SearchError('bad-query', `${name} must be ${wanted}`);
}

/** Compares values with one term. */
export interface TermTester {
  readonly term: SearchTerm;
  test(value: string): boolean;
  /** A comparison of a pattern takes up to 40 ns times this and the length of the text; 0 without a pattern. */
  readonly steps: number;
}

/** @throws SearchError `bad-pattern`: not RE2, too long, or one that repeats too much */
export async function termTester(term: SearchTerm): Promise<TermTester> {
  const { match, value } = term;
  if (match === 'exact') return { term, steps: 0, test: (text) => text === value };
  // Both are well-formed, so that no character is cut: this is the same as with the bytes of UTF-8.
  if (match === 'prefix') return { term, steps: 0, test: (text) => text.startsWith(value) };
  const pattern = await compilePattern(value);
  return { term, steps: Math.max(1, patternSteps(value)), test: (text) => pattern.test(text) };
}

/** A page that uses no pattern loads no RE2. */
async function compilePattern(pattern: string): Promise<RE2JS> {
  if (pattern.length > MAX_PATTERN) {
    throw new SearchError(
      'bad-pattern',
      `a pattern has at most ${MAX_PATTERN} characters, and this one ${pattern.length}`,
    );
  }
  if (patternSteps(pattern) > MAX_STEPS) {
    const why = `with its repetitions written out the pattern has more than ${MAX_STEPS} steps`;
    throw new SearchError('bad-pattern', `${why}: ask for fewer with {n} and {n,m}`);
  }
  const costly = costOfSets(pattern);
  if (costly !== undefined) throw new SearchError('bad-pattern', `the pattern costs too much: ${costly}`);
  const { RE2JS } = await import('re2js');
  try {
    return RE2JS.compile(pattern);
  } catch (cause) {
    const why = printable(cause instanceof Error ? cause.message : String(cause));
    throw new SearchError('bad-pattern', `${why} (RE2 syntax: no look-around, no back-references)`, { cause });
  }
}

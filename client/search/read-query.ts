/** The query in an address, read strictly: what is not known is refused, so that no condition is left out by mistake. */
import { parseDecimal } from '../../merkle/bytes.ts';
import { IndexError } from './index-errors.ts';
import { TERM_NAMES } from './search-json.ts';
import { MAX_HITS, MAX_TERMS } from './terms.ts';
import type { SearchMatch, SearchQuery, SearchTerm } from './types.ts';

/** Hits of a page where the query names no limit. */
const DEFAULT_HITS = 100;

type Given = Readonly<Record<string, string | readonly string[]>>;

const NUMBERS = ['from', 'to', 'after', 'before', 'limit'] as const;
const OTHERS: ReadonlySet<string> = new Set(['log', 'match', 'order', 'page', ...NUMBERS]);

/** @throws IndexError `malformed`, `bad-query` */
export function readSearchQuery(given: Given): SearchQuery {
  const unknown = Object.keys(given).find((name) => !OTHERS.has(name) && !TERM_NAMES.has(name));
  if (unknown !== undefined) throw bad('the query has a parameter that is not known here');
  const log = one(given, 'log');
  if (log === undefined || log === '') throw bad('the parameter log is missing: it is the origin of the log');
  const match = matchOf(one(given, 'match'));
  const terms = Object.entries(given).flatMap(([name, values]): SearchTerm[] => {
    const term = TERM_NAMES.get(name);
    if (term === undefined) return [];
    // Only a name without an ending leaves open how it is compared.
    const how = term.match === 'exact' ? match : term.match;
    return (typeof values === 'string' ? [values] : values).map((value) => ({ kind: term.kind, match: how, value }));
  });
  if (terms.length === 0 || terms.length > MAX_TERMS) {
    throw bad(`a query has 1 to ${MAX_TERMS} terms, such as digest=sha256:… or identity=release@example.com`);
  }
  const { limit = DEFAULT_HITS, ...ranges } = numbersOf(given);
  if (limit < 1 || limit > MAX_HITS) throw bad(`the parameter limit is a whole number from 1 to ${MAX_HITS}`);
  const order = one(given, 'order');
  if (order !== undefined && order !== 'ascending' && order !== 'descending') {
    throw bad('the parameter order is ascending or descending');
  }
  const page = one(given, 'page');
  return { log, terms, ...ranges, limit, ...(order !== undefined && { order }), ...(page !== undefined && { page }) };
}

function numbersOf(given: Given): Partial<Record<(typeof NUMBERS)[number], number>> {
  const read: Partial<Record<(typeof NUMBERS)[number], number>> = {};
  for (const name of NUMBERS) {
    const text = one(given, name);
    if (text === undefined) continue;
    try {
      read[name] = parseDecimal(text);
    } catch {
      throw bad(`the parameter ${name} is a whole number in decimal`);
    }
  }
  return read;
}

function matchOf(text = 'exact'): SearchMatch {
  if (text === 'exact' || text === 'prefix' || text === 're2') return text;
  throw bad('the parameter match is exact, prefix or re2');
}

function one(given: Given, name: string): string | undefined {
  const value = Object.hasOwn(given, name) ? given[name] : undefined;
  if (value === undefined || typeof value === 'string') return value;
  throw bad(`the parameter ${name} stands there twice`);
}

function bad(why: string): IndexError {
  return new IndexError('bad-query', why);
}

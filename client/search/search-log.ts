/** Searches one log of an index, and checks every page: check-page.ts says what holds then, and what nobody can see. */
import type { Primitives } from '../../merkle/rekor/primitives.ts';
import { nodePrimitives } from '../../merkle/runtime/crypto/node-primitives.ts';
import { ClientError, usage } from '../errors.ts';
import { parseLogUrl } from '../submit/log-url.ts';
import { verifyCheckpoint } from '../verify/checkpoint.ts';
import { CheckpointMemory } from '../verify/checkpoint-memory.ts';
import { underOneRoot } from '../verify/one-root.ts';
import type { CheckpointTrust, TrustedRoots } from '../verify/types.ts';
import { type CheckedPage, checkPage, type PatternMatcher } from './check-page.ts';
import { fetchSearchPage, type IndexRequests } from './index-client.ts';
import { SearchError } from './search-errors.ts';
import { type TermTester, termTester } from './terms.ts';
import type { SearchPage, SearchQuery, SearchTerm } from './types.ts';

/** The keys of the log, and the quorum that its checkpoint needs; with one trusted root or several. */
export interface SearchTrust extends Omit<CheckpointTrust, 'trustedRoot'> {
  readonly trustedRoot?: TrustedRoots | undefined;
}

export interface SearchLogRequest extends IndexRequests {
  /** The base URL of the index. */
  readonly index: string;
  readonly query: SearchQuery;
  readonly trust: SearchTrust;
  readonly primitives?: Primitives;
}

/** Pages without a hit in a row: an index may give some, as one request does only so much work. */
const MAX_EMPTY_PAGES = 1000;

/**
 * The pages of the query, each as it comes, all about the tree of the first one. Stop when there are enough.
 *
 * A page that is given holds as a whole; a hit in it may not, and says why (`ok: false`). That no hit is missing is the word of the
 * index alone.
 *
 * @throws ClientError of the request: `network`, `unavailable`, `refused`, `bad-reply`, `cancelled`, `usage`; of a page that does not
 *   hold: `bad-checkpoint`, `quorum`, `bad-page`; `policy`
 * @example
 * const query = { log: 'log.example.com', terms: [{ kind: 'identity', match: 'exact', value: 'release@example.com' }], limit: 100 };
 * for await (const { hits } of searchLog({ index: 'https://index.example.com', query, trust: { policy } })) {
 *   for (const hit of hits) if (!hit.ok) throw hit.error;
 * }
 */
export async function* searchLog(request: SearchLogRequest): AsyncGenerator<CheckedPage, void, void> {
  const { query, trust, primitives = nodePrimitives() } = request;
  const index = parseLogUrl(request.index, 'an index');
  const matches = query.terms.some(({ match }) => match === 're2') ? await matcherOf(query.terms) : undefined;
  const memory = new CheckpointMemory();
  const { trustedRoot: roots, ...others } = trust;
  let used: CheckpointTrust | undefined;
  let before: CheckedPage | undefined;
  let empty = 0;
  let page = query.page;
  do {
    const given = await fetchSearchPage(index, { ...query, ...(page !== undefined && { page }) }, request);
    const check = (by: CheckpointTrust) => {
      const checks = { primitives, memory, ...(matches && { matches }), ...(before && { before }) };
      const checked = checkPage(given, query, by, checks);
      used = by;
      return checked;
    };
    const checked: CheckedPage =
      used !== undefined
        ? check(used)
        : roots === undefined
          ? check(others)
          : underOneRoot(roots, (trustedRoot) => check({ ...others, trustedRoot })).result;
    empty = checked.hits.length === 0 ? empty + 1 : 0;
    checkEnd(given, page, empty);
    yield checked;
    before = checked;
    page = checked.next;
  } while (page !== undefined);
}

/** @throws ClientError `bad-page`: the index leads on without an end */
function checkEnd({ next }: SearchPage, page: string | undefined, empty: number): void {
  if (next === undefined) return;
  if (next === page) throw new ClientError('bad-page', 'the index gave a wrong answer: the next page is the same one');
  if (empty < MAX_EMPTY_PAGES) return;
  const why = `the index gave ${empty} pages without a hit, and no end`;
  throw new ClientError('bad-page', `${why}: narrow the search, by a range of indexes (--from, --to) or an exact term`);
}

/** Compares as the index does (terms.ts); loads RE2, which most searches do not need. @throws ClientError `usage` */
async function matcherOf(terms: readonly SearchTerm[]): Promise<PatternMatcher> {
  const testers = new Map<string, TermTester>();
  try {
    for (const term of terms) if (term.match === 're2') testers.set(term.value, await termTester(term));
  } catch (cause) {
    if (cause instanceof SearchError) throw usage(cause.message);
    throw cause;
  }
  return (pattern, text) => testers.get(pattern)?.test(text) === true;
}

/** Whether the trust has a key of the log that made this checkpoint; its quorum may be missing. */
export function isKnownLog(checkpoint: string, { trustedRoot, ...others }: SearchTrust): boolean {
  const primitives = nodePrimitives();
  const known = (trust: CheckpointTrust): boolean => {
    try {
      verifyCheckpoint(checkpoint, undefined, trust, primitives);
      return true;
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      // Of a log that is not known, nothing but its signature is looked at.
      return error.code !== 'bad-checkpoint' && error.code !== 'policy';
    }
  };
  const roots = trustedRoot === undefined ? [undefined] : Array.isArray(trustedRoot) ? trustedRoot : [trustedRoot];
  return roots.some((root) => known({ ...others, ...(root && { trustedRoot: root }) }));
}

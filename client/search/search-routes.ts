/** The routes of the plain index: what the index is, and one query. */
import { EXTRACTOR } from '../../merkle/index/keys.ts';
import { toBase64 } from '../../merkle/runtime/base64.ts';
import { jsonAnswer } from '../../merkle/runtime/service/app.ts';
import type { ClientAddresses } from '../../merkle/runtime/service/client-address.ts';
import type { DocumentedRoute } from '../../merkle/runtime/service/openapi.ts';
import type { IndexConfig } from './index-config.ts';
import { FOR_PAGES } from './index-errors.ts';
import type { IndexMetrics } from './index-metrics.ts';
import { isScan, type QueryTurns } from './query-turns.ts';
import { readSearchQuery } from './read-query.ts';
import { describeDocs, searchDocs } from './search-docs.ts';
import { INDEX_PATH, SEARCH_PATH, searchPageJson } from './search-json.ts';
import { MAX_HITS, MAX_TERMS } from './terms.ts';
import type { IndexedLogStatus, SearchPage, SearchQuery } from './types.ts';

/** What the routes need of the plain index. */
interface Searched {
  search(query: SearchQuery, signal: AbortSignal): Promise<SearchPage>;
  status(): readonly IndexedLogStatus[];
}

interface SearchRoutesOptions {
  readonly index: Searched;
  readonly kinds: IndexConfig['index']['kinds'];
  /** What the index has beside search, by the name of its part. */
  readonly parts: () => Readonly<Record<string, unknown>>;
  readonly clients: ClientAddresses;
  readonly turns: QueryTurns;
  readonly metrics: IndexMetrics;
}

/** A later answer may have more; caches ask each time. */
const FRESH = { ...FOR_PAGES, 'cache-control': 'no-cache' };
/** Later pages are about a checkpoint that is fixed, and their token stands in the address. */
const LASTING = { ...FOR_PAGES, 'cache-control': 'public, max-age=300' };

export function searchRoutes({ index, kinds, parts, clients, turns, metrics }: SearchRoutesOptions): DocumentedRoute[] {
  return [
    {
      method: 'GET',
      path: INDEX_PATH,
      docs: describeDocs,
      answer: () => {
        const description = {
          extractor: EXTRACTOR,
          kinds,
          limits: { hits: MAX_HITS, terms: MAX_TERMS },
          logs: index.status().map(logJson),
          parts: parts(),
        };
        return jsonAnswer(200, description, FRESH);
      },
    },
    {
      method: 'GET',
      path: SEARCH_PATH,
      docs: searchDocs,
      answer: async ({ request, query: given }) => {
        const query = readSearchQuery(given);
        const scan = isScan(query);
        const started = performance.now();
        let result = 'failed';
        try {
          const page = await turns.run(clients.of(request), scan, request, (signal) => index.search(query, signal));
          result = 'ok';
          metrics.hits.inc(page.hits.length);
          return jsonAnswer(200, searchPageJson(page), query.page === undefined ? FRESH : LASTING);
        } finally {
          const seconds = (performance.now() - started) / 1000;
          metrics.queries.labels(scan ? 'scan' : 'exact', result).observe(seconds);
        }
      },
    },
  ];
}

/** The location is the operator's, and the message of a fault may name it: neither leaves. */
function logJson({ origin, answers, completeThrough, accepted, followed, fault }: IndexedLogStatus): object {
  return {
    origin,
    ...(answers && { size: answers.size, root: toBase64(answers.root), checkpoint: answers.checkpoint }),
    completeThrough,
    accepted,
    ...(followed !== undefined && { followed: new Date(followed).toISOString() }),
    ...(fault && { fault: { since: new Date(fault.since).toISOString(), type: fault.type, proven: fault.proven } }),
  };
}

/** `GET /stele/v1/lookup`: the query, read strictly, and the answer. */
import { parseDecimal } from '../../../merkle/bytes.ts';
import { type IndexKey, isKeyKind, KEY_KINDS, MAX_KEY_VALUE } from '../../../merkle/index/keys.ts';
import { printable } from '../../../merkle/printable.ts';
import type { ClientAddresses } from '../../../merkle/runtime/service/client-address.ts';
import type { Observer } from '../../../merkle/runtime/service/histogram.ts';
import type { DocumentedRoute } from '../../../merkle/runtime/service/openapi.ts';
import { FOR_PAGES, IndexError } from '../index-errors.ts';
import type { QueryTurns } from '../query-turns.ts';
import { LOOKUP_PATH } from '../search-json.ts';
import { lookupDocs } from './map-docs.ts';
import { MOST_POSTINGS } from './map-lookup.ts';
import type { MappedLog } from './mapped-log.ts';

interface LookupRouteOptions {
  /** By origin of the input log. */
  readonly maps: ReadonlyMap<string, Pick<MappedLog, 'lookup'>>;
  readonly clients: ClientAddresses;
  readonly turns: QueryTurns;
  readonly observe: (result: 'ok' | 'failed') => Observer;
}

type Given = Readonly<Record<string, string | readonly string[]>>;

const KNOWN = ['log', 'kind', 'value', 'since', 'limit'];
/** The next version has another answer. */
const HEADERS = { ...FOR_PAGES, 'content-type': 'application/octet-stream', 'cache-control': 'no-cache' };

export function lookupRoute({ maps, clients, turns, observe }: LookupRouteOptions): DocumentedRoute {
  return {
    method: 'GET',
    path: LOOKUP_PATH,
    docs: lookupDocs,
    answer: async ({ request, query }) => {
      const { log, ...wanted } = readLookupQuery(query);
      const map = maps.get(log);
      if (map === undefined) throw new IndexError('unknown-log', `there is no map of the log "${printable(log)}" here`);
      const started = performance.now();
      let result: 'ok' | 'failed' = 'failed';
      try {
        const body = await turns.run(clients.of(request), false, request, () => map.lookup(wanted));
        result = 'ok';
        return { status: 200, headers: HEADERS, body };
      } finally {
        observe(result).observe((performance.now() - started) / 1000);
      }
    },
  };
}

/** @throws IndexError `bad-query` */
function readLookupQuery(given: Given): { log: string; key: IndexKey; since: number; limit: number } {
  const unknown = Object.keys(given).some((name) => !KNOWN.includes(name));
  if (unknown) throw bad('the query has a parameter that is not known here');
  const [log, kind, value] = ['log', 'kind', 'value'].map((name) => one(given, name));
  if (log === undefined || log === '') throw bad('the parameter log is missing: it is the origin of the log');
  if (kind === undefined || !isKeyKind(kind)) throw bad(`the parameter kind is one of ${KEY_KINDS.join(', ')}`);
  if (value === undefined) throw bad('the parameter value is missing');
  if (!value.isWellFormed() || Buffer.byteLength(value) > MAX_KEY_VALUE) {
    throw bad(`the parameter value is text of at most ${MAX_KEY_VALUE} bytes`);
  }
  const limit = number(given, 'limit') ?? MOST_POSTINGS;
  if (limit < 1 || limit > MOST_POSTINGS) throw bad(`the parameter limit is a whole number from 1 to ${MOST_POSTINGS}`);
  return { log, key: { kind, value }, since: number(given, 'since') ?? 0, limit };
}

function number(given: Given, name: string): number | undefined {
  const text = one(given, name);
  try {
    return text === undefined ? undefined : parseDecimal(text);
  } catch {
    throw bad(`the parameter ${name} is a whole number in decimal`);
  }
}

function one(given: Given, name: string): string | undefined {
  const value = Object.hasOwn(given, name) ? given[name] : undefined;
  if (value === undefined || typeof value === 'string') return value;
  throw bad(`the parameter ${name} stands there twice`);
}

function bad(why: string): IndexError {
  return new IndexError('bad-query', why);
}

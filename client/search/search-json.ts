/**
 * The HTTP API of an index as values: the address of a query, and the JSON of its answers. Pure: pages of a browser use it too.
 * docs/search.md has the API.
 */
import { encodeBase64 } from '../../merkle/bytes.ts';
import { type IndexKey, KEY_KINDS } from '../../merkle/index/keys.ts';
import { MAX_PROOF } from '../../merkle/proof.ts';
import { array, bytes, int64, knownMembers, malformed, parseJson, string } from '../formats/json.ts';
import { MAX_HITS } from './terms.ts';
import type { SearchHit, SearchMatch, SearchPage, SearchQuery, SearchTerm } from './types.ts';

export const INDEX_PATH = '/stele/v1/index';
export const SEARCH_PATH = '/stele/v1/search';
export const LOOKUP_PATH = '/stele/v1/lookup';

/** Longest answer to a query in bytes: 1,000 hits of which each has an entry of 65,535 bytes and a proof of 63 hashes. */
export const MAX_SEARCH_REPLY = 96 * 1024 * 1024;
/** Longest description of an index in bytes. */
export const MAX_INDEX_REPLY = 4 * 1024 * 1024;
const MAX_NEXT = 4096;
const MAX_LOGS = 256;

/** `identity` for an exact term, `identity-prefix`, `identity-re2`. */
function termName({ kind, match }: Pick<SearchTerm, 'kind' | 'match'>): string {
  return match === 'exact' ? kind : `${kind}-${match}`;
}

const MATCHES: readonly SearchMatch[] = ['exact', 'prefix', 're2'];

/** The names of terms in an address, with what each stands for. `match` can say what those without an ending stand for. */
export const TERM_NAMES: ReadonlyMap<string, Pick<SearchTerm, 'kind' | 'match'>> = new Map(
  KEY_KINDS.flatMap((kind) => MATCHES.map((match) => [termName({ kind, match }), { kind, match }] as const)),
);

/** @param index the base URL of the index, without a slash at its end */
export function searchUrl(index: string, query: SearchQuery): string {
  const { log, terms, from, to, after, before, limit, page, order } = query;
  const values = new URLSearchParams({ log });
  for (const term of terms) values.append(termName(term), term.value);
  const others = { from, to, after, before, limit, page, order };
  for (const [name, value] of Object.entries(others)) if (value !== undefined) values.append(name, String(value));
  return `${index}${SEARCH_PATH}?${values}`;
}

/**
 * @param index the base URL of the index, without a slash at its end
 * @param since how many postings the client has
 */
export function lookupUrl(index: string, log: string, { kind, value }: IndexKey, since = 0): string {
  return `${index}${LOOKUP_PATH}?${new URLSearchParams({ log, kind, value, since: String(since) })}`;
}

/** A page as a value of JSON. */
export function searchPageJson({ log, size, root, checkpoint, hits, next }: SearchPage): object {
  return {
    log,
    size,
    root: encodeBase64(root),
    checkpoint,
    hits: hits.map(({ index, body, proof }) => ({
      index,
      body: encodeBase64(body),
      proof: proof.map(encodeBase64),
    })),
    ...(next !== undefined && { next }),
  };
}

/**
 * Reads the answer to a query. Nothing of it is verified: `checkPage` does that. Members of other names are left out, so that a
 * newer index may say more.
 *
 * @throws ClientError `malformed`
 */
export function parseSearchPage(body: Uint8Array): SearchPage {
  const what = 'the answer of the index';
  const members = knownMembers(parseJson(body, what, MAX_SEARCH_REPLY), what, PAGE);
  const next = members.next === undefined ? undefined : string(members.next, 'next');
  if (next !== undefined && (next === '' || next.length > MAX_NEXT)) throw malformed('next', 'is too long or empty');
  return {
    log: string(members.log, 'log'),
    size: int64(members.size, 'size'),
    root: bytes(members.root, 'root', 32),
    checkpoint: string(members.checkpoint, 'checkpoint'),
    hits: array(members.hits, 'hits', MAX_HITS).map(hitOf),
    ...(next !== undefined && { next }),
  };
}

const PAGE = ['log', 'size', 'root', 'checkpoint', 'hits', 'next'];

function hitOf(value: unknown, i: number): SearchHit {
  const at = `hits[${i}]`;
  const hit = knownMembers(value, at, ['index', 'body', 'proof']);
  if (hit.index === undefined) throw malformed(`${at}.index`, 'is missing');
  return {
    index: int64(hit.index, `${at}.index`),
    // An entry of no byte is one too.
    body: hit.body === '' ? new Uint8Array(0) : bytes(hit.body, `${at}.body`),
    proof: array(hit.proof, `${at}.proof`, MAX_PROOF).map((hash, j) => bytes(hash, `${at}.proof[${j}]`, 32)),
  };
}

/** What an index says of itself. Nothing of it is verified. */
export interface IndexDescription {
  /** The version of the rules by which it reads entries. */
  readonly extractor: string;
  readonly logs: readonly DescribedIndexLog[];
}

export interface DescribedIndexLog {
  readonly origin: string;
  /** The tree that answers are about; absent before the index has read a whole tree of the log. */
  readonly tree?: { readonly size: number; readonly root: Uint8Array; readonly checkpoint: string };
}

/** @throws ClientError `malformed` */
export function parseIndexDescription(body: Uint8Array): IndexDescription {
  const what = 'the description of the index';
  const { extractor, logs } = knownMembers(parseJson(body, what, MAX_INDEX_REPLY), what, ['extractor', 'logs']);
  const described = array(logs, 'logs', MAX_LOGS).map((value, i): DescribedIndexLog => {
    const at = `logs[${i}]`;
    const { origin, size, root, checkpoint } = knownMembers(value, at, ['origin', 'size', 'root', 'checkpoint']);
    const name = { origin: string(origin, `${at}.origin`) };
    if (checkpoint === undefined) return name;
    const tree = {
      size: int64(size, `${at}.size`),
      root: bytes(root, `${at}.root`, 32),
      checkpoint: string(checkpoint, `${at}.checkpoint`),
    };
    return { ...name, tree };
  });
  return { extractor: string(extractor, 'extractor'), logs: described };
}

/** Asks an index over HTTP: bounded in size and time, with more attempts where those may help. Nothing of an answer is verified here. */
import type { IndexKey } from '../../merkle/index/keys.ts';
import { MAX_LOOKUP } from '../../merkle/index/lookup.ts';
import { printable } from '../../merkle/printable.ts';
import { RuntimeError } from '../../merkle/runtime/runtime-errors.ts';
import { backOffMs, parseRetryAfter, SYSTEM_CLOCK } from '../../merkle/runtime/service/back-off.ts';
import { type Fetched, fetchBounded } from '../../merkle/runtime/service/fetch.ts';
import { ClientError, cancelled } from '../errors.ts';
import { knownMembers, parseJson, string } from '../formats/json.ts';
import { tlsAdvice } from '../tls-advice.ts';
import {
  INDEX_PATH,
  type IndexDescription,
  lookupUrl,
  MAX_INDEX_REPLY,
  MAX_SEARCH_REPLY,
  parseIndexDescription,
  parseSearchPage,
  searchUrl,
} from './search-json.ts';
import type { SearchPage, SearchQuery } from './types.ts';

export interface IndexRequests {
  /** Milliseconds for one attempt, up to its last byte; 30,000 by default. */
  readonly timeoutMs?: number;
  /** More attempts where the index does not answer, or answers that it cannot now; 3 by default. */
  readonly retries?: number;
  readonly signal?: AbortSignal | undefined;
  /** Node's `fetch` by default. */
  readonly fetch?: typeof fetch | undefined;
}

const BACK_OFF = { firstMs: 250, longestMs: 10_000, longestAskedMs: 30_000 };
const MAX_ERROR = 64 * 1024;

/**
 * @param index the base URL, as `parseLogUrl` gives it
 * @throws ClientError `network`, `unavailable`, `refused`, `bad-reply`, `cancelled`
 */
export async function fetchIndexDescription(index: string, requests: IndexRequests = {}): Promise<IndexDescription> {
  return read(index, parseIndexDescription, await get(`${index}${INDEX_PATH}`, MAX_INDEX_REPLY, requests));
}

/** @throws ClientError as `fetchIndexDescription` */
export async function fetchSearchPage(
  index: string,
  query: SearchQuery,
  requests: IndexRequests = {},
): Promise<SearchPage> {
  return read(index, parseSearchPage, await get(searchUrl(index, query), MAX_SEARCH_REPLY, requests));
}

/** The answer to a lookup, unread. @param since postings that the caller has. @throws ClientError as `fetchIndexDescription` */
export async function fetchLookup(
  index: string,
  { log, key, since }: { readonly log: string; readonly key: IndexKey; readonly since: number },
  requests: IndexRequests = {},
): Promise<Uint8Array> {
  return await get(lookupUrl(index, log, key, since), MAX_LOOKUP, requests);
}

function read<T>(index: string, parse: (body: Uint8Array) => T, body: Uint8Array): T {
  try {
    return parse(body);
  } catch (cause) {
    if (!(cause instanceof ClientError) || cause.code !== 'malformed') throw cause;
    throw new ClientError('bad-reply', `${index} does not answer as an index does: ${cause.message}`, { cause });
  }
}

async function get(url: string, limit: number, requests: IndexRequests): Promise<Uint8Array> {
  const { timeoutMs = 30_000, retries = 3, signal, fetch } = requests;
  // What is searched for may be private: messages name the place alone.
  const place = url.split('?', 1)[0]!;
  for (let attempt = 1; ; attempt++) {
    const outcome = await once(url, place, { limit, timeoutMs, signal, fetch });
    if (!(outcome instanceof ClientError) && !retriable(outcome)) return bodyOf(place, outcome);
    if (attempt > retries) throw outcome instanceof ClientError ? outcome : unavailable(place, outcome, attempt);
    const askedMs = outcome instanceof ClientError ? undefined : parseRetryAfter(outcome.headers.get('retry-after'));
    await SYSTEM_CLOCK.sleep(backOffMs(BACK_OFF, attempt, askedMs), signal);
    if (signal?.aborted) throw cancelled();
  }
}

/** A reply, or the error where another attempt may end in another way. */
async function once(
  url: string,
  place: string,
  request: Pick<Parameters<typeof fetchBounded>[1], 'limit' | 'timeoutMs' | 'signal' | 'fetch'>,
): Promise<Fetched | ClientError> {
  try {
    return await fetchBounded(url, { ...request, read: 'all', headers: { 'user-agent': 'stele' } });
  } catch (cause) {
    if (!(cause instanceof RuntimeError)) throw cause;
    const message = printable(cause.message.replaceAll(url, place));
    if (cause.code === 'aborted') throw cancelled();
    if (cause.code === 'too-long') throw new ClientError('bad-reply', message, { cause });
    const advice = tlsAdvice(cause);
    if (advice !== undefined) throw new ClientError('network', `${place} cannot be used: ${advice}`, { cause });
    return new ClientError('network', message, { cause });
  }
}

/** A query that takes too long takes as long again. */
function retriable({ status, bytes }: Fetched): boolean {
  return (status === 429 || status >= 500) && status !== 501 && errorOf(bytes)?.code !== 'too-slow';
}

function bodyOf(place: string, reply: Fetched): Uint8Array {
  const { status, bytes } = reply;
  if (status === 200) return bytes;
  if (status >= 300 && status < 400) {
    const why = `${place} answers with a redirect (status ${status}), which is not followed`;
    throw new ClientError('bad-reply', `${why}: give the address that it leads to, if you trust it`);
  }
  const error = errorOf(bytes);
  if (error === undefined) {
    throw new ClientError('refused', `${place} answers with status ${status}: this is no index, or not its address`);
  }
  throw new ClientError(status >= 500 ? 'unavailable' : 'refused', `${place} refuses: ${sentence(error)}`);
}

function unavailable(place: string, { status, bytes }: Fetched, tries: number): ClientError {
  const error = errorOf(bytes);
  const why = error === undefined ? `status ${status}` : sentence(error);
  return new ClientError(
    'unavailable',
    `${place} cannot answer now: ${why} (asked ${tries} ${tries === 1 ? 'time' : 'times'})`,
  );
}

interface ErrorBody {
  readonly code: string;
  readonly message: string;
}

/** Undefined where the body is not the error of an index. */
function errorOf(bytes: Uint8Array): ErrorBody | undefined {
  if (bytes.length === 0 || bytes.length > MAX_ERROR) return undefined;
  try {
    const { code, message } = knownMembers(parseJson(bytes, 'an error', MAX_ERROR), 'an error', ['code', 'message']);
    return { code: string(code, 'code'), message: string(message, 'message') };
  } catch {
    return undefined;
  }
}

function sentence({ code, message }: ErrorBody): string {
  return `${printable(message)} [${printable(code.slice(0, 40))}]`;
}

/** Gets the keys of an issuer: from a file, from a URL, or by OpenID Connect Discovery 1.0 section 4. */
import { isLoopback } from '../../../loopback.ts';
import { isJsonRecord, type JsonRecord, parseJsonValue } from '../../../rekor/json-value.ts';
import { readBounded } from '../../disk/bounded.ts';
import { RuntimeError } from '../../runtime-errors.ts';
import { fetchBounded } from '../../service/fetch.ts';
import type { LoadedKeys } from './issuer-keys.ts';
import { MAX_KEY_SET, parseKeySet } from './key-set.ts';

const MAX_DOCUMENT = 128 * 1024;
const TIMEOUT_MS = 5000;
const WELL_KNOWN = '/.well-known/openid-configuration';

interface FetchWays {
  readonly signal: AbortSignal;
  /** One that trusts other authorities; default Node's. */
  readonly fetch?: typeof fetch | undefined;
}

/** @throws RuntimeError `file`, `key-format` */
export async function keysOfFile(path: string): Promise<LoadedKeys> {
  let bytes: Uint8Array;
  try {
    bytes = await readBounded(path, MAX_KEY_SET);
  } catch (cause) {
    throw new RuntimeError('file', `${path}: ${(cause as Error).message}`, { cause });
  }
  return { keys: parseKeySet(bytes, path) };
}

/** @throws RuntimeError `network`, `too-long`, `key-format`, `aborted` */
export async function keysOfUrl(url: string, ways: FetchWays): Promise<LoadedKeys> {
  const { bytes, headers } = await get(url, MAX_KEY_SET, ways);
  return { keys: parseKeySet(bytes, url), maxAgeMs: maxAgeOf(headers) };
}

/**
 * The keys that the issuer's own document names. The document must be of exactly this issuer (section 4.3): else one that can place a
 * file on the issuer's host, below another path, would speak for it.
 * @throws RuntimeError as `keysOfUrl`
 */
export async function keysOfIssuer(issuer: string, ways: FetchWays): Promise<LoadedKeys> {
  const url = `${issuer.replace(/\/$/, '')}${WELL_KNOWN}`;
  const { bytes } = await get(url, MAX_DOCUMENT, ways);
  let document: JsonRecord;
  try {
    document = parseJsonValue(bytes, url, MAX_DOCUMENT) as JsonRecord;
  } catch (cause) {
    throw new RuntimeError('key-format', (cause as Error).message, { cause });
  }
  if (!isJsonRecord(document) || document.issuer !== issuer) {
    throw new RuntimeError('key-format', `${url} is not the document of the issuer ${issuer}: its "issuer" is another`);
  }
  const keysUrl = document.jwks_uri;
  if (typeof keysUrl !== 'string' || !isSafe(keysUrl, issuer)) {
    throw new RuntimeError('key-format', `${url} names no https URL of its keys ("jwks_uri")`);
  }
  return await keysOfUrl(keysUrl, ways);
}

/** The document may not lead from https to http, nor from elsewhere to this machine. */
function isSafe(url: string, issuer: string): boolean {
  if (url.length > 2048 || !/^https?:\/\/[^\s\\]+$/.test(url) || !URL.canParse(url)) return false;
  const { protocol, username, password } = new URL(url);
  if (username + password !== '' || (isLoopback(url) && !isLoopback(issuer))) return false;
  return protocol === 'https:' || issuer.startsWith('http:');
}

async function get(url: string, limit: number, { signal, fetch }: FetchWays) {
  const accept = { accept: 'application/json' };
  const reply = await fetchBounded(url, { limit, timeoutMs: TIMEOUT_MS, signal, fetch, headers: accept });
  if (reply.status === 200) return reply;
  const why = reply.status >= 300 && reply.status < 400 ? ', and redirects are not followed' : '';
  throw new RuntimeError('network', `${url} answers with status ${reply.status}${why}`);
}

/** RFC 9111 section 5.2.2. */
function maxAgeOf(headers: Headers): number | undefined {
  const control = headers.get('cache-control') ?? '';
  if (/\bno-(?:store|cache)\b/i.test(control)) return 0;
  const seconds = /(?:^|[\s,])max-age=(\d{1,9})(?:$|[\s,])/i.exec(control)?.[1];
  return seconds === undefined ? undefined : Number(seconds) * 1000;
}

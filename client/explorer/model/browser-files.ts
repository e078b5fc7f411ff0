/**
 * The public files of a log in a browser, over `fetch`: bounded in size and time, without credentials, and never past a redirect.
 * Nothing of what comes is trusted here; proofs are (client/tiles/tree-proofs.ts).
 */
import { encodeHex } from '../../../merkle/bytes.ts';
import { printable } from '../../../merkle/printable.ts';
import { ClientError, cancelled } from '../../errors.ts';
import { fetchedFile, filesInEitherPlace, isRetriable } from '../../tiles/log-places.ts';
import { sourceOf } from '../../tiles/tile-source.ts';
import type { Files, TileSource } from '../../tiles/types.ts';

interface BrowserOptions {
  /** Milliseconds for one attempt, up to its last byte; 30,000 by default. */
  readonly timeoutMs?: number;
  /** How many more attempts a request gets where that may help; 2 by default. */
  readonly retries?: number;
  /** Milliseconds before another attempt, and twice as long before the one after; 500 by default. */
  readonly pauseMs?: number;
}

type CacheMode = 'default' | 'no-store';

interface BrowserAnswer {
  readonly status: number;
  readonly bytes: Uint8Array;
}

/**
 * The log at `url`, which has its files there or below `/api/v2`.
 *
 * @throws ClientError as `openSource` (tiles/tiles.ts): `missing`, `corrupt`, `network`, `unavailable`, `refused`, `bad-reply`,
 *   `cancelled`
 */
export function openInBrowser(url: string, options: BrowserOptions = {}): TileSource {
  return sourceOf(filesInEitherPlace(url.replace(/\/+$/, ''), (base) => browserFiles(base, options)));
}

function browserFiles(base: string, options: BrowserOptions): Files {
  return {
    name: base,
    async get(path, limit, signal, fresh = false) {
      const url = `${base}/${path}`;
      if (!fresh) return fetchedFile(url, await askPatiently(url, limit, signal, options));
      // A cache on the way cannot know the answer to a query that is new.
      const nonce = encodeHex(crypto.getRandomValues(new Uint8Array(8)));
      const past = await askPatiently(`${url}?no-cache=${nonce}`, limit, signal, options, 'no-store');
      return fetchedFile(url, past.status === 200 ? past : await askPatiently(url, limit, signal, options, 'no-store'));
    },
    async close() {},
  };
}

/**
 * The answer to a GET.
 *
 * @param limit most bytes of the answer
 * @throws ClientError `network`, `unavailable`, `bad-reply` for a redirect, `corrupt` for a longer answer, `cancelled`
 */
export async function askPatiently(
  url: string,
  limit: number,
  signal: AbortSignal | undefined,
  { timeoutMs = 30_000, retries = 2, pauseMs = 500 }: BrowserOptions = {},
  cache: CacheMode = 'default',
): Promise<BrowserAnswer> {
  for (let attempt = 0; ; attempt++) {
    const outcome = await askOnce(url, limit, signal, timeoutMs, cache);
    if (!(outcome instanceof ClientError) && !isRetriable(outcome.status)) return outcome;
    if (attempt >= retries) {
      if (outcome instanceof ClientError) throw outcome;
      throw new ClientError('unavailable', `${url} answers with status ${outcome.status} (asked ${attempt + 1} times)`);
    }
    await pause(pauseMs * 2 ** attempt, signal);
  }
}

async function askOnce(
  url: string,
  limit: number,
  signal: AbortSignal | undefined,
  timeoutMs: number,
  cache: CacheMode,
): Promise<BrowserAnswer | ClientError> {
  const timeout = AbortSignal.timeout(timeoutMs);
  try {
    const request = {
      cache,
      credentials: 'omit',
      redirect: 'manual',
      referrerPolicy: 'no-referrer',
      signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
    } as const;
    const response = await fetch(url, request);
    if (response.type === 'opaqueredirect' || (response.status >= 300 && response.status < 400)) {
      throw new ClientError('bad-reply', `${url} answers with a redirect, which is not followed`);
    }
    return { status: response.status, bytes: await bounded(response, url, limit) };
  } catch (cause) {
    if (cause instanceof ClientError) throw cause;
    if (signal?.aborted) throw cancelled(cause);
    const why = timeout.aborted ? `does not answer within ${timeoutMs / 1000} s` : 'cannot be reached from this page';
    return new ClientError('network', `${url} ${why}: ${printable(String(cause))}`, { cause });
  }
}

async function bounded(response: Response, url: string, limit: number): Promise<Uint8Array> {
  if (response.body === null) return new Uint8Array(0);
  const parts: Uint8Array[] = [];
  let length = 0;
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.length;
    if (length > limit) {
      await reader.cancel();
      throw new ClientError('corrupt', `${url} sends more than ${limit} bytes`);
    }
    parts.push(value);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** @throws ClientError `cancelled` */
async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(cancelled());
    };
    if (signal?.aborted) return stop();
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, ms);
    signal?.addEventListener('abort', stop, { once: true });
  });
}

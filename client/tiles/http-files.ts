/** The public files of a log over HTTP: with a bound on size and time, and more attempts where they may help. */
import { randomBytes } from 'node:crypto';
import { printable } from '../../merkle/printable.ts';
import { RuntimeError } from '../../merkle/runtime/runtime-errors.ts';
import { backOffMs, parseRetryAfter, SYSTEM_CLOCK } from '../../merkle/runtime/service/back-off.ts';
import { type Fetched, fetchBounded } from '../../merkle/runtime/service/fetch.ts';
import { ClientError, cancelled } from '../errors.ts';
import { tlsAdvice } from '../tls-advice.ts';
import { fetchedFile, filesInEitherPlace, isRetriable } from './log-places.ts';
import type { Files, SourceOptions } from './types.ts';

const BACK_OFF = { firstMs: 250, longestMs: 10_000, longestAskedMs: 10_000 };
/** RFC 9111 section 5.2.1.4, and section 5.4 for caches of HTTP/1.0. */
const PAST_CACHES = { 'cache-control': 'no-cache', pragma: 'no-cache' };

/** @param base as `parseLogUrl` returns it: without a slash at its end */
function httpFiles(base: string, options: SourceOptions): Files {
  const { timeoutMs = 30_000, retries = 3, userAgent = 'stele', fetch } = options;
  const headers = { 'user-agent': userAgent };
  return {
    name: base,
    async get(path, limit, signal, fresh = false) {
      const url = `${base}/${path}`;
      const ask = (from: string, more?: object) =>
        patiently(from, { limit, timeoutMs, headers: { ...headers, ...more }, signal, fetch }, retries);
      if (!fresh) return fetchedFile(url, await ask(url));
      // A cache may ignore what the header asks for, but not know the answer to a query that is new.
      const unknown = await ask(`${url}?no-cache=${randomBytes(8).toString('hex')}`, PAST_CACHES);
      return fetchedFile(url, unknown.status === 200 ? unknown : await ask(url, PAST_CACHES));
    },
    async close() {},
  };
}

/** The files of a log by the URL that clients write to. */
export function logFiles(base: string, options: SourceOptions): Files {
  return filesInEitherPlace(base, (place) => httpFiles(place, options));
}

/** The reply to a request that is made up to `retries` more times where that may help. */
async function patiently(url: string, request: Parameters<typeof fetchBounded>[1], retries: number): Promise<Fetched> {
  for (let attempt = 1; ; attempt++) {
    const outcome = await once(url, request);
    const reply = outcome instanceof ClientError ? undefined : outcome;
    if (reply !== undefined && !isRetriable(reply.status)) return reply;
    if (attempt > retries) {
      if (outcome instanceof ClientError) throw outcome;
      const tries = `asked ${attempt} ${attempt === 1 ? 'time' : 'times'}`;
      throw new ClientError('unavailable', `${url} answers with status ${outcome.status} (${tries})`);
    }
    const askedMs = parseRetryAfter(reply?.headers.get('retry-after'));
    await SYSTEM_CLOCK.sleep(backOffMs(BACK_OFF, attempt, askedMs), request.signal);
    if (request.signal?.aborted) throw cancelled();
  }
}

/** A reply, or the error where another attempt may end in another way. */
async function once(url: string, request: Parameters<typeof fetchBounded>[1]): Promise<Fetched | ClientError> {
  try {
    return await fetchBounded(url, request);
  } catch (cause) {
    if (!(cause instanceof RuntimeError)) throw cause;
    if (cause.code === 'aborted') throw cancelled();
    if (cause.code === 'too-long') throw new ClientError('corrupt', printable(cause.message), { cause });
    const advice = tlsAdvice(cause);
    if (advice !== undefined) throw new ClientError('network', `${url} cannot be used: ${advice}`, { cause });
    return new ClientError('network', printable(cause.message), { cause });
  }
}

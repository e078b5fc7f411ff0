/** HTTP requests to a log or to a time-stamp authority: one attempt, and one request with its retries. */
import { printable } from '../../merkle/printable.ts';
import { RuntimeError } from '../../merkle/runtime/runtime-errors.ts';
import { type BackOff, backOffMs, parseRetryAfter } from '../../merkle/runtime/service/back-off.ts';
import { fetchBounded, networkReason } from '../../merkle/runtime/service/fetch.ts';
import { ClientError, cancelled } from '../errors.ts';
import { tlsAdvice } from '../tls-advice.ts';
import type { LogRequestOptions } from './types.ts';

export const DEFAULTS = {
  attemptTimeout: 30_000,
  deadline: 120_000,
  reach: 15_000,
  pauses: { first: 200, longest: 10_000 },
} as const;

/** Longest answer with one entry or with a description, in bytes. */
export const MAX_REPLY = 1024 * 1024;

/** A whole answer of HTTP, whatever its status. */
export interface HttpReply {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Uint8Array;
}

/** The result of one attempt. `sent` is false where the request certainly reached no server. */
export type Attempt =
  | { readonly reply: HttpReply }
  | { readonly why: string; readonly cause: unknown; readonly sent: boolean };

/** Reasons of a failure that the next attempt would meet again. */
const HOPELESS = /bad port|CERT|SELF_SIGNED|UNABLE_TO_|ERR_TLS|ERR_SSL|EPROTO/;
const NOTHING_THERE = ['ECONNREFUSED', 'ENOTFOUND', 'EHOSTUNREACH', 'ENETUNREACH', 'EAI_AGAIN'];

/**
 * One POST of a body (JSON text, or the bytes of a time-stamp query), or one GET where there is none.
 *
 * @param timeout milliseconds until the last byte of the answer
 * @param maxReply bytes
 * @throws ClientError `network` where no other attempt can end better, `bad-reply` (over `maxReply` bytes), `cancelled`
 */
export async function attempt(
  url: string,
  body: string | Uint8Array | undefined,
  timeout: number,
  maxReply: number,
  options: Pick<LogRequestOptions, 'fetch' | 'signal' | 'contentType'>,
): Promise<Attempt> {
  const { fetch, signal, contentType = TIMESTAMP_TYPE } = options;
  const headers = body === undefined ? {} : { 'content-type': typeof body === 'string' ? JSON_TYPE : contentType };
  const about = {
    limit: maxReply,
    timeoutMs: Math.max(1, timeout),
    signal,
    fetch,
    body,
    headers,
    read: 'all',
  } as const;
  try {
    const fetched = await fetchBounded(url, about);
    const { status } = fetched;
    if (status >= 300 && status < 400) throw unusable(url, `unexpected redirect (status ${status})`);
    return { reply: { status, headers: fetched.headers, body: fetched.bytes } };
  } catch (error) {
    if (!(error instanceof RuntimeError)) throw error;
    if (error.code === 'aborted') throw cancelled(error);
    const message = printable(error.message);
    if (error.code === 'too-long') throw new ClientError('bad-reply', message, { cause: error });
    const reason = networkReason(error.cause);
    const advice = tlsAdvice(error);
    if (advice !== undefined || HOPELESS.test(reason)) {
      throw unusable(url, printable(advice ?? reason), error);
    }
    const why = message.startsWith(`${url} `) ? message.slice(url.length + 1) : message;
    return { why, cause: error.cause, sent: !NOTHING_THERE.some((code) => reason.includes(code)) };
  }
}

const JSON_TYPE = 'application/json';
const TIMESTAMP_TYPE = 'application/timestamp-query';

function unusable(url: string, why: string, cause?: unknown): ClientError {
  return new ClientError('network', `${url} cannot be used: ${why}`, { cause });
}

/** What an error says where a service may have taken an entry, and gave no answer. */
const FOUND_AGAIN = 'Trying again later is safe: an entry that was taken is found again, not logged twice';

/**
 * One request, sent again while a retry may help and there is time. The caller gets each answer that no retry changes, also
 * an error.
 *
 * @param maxReply bytes; 1 MiB by default
 * @param unanswered the last sentence of the error where the service was reached, and gave no final answer
 * @throws ClientError `network`, `unavailable`, `bad-reply` (over `maxReply` bytes), `cancelled`
 */
export async function ask(
  url: string,
  body: string | Uint8Array | undefined,
  options: LogRequestOptions,
  maxReply = MAX_REPLY,
  unanswered = FOUND_AGAIN,
): Promise<HttpReply> {
  const { attemptTimeout, deadline, reach, signal } = { ...DEFAULTS, ...options };
  const start = Date.now();
  const end = start + deadline;
  let reached = false;
  for (let attempts = 1; ; attempts++) {
    const made = await attempt(url, body, Math.min(attemptTimeout, end - Date.now()), maxReply, options);
    if ('reply' in made && !mayPass(made.reply.status)) return made.reply;
    const why = 'reply' in made ? describeReply(made.reply) : made.why;
    reached ||= 'reply' in made || made.sent;
    // A log that restarts is back in seconds. A wrong address never answers.
    const last = reached ? end : Math.min(end, start + reach);
    const retryAfter = 'reply' in made ? parseRetryAfter(made.reply.headers.get('retry-after')) : undefined;
    const wait = backOffMs(backOffOf(options), attempts, retryAfter);
    if (Date.now() + wait >= last)
      throw gaveUp(url, made, { attempts, reached, why, ms: Date.now() - start }, unanswered);
    options.onRetry?.({ url, why, wait, attempt: attempts });
    await pause(wait, signal);
  }
}

export function backOffOf({ pauses = DEFAULTS.pauses }: Pick<LogRequestOptions, 'pauses'>): BackOff {
  return { firstMs: pauses.first, longestMs: pauses.longest };
}

/** Whether the same request may succeed later: the status is about this moment, and not about the request. */
export function mayPass(status: number): boolean {
  return status === 429 || status === 408 || status >= 500;
}

/** The error once the time for attempts is over. */
export function gaveUp(
  url: string,
  last: Attempt | undefined,
  tried: { readonly attempts: number; readonly reached: boolean; readonly why: string; readonly ms: number },
  unanswered = FOUND_AGAIN,
): ClientError {
  const { attempts, reached, why, ms } = tried;
  const what = `gave no final answer within ${Math.ceil(ms / 1000)} s (${attempts} attempts; the last: ${why})`;
  const next = reached ? unanswered : 'Is the address right, and does the service there run?';
  const unreachable = last !== undefined && 'cause' in last;
  const cause = unreachable ? { cause: last.cause } : {};
  return new ClientError(unreachable ? 'network' : 'unavailable', `${url} ${what}. ${next}`, cause);
}

/** The error for an answer that no retry changes. */
export function refusal(reply: HttpReply): ClientError {
  return refusalFor(describeReply(reply), callerAdvice(reply.status));
}

/** @param advice what to do, as a sentence */
export function refusalFor(why: string, advice = ''): ClientError {
  return new ClientError('refused', `the log refuses the request: ${why}${advice === '' ? '' : `. ${advice}`}`);
}

/** What to do where a log takes entries of callers that it knows alone. */
export function callerAdvice(status: number): string {
  switch (status) {
    case 401:
      return 'The log needs to know who writes (`writes` in its GET /stele/v1/log says by what): show a client certificate or a token that it takes';
    case 403:
      return 'The log knows who writes, and its access policy does not allow this: ask its operator, or write as another caller';
    default:
      return '';
  }
}

/** Status and the message of a gRPC error, or the first line of the text. */
export function describeReply({ status, body }: HttpReply): string {
  const text = new TextDecoder().decode(body.subarray(0, 4096));
  let message = text.split('\n')[0] ?? '';
  try {
    const json = JSON.parse(text) as { message?: unknown } | null;
    if (typeof json?.message === 'string') message = json.message;
  } catch {
    // The body is plain text.
  }
  return message === '' ? `status ${status}` : `status ${status}, "${printable(message)}"`;
}

/** @throws ClientError `cancelled` */
export function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(cancelled());
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, ms);
    if (signal?.aborted) stop();
    else signal?.addEventListener('abort', stop, { once: true });
  });
}

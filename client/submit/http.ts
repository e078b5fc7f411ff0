/**
 * The client's side of the write API of Rekor v2 and of `GET /stele/v1/log`.
 *
 * A request is sent again, the same bytes, until the log has answered for good: a log that took the entry already answers
 * with that entry. So a time-out, a lost reply or a 503 never costs an entry, and never makes two of one.
 */
import { printable } from '../../merkle/printable.ts';
import { ClientError } from '../errors.ts';
import { array, malformed, parseJson, string } from '../formats/json.ts';
import { type LogEntry, parseLogEntry } from '../formats/log-entry.ts';

export interface HttpOptions {
  readonly fetch?: typeof fetch;
  /** Milliseconds for one attempt; 30,000 unless told. */
  readonly attemptTimeout?: number;
  /** Milliseconds for all attempts together; 120,000 unless told. */
  readonly deadline?: number;
  /** Milliseconds after which an address where nobody ever answered is given up; 15,000 unless told. */
  readonly reach?: number;
  /** Longest answer that is read, in bytes; 1 MiB unless told. */
  readonly maxReply?: number;
  readonly signal?: AbortSignal;
  /** Told before each wait. `wait` is in milliseconds. */
  readonly onRetry?: (retry: { readonly why: string; readonly wait: number; readonly attempt: number }) => void;
}

/** What a log says about itself. Nobody vouches for it but whoever answers at that address. */
export interface LogInfo {
  readonly origin: string;
  /** Verifier keys (c2sp.org/signed-note), the log's own first. */
  readonly verifierKeys: readonly string[];
}

const MAX_REPLY = 1024 * 1024;
const FIRST_WAIT = 200;
const LONGEST_WAIT = 10_000;

/**
 * The base URL of a log: http or https, without credentials, query and fragment. No slash at its end.
 *
 * @throws ClientError `usage`
 */
export function parseLogUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new ClientError(
      'usage',
      `"${printable(text)}" is not the URL of a log; it looks like https://log.example.com`,
    );
  }
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw new ClientError('usage', 'the URL of a log has no user name, password, query or fragment: leave them out');
  }
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '');
}

/**
 * Posts a CreateEntryRequest (proto3 JSON) and resolves with the entry as the log answers it: verify it before use.
 *
 * @param log as `parseLogUrl` gives it
 * @throws ClientError `network`, `unavailable`, `refused`, `bad-reply`, `cancelled`
 */
export async function submitEntry(log: string, request: string, options: HttpOptions = {}): Promise<LogEntry> {
  const reply = await ask(`${log}/api/v2/log/entries`, request, options);
  if (reply.status === 201 || reply.status === 200) return entryOf(reply.body);
  // A log that is configured to answer duplicates with an error still has the entry: fetch it.
  const index = reply.headers.get('x-log-index');
  if (reply.status === 409 && index !== null && /^[0-9]{1,16}$/.test(index)) {
    const there = await ask(`${log}/stele/v1/entries/${index}`, undefined, options);
    if (there.status === 200) return entryOf(there.body);
  }
  throw refused(reply);
}

/** @throws ClientError as `submitEntry` */
export async function fetchLogInfo(log: string, options: HttpOptions = {}): Promise<LogInfo> {
  const reply = await ask(`${log}/stele/v1/log`, undefined, options);
  if (reply.status !== 200) throw refused(reply);
  return checked(() => {
    const info = parseJson(reply.body, 'the description of the log', MAX_REPLY);
    // Not `object`: a newer log may say more about itself.
    if (typeof info !== 'object' || info === null) throw malformed('the description of the log', 'is not an object');
    const { origin, verifierKeys } = info as Record<string, unknown>;
    const keys = array(verifierKeys, 'verifierKeys', 16).map((key) => string(key, 'verifierKeys'));
    return { origin: string(origin, 'origin'), verifierKeys: keys };
  });
}

/** @throws ClientError `bad-reply` */
export function entryOf(body: Uint8Array): LogEntry {
  return checked(() => parseLogEntry(parseJson(body, 'the reply', MAX_REPLY), 'the reply'));
}

/** What `parse` gives; its errors are those of a reply. @throws ClientError `bad-reply` */
export function checked<T>(parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    if (!(cause instanceof ClientError)) throw cause;
    throw new ClientError(
      'bad-reply',
      `the log answered with something else than it should: ${cause.message}. Is the URL that of a log?`,
      {
        cause,
      },
    );
  }
}

/** A whole answer; `status` is none that asks for another attempt. */
export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Uint8Array;
}

/**
 * POST with a body, of JSON or of a time-stamp query, else GET; again and again while a retry may help and there is time. An answer that will not
 * change, an error among them, is the caller's to read.
 *
 * @throws ClientError `network`, `unavailable`, `bad-reply` (over `maxReply` bytes), `cancelled`
 */
export async function ask(url: string, body: string | Uint8Array | undefined, options: HttpOptions): Promise<Reply> {
  const { deadline = 120_000, signal, onRetry } = options;
  const start = Date.now();
  const end = start + deadline;
  let reached = false;
  for (let attempt = 1; ; attempt++) {
    const outcome = await once(url, body, Math.min(options.attemptTimeout ?? 30_000, end - Date.now()), options);
    if ('reply' in outcome && !retriable(outcome.reply.status)) return outcome.reply;
    const why = 'reply' in outcome ? describe(outcome.reply) : outcome.why;
    reached ||= 'reply' in outcome || outcome.sent;
    // A log that restarts is back in seconds; a wrong address never is.
    const last = reached ? end : Math.min(end, start + (options.reach ?? 15_000));
    const asked = 'reply' in outcome ? retryAfter(outcome.reply.headers) : undefined;
    const wait = Math.round(Math.max(asked ?? 0, backOff(attempt)));
    if (Date.now() + wait >= last) throw gaveUp(url, reached, Date.now() - start, attempt, why, outcome);
    onRetry?.({ why, wait, attempt });
    await sleep(wait, signal);
  }
}

/** Milliseconds. Half of them at random, so that clients that were turned away together do not come back together. */
export function backOff(attempt: number): number {
  return Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** Math.min(attempt - 1, 10)) * (0.5 + Math.random() / 2);
}

/** Of one attempt. `sent` is false where the request certainly did not reach anybody. */
export type Outcome =
  | { readonly reply: Reply }
  | { readonly why: string; readonly cause: unknown; readonly sent: boolean };

/** The next attempt would end the same way. */
const HOPELESS = /bad port|unexpected redirect|CERT|SELF_SIGNED|UNABLE_TO_|ERR_TLS|ERR_SSL|EPROTO/;
const NOBODY = ['ECONNREFUSED', 'ENOTFOUND', 'EHOSTUNREACH', 'ENETUNREACH', 'EAI_AGAIN'];

export const AGAIN_IS_SAFE = 'Trying again later is safe: an entry that was taken is found again, not logged twice';

function gaveUp(url: string, reached: boolean, ms: number, attempts: number, why: string, last: Outcome): ClientError {
  const what = `gave no answer within ${Math.ceil(ms / 1000)} s (${attempts} attempts; the last: ${why})`;
  const next = reached ? AGAIN_IS_SAFE : 'Is the address right, and does the log run?';
  const cause = 'cause' in last ? { cause: last.cause } : {};
  return new ClientError('reply' in last ? 'unavailable' : 'network', `${url} ${what}. ${next}`, cause);
}

/**
 * One attempt, of at most `timeout` milliseconds.
 *
 * @throws ClientError `network` where no other attempt can end better, `bad-reply`, `cancelled`
 */
export async function once(
  url: string,
  body: string | Uint8Array | undefined,
  timeout: number,
  options: HttpOptions,
): Promise<Outcome> {
  const { fetch: send = fetch, signal } = options;
  const limit = AbortSignal.timeout(Math.max(1, timeout));
  try {
    const response = await send(url, {
      ...(body === undefined
        ? {}
        : {
            method: 'POST',
            body: body as NonNullable<RequestInit['body']>,
            headers: { 'content-type': typeOf(body) },
          }),
      redirect: 'error',
      signal: signal === undefined ? limit : AbortSignal.any([limit, signal]),
    });
    return {
      reply: {
        status: response.status,
        headers: response.headers,
        body: await readAll(response, options.maxReply ?? MAX_REPLY),
      },
    };
  } catch (cause) {
    if (signal?.aborted) throw new ClientError('cancelled', 'cancelled');
    if (cause instanceof ClientError) throw cause;
    const reason = limit.aborted ? `no answer in ${Math.round(timeout / 1000)} s` : networkError(cause);
    if (HOPELESS.test(reason)) throw new ClientError('network', `${url} cannot be used: ${reason}`, { cause });
    return { why: reason, cause, sent: !NOBODY.some((code) => reason.includes(code)) };
  }
}

function typeOf(body: string | Uint8Array): string {
  return typeof body === 'string' ? 'application/json' : 'application/timestamp-query';
}

async function readAll(response: Response, limit: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  if (response.body !== null) {
    for await (const part of response.body as unknown as AsyncIterable<Uint8Array>) {
      length += part.length;
      if (length > limit) throw new ClientError('bad-reply', `the log answered with more than ${limit} bytes`);
      parts.push(part);
    }
  }
  const all = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Whether the same request may fare better later. */
export function retriable(status: number): boolean {
  return status === 429 || status === 408 || status >= 500;
}

/** `Retry-After` in milliseconds from now: seconds, or an HTTP date (RFC 9110 section 10.2.3); at most a day. */
export function retryAfter(headers: Headers): number | undefined {
  const value = headers.get('retry-after');
  if (value === null) return undefined;
  // Date.parse takes much that is no date of HTTP, "5.5" among it.
  const date = /^[A-Z][a-z]{2,8},? [\x20-\x7e]{10,40}$/.test(value) ? Date.parse(value) - Date.now() : Number.NaN;
  const ms = /^[0-9]{1,9}$/.test(value) ? Number(value) * 1000 : date;
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), 86_400_000);
}

/** The error for an answer that will not change. */
export function refused(reply: Reply): ClientError {
  return new ClientError('refused', `the log refuses the request: ${describe(reply)}`);
}

/** Status and the message of a gRPC error, or the first line of the text. */
export function describe({ status, body }: Reply): string {
  const text = new TextDecoder().decode(body.subarray(0, 4096));
  let message = text.split('\n')[0] ?? '';
  try {
    const json = JSON.parse(text) as { message?: unknown } | null;
    if (typeof json?.message === 'string') message = json.message;
  } catch {
    // Plain text it is.
  }
  return message === '' ? `status ${status}` : `status ${status}, "${printable(message)}"`;
}

/** undici says "fetch failed" and hides the reason one level deeper. */
function networkError(cause: unknown): string {
  const inner = (cause as { cause?: { code?: unknown; message?: unknown } }).cause;
  const reason = inner?.code ?? inner?.message ?? (cause as Error).message;
  return reason === 'ECONNREFUSED' ? 'nothing listens there (ECONNREFUSED)' : printable(String(reason));
}

/** @throws ClientError `cancelled` */
export function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(new ClientError('cancelled', 'cancelled'));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, ms);
    if (signal?.aborted) stop();
    else signal?.addEventListener('abort', stop, { once: true });
  });
}

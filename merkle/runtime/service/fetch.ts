/**
 * A bounded HTTP request: it ends in time, whatever the server does, and never reads more than the caller can hold.
 *
 * Redirects are not followed: another address than the given one would answer. The caller gets the redirect with its
 * status.
 */
import { setMaxListeners } from 'node:events';
import { RuntimeError } from '../runtime-errors.ts';
import { connectionRefused } from './connection-refused.ts';

interface FetchOptions {
  /** Most bytes of the body, after its content encoding is undone. */
  readonly limit: number;
  /** Milliseconds for the whole exchange, from the connection to the last byte. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  /** Default: POST with a body, GET without one. */
  readonly method?: 'PUT' | 'DELETE' | undefined;
  readonly body?: string | Uint8Array | undefined;
  /** Which bodies are read: those of a 200, or all of them. Default `ok`. */
  readonly read?: 'ok' | 'all';
  /** Default: the one of Node. */
  readonly fetch?: typeof fetch | undefined;
  /** Called with the length of each part of the body before it is kept. What it throws ends the request, as a `network` error. */
  readonly onBytes?: ((bytes: number) => void) | undefined;
}

export interface Fetched {
  readonly status: number;
  readonly headers: Headers;
  /** Empty where the body is not read. */
  readonly bytes: Uint8Array;
}

/**
 * Sends one request to `url` (http or https).
 * @throws RuntimeError `network`: no answer, not all of it, or not in time; `too-long`: more than `limit` bytes;
 *   `aborted`: the signal aborted. `networkReason` of the `cause` of a `network` error says why.
 */
export async function fetchBounded(url: string, options: FetchOptions): Promise<Fetched> {
  const { timeoutMs, signal, headers = {}, body, read = 'ok', fetch: send = fetch } = options;
  const method = options.method ?? (body === undefined ? 'GET' : 'POST');
  if (signal?.aborted) throw aborted();
  // Not AbortSignal.any: on Node 20 each call leaves something behind on a signal that lives long, and an audit makes millions.
  const stop = new AbortController();
  const onAbort = () => stop.abort();
  // One signal ends many requests; Node would warn of a leak on stderr from the eleventh on.
  if (signal !== undefined) setMaxListeners(0, signal);
  signal?.addEventListener('abort', onAbort, { once: true });
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    stop.abort();
  }, timeoutMs);
  const content = body === undefined ? {} : { body: body as NonNullable<RequestInit['body']> };
  try {
    const reply = await send(url, { method, ...content, signal: stop.signal, redirect: 'manual', headers });
    const { status } = reply;
    if (status === 200 || read === 'all') {
      return { status, headers: reply.headers, bytes: await readBody(reply, url, options) };
    }
    // A body that is not read would hold its connection.
    await reply.body?.cancel();
    return { status, headers: reply.headers, bytes: new Uint8Array(0) };
  } catch (cause) {
    if (cause instanceof RuntimeError) throw cause;
    if (signal?.aborted) throw aborted();
    if (late) throw new RuntimeError('network', `${url} gave no whole answer within ${timeoutMs / 1000} s`, { cause });
    const refused = connectionRefused(cause);
    if (refused !== undefined) {
      throw new RuntimeError('network', `${url} was not asked: ${refused.message}`, { cause });
    }
    throw new RuntimeError('network', `${url} does not answer: ${networkReason(cause)}`, { cause });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  }
}

/** Why `fetch` failed. undici says "fetch failed" and hides the reason one level deeper. */
export function networkReason(cause: unknown): string {
  const inner = (cause as { cause?: { code?: unknown; message?: unknown } }).cause;
  const reason = String(inner?.code ?? inner?.message ?? (cause as Error).message);
  const why = REASONS[reason];
  return why === undefined ? reason : `${why} (${reason})`;
}

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'there is no host of that name',
  EAI_AGAIN: 'the host name cannot be looked up now',
  ECONNRESET: 'the connection was cut off',
  EHOSTUNREACH: 'the host cannot be reached',
  ENETUNREACH: 'the network cannot be reached',
  ETIMEDOUT: 'nothing answers in time',
  UND_ERR_CONNECT_TIMEOUT: 'nothing answers in time',
};

async function readBody(reply: Response, url: string, { limit, onBytes }: FetchOptions): Promise<Uint8Array> {
  if (reply.body === null) return new Uint8Array(0);
  const chunks: Uint8Array[] = [];
  let length = 0;
  // An error that leaves the loop cancels the body.
  for await (const chunk of reply.body as unknown as AsyncIterable<Uint8Array>) {
    length += chunk.length;
    if (length > limit) throw new RuntimeError('too-long', `${url} answers with more than ${limit} bytes`);
    onBytes?.(chunk.length);
    chunks.push(chunk);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

function aborted(): RuntimeError {
  return new RuntimeError('aborted', 'the request was aborted');
}

/**
 * A bounded HTTP GET: it ends in time, whatever the server does, and never reads more than the caller can hold.
 *
 * Redirects are not followed, as whoever is sent elsewhere is asked about another address than the one that was given:
 * the reply comes back as it is, with its status. Only the body of a 200 is read.
 */
import { setMaxListeners } from 'node:events';
import { RuntimeError } from '../runtime-errors.ts';

export interface FetchOptions {
  /** Most bytes of the body, after its content encoding was undone. */
  readonly limit: number;
  /** Milliseconds for all of it, from the connection to the last byte. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Fetched {
  readonly status: number;
  readonly headers: Headers;
  /** Empty unless the status is 200. */
  readonly bytes: Uint8Array;
}

/**
 * Fetches `url` (http or https) once.
 *
 * @throws RuntimeError `network`: no answer, not all of it, or not in time; `too-long`: more than `limit` bytes;
 *   `aborted`: the signal said so
 */
export async function fetchBounded(url: string, options: FetchOptions): Promise<Fetched> {
  const { limit, timeoutMs, signal, headers = {} } = options;
  if (signal?.aborted) throw aborted();
  // Not AbortSignal.any: on Node 20 each call leaves something behind on a signal that lives long, and an audit makes millions.
  const stop = new AbortController();
  const onAbort = () => stop.abort();
  // One signal ends many fetches; Node would warn of a leak on stderr from the eleventh on.
  if (signal !== undefined) setMaxListeners(0, signal);
  signal?.addEventListener('abort', onAbort, { once: true });
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    stop.abort();
  }, timeoutMs);
  try {
    const reply = await fetch(url, { signal: stop.signal, redirect: 'manual', headers });
    const { status } = reply;
    if (status === 200) return { status, headers: reply.headers, bytes: await readBody(reply, url, limit) };
    // What is not read would hold its connection.
    await reply.body?.cancel();
    return { status, headers: reply.headers, bytes: new Uint8Array(0) };
  } catch (cause) {
    if (cause instanceof RuntimeError) throw cause;
    if (signal?.aborted) throw aborted();
    if (late) throw new RuntimeError('network', `${url} gave no whole answer within ${timeoutMs / 1000} s`, { cause });
    throw new RuntimeError('network', `${url} does not answer: ${reasonOf(cause)}`, { cause });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  }
}

async function readBody(reply: Response, url: string, limit: number): Promise<Uint8Array> {
  if (reply.body === null) return new Uint8Array(0);
  const chunks: Uint8Array[] = [];
  let length = 0;
  // Leaving the loop by an error cancels the body.
  for await (const chunk of reply.body as unknown as AsyncIterable<Uint8Array>) {
    length += chunk.length;
    if (length > limit) throw new RuntimeError('too-long', `${url} answers with more than ${limit} bytes`);
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
  return new RuntimeError('aborted', 'waiting for an answer was given up');
}

/** undici says "fetch failed" and hides the reason one level deeper. */
function reasonOf(cause: unknown): string {
  const inner = (cause as { cause?: { code?: unknown; message?: unknown } }).cause;
  const reason = String(inner?.code ?? inner?.message ?? (cause as Error).message);
  return reason === 'ECONNREFUSED' ? 'nothing listens there (ECONNREFUSED)' : reason;
}

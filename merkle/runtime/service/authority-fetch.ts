/**
 * `fetch` with certificate authorities of the caller's choice, or with a guard over the addresses that it connects to. Node's own
 * `fetch` takes neither, and a list for the whole process (NODE_EXTRA_CA_CERTS) only adds to the authorities of the system.
 */
import http from 'node:http';
import https from 'node:https';
import { Readable } from 'node:stream';
import type { AddressGuard } from './address-guard.ts';

/** Statuses whose answer has no body (Fetch standard, "null body status"). */
const NO_BODY = [204, 205, 304];

/**
 * A `fetch` for https URLs that trusts `authorities` and nobody else: not the system's, and not those that the environment
 * names. It follows no redirect, and sends and reads bodies as they are. http URLs go to Node's `fetch`.
 *
 * Nothing turns the check of the server's certificate off, NODE_TLS_REJECT_UNAUTHORIZED neither.
 *
 * @param authorities certificates in PEM
 */
export function fetchTrusting(authorities: readonly string[]): typeof fetch {
  const agent = new https.Agent({ keepAlive: true, ca: [...authorities], rejectUnauthorized: true });
  return async (input, init = {}) => {
    const url = new URL(String(input));
    if (url.protocol !== 'https:') return await fetch(url, init);
    return await sendBy(https, url, { agent }, init);
  };
}

/**
 * A `fetch` for http and https URLs that connects only to addresses which the guard permits, also where a name leads to another one.
 * Otherwise as `fetchTrusting`.
 *
 * @param authorities certificates in PEM; the system's where it is undefined
 */
export function fetchGuarded(guard: AddressGuard, authorities?: readonly string[]): typeof fetch {
  // Agents of its own: a connection that another guard permitted is not taken over.
  const ca = authorities === undefined ? {} : { ca: [...authorities] };
  const agents = {
    'https:': new https.Agent({ keepAlive: true, rejectUnauthorized: true, ...ca }),
    'http:': new http.Agent({ keepAlive: true }),
  };
  return async (input, init = {}) => {
    const url = new URL(String(input));
    if (url.protocol !== 'https:' && url.protocol !== 'http:')
      throw new TypeError(`${url.protocol} is no protocol of the web`);
    guard.checkLiteral(url.hostname);
    const options = { agent: agents[url.protocol], lookup: guard.lookup };
    return await sendBy(url.protocol === 'https:' ? https : http, url, options, init);
  };
}

/**
 * Sends one request of a `fetch` through `node:http` or `node:https`.
 * @param through the agent, and what else Node's `request` takes
 */
export async function sendBy(
  by: typeof http | typeof https,
  url: URL,
  through: https.RequestOptions,
  init: RequestInit,
): Promise<Response> {
  const { method = 'GET', headers = {}, body, signal } = init;
  const bytes = typeof body === 'string' || body instanceof Uint8Array ? Buffer.from(body) : Buffer.alloc(0);
  const head = {
    ...(headers as Record<string, string>),
    ...(method === 'GET' ? {} : { 'content-length': bytes.length }),
  };
  return await new Promise<Response>((resolve, reject) => {
    const failed = (cause: unknown) => reject(new TypeError('fetch failed', { cause }));
    const options = { ...through, method, headers: head, ...(signal ? { signal } : {}) };
    const sent = by.request(url, options, (reply) => {
      const { statusCode: status = 0, headersDistinct } = reply;
      const pairs = Object.entries(headersDistinct).flatMap(([name, values = []]) => values.map((one) => [name, one]));
      try {
        const stream = NO_BODY.includes(status) ? null : (Readable.toWeb(reply) as ReadableStream<Uint8Array>);
        if (stream === null) reply.resume();
        resolve(new Response(stream, { status, headers: pairs as [string, string][] }));
      } catch (error) {
        reply.destroy();
        failed(error);
      }
    });
    sent.on('error', failed);
    // Node tells a request that it is aborted only once it has a connection.
    signal?.addEventListener('abort', () => failed(signal.reason), { once: true });
    sent.end(bytes);
  });
}

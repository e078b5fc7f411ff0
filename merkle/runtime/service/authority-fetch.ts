/**
 * `fetch` with certificate authorities of the caller's choice. Node's own `fetch` takes no authorities, and a list for the
 * whole process (NODE_EXTRA_CA_CERTS) only adds to those of the system.
 */
import { Agent, request } from 'node:https';
import { Readable } from 'node:stream';

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
  const agent = new Agent({ keepAlive: true, ca: [...authorities], rejectUnauthorized: true });
  return async (input, init = {}) => {
    const url = new URL(String(input));
    if (url.protocol !== 'https:') return await fetch(url, init);
    const { method = 'GET', headers = {}, body, signal } = init;
    const bytes = typeof body === 'string' || body instanceof Uint8Array ? Buffer.from(body) : Buffer.alloc(0);
    const head = {
      ...(headers as Record<string, string>),
      ...(method === 'GET' ? {} : { 'content-length': bytes.length }),
    };
    return await new Promise<Response>((resolve, reject) => {
      const failed = (cause: unknown) => reject(new TypeError('fetch failed', { cause }));
      const options = { agent, method, headers: head, ...(signal ? { signal } : {}) };
      const sent = request(url, options, (reply) => {
        const { statusCode: status = 0, headersDistinct } = reply;
        const pairs = Object.entries(headersDistinct).flatMap(([name, values = []]) =>
          values.map((one) => [name, one]),
        );
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
      sent.end(bytes);
    });
  };
}

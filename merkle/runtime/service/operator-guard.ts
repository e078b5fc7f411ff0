/**
 * Guards the calls of an admin port that change something: the caller must have the token, and must not be a web page.
 * A request with an `Origin`, or for a host name that is not this machine's (DNS rebinding), is refused before the token
 * is compared.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]']);

/** A function that says in one sentence why a request is refused; undefined where the request is allowed. */
export function operatorGuard(token: string): (request: IncomingMessage) => string | undefined {
  const expected = digest(`Bearer ${token}`);
  return (request) => {
    const refused = whyForeign(request);
    if (refused !== undefined) return refused;
    if (timingSafeEqual(digest(request.headers.authorization ?? ''), expected)) return undefined;
    return 'this needs the header "Authorization: Bearer <admin token>"';
  };
}

/** Why the request may come from a web page; undefined where it does not. */
function whyForeign({ headers, socket }: IncomingMessage): string | undefined {
  if (headers.origin !== undefined) return 'requests of web pages are not taken here';
  const host = (headers.host ?? '').replace(/:[0-9]+$/, '').toLowerCase();
  const bound = socket.localAddress?.replace(/^::ffff:/, '');
  if (LOOPBACK.has(host) || host === bound || host === `[${bound}]`) return undefined;
  return 'the Host header must be localhost, a loopback address or the address that the admin port is bound to';
}

/** A hash, because `timingSafeEqual` compares only texts of one length. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

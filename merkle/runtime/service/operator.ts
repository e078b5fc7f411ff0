/**
 * Who may change something through an admin port: whoever holds the token, and never a web page. A request with an
 * `Origin`, or for a host name that is not this machine's (DNS rebinding), is refused before the token is looked at.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]']);

/** A function that says why a request is refused, in one sentence, or undefined where it may go on. */
export function operatorGuard(token: string): (request: IncomingMessage) => string | undefined {
  const expected = digest(`Bearer ${token}`);
  return (request) => {
    const refused = notFromHere(request);
    if (refused !== undefined) return refused;
    if (timingSafeEqual(digest(request.headers.authorization ?? ''), expected)) return undefined;
    return 'this needs the header "Authorization: Bearer <admin token>"';
  };
}

/** Why the request may be a web page's, undefined where it is not. */
function notFromHere({ headers, socket }: IncomingMessage): string | undefined {
  if (headers.origin !== undefined) return 'requests of web pages are not taken here';
  const host = (headers.host ?? '').replace(/:[0-9]+$/, '').toLowerCase();
  const bound = socket.localAddress?.replace(/^::ffff:/, '');
  if (LOOPBACK.has(host) || host === bound || host === `[${bound}]`) return undefined;
  return 'the Host header must be localhost, a loopback address or the address that the admin port is bound to';
}

/** Hashed, as `timingSafeEqual` wants equal lengths. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/**
 * Guards an admin port. No web page may use it: a request with an `Origin` is refused, and so is one for a host name that is not
 * this machine's, because a page can give its own name the address of this machine (DNS rebinding) and then read every
 * answer. A call that changes something needs the token as well.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

const LOOPBACK = ['localhost', '127.0.0.1', '[::1]'];

/** Says in one sentence why a request is refused; undefined where the request is allowed. */
type Guard = (request: IncomingMessage) => string | undefined;

/**
 * @param hosts further names and addresses by which the port is called
 * @param setting the setting that holds them, for the message
 */
export function pageGuard(hosts: readonly string[], setting: string): Guard {
  const names = new Set([...LOOPBACK, ...hosts.map((host) => hostText(host.toLowerCase()))]);
  return ({ headers, socket }) => {
    if (headers.origin !== undefined) return 'requests of web pages are not taken here';
    const host = (headers.host ?? '').replace(/:[0-9]*$/, '').toLowerCase();
    const bound = socket.localAddress?.replace(/^::ffff:/, '');
    if (names.has(host) || (bound !== undefined && host === hostText(bound))) return undefined;
    return `the Host header must be localhost, a loopback address, the address that this port is bound to, or a name in \`${setting}\``;
  };
}

/** As `pageGuard`, and the caller must have the token. */
export function operatorGuard(token: string, ofPages: Guard): Guard {
  const expected = digest(`Bearer ${token}`);
  return (request) => {
    const refused = ofPages(request);
    if (refused !== undefined) return refused;
    if (timingSafeEqual(digest(request.headers.authorization ?? ''), expected)) return undefined;
    return 'this needs the header "Authorization: Bearer <admin token>"';
  };
}

/** As a Host header has it: an IPv6 address in brackets. */
function hostText(host: string): string {
  return host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
}

/** A hash, because `timingSafeEqual` compares only texts of one length. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

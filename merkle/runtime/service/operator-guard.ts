/**
 * Guards an admin port. No web page may use it: a request with an `Origin` is refused, and so is one for a host name that is not
 * this machine's, because a page can give its own name the address of this machine (DNS rebinding) and then read every
 * answer. A call that changes something needs the token as well.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Gate } from '../identity/gate.ts';
import type { Route } from './app.ts';

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

/** Why an operator's call is refused. */
interface OperatorRefusal {
  readonly status: 401 | 403 | 429 | 503;
  readonly message: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Thrown by a route. The service answers it in its own form. */
export class OperatorRefused extends Error {
  readonly refusal: OperatorRefusal;

  constructor(refusal: OperatorRefusal) {
    super(refusal.message);
    this.refusal = refusal;
  }
}

interface OperatorOptions {
  readonly ofPages: Guard;
  /** Undefined: the token is refused. */
  readonly token: string | undefined;
  /** Undefined: nobody is known by identity, and reading needs nothing. */
  readonly gate?: Gate | undefined;
}

/**
 * Judges the calls of a port: as `pageGuard`, and then by the token, or by the identity of the caller.
 *
 * @returns what throws `OperatorRefused` where a call is not allowed: `admin` for the calls that change something, and `read`
 */
export function operatorGuard({ ofPages, token, gate }: OperatorOptions) {
  const expected = token === undefined ? undefined : digest(`Bearer ${token}`);
  return async (request: IncomingMessage, action: 'admin' | 'read'): Promise<void> => {
    const ofPage = ofPages(request);
    if (ofPage !== undefined) {
      throw new OperatorRefused({ status: action === 'admin' ? 401 : 403, message: ofPage, headers: BEARER });
    }
    if (action === 'read' && gate === undefined) return;
    const { authorization = '' } = request.headers;
    if (expected !== undefined && timingSafeEqual(digest(authorization), expected)) return;
    if (gate === undefined) {
      const message = 'this needs the header "Authorization: Bearer <admin token>"';
      throw new OperatorRefused({ status: 401, message, headers: BEARER });
    }
    try {
      await gate.admit(request, { action });
    } catch (error) {
      const refused = gate.refusalOf(error);
      if (refused === undefined) throw error;
      throw new OperatorRefused({ ...refused, message: `${refused.code}: ${refused.message}` });
    }
  };
}

type OperatorGuard = ReturnType<typeof operatorGuard>;

/** What shows more than whether the service works: who may read it is for the access policy to say. */
const READ = ['/metrics', '/logs'];

/** The routes, of which those that show more than the state need `read` where callers are known by identity. */
export function guardReads(routes: readonly Route[], guard: OperatorGuard): Route[] {
  return routes.map((route) =>
    route.method !== 'GET' || !READ.includes(route.path)
      ? route
      : {
          ...route,
          answer: async (call) => {
            await guard(call.request, 'read');
            return await route.answer(call);
          },
        },
  );
}

const BEARER = { 'www-authenticate': 'Bearer' };

/** As a Host header has it: an IPv6 address in brackets. */
function hostText(host: string): string {
  return host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
}

/** A hash, because `timingSafeEqual` compares only texts of one length. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

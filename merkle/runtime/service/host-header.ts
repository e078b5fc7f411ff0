/** The host that a request names: in its `Host` header, and in an absolute target. */
import type { IncomingMessage } from 'node:http';

/** `uri-host [ ":" port ]` of RFC 9110 section 7.2, where the host is not empty (section 4.2.1). */
const HOST = /^(?:\[[0-9A-Za-z:.%_~-]+\]|[0-9A-Za-z._~!$&'()*+,;=%-]+)(?::[0-9]{0,5})?$/;

/**
 * Why a request has another `Host` header than RFC 9112 section 3.2 wants, for a person; undefined where it is right. A proxy
 * and a server that read two headers in two ways disagree about what was asked for.
 */
export function hostProblem({ rawHeaders, httpVersion }: IncomingMessage): string | undefined {
  let host: string | undefined;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!;
    if (name.length !== 4 || name.toLowerCase() !== 'host') continue;
    if (host !== undefined) return 'the request has two Host headers';
    host = rawHeaders[i + 1]!;
  }
  if (host === undefined) return httpVersion === '1.0' ? undefined : 'the request has no Host header';
  return isHost(host) ? undefined : 'the Host header is no host name with an optional port';
}

/** Whether a `Host` header, or the `:authority` of HTTP/2 (RFC 9113 section 8.3.1), names a host. */
export function isHost(text: string | undefined): boolean {
  return text !== undefined && HOST.test(text);
}

/** `absolute-form` of RFC 9112 section 3.2.2: the authority, and what follows it. */
const ABSOLUTE = /^https?:\/\/([^/?#]*)(.*)$/is;

/**
 * Gives a request with an absolute target the path that it names, as every other request has it. Why its target is refused, for a
 * person; undefined where it is right.
 */
export function targetProblem(request: IncomingMessage): string | undefined {
  const { url = '' } = request;
  if (url.startsWith('/')) return undefined;
  const [, authority, rest = ''] = ABSOLUTE.exec(url) ?? [];
  if (authority === undefined) return undefined;
  if (authority.toLowerCase() !== request.headers.host?.toLowerCase()) {
    return 'the target of the request and its Host header name two hosts';
  }
  request.url = rest.startsWith('/') ? rest : `/${rest}`;
  return undefined;
}

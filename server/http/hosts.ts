/** Which log a request is for: its `Host` header names it. */
import type { IncomingMessage } from 'node:http';

/**
 * The host of a `Host` header as an origin is written: in lower case, without the port and without the dot at the end of a
 * full name. The header has the form that `hostProblem` (merkle/runtime/service/host-header.ts) checks. No other header counts:
 * what a client can make up, such as `X-Forwarded-Host`, must not choose a log behind a cache that does not know the header.
 */
export function hostName(header: string): string {
  const host = header.startsWith('[') ? header.slice(0, header.indexOf(']') + 1) : header.replace(/:[0-9]*$/, '');
  return host.toLowerCase().replace(/\.$/, '');
}

/** The `Host` header as it came; undefined for HTTP/1.0 without one. `headers` would be made of all headers of each request. */
export function hostHeader({ rawHeaders }: IncomingMessage): string | undefined {
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!;
    if (name.length === 4 && name.toLowerCase() === 'host') return rawHeaders[i + 1];
  }
  return undefined;
}

/** Lets a server that closes end soon, although its clients keep connections open. */
import type http from 'node:http';
import type https from 'node:https';

const DRAIN_POLL_MS = 20;

/**
 * Node's `close` waits for connections that never sent a request, and for those whose last reply said "keep-alive" although
 * it went out after `close` was called. These are closed here.
 */
export function drainOnClose(server: http.Server | https.Server, destroySilent: () => void): void {
  const close = server.close.bind(server);
  server.close = (callback) => {
    const poll = setInterval(() => {
      server.closeIdleConnections();
      destroySilent();
    }, DRAIN_POLL_MS);
    server.once('close', () => clearInterval(poll));
    return close((error) => {
      clearInterval(poll);
      callback?.(error);
    });
  };
}

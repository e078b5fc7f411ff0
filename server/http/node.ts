/**
 * The Node server below Fastify: what keeps a slow or silent client from holding a slot for good.
 *
 * | a client that … | is cut by |
 * |---|---|
 * | connects and is silent, or sends its head slowly | `headersTimeout` |
 * | sends its body slowly | `requestTimeout` |
 * | idles between requests | `keepAliveTimeout` |
 * | does not take its reply, or takes it too slowly | `replyTimeout` |
 *
 * Node looks at the first two only every `connectionsCheckingInterval`, 30 s by default.
 */
import http from 'node:http';
import https from 'node:https';
import type { Socket } from 'node:net';
import type { Config } from '../config/load.ts';
import { type RequestError, requestError } from '../errors.ts';
import { rawReply } from './answers.ts';
import type { HttpOptions } from './context.ts';

const DRAIN_POLL_MS = 20;

/** Bytes a second at which the slowest client that is served reads its reply. */
const REPLY_RATE = 16 * 1024;

type Limits = Pick<
  Config['limits'],
  'headerBytes' | 'connections' | 'requestTimeout' | 'headersTimeout' | 'keepAliveTimeout' | 'replyTimeout'
>;

/** A reply that its client has not read yet: how many bytes must be out, and by when. */
interface Unread {
  readonly drained: number;
  readonly until: number;
}

export function createNodeServer(
  limits: Limits,
  handler: http.RequestListener,
  { tls, replyRate = REPLY_RATE }: Pick<HttpOptions, 'tls' | 'replyRate'> = {},
): http.Server | https.Server {
  const { headersTimeout, requestTimeout, replyTimeout } = limits;
  const interval = Math.max(20, Math.min(1000, Math.floor(Math.min(headersTimeout, requestTimeout) / 4)));
  const options = {
    maxHeaderSize: limits.headerBytes,
    headersTimeout: Math.min(headersTimeout, requestTimeout),
    requestTimeout,
    keepAliveTimeout: limits.keepAliveTimeout,
    connectionsCheckingInterval: interval,
  };
  const server =
    tls === undefined
      ? http.createServer(options, handler)
      : https.createServer({ ...options, ...tls, handshakeTimeout: headersTimeout }, handler);
  server.maxConnections = limits.connections;

  // The body reader refuses a body that is too large without a "100 Continue".
  server.on('checkContinue', (request: http.IncomingMessage, response: http.ServerResponse) => {
    request.once('resume', () => {
      if (!response.headersSent) response.writeContinue();
    });
    server.emit('request', request, response);
  });

  const sockets = new Map<Socket, Unread | undefined>();
  const handshakes = new Map<string, Socket>();
  const onConnection = (socket: Socket) => {
    sockets.set(socket, undefined);
    socket.once('close', () => sockets.delete(socket));
  };
  if (tls === undefined) {
    server.on('connection', onConnection);
  } else {
    server.on('connection', (socket: Socket) => {
      const peer = peerOf(socket);
      handshakes.set(peer, socket);
      socket.once('close', () => handshakes.delete(peer));
    });
    server.on('secureConnection', (socket: Socket) => {
      handshakes.delete(peerOf(socket));
      onConnection(socket);
    });
  }
  const replyInterval = Math.max(20, Math.min(1000, Math.floor(replyTimeout / 4)));
  const timer = setInterval(() => cutSlowReaders(sockets, replyTimeout, replyRate), replyInterval);
  timer.unref();
  server.once('close', () => clearInterval(timer));
  drainOnClose(server, () => {
    for (const socket of handshakes.values()) socket.destroy();
    for (const socket of sockets.keys()) if (socket.bytesRead === 0) socket.destroy();
  });
  return server;
}

/**
 * Uses public counters alone. Node reports the bytes that it handed to the kernel one whole write at a time, so the time
 * allowed grows with the bytes that wait, and progress is the bytes that have gone.
 */
function cutSlowReaders(sockets: Map<Socket, Unread | undefined>, replyTimeout: number, replyRate: number): void {
  const now = performance.now();
  for (const [socket, unread] of sockets) {
    const waiting = socket.writableLength;
    const drained = socket.bytesWritten - waiting;
    if (waiting === 0) {
      if (unread !== undefined) sockets.set(socket, undefined);
    } else if (unread === undefined || drained >= unread.drained) {
      const until = now + replyTimeout + (waiting / replyRate) * 1000;
      sockets.set(socket, { drained: drained + waiting, until });
    } else if (now > unread.until) {
      socket.destroy();
    }
  }
}

/**
 * Node's `close` waits for connections that never sent a request, and for those whose last reply said "keep-alive" although
 * it went out after `close` was called. These are closed here.
 */
function drainOnClose(server: http.Server | https.Server, destroySilent: () => void): void {
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

/** Names a connection before and after its TLS handshake, for which Node has two sockets. */
function peerOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

/** Answers bytes that never became a request, or stopped within one, and ends the connection. */
export function onClientError(error: Error & { code?: string }, socket: Socket & { _httpMessage?: unknown }): void {
  // Node sets `_httpMessage` while a reply is under way; its own handler reads it too. The client would read bytes written
  // into the middle of a reply as a part of it.
  const message = socket._httpMessage as { readonly headersSent?: boolean } | null | undefined;
  const reply = clientError(error.code);
  if (reply === undefined || !socket.writable || message?.headersSent === true) {
    socket.destroy();
    return;
  }
  socket.write(rawReply(reply));
  // Not `end`: a client that never closes its side would keep the slot.
  socket.destroySoon();
}

/** Undefined if no client is left to read an answer: after a reset connection or a failed TLS handshake. */
function clientError(code: string | undefined): RequestError | undefined {
  switch (code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return requestError('timeout');
    case 'HPE_HEADER_OVERFLOW':
      return requestError('headers-too-large');
    case 'HPE_INVALID_EOF_STATE':
      return requestError('malformed', 'the request stopped before its end');
    default:
      if (code?.startsWith('HPE_') !== true) return undefined;
      return requestError('malformed', 'the request is not valid HTTP/1.1');
  }
}

/**
 * The Node server below Fastify: what keeps a slow or silent client from holding a slot for good.
 *
 * | a client that … | is cut by |
 * |---|---|
 * | connects and is silent, or sends its head slowly | `headersTimeoutMs` |
 * | sends its body slowly | `requestTimeoutMs` |
 * | idles between requests | `keepAliveTimeoutMs` |
 * | does not take its reply, or takes it too slowly | `replyTimeoutMs` |
 *
 * Node looks at the first two only every `connectionsCheckingInterval`, 30 s by default.
 */
import http from 'node:http';
import https from 'node:https';
import type { Socket } from 'node:net';
import { type RequestError, requestError } from '../errors.ts';
import { rawReply } from './answers.ts';
import type { HttpSettings } from './options.ts';

const DRAIN_POLL_MS = 20;

type Limits = Pick<
  HttpSettings,
  | 'headerBytes'
  | 'connections'
  | 'requestTimeoutMs'
  | 'headersTimeoutMs'
  | 'keepAliveTimeoutMs'
  | 'replyTimeoutMs'
  | 'replyRate'
  | 'tls'
>;

/** A reply that its client has not taken yet: what must be out, and by when. */
interface Unread {
  readonly drained: number;
  readonly until: number;
}

export function createNodeServer(limits: Limits, handler: http.RequestListener): http.Server | https.Server {
  const { headersTimeoutMs, requestTimeoutMs, replyTimeoutMs } = limits;
  const interval = Math.max(20, Math.min(1000, Math.floor(Math.min(headersTimeoutMs, requestTimeoutMs) / 4)));
  const options = {
    maxHeaderSize: limits.headerBytes,
    headersTimeout: Math.min(headersTimeoutMs, requestTimeoutMs),
    requestTimeout: requestTimeoutMs,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    connectionsCheckingInterval: interval,
  };
  const server =
    limits.tls === undefined
      ? http.createServer(options, handler)
      : https.createServer({ ...options, ...limits.tls, handshakeTimeout: headersTimeoutMs }, handler);
  server.maxConnections = limits.connections;

  // The body reader sees a client that waits for "100 Continue", and refuses what is too large without it.
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
  if (limits.tls === undefined) {
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
  const replyInterval = Math.max(20, Math.min(1000, Math.floor(replyTimeoutMs / 4)));
  const timer = setInterval(() => cutSlowReaders(sockets, limits), replyInterval);
  timer.unref();
  server.once('close', () => clearInterval(timer));
  drainOnClose(server, () => {
    for (const socket of handshakes.values()) socket.destroy();
    for (const socket of sockets.keys()) if (socket.bytesRead === 0) socket.destroy();
  });
  return server;
}

/**
 * Only public counters: what Node handed to the kernel is seen a whole write at a time, so the time allowed grows with
 * what is waiting, and progress is what of it has gone.
 */
function cutSlowReaders(sockets: Map<Socket, Unread | undefined>, { replyTimeoutMs, replyRate }: Limits): void {
  const now = performance.now();
  for (const [socket, unread] of sockets) {
    const waiting = socket.writableLength;
    const drained = socket.bytesWritten - waiting;
    if (waiting === 0) {
      if (unread !== undefined) sockets.set(socket, undefined);
    } else if (unread === undefined || drained >= unread.drained) {
      const until = now + replyTimeoutMs + (waiting / replyRate) * 1000;
      sockets.set(socket, { drained: drained + waiting, until });
    } else if (now > unread.until) {
      socket.destroy();
    }
  }
}

/**
 * Node's `close` waits for connections that never sent a request, and for those whose last reply went out after it was
 * called with "keep-alive" in its head.
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

/** Answers what never became a request, or stopped being one, and ends the connection. */
export function onClientError(error: Error & { code?: string }, socket: Socket & { _httpMessage?: unknown }): void {
  // Node sets `_httpMessage` while a reply is under way; its own handler looks at it too. Bytes written into the middle
  // of a reply would be taken for a part of it.
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

/** Undefined where nobody is left to read an answer: a reset connection, a failed TLS handshake. */
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

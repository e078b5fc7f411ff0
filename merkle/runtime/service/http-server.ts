/**
 * The Node server below every port of Stele: what keeps a slow or silent client from holding a slot for good.
 *
 * | a client that … | is cut by |
 * |---|---|
 * | connects and is silent, or sends its head slowly | `headersTimeout` |
 * | sends its body slowly | `requestTimeout` |
 * | idles between requests | `keepAliveTimeout` |
 * | does not take its reply, or takes it too slowly | `replyTimeout` |
 * | sends on after it was answered | `LINGER_MS`, `LINGER_BYTES` |
 *
 * How many connections a client may have: connections.ts. Its bodies: request-bodies.ts.
 *
 * Node looks at the first two only every `connectionsCheckingInterval`, 30 s by default.
 */
import http from 'node:http';
import https from 'node:https';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { ClientAddresses } from './client-address.ts';
import { type ConnectionLimits, type ConnectionRefusal, Connections } from './connections.ts';
import { drainOnClose } from './drain-on-close.ts';
import { hostProblem, targetProblem } from './host-header.ts';
import { ALPN, Http2Port } from './http2-port.ts';
import type { PortMetrics } from './port-metrics.ts';
import type { RequestBodies } from './request-bodies.ts';
import { contextOf, type TlsPair } from './tls-files.ts';

/** Bytes a second at which the slowest client that is served reads its reply. */
const REPLY_RATE = 16 * 1024;

/** Milliseconds for which the rest of a body is read and thrown away, once the request is answered, and bytes of it. */
const LINGER_MS = 2000;
const LINGER_BYTES = 1024 * 1024;
const LINGER_POLL_MS = 20;

interface HttpLimits extends ConnectionLimits {
  /** Bytes of the request line and the headers, all together. */
  readonly headerBytes: number;
  /** Milliseconds for a whole request, and for its head. */
  readonly requestTimeout: number;
  readonly headersTimeout: number;
  /** Milliseconds without a request on an open connection. */
  readonly keepAliveTimeout: number;
  /** Milliseconds for a reply, and one second more for each 16 KiB of it. */
  readonly replyTimeout: number;
}

/** A whole reply. */
export interface Answer<Content = string | Uint8Array> {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Content;
}

/** Why a request is refused before a route sees it. */
export type Refusal = 'timeout' | 'headers-too-large' | 'malformed';

interface HttpServerOptions {
  /** `connections` and `connectionsPerAddress` are read at each new connection. */
  readonly limits: () => HttpLimits;
  readonly clients: ClientAddresses;
  readonly handler: http.RequestListener;
  /** Takes the bodies that the handler does not read. */
  readonly bodies: Pick<RequestBodies, 'discard'>;
  /** The reply of this service for a refusal. `why` is for a person, and only for `malformed`. */
  readonly refuse: (refusal: Refusal, why?: string) => Answer<string>;
  /** Plain HTTP if undefined. */
  readonly tls?: TlsPair | undefined;
  /** Takes HTTP/2 too, from clients that choose it in their TLS handshake. */
  readonly http2?: boolean;
  /** Rate at which the slowest client that is served reads its reply, in bytes a second. Default 16 KiB. */
  readonly replyRate?: number | undefined;
  readonly metrics?: PortMetrics;
}

export function createHttpServer(options: HttpServerOptions): http.Server | https.Server {
  const { limits, clients, refuse, tls, metrics, replyRate = REPLY_RATE } = options;
  const { headerBytes, headersTimeout, requestTimeout, keepAliveTimeout, replyTimeout } = limits();
  const interval = Math.max(20, Math.min(1000, Math.floor(Math.min(headersTimeout, requestTimeout) / 4)));
  const nodeOptions = {
    maxHeaderSize: headerBytes,
    headersTimeout: Math.min(headersTimeout, requestTimeout),
    requestTimeout,
    keepAliveTimeout,
    connectionsCheckingInterval: interval,
    // `guarded` refuses what Node would, and more.
    requireHostHeader: false,
  };
  const handler = guarded(options);
  const server =
    tls === undefined
      ? http.createServer(nodeOptions, handler)
      : https.createServer(
          { ...nodeOptions, ...tlsOptions(tls, options.http2), handshakeTimeout: headersTimeout },
          handler,
        );
  server.on('clientError', (error, socket) => answerClientError(error, socket as Socket, refuse));

  // The body reader refuses a body that is too large without a "100 Continue".
  server.on('checkContinue', (request: http.IncomingMessage, response: http.ServerResponse) => {
    request.once('resume', () => {
      if (!response.headersSent) response.writeContinue();
    });
    server.emit('request', request, response);
  });

  // Node would answer this by itself, and then read the body for as long as it comes.
  server.on('checkExpectation', (_request: http.IncomingMessage, response: http.ServerResponse) => {
    refuseRequest(response, refuse('malformed', 'the Expect header is not 100-continue'));
  });

  const refused = (refusal: ConnectionRefusal) => metrics?.connectionRefused(refusal);
  const connections = new Connections({ limits, clients, refused });
  if (metrics !== undefined) metrics.connections = () => connections.count;
  // Node's own listeners must not see a connection that is refused.
  const accept = server.listeners('connection');
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => {
    if (!connections.admit(socket)) return;
    if (tls === undefined) connections.begin(socket);
    for (const listener of accept) listener.call(server, socket);
  });
  const sessions =
    tls === undefined || options.http2 !== true
      ? undefined
      : new Http2Port({
          headerBytes,
          idleTimeout: keepAliveTimeout,
          handler: options.handler,
          refuse: (why) => refuse('malformed', why),
        });
  if (tls !== undefined) {
    const begin = server.listeners('secureConnection');
    server.removeAllListeners('secureConnection');
    server.on('secureConnection', (socket: TLSSocket) => {
      if (sessions !== undefined && socket.alpnProtocol === 'h2') {
        connections.beginSession(socket);
        sessions.take(socket);
        return;
      }
      connections.begin(socket);
      for (const listener of begin) listener.call(server, socket);
    });
  }

  const replyInterval = Math.max(20, Math.min(1000, Math.floor(replyTimeout / 4)));
  const timer = setInterval(() => connections.cutSlowReaders(replyTimeout, replyRate), replyInterval);
  timer.unref();
  server.once('close', () => clearInterval(timer));
  drainOnClose(server, () => {
    connections.closeSilent();
    sessions?.close();
  });
  if (sessions !== undefined) {
    const closeAll = server.closeAllConnections.bind(server);
    server.closeAllConnections = () => {
      sessions.destroy();
      closeAll();
    };
  }
  return server;
}

/**
 * With authorities of clients, a client without a certificate of one of them gets no connection. A server that asks clients for
 * certificates takes any: under TLS 1.3 a client that is refused in its handshake learns no reason.
 */
function tlsOptions(pair: TlsPair, http2 = false): https.ServerOptions {
  const { clientCa, askClients } = pair;
  const clients =
    clientCa !== undefined || askClients === true
      ? { requestCert: true, rejectUnauthorized: clientCa !== undefined }
      : {};
  return { ...contextOf(pair), ...clients, ...(http2 && { ALPNProtocols: [...ALPN] }) };
}

/** The handler, behind the checks of every request. */
function guarded({ handler, bodies, refuse }: HttpServerOptions): http.RequestListener {
  return (request, response) => {
    if (hasBody(request)) {
      // Node would throw away by itself what nobody has begun to read when the reply is done.
      response.once('prefinish', () => {
        if (!request.complete && request.readableFlowing === null) bodies.discard(request);
      });
      response.once('finish', () => endBody(request));
    }
    const why = hostProblem(request) ?? targetProblem(request);
    if (why === undefined) handler(request, response);
    else refuseRequest(response, refuse('malformed', why));
  };
}

/** Answers, and ends the connection. */
function refuseRequest(response: http.ServerResponse, { status, headers, body }: Answer<string>): void {
  response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body), connection: 'close' });
  response.end(body);
}

/** Reads the headers as they came: `headers` would be made for each request, and most are never asked for theirs. */
function hasBody({ rawHeaders }: http.IncomingMessage): boolean {
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!;
    if (name.length === 14 && name.toLowerCase() === 'content-length') return true;
    if (name.length === 17 && name.toLowerCase() === 'transfer-encoding') return true;
  }
  return false;
}

/** Ends a request that goes on after its answer: Node reads such a body to its end, however long and large it is. */
function endBody(request: http.IncomingMessage): void {
  if (request.complete) return;
  const { socket } = request;
  const [end, read] = [performance.now() + LINGER_MS, socket.bytesRead];
  const timer = setInterval(() => {
    if (!request.complete && performance.now() < end && socket.bytesRead - read < LINGER_BYTES) return;
    stop();
    if (!request.complete) request.destroy();
  }, LINGER_POLL_MS);
  const stop = () => {
    clearInterval(timer);
    socket.off('close', stop);
  };
  timer.unref();
  socket.once('close', stop);
}

/** Answers bytes that never became a request, or stopped within one, and ends the connection. */
function answerClientError(
  error: Error & { code?: string },
  socket: Socket & { _httpMessage?: unknown },
  refuse: HttpServerOptions['refuse'],
): void {
  // The parser fails again at whatever comes after its failure.
  if (lingering.has(socket)) return;
  // Node sets `_httpMessage` while a reply is under way; its own handler reads it too. The client would read bytes written
  // into the middle of a reply as a part of it.
  const message = socket._httpMessage as { readonly headersSent?: boolean } | null | undefined;
  const reply = clientError(error.code, refuse);
  if (reply === undefined || !socket.writable || message?.headersSent === true) {
    socket.destroy();
    return;
  }
  socket.write(rawReply(reply));
  if (error.code === 'HPE_HEADER_OVERFLOW') lingerAfter(socket);
  // Not `end`: a client that never closes its side would keep the slot.
  else socket.destroySoon();
}

/** Connections whose client was answered, and is still sending. */
const lingering = new WeakSet<Socket>();

/**
 * Reads the rest of a head that is too long, and throws it away. The kernel answers bytes that nobody reads with a reset, and the
 * client would lose the reply.
 */
function lingerAfter(socket: Socket): void {
  lingering.add(socket);
  const read = socket.bytesRead;
  socket.removeAllListeners('data');
  socket.on('data', () => {
    if (socket.bytesRead - read > LINGER_BYTES) socket.destroy();
  });
  socket.once('end', () => socket.destroySoon());
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  timer.unref();
  socket.once('close', () => clearTimeout(timer));
  socket.end();
}

/** Undefined if no client is left to read an answer: after a reset connection or a failed TLS handshake. */
function clientError(code: string | undefined, refuse: HttpServerOptions['refuse']): Answer<string> | undefined {
  switch (code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return refuse('timeout');
    case 'HPE_HEADER_OVERFLOW':
      return refuse('headers-too-large');
    case 'HPE_INVALID_EOF_STATE':
      return refuse('malformed', 'the request stopped before its end');
    default:
      if (code?.startsWith('HPE_') !== true) return undefined;
      return refuse('malformed', 'the request is not valid HTTP/1.1');
  }
}

/** A whole HTTP/1.1 reply as text, for bytes that never became a request. It ends the connection. */
function rawReply({ status, headers, body }: Answer<string>): string {
  const all = { ...headers, 'content-length': String(Buffer.byteLength(body)), connection: 'close' };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} ${http.STATUS_CODES[status]}\r\n${lines.join('')}\r\n${body}`;
}

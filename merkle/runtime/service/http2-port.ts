/**
 * HTTP/2 (RFC 9113) on a TLS port that also speaks HTTP/1.1. The client chooses in its TLS handshake (ALPN, RFC 7301).
 *
 * | a client that … | is stopped by |
 * |---|---|
 * | is silent, or stops within a frame | `idleTimeout`: its session takes no further stream, and ends with the open ones |
 * | opens many streams | `MAX_STREAMS` a session; the connections of one client are bounded as all are |
 * | sends large heads | `headerBytes` |
 * | sends a body that nobody reads | flow control: 64 KiB a stream |
 */
import type { RequestListener } from 'node:http';
import http2, { type Http2ServerRequest, type Http2ServerResponse, type ServerHttp2Session } from 'node:http2';
import type { TLSSocket } from 'node:tls';
import { isHost } from './host-header.ts';

/** The protocols that such a port offers, the best first. */
export const ALPN = ['h2', 'http/1.1'] as const;

/** Requests under way on one connection. */
const MAX_STREAMS = 250;

interface Http2Options {
  readonly headerBytes: number;
  /** Milliseconds without a frame. */
  readonly idleTimeout: number;
  readonly handler: RequestListener;
  /** The reply to a request that is malformed. `why` is for a person. */
  readonly refuse: (why: string) => TextReply;
}

interface TextReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export class Http2Port {
  readonly #server: http2.Http2Server;
  readonly #sessions = new Set<ServerHttp2Session>();

  constructor({ headerBytes, idleTimeout, handler, refuse }: Http2Options) {
    const settings = { maxConcurrentStreams: MAX_STREAMS, maxHeaderListSize: headerBytes, enablePush: false };
    this.#server = http2.createServer({ settings }, (request, response) => {
      response.once('finish', () => endStream(request));
      response.on('error', ignore);
      request.on('error', ignore);
      if (isHost(request.authority)) {
        // Node gives both the interface of HTTP/1.1, which a route needs no more of.
        handler(...([request, response] as unknown as Parameters<RequestListener>));
      } else refuseRequest(response, refuse('the authority of the request is no host name with an optional port'));
    });
    this.#server.on('session', (session) => {
      this.#sessions.add(session);
      session.setTimeout(idleTimeout, () => session.close());
      session.once('close', () => this.#sessions.delete(session));
      session.on('error', () => session.destroy());
    });
    this.#server.on('sessionError', ignore);
  }

  /** Speaks HTTP/2 on a connection whose handshake chose it. */
  take(socket: TLSSocket): void {
    this.#server.emit('connection', socket);
  }

  /** Takes no further requests; each session ends with its last reply. May be called again. */
  close(): void {
    for (const session of this.#sessions) if (!session.closed) session.close();
  }

  /** Ends all sessions at once. */
  destroy(): void {
    for (const session of this.#sessions) session.destroy();
  }
}

function ignore(): void {}

/** Asks for no more of a request that was answered before its end (RFC 9113 section 8.1). */
function endStream({ complete, stream }: Http2ServerRequest): void {
  if (!complete && !stream.destroyed) stream.close(http2.constants.NGHTTP2_NO_ERROR);
}

function refuseRequest(response: Http2ServerResponse, { status, headers, body }: TextReply): void {
  response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) });
  response.end(body);
}

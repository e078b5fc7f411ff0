/** The public HTTP server: c2sp.org/tlog-witness (C2SP 95978ca, 2026-07-06), with one prefix for submission and monitoring. */
import rateLimit from '@fastify/rate-limit';
import createFastify, { type FastifyInstance, type FastifyReply } from 'fastify';
import type { Logger } from '../merkle/runtime/service/logger.ts';
import { timeRequests } from '../merkle/runtime/service/request-timing.ts';
import { typeboxSchemas } from '../merkle/runtime/service/schemas.ts';
import { formatTreeSize, TREE_SIZE_TYPE } from '../merkle/witness.ts';
import { Refusal } from './errors.ts';
import type { Metrics } from './metrics.ts';
import type { Witness } from './witness.ts';

export interface HttpOptions {
  readonly bodyBytes: number;
  readonly connections: number;
  readonly requestTimeoutMs: number;
  /** Requests that one address may make in `windowMs`; 0 is no limit. */
  readonly perAddress: number;
  readonly windowMs: number;
  readonly trustProxy: readonly string[];
}

const TEXT = 'text/plain; charset=utf-8';
const HEADER_BYTES = 16 * 1024;
const HEADERS_MS = 10_000;
const KEEP_ALIVE_MS = 65_000;
const RETRY_AFTER = 1;
const HASH = /^[0-9a-f]{64}$/;

export function createApp(witness: Witness, options: HttpOptions, metrics: Metrics, logger: Logger): FastifyInstance {
  const { requestTimeoutMs } = options;
  const app = createFastify({
    logger: false,
    bodyLimit: options.bodyBytes,
    requestTimeout: requestTimeoutMs,
    keepAliveTimeout: KEEP_ALIVE_MS,
    http: {
      maxHeaderSize: HEADER_BYTES,
      headersTimeout: Math.min(HEADERS_MS, requestTimeoutMs),
      connectionsCheckingInterval: 1000,
    },
    trustProxy: options.trustProxy.length === 0 ? false : [...options.trustProxy],
    return503OnClosing: false,
    requestIdHeader: false,
    schemaController: typeboxSchemas,
    routerOptions: { maxParamLength: 128 },
  });
  app.server.maxConnections = options.connections;
  // Whatever it is called, even if by no media type: the specification names none.
  app.addHook('onRequest', (request, _reply, done) => {
    request.raw.headers['content-type'] = 'application/octet-stream';
    done();
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));

  timeRequests(app, (route, _method, status) => metrics.request(route, status));
  app.setErrorHandler((error, request, reply) => {
    const { statusCode = 500, message } = error as { statusCode?: number; message?: string };
    if (error instanceof Refusal) return refuse(reply, error, metrics);
    if (statusCode < 500)
      return reply
        .code(statusCode)
        .type(TEXT)
        .send(`${message ?? 'refused'}\n`);
    logger.error({ err: error, method: request.method, url: request.url }, 'a request failed');
    return reply.code(500).type(TEXT).send('internal error\n');
  });
  app.setNotFoundHandler((_request, reply) => reply.code(404).type(TEXT).send('not found\n'));
  if (options.perAddress > 0) {
    app.register(rateLimit, {
      max: options.perAddress,
      timeWindow: options.windowMs,
      errorResponseBuilder: () => new Refusal('rate-limited', 'too many requests from this address; retry later'),
    });
  }
  // As a plugin, so that the one above is loaded and sees the routes.
  app.register(async () => {
    app.post('/add-checkpoint', async (request, reply) =>
      reply.type(TEXT).send(await witness.addCheckpoint(bodyOf(request.body))),
    );
    app.post('/sign-subtree', async (request, reply) =>
      reply.type(TEXT).send(await witness.signSubtree(bodyOf(request.body))),
    );
    app.get('/:hash/checkpoint', (request, reply) => {
      const { hash } = request.params as { hash: string };
      if (!HASH.test(hash))
        throw new Refusal('not-found', 'a log is named by the SHA-256 of its origin, in lower-case hex');
      const note = witness.checkpoint(hash);
      return reply.headers({ 'cache-control': 'no-cache', 'access-control-allow-origin': '*' }).type(TEXT).send(note);
    });
  });
  return app;
}

function refuse(reply: FastifyReply, refusal: Refusal, metrics: Metrics): FastifyReply {
  metrics.refused(refusal.reason);
  reply.code(refusal.status).header('cache-control', 'no-store');
  // The limit of an address has set its own.
  if ((refusal.status === 429 || refusal.status === 503) && !reply.hasHeader('retry-after')) {
    reply.header('retry-after', refusal.retryAfter ?? RETRY_AFTER);
  }
  if (refusal.size !== undefined) return reply.type(TREE_SIZE_TYPE).send(formatTreeSize(refusal.size));
  return reply.type(TEXT).send(`${refusal.message}\n`);
}

function bodyOf(body: unknown): Uint8Array {
  return body instanceof Uint8Array ? body : new Uint8Array();
}

/** The public HTTP server: c2sp.org/tlog-witness (C2SP 95978ca, 2026-07-06), with one prefix for submission and monitoring. */
import limitRate from '@fastify/rate-limit';
import createFastify, { type FastifyInstance, type FastifyReply } from 'fastify';
import type { Logger } from '../merkle/runtime/service/logger.ts';
import { timeRequests } from '../merkle/runtime/service/request-timing.ts';
import { typeboxSchemas } from '../merkle/runtime/service/schemas.ts';
import { formatTreeSize, TREE_SIZE_TYPE } from '../merkle/witness.ts';
import type { Config } from './config.ts';
import { RequestError, requestError } from './errors.ts';
import type { Metrics } from './metrics.ts';
import type { Witness } from './witness.ts';

const TEXT = 'text/plain; charset=utf-8';
const HEADER_BYTES = 16 * 1024;
const HEADERS_MS = 10_000;
const KEEP_ALIVE_MS = 65_000;
const RETRY_AFTER = 1;
const HASH = /^[0-9a-f]{64}$/;

export function createApp(
  witness: Witness,
  { limits, rateLimit, trustProxy }: Pick<Config, 'limits' | 'rateLimit' | 'trustProxy'>,
  metrics: Metrics,
  logger: Logger,
): FastifyInstance {
  const app = createFastify({
    logger: false,
    bodyLimit: limits.bodyBytes,
    requestTimeout: limits.requestTimeout,
    keepAliveTimeout: KEEP_ALIVE_MS,
    http: {
      maxHeaderSize: HEADER_BYTES,
      headersTimeout: Math.min(HEADERS_MS, limits.requestTimeout),
      connectionsCheckingInterval: 1000,
    },
    trustProxy: trustProxy.length === 0 ? false : [...trustProxy],
    return503OnClosing: false,
    requestIdHeader: false,
    schemaController: typeboxSchemas,
    routerOptions: { maxParamLength: 128 },
  });
  app.server.maxConnections = limits.connections;
  // The specification names no media type: any is taken, and none.
  app.addHook('onRequest', (request, _reply, done) => {
    request.raw.headers['content-type'] = 'application/octet-stream';
    done();
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));

  timeRequests(app, (route, _method, status) => metrics.request(route, status));
  app.setErrorHandler((error, request, reply) => {
    const { statusCode = 500, message } = error as { statusCode?: number; message?: string };
    if (error instanceof RequestError) return sendError(reply, error, metrics);
    if (statusCode < 500)
      return reply
        .code(statusCode)
        .type(TEXT)
        .send(`${message ?? 'refused'}\n`);
    logger.error({ err: error, method: request.method, url: request.url }, 'a request failed');
    return reply.code(500).type(TEXT).send('internal error\n');
  });
  app.setNotFoundHandler((_request, reply) => reply.code(404).type(TEXT).send('not found\n'));
  if (rateLimit.perAddress > 0) {
    app.register(limitRate, {
      max: rateLimit.perAddress,
      timeWindow: rateLimit.window,
      errorResponseBuilder: () => requestError('rate-limited'),
    });
  }
  // As a plugin: the rate limit above must be loaded before it sees the routes.
  app.register(async () => {
    app.post('/add-checkpoint', async (request, reply) =>
      reply.type(TEXT).send(await witness.addCheckpoint(bodyOf(request.body))),
    );
    app.post('/sign-subtree', async (request, reply) =>
      reply.type(TEXT).send(await witness.signSubtree(bodyOf(request.body), request.ip)),
    );
    app.get('/:hash/checkpoint', (request, reply) => {
      const { hash } = request.params as { hash: string };
      if (!HASH.test(hash))
        throw requestError('not-found', 'a log is named by the SHA-256 of its origin, in lower-case hex');
      const note = witness.checkpoint(hash);
      return reply.headers({ 'cache-control': 'no-cache', 'access-control-allow-origin': '*' }).type(TEXT).send(note);
    });
  });
  return app;
}

function sendError(reply: FastifyReply, { code, message, row, data }: RequestError, metrics: Metrics): FastifyReply {
  metrics.refused(code);
  reply.code(row.status).header('cache-control', 'no-store');
  // The limit of an address sets its own.
  if (row.retry === true && !reply.hasHeader('retry-after')) {
    reply.header('retry-after', data.retryAfter ?? RETRY_AFTER);
  }
  if (data.size !== undefined) return reply.type(TREE_SIZE_TYPE).send(formatTreeSize(data.size));
  return reply.type(TEXT).send(`${message}\n`);
}

function bodyOf(body: unknown): Uint8Array {
  return body instanceof Uint8Array ? body : new Uint8Array();
}

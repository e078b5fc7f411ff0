/** The public HTTP server: joins the routes to one log, with the limits of its settings. */
import type { IncomingMessage, RequestListener } from 'node:http';
import createFastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { ClientAddresses } from '../../merkle/runtime/service/client-address.ts';
import { createHttpServer } from '../../merkle/runtime/service/http-server.ts';
import type { Logger } from '../../merkle/runtime/service/logger.ts';
import { RequestBodies } from '../../merkle/runtime/service/request-bodies.ts';
import { timeRequests } from '../../merkle/runtime/service/request-timing.ts';
import { typeboxSchemas } from '../../merkle/runtime/service/schemas.ts';
import { type RequestError, requestError } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import type { LogService } from '../types.ts';
import { bodyError, refusalAnswer, sendError, toRequestError } from './answers.ts';
import { Compressor } from './compress.ts';
import type { HttpContext, HttpOptions } from './context.ts';
import { answerDirectly } from './direct.ts';
import { writeDirectly } from './direct-write.ts';
import { openapi, openapiRoute } from './openapi.ts';
import { watchRoutes } from './paths.ts';
import { queryRoutes } from './query.ts';
import { readRoutes } from './read.ts';
import { writeRoutes } from './write.ts';

/**
 * The public API over `log`; `listen` starts it. `close` takes no new connections, answers the requests under way, closes
 * each connection when it is idle, and then resolves; it does not close the log.
 */
export function createApp(log: LogService, options: HttpOptions, metrics: Metrics, logger: Logger): FastifyInstance {
  const { limits, rateLimit, trustProxy } = options;
  const clients = new ClientAddresses(trustProxy);
  const bodies = new RequestBodies({ limits: () => limits, clients, refuse: bodyError });
  let draining = false;
  const context: HttpContext = {
    log,
    options,
    metrics,
    bodies,
    compressor: new Compressor(limits.compressedBytes),
    draining: () => draining,
  };
  metrics.bodyBytes = () => bodies.held;
  const logFailure = (error: unknown, { method, url }: IncomingMessage) => {
    logger.error({ err: error, method, url }, 'a request failed');
  };
  const app = createFastify({
    logger: false,
    serverFactory: (handler) => {
      const withWrites = writeDirectly(context, logFailure, handler as RequestListener);
      const { tls, replyRate } = options;
      const { server, connections } = createHttpServer({
        limits: () => limits,
        clients,
        handler: answerDirectly(context, withWrites),
        refuse: refusalAnswer,
        tls,
        replyRate,
        connectionRefused: (refusal) => metrics.connectionRefused(refusal),
      });
      metrics.connections = connections;
      return server;
    },
    // This only sets the scheme of the address that `listen` returns; the server itself is made above.
    ...(options.tls === undefined ? {} : { https: {} }),
    // The server answers these itself.
    clientErrorHandler: () => {},
    frameworkErrors: (error, _request, reply) => sendError(reply, toRequestError(error, limits), options),
    trustProxy: trustProxy.length === 0 ? false : [...trustProxy],
    bodyLimit: limits.bodyBytes,
    return503OnClosing: false,
    requestIdHeader: false,
    schemaController: typeboxSchemas,
  }) as unknown as FastifyInstance;

  app.addHook('preClose', async () => {
    draining = true;
  });

  const unrouted = watchRoutes(app);
  app.addHook('onRequest', (request, reply, done) => done(refusal(request, reply, limits.urlBytes, unrouted)));
  if (options.log.requests) logRequests(app, logger);
  timeRequests(app, (route, method, status) => metrics.httpRequest(route, method, status));
  app.setErrorHandler((error, request, reply) => {
    const known = toRequestError(error, limits);
    if (known !== error && (known.code === 'internal' || known.code === 'unavailable')) {
      logFailure(error, request.raw);
    }
    return sendError(reply, known, options);
  });
  app.setNotFoundHandler((_request, reply) => sendError(reply, requestError('not-found'), options));

  if (rateLimit.max > 0) {
    // Loaded only if it is configured.
    app.register(import('@fastify/rate-limit'), {
      max: rateLimit.max,
      timeWindow: rateLimit.window,
      errorResponseBuilder: () => {
        metrics.refused('rate-limited');
        return requestError('rate-limited');
      },
    });
  }
  openapi(app, options.publicUrl);

  // As a plugin: the two plugins above are loaded by then, and see the routes.
  app.register(async () => {
    writeRoutes(app, context);
    readRoutes(app, context);
    queryRoutes(app, context);
    openapiRoute(app);
  });
  return app;
}

/** One line for each request: nothing of its headers but the client's name for itself, for a header may be a secret. */
function logRequests(app: FastifyInstance, logger: Logger): void {
  app.addHook('onResponse', (request, reply, done) => {
    const { method, raw, ip: address, headers } = request;
    const ms = Math.round(reply.elapsedTime * 1000) / 1000;
    const fields = { method, url: raw.url, status: reply.statusCode, ms, address, agent: headers['user-agent'] };
    logger.info(fields, 'request');
    done();
  });
}

/** Refuses what the request head alone shows to be wrong, before any of the body is read. */
function refusal(
  request: FastifyRequest,
  reply: FastifyReply,
  urlBytes: number,
  unrouted: ReturnType<typeof watchRoutes>,
): RequestError | undefined {
  const { url = '', method } = request.raw;
  if (method === 'GET' || method === 'HEAD') reply.header('access-control-allow-origin', '*');
  if (url.length > urlBytes) return requestError('uri-too-long', urlBytes);
  const error = unrouted(request, reply);
  if (error?.code === 'method-not-allowed') reply.header('access-control-allow-origin', '*');
  return error;
}

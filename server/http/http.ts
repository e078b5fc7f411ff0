/** The public HTTP server: joins the routes to one log, with the limits of `HttpOptions`. */
import type { IncomingMessage, RequestListener } from 'node:http';
import createFastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify';
import { timeRequests } from '../../merkle/runtime/service/request-timing.ts';
import { typeboxSchemas } from '../../merkle/runtime/service/schemas.ts';
import { type RequestError, requestError } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import type { LogService } from '../types.ts';
import { sendError, toRequestError } from './answers.ts';
import { Compressor } from './compress.ts';
import type { HttpContext } from './context.ts';
import { answerDirectly } from './direct.ts';
import { writeDirectly } from './direct-write.ts';
import { createNodeServer, onClientError } from './node.ts';
import { openapi, openapiRoute } from './openapi.ts';
import { HTTP_DEFAULTS, type HttpOptions, type HttpSettings } from './options.ts';
import { pathOf, watchRoutes } from './paths.ts';
import { queryRoutes } from './query.ts';
import { readRoutes } from './read.ts';
import { BodyBudget } from './request-body.ts';
import { writeRoutes } from './write.ts';

/**
 * The public API over `log`; `listen` starts it. `close` takes no new connections, answers the requests under way, closes
 * each connection when it is idle, and then resolves; it does not close the log.
 */
export function createApp(
  log: LogService,
  given: HttpOptions,
  metrics: Metrics,
  logger: FastifyBaseLogger,
): FastifyInstance {
  const options: HttpSettings = { ...HTTP_DEFAULTS, ...given };
  let draining = false;
  const context: HttpContext = {
    log,
    options,
    metrics,
    budget: new BodyBudget(options.bodiesBytes),
    compressor: new Compressor(options.compressedBytes),
    draining: () => draining,
  };
  const logFailure = (error: unknown, { method, url }: IncomingMessage) => {
    logger.error({ err: error, method, url }, 'a request failed');
  };
  const app = createFastify({
    ...(options.requestLog ? { loggerInstance: logger } : { logger: false }),
    serverFactory: (handler) => {
      const withWrites = writeDirectly(context, logFailure, handler as RequestListener);
      return createNodeServer(options, answerDirectly(context, withWrites));
    },
    // This only sets the scheme of the address that `listen` returns; the server itself is made above.
    ...(options.tls === undefined ? {} : { https: {} }),
    clientErrorHandler: onClientError,
    frameworkErrors: (error, _request, reply) => sendError(reply, toRequestError(error, options), options),
    trustProxy: typeof options.trustProxy === 'boolean' ? options.trustProxy : [...options.trustProxy],
    bodyLimit: options.bodyBytes,
    return503OnClosing: false,
    requestIdHeader: false,
    schemaController: typeboxSchemas,
  }) as unknown as FastifyInstance;

  app.addHook('preClose', async () => {
    draining = true;
  });

  const methodsOf = watchRoutes(app);
  app.addHook('onRequest', (request, reply, done) => done(refusal(request, reply, options, methodsOf)));
  timeRequests(app, (route, method, status) => metrics.httpRequest(route, method, status));
  app.setErrorHandler((error, request, reply) => {
    const known = toRequestError(error, options);
    if (known !== error && (known.code === 'internal' || known.code === 'unavailable')) {
      logFailure(error, request.raw);
    }
    return sendError(reply, known, options);
  });
  app.setNotFoundHandler((_request, reply) => sendError(reply, requestError('not-found'), options));

  if (options.rateLimit !== undefined) {
    // Loaded only if it is configured.
    app.register(import('@fastify/rate-limit'), {
      max: options.rateLimit.max,
      timeWindow: options.rateLimit.windowMs,
      errorResponseBuilder: () => {
        metrics.refused('rate-limited');
        return requestError('rate-limited');
      },
    });
  }
  openapi(app);

  // As a plugin: the two plugins above are loaded by then, and see the routes.
  app.register(async () => {
    writeRoutes(app, context);
    readRoutes(app, context);
    queryRoutes(app, context);
    openapiRoute(app);
  });
  return app;
}

/** Refuses what the request head alone shows to be wrong, before any of the body is read. */
function refusal(
  request: FastifyRequest,
  reply: FastifyReply,
  options: HttpSettings,
  methodsOf: (path: string) => readonly string[],
): RequestError | undefined {
  const { url = '', method } = request.raw;
  if (method === 'GET' || method === 'HEAD') reply.header('access-control-allow-origin', '*');
  if (url.length > options.urlBytes) {
    return requestError('uri-too-long', options.urlBytes);
  }
  if (!request.is404) return undefined;
  const allowed = methodsOf(pathOf(url));
  if (allowed.length === 0) return requestError('not-found');
  reply.headers({ allow: allowed.join(', '), 'access-control-allow-origin': '*' });
  return requestError('method-not-allowed', String(method));
}

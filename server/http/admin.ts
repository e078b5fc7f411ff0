/**
 * The operator's HTTP server, on a port of its own that is bound to loopback by default. Reading needs no token; what
 * changes the log needs `Authorization: Bearer <admin token>` (merkle/runtime/service/operator-guard.ts).
 */
import type { IncomingMessage, RequestListener } from 'node:http';
import { isAbsolute } from 'node:path';
import createFastify, { type FastifyInstance, type FastifyRequest } from 'fastify';
import { RuntimeError } from '../../merkle/runtime/runtime-errors.ts';
import { ClientAddresses } from '../../merkle/runtime/service/client-address.ts';
import { createHttpServer } from '../../merkle/runtime/service/http-server.ts';
import type { Logger } from '../../merkle/runtime/service/logger.ts';
import { operatorGuard } from '../../merkle/runtime/service/operator-guard.ts';
import { addProbes } from '../../merkle/runtime/service/probes.ts';
import { RequestBodies } from '../../merkle/runtime/service/request-bodies.ts';
import { typeboxSchemas } from '../../merkle/runtime/service/schemas.ts';
import { RequestError, requestError, ServerError } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import type { LogService } from '../types.ts';
import { bodyError, errorJson, refusalAnswer, sendError, sendJson, toRequestError } from './answers.ts';
import { watchRoutes } from './paths.ts';

const BODY_BYTES = 16 * 1024;
const MIN_TOKEN = 16;
const LIMITS = {
  bodyBytes: BODY_BYTES,
  bodiesBytes: BODY_BYTES * 64,
  bodyRate: 1024,
  bodyGrace: 5000,
  headerBytes: 16 * 1024,
  connections: 64,
  requestTimeout: 60_000,
  headersTimeout: 10_000,
  keepAliveTimeout: 5000,
  replyTimeout: 30_000,
};
const RETRY = { retryAfter: 1000 };

interface AdminOptions {
  /** Bearer token of the calls that change the log, at least 16 characters. */
  readonly token: string;
}

/**
 * The probes, `POST /freeze`, which answers with the last checkpoint when that checkpoint is stored, and `POST /backup`
 * and `POST /export` with `{"dir": <absolute path>}`.
 * @throws ServerError `config` where the token is shorter than 16 characters
 */
export function createAdminApp(
  log: LogService,
  options: AdminOptions,
  metrics: Metrics,
  logger: Logger,
): FastifyInstance {
  if (options.token.length < MIN_TOKEN) {
    throw new ServerError('config', `the admin token is shorter than ${MIN_TOKEN} characters: make a longer one`);
  }
  const guard = operatorGuard(options.token);
  const clients = new ClientAddresses([]);
  const bodies = new RequestBodies({ limits: () => LIMITS, clients, refuse: bodyError });
  const app = createFastify({
    logger: false,
    serverFactory: (handler) =>
      createHttpServer({ limits: () => LIMITS, clients, handler: handler as RequestListener, refuse: refusalAnswer })
        .server,
    // The server answers these itself.
    clientErrorHandler: () => {},
    frameworkErrors: (error, _request, reply) => sendError(reply, toRequestError(error, LIMITS), RETRY),
    return503OnClosing: false,
    requestIdHeader: false,
    schemaController: typeboxSchemas,
  });

  const unrouted = watchRoutes(app);
  app.addHook('onRequest', (request, reply, done) => done(unrouted(request, reply)));
  app.setErrorHandler((error, _request, reply) => {
    const known = toRequestError(error, LIMITS);
    if (known.code === 'unauthorized') reply.header('www-authenticate', 'Bearer');
    if (error instanceof ServerError || error instanceof RuntimeError) {
      // Only the operator gets these messages, which are written for the operator.
      return sendJson(reply.code(500), errorJson(new RequestError('internal', error.message)));
    }
    if (known !== error) logger.error({ err: error }, 'an admin request failed');
    return sendError(reply, known, RETRY);
  });
  app.setNotFoundHandler((_request, reply) => sendError(reply, requestError('not-found'), RETRY));
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', async (_request: FastifyRequest, payload: IncomingMessage) => {
    const body = await bodies.read(payload, BODY_BYTES);
    body.release();
    return body.bytes;
  });

  addProbes(app, { notReady: () => log.notReady(), alarms: () => log.alarms(), metrics: metrics.registry });

  const operator = {
    onRequest: async (request: FastifyRequest) => {
      const refused = guard(request.raw);
      if (refused !== undefined) throw requestError('unauthorized', refused);
      // As on the public port, the body is JSON whatever its media type says.
      request.raw.headers['content-type'] = 'application/octet-stream';
    },
  };

  app.post('/freeze', operator, async (_request, reply) => {
    const checkpoint = await log.freeze();
    return sendJson(reply, JSON.stringify({ checkpoint }));
  });

  for (const name of ['backup', 'export'] as const) {
    app.post(`/${name}`, operator, async (request, reply) => {
      const size = await log[name](targetDir(request.body as Buffer | undefined));
      return sendJson(reply, JSON.stringify({ size }));
    });
  }
  return app;
}

function targetDir(body: Buffer | undefined): string {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    throw requestError('malformed', 'the body must be JSON: {"dir": <absolute path>}');
  }
  if (typeof value !== 'object' || value === null || Object.keys(value).join() !== 'dir') {
    throw requestError('malformed', 'the body must have the one member "dir"');
  }
  const { dir } = value as { dir: unknown };
  if (typeof dir !== 'string' || !isAbsolute(dir) || dir.includes('\0')) {
    throw requestError('invalid-argument', '"dir" must be an absolute path');
  }
  return dir;
}

/**
 * The operator's HTTP server, on a port of its own that is bound to loopback by default. Reading needs no token; what
 * changes the list of logs needs `Authorization: Bearer <admin token>` (merkle/runtime/service/operator-guard.ts).
 */
import createFastify, { type FastifyInstance, type FastifyRequest } from 'fastify';
import { RuntimeError } from '../merkle/runtime/runtime-errors.ts';
import type { Logger } from '../merkle/runtime/service/logger.ts';
import { operatorGuard } from '../merkle/runtime/service/operator-guard.ts';
import { addProbes } from '../merkle/runtime/service/probes.ts';
import { typeboxSchemas } from '../merkle/runtime/service/schemas.ts';
import { RequestError, requestError, WitnessError } from './errors.ts';
import type { ListUpdates } from './list-updates.ts';
import type { Listing } from './listing.ts';
import { LOG_FACTS } from './log-lines.ts';
import type { Logs } from './logs.ts';
import type { Metrics } from './metrics.ts';
import type { Witness } from './witness.ts';

const BODY_BYTES = 16 * 1024;

interface AdminOptions {
  readonly token: string;
  readonly list: () => readonly Listing[];
  /** The lists of the witness network that are read. */
  readonly lists: Pick<ListUpdates, 'status' | 'alarms'>;
}

/**
 * The probes, `GET /logs`, and with the token `POST /logs/add` with `{"vkey", "url"?,
 * "origin"?, "qpd"?, "contact"?}` and `POST /logs/disable` with
 * `{"log": <origin or vkey>}`.
 */
export function createAdminApp(
  witness: Witness,
  logs: Logs,
  options: AdminOptions,
  metrics: Metrics,
  logger: Logger,
): FastifyInstance {
  const guard = operatorGuard(options.token);
  const app = createFastify({
    logger: false,
    bodyLimit: BODY_BYTES,
    requestTimeout: 30_000,
    requestIdHeader: false,
    schemaController: typeboxSchemas,
  });
  app.server.maxConnections = 64;
  app.setErrorHandler((error, _request, reply) => {
    if (error instanceof RequestError) return reply.code(error.row.status).send({ message: error.message });
    // Only the operator gets these messages, which are written for the operator.
    if (error instanceof WitnessError) return reply.code(400).send({ message: error.message });
    if (error instanceof RuntimeError) return reply.code(500).send({ message: error.message });
    const { statusCode = 500, message } = error as { statusCode?: number; message?: string };
    if (statusCode < 500) return reply.code(statusCode).send({ message });
    logger.error({ err: error }, 'an admin request failed');
    return reply.code(500).send({ message: 'internal error' });
  });
  app.setNotFoundHandler((_request, reply) => reply.code(404).send({ message: 'not found' }));

  addProbes(app, {
    notReady: () => witness.notReady(),
    alarms: () => options.lists.alarms(),
    metrics: metrics.registry,
  });
  app.get('/logs', () => ({ logs: options.list(), lists: options.lists.status() }));

  const operator = {
    onRequest: async (request: FastifyRequest) => {
      const refused = guard(request.raw);
      if (refused !== undefined) throw requestError('unauthorized', refused);
    },
  };
  app.post('/logs/add', operator, async (request) => {
    const { vkey, ...facts } = fields(request.body, ['vkey', ...LOG_FACTS]);
    if (vkey === undefined) throw requestError('malformed', 'the body must have the member "vkey"');
    const { origin } = await logs.add(vkey, facts);
    metrics.logs.set(logs.count);
    return { origin };
  });
  app.post('/logs/disable', operator, async (request) => {
    const { log } = fields(request.body, ['log']);
    if (log === undefined) throw requestError('malformed', 'the body must be {"log": <origin or verifier key>}');
    const disabled = await logs.disable(log);
    metrics.logs.set(logs.count);
    return { disabled };
  });
  return app;
}

function fields(body: unknown, names: readonly string[]): Partial<Record<string, string>> {
  if (typeof body !== 'object' || body === null) throw requestError('malformed', 'the body must be a JSON object');
  for (const [name, value] of Object.entries(body)) {
    if (!names.includes(name) || typeof value !== 'string') {
      throw requestError('malformed', `the body has the members ${names.join(', ')}, each a text`);
    }
  }
  return body;
}

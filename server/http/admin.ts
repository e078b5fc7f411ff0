/**
 * The operator's HTTP server, on a port of its own that is bound to loopback by default. It takes no calls of web pages. Reading
 * needs no token; what changes the log needs `Authorization: Bearer <admin token>` (merkle/runtime/service/operator-guard.ts).
 */
import type { IncomingMessage } from 'node:http';
import { isAbsolute } from 'node:path';
import { RuntimeError } from '../../merkle/runtime/runtime-errors.ts';
import { type App, type Route, RouteError, serveRoutes } from '../../merkle/runtime/service/app.ts';
import { ClientAddresses } from '../../merkle/runtime/service/client-address.ts';
import { createHttpServer } from '../../merkle/runtime/service/http-server.ts';
import type { Logger } from '../../merkle/runtime/service/logger.ts';
import { operatorGuard, pageGuard } from '../../merkle/runtime/service/operator-guard.ts';
import { OPERATOR_BODY_BYTES, OPERATOR_LIMITS } from '../../merkle/runtime/service/operator-limits.ts';
import { probeRoutes } from '../../merkle/runtime/service/probes.ts';
import { RequestBodies } from '../../merkle/runtime/service/request-bodies.ts';
import { RequestError, requestError, ServerError } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import type { LogService } from '../types.ts';
import { bodyError, errorAnswer, json, refusalAnswer, toRequestError } from './answers.ts';

const MIN_TOKEN = 16;
const RETRY = { retryAfter: 1000 };

interface AdminOptions {
  /** Bearer token of the calls that change the log, at least 16 characters. */
  readonly token: string;
  /** Further names by which the port is called, in the header `Host`. */
  readonly hosts?: readonly string[];
  /** What needs the operator besides the log's own alarms, one sentence each. */
  readonly alarms?: () => readonly string[];
  /** Why the log is not ready, besides its own reasons. */
  readonly notReady?: () => readonly string[];
}

/**
 * The probes, `POST /freeze`, which answers with the last checkpoint when that checkpoint is stored, and `POST /backup`
 * and `POST /export` with `{"dir": <absolute path>}`.
 * @throws ServerError `config` where the token is shorter than 16 characters
 */
export function createAdminApp(log: LogService, options: AdminOptions, metrics: Metrics, logger: Logger): App {
  if (options.token.length < MIN_TOKEN) {
    throw new ServerError('config', `the admin token is shorter than ${MIN_TOKEN} characters: make a longer one`);
  }
  const ofPages = pageGuard(options.hosts ?? [], 'admin.hosts');
  const guard = operatorGuard(options.token, ofPages);
  const clients = new ClientAddresses([]);
  const bodies = new RequestBodies({ limits: () => OPERATOR_LIMITS, clients, refuse: bodyError });
  const refuse = (error: unknown) => {
    // Only the operator gets these messages, which are written for the operator.
    const shown = error instanceof ServerError || error instanceof RuntimeError;
    const known = shown ? new RequestError('internal', error.message) : toRequestError(error);
    if (!shown && known !== error && !(error instanceof RouteError))
      logger.error({ err: error }, 'an admin request failed');
    const answer = errorAnswer(known, RETRY);
    if (known.code !== 'unauthorized') return answer;
    return { ...answer, headers: { ...answer.headers, 'www-authenticate': 'Bearer' } };
  };

  /** A call that needs the token; `act` returns what is told of it. */
  const operator = (path: string, act: (body: Buffer) => Promise<object>): Route => ({
    method: 'POST',
    path,
    answer: async (call) => {
      const refused = guard(call.request);
      if (refused !== undefined) throw requestError('unauthorized', refused);
      const { bytes, release } = await call.body(OPERATOR_BODY_BYTES);
      release();
      return json(JSON.stringify(await act(bytes)));
    },
  });
  const copying = (name: 'backup' | 'export') =>
    operator(`/${name}`, async (body) => ({ size: await log[name](targetDir(body)) }));

  const routes = [
    ...probeRoutes({
      notReady: () => [...log.notReady(), ...(options.notReady?.() ?? [])],
      alarms: () => [...log.alarms(), ...(options.alarms?.() ?? [])],
      metrics,
      prefix: 'stele',
    }),
    operator('/freeze', async () => ({ checkpoint: await log.freeze() })),
    copying('backup'),
    copying('export'),
  ];
  /** The calls that change something refuse pages themselves, as they refuse a caller without the token. */
  const admit = (request: IncomingMessage) => {
    const refused = request.method === 'POST' ? undefined : ofPages(request);
    if (refused !== undefined) throw requestError('forbidden', refused);
  };
  return serveRoutes({ routes, admit, refuse, readBody: (request, limit) => bodies.read(request, limit) }, (handler) =>
    createHttpServer({ limits: () => OPERATOR_LIMITS, clients, bodies, handler, refuse: refusalAnswer }),
  );
}

function targetDir(body: Buffer): string {
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

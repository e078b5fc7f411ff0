/**
 * The operator's HTTP server, on a port of its own that is bound to loopback by default. It takes no calls of web pages. Reading
 * needs no token; what changes the list of logs needs `Authorization: Bearer <admin token>`, or an identity that the access policy
 * names for it (merkle/runtime/service/operator-guard.ts).
 */
import type { IncomingMessage } from 'node:http';
import type { Gate } from '../merkle/runtime/identity/gate.ts';
import { RuntimeError } from '../merkle/runtime/runtime-errors.ts';
import { type App, jsonAnswer, type Route, serveRoutes } from '../merkle/runtime/service/app.ts';
import { ClientAddresses } from '../merkle/runtime/service/client-address.ts';
import { createHttpServer } from '../merkle/runtime/service/http-server.ts';
import type { Logger } from '../merkle/runtime/service/logger.ts';
import { guardReads, OperatorRefused, operatorGuard, pageGuard } from '../merkle/runtime/service/operator-guard.ts';
import { OPERATOR_BODY_BYTES, OPERATOR_LIMITS } from '../merkle/runtime/service/operator-limits.ts';
import { probeRoutes } from '../merkle/runtime/service/probes.ts';
import { RequestBodies } from '../merkle/runtime/service/request-bodies.ts';
import type { TlsPair } from '../merkle/runtime/service/tls-files.ts';
import { bodyError, refusalError, toRequestError } from './answers.ts';
import { type RequestError, requestError, WitnessError } from './errors.ts';
import type { ListUpdates } from './list-updates.ts';
import type { Listing } from './listing.ts';
import { LOG_FACTS } from './log-lines.ts';
import type { Logs } from './logs.ts';
import type { Metrics } from './metrics.ts';
import type { Witness } from './witness.ts';

interface AdminOptions {
  /** Undefined: calls with the token are refused. */
  readonly token: string | undefined;
  /** Operators are known by their identity, too. */
  readonly gate?: Gate | undefined;
  /** Undefined: plain HTTP. */
  readonly tls?: TlsPair | undefined;
  /** Further names by which the port is called, in the header `Host`. */
  readonly hosts?: readonly string[];
  readonly list: () => readonly Listing[];
  /** The lists of the witness network that are read. */
  readonly lists: Pick<ListUpdates, 'status' | 'alarms'>;
  /** What needs the operator besides, one sentence each. */
  readonly alarms?: () => readonly string[];
  /** Why the witness is not ready, besides its own reasons. */
  readonly notReady?: () => readonly string[];
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
): App {
  const ofPages = pageGuard(options.hosts ?? [], 'admin.hosts');
  const guard = operatorGuard({ ofPages, token: options.token, gate: options.gate });
  const clients = new ClientAddresses([]);
  const bodies = new RequestBodies({ limits: () => OPERATOR_LIMITS, clients, refuse: bodyError });
  const refuse = (error: unknown) => {
    if (error instanceof OperatorRefused) {
      const { status, message, headers } = error.refusal;
      return jsonAnswer(status, { message }, headers);
    }
    const known = toRequestError(error);
    if (known !== undefined) return errorAnswer(known);
    // Only the operator gets these messages, which are written for the operator.
    if (error instanceof WitnessError) return jsonAnswer(400, { message: error.message });
    if (error instanceof RuntimeError) return jsonAnswer(500, { message: error.message });
    logger.error({ err: error }, 'an admin request failed');
    return jsonAnswer(500, { message: 'internal error' });
  };

  /** A call that needs the token. `act` gets the members of the body. */
  const operator = (path: string, names: readonly string[], act: (given: Fields) => Promise<object>): Route => ({
    method: 'POST',
    path,
    answer: async (call) => {
      await guard(call.request, 'admin');
      const { bytes, release } = await call.body(OPERATOR_BODY_BYTES);
      release();
      const answer = await act(fields(bytes, names));
      metrics.logs.set(logs.count);
      return jsonAnswer(200, answer);
    },
  });

  const routes: Route[] = [
    ...probeRoutes({
      notReady: () => [...witness.notReady(), ...(options.notReady?.() ?? [])],
      alarms: () => [...options.lists.alarms(), ...(options.alarms?.() ?? [])],
      metrics,
      prefix: 'stele_witness',
    }),
    {
      method: 'GET',
      path: '/logs',
      answer: () => jsonAnswer(200, { logs: options.list(), lists: options.lists.status() }),
    },
    operator('/logs/add', ['vkey', ...LOG_FACTS], async ({ vkey, ...facts }) => {
      if (vkey === undefined) throw requestError('malformed', 'the body must have the member "vkey"');
      const { origin } = await logs.add(vkey, facts);
      return { origin };
    }),
    operator('/logs/disable', ['log'], async ({ log }) => {
      if (log === undefined) throw requestError('malformed', 'the body must be {"log": <origin or verifier key>}');
      return { disabled: await logs.disable(log) };
    }),
  ];
  /** The calls that change something refuse pages themselves, as they refuse a caller without the token. */
  const admit = (request: IncomingMessage) => {
    const refused = request.method === 'POST' ? undefined : ofPages(request);
    if (refused !== undefined) throw requestError('forbidden', refused);
  };
  return serveRoutes(
    { routes: guardReads(routes, guard), admit, refuse, readBody: (request, limit) => bodies.read(request, limit) },
    (handler) =>
      createHttpServer({
        limits: () => OPERATOR_LIMITS,
        clients,
        bodies,
        handler,
        tls: options.tls,
        refuse: (refusal, why) => errorAnswer(refusalError(refusal, why)),
      }),
  );
}

function errorAnswer({ message, row, data }: RequestError) {
  return jsonAnswer(row.status, { message }, data.allow === undefined ? {} : { allow: data.allow });
}

type Fields = Partial<Record<string, string>>;

/** The members of a JSON object, each a text and one of `names`. */
function fields(bytes: Uint8Array, names: readonly string[]): Fields {
  let body: unknown;
  try {
    body = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw requestError('malformed', 'the body must be a JSON object');
  }
  if (typeof body !== 'object' || body === null) throw requestError('malformed', 'the body must be a JSON object');
  for (const [name, value] of Object.entries(body)) {
    if (!names.includes(name) || typeof value !== 'string') {
      throw requestError('malformed', `the body has the members ${names.join(', ')}, each a text`);
    }
  }
  return body;
}

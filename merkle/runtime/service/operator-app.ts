/**
 * The operator's port of a service that shows metrics and health there, for no page and without a token. A service may have calls
 * there that change something: these need the admin token.
 */
import { type App, type AppOptions, jsonAnswer, type Route, RouteError, serveRoutes, textAnswer } from './app.ts';
import { ClientAddresses } from './client-address.ts';
import { type Answer, createHttpServer, type Refusal } from './http-server.ts';
import { OperatorRefused, operatorGuard, pageGuard } from './operator-guard.ts';
import { OPERATOR_LIMITS } from './operator-limits.ts';
import { type Probed, probeRoutes } from './probes.ts';
import { type BodyRefusal, RequestBodies } from './request-bodies.ts';

const STATUS: Readonly<Record<Refusal, number>> = { timeout: 408, 'headers-too-large': 431, malformed: 400 };
const FRESH = { 'cache-control': 'no-store' };

interface OperatorOptions extends Probed {
  /** Names and addresses by which the port is called, from the settings `admin.host` and `admin.hosts`. */
  readonly hosts: readonly string[];
  /** What operator's commands read beside the probes. */
  readonly routes?: readonly Route[];
  readonly calls?: OperatorCalls | undefined;
}

export interface OperatorCalls {
  readonly routes: readonly Route[];
  /** The admin token. */
  readonly token: string;
  /** Bytes of bodies in memory, all together. */
  readonly bodiesBytes: number;
}

class Forbidden extends Error {}

export function createOperatorApp(options: OperatorOptions): App {
  const clients = new ClientAddresses([]);
  const ofPages = pageGuard(options.hosts, 'admin.hosts');
  const app: AppOptions = {
    routes: [...probeRoutes(options), ...(options.routes ?? []), ...guardedCalls(options)],
    readBody: (request, limit) => bodies.read(request, limit),
    admit: (request) => {
      const refused = ofPages(request);
      if (refused !== undefined) throw new Forbidden(refused);
    },
    refuse: (error) => {
      if (error instanceof RouteError) return routeAnswer(error);
      if (error instanceof OperatorRefused) {
        const { status, message, headers } = error.refusal;
        return jsonAnswer(status, { code: 'refused', message }, { ...FRESH, ...headers });
      }
      if (error instanceof BodyProblem)
        return jsonAnswer(error.status, { code: 'body', message: error.message }, FRESH);
      return error instanceof Forbidden ? plain(403, error.message) : plain(500, 'internal error');
    },
  };
  const { bodiesBytes = OPERATOR_LIMITS.bodiesBytes } = options.calls ?? {};
  const limits = { ...OPERATOR_LIMITS, bodiesBytes };
  const bodies = new RequestBodies({ limits: () => limits, clients, refuse: (why) => new BodyProblem(why) });
  const refuse = (why: Refusal, text: string = why) => plain(STATUS[why], text);
  return serveRoutes(app, (handler) =>
    createHttpServer({ limits: () => OPERATOR_LIMITS, clients, bodies, handler, refuse }),
  );
}

function guardedCalls({ calls, hosts }: OperatorOptions): Route[] {
  if (calls === undefined) return [];
  const guard = operatorGuard({ ofPages: pageGuard(hosts, 'admin.hosts'), token: calls.token });
  return calls.routes.map((route) => ({
    ...route,
    answer: async (call) => {
      await guard(call.request, 'admin');
      return await route.answer(call);
    },
  }));
}

class BodyProblem extends Error {
  readonly status: number;

  constructor(why: BodyRefusal) {
    super(`the body cannot be read: ${why}`);
    this.status = why === 'too-large' ? 413 : why === 'room' || why === 'client-room' ? 503 : 400;
  }
}

function plain(status: number, text: string, headers: Answer['headers'] = {}): Answer<string> {
  return textAnswer(status, `${text}\n`, { ...FRESH, ...headers });
}

function routeAnswer({ code, data }: RouteError): Answer<string> {
  if (code === 'bad-url') return plain(400, 'the URL is malformed');
  if (code !== 'method-not-allowed') return plain(404, 'not found');
  return plain(405, `the method ${data.method} is not allowed here`, { allow: data.allow ?? '' });
}

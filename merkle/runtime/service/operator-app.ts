/** The operator's port of a service that only shows metrics and health there, for no page and without a token. */
import { type App, type AppOptions, RouteError, serveRoutes, textAnswer } from './app.ts';
import { ClientAddresses } from './client-address.ts';
import { type Answer, createHttpServer, type Refusal } from './http-server.ts';
import { pageGuard } from './operator-guard.ts';
import { OPERATOR_LIMITS } from './operator-limits.ts';
import { type Probed, probeRoutes } from './probes.ts';
import { RequestBodies } from './request-bodies.ts';

const STATUS: Readonly<Record<Refusal, number>> = { timeout: 408, 'headers-too-large': 431, malformed: 400 };
const FRESH = { 'cache-control': 'no-store' };

interface OperatorOptions extends Probed {
  /** Names and addresses by which the port is called, from the settings `admin.host` and `admin.hosts`. */
  readonly hosts: readonly string[];
}

class Forbidden extends Error {}

export function createOperatorApp(options: OperatorOptions): App {
  const clients = new ClientAddresses([]);
  const ofPages = pageGuard(options.hosts, 'admin.hosts');
  const app: AppOptions = {
    routes: probeRoutes(options),
    admit: (request) => {
      const refused = ofPages(request);
      if (refused !== undefined) throw new Forbidden(refused);
    },
    refuse: (error) => {
      if (error instanceof RouteError) return routeAnswer(error);
      return error instanceof Forbidden ? plain(403, error.message) : plain(500, 'internal error');
    },
  };
  // No call takes a body.
  const bodies = new RequestBodies({ limits: () => OPERATOR_LIMITS, clients, refuse: (why) => new Error(why) });
  const refuse = (why: Refusal, text: string = why) => plain(STATUS[why], text);
  return serveRoutes(app, (handler) =>
    createHttpServer({ limits: () => OPERATOR_LIMITS, clients, bodies, handler, refuse }),
  );
}

function plain(status: number, text: string, headers: Answer['headers'] = {}): Answer<string> {
  return textAnswer(status, `${text}\n`, { ...FRESH, ...headers });
}

function routeAnswer({ code, data }: RouteError): Answer<string> {
  if (code === 'bad-url') return plain(400, 'the URL is malformed');
  if (code !== 'method-not-allowed') return plain(404, 'not found');
  return plain(405, `the method ${data.method} is not allowed here`, { allow: data.allow ?? '' });
}

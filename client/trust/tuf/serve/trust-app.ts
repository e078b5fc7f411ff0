/** The HTTP server of `stele trust serve`: the mirror for everybody, which only reads. */
import type { IncomingMessage } from 'node:http';
import {
  type App,
  type AppOptions,
  RouteError,
  serveRoutes,
  textAnswer,
} from '../../../../merkle/runtime/service/app.ts';
import { ClientAddresses, MAX_REFUSALS } from '../../../../merkle/runtime/service/client-address.ts';
import { type Answer, createHttpServer, type Refusal } from '../../../../merkle/runtime/service/http-server.ts';
import type { Logger } from '../../../../merkle/runtime/service/logger.ts';
import type { Mirror } from '../../../../merkle/runtime/service/mirror.ts';
import { OPERATOR_LIMITS } from '../../../../merkle/runtime/service/operator-limits.ts';
import { RequestBodies } from '../../../../merkle/runtime/service/request-bodies.ts';
import type { TlsPair } from '../../../../merkle/runtime/service/tls-files.ts';
import { Window } from '../../../../merkle/runtime/service/window.ts';
import type { TrustMetrics } from './trust-metrics.ts';
import type { LiveTrustServe, TrustServeConfig } from './trust-serve-config.ts';

const STATUS: Readonly<Record<Refusal, number>> = { timeout: 408, 'headers-too-large': 431, malformed: 400 };
const FRESH = { 'cache-control': 'no-store' };
const FRESH_FOR_PAGES = { ...FRESH, 'access-control-allow-origin': '*' };
const RETRY_AFTER = '1';

const ABOUT = `This is a mirror of a TUF repository (The Update Framework), served by Stele.

GET /timestamp.json        what is newest
GET /N.root.json           version N of the root; the first one must come to you another way
`;

/** A request that gets a reply of text. */
class Refused extends Error {
  readonly answer: Answer;

  constructor(status: number, message: string, headers: Answer['headers'] = {}) {
    super(message);
    this.answer = textAnswer(status, `${message}\n`, { ...FRESH_FOR_PAGES, ...headers });
  }
}

/** The mirror. `live` is read at each use. */
export function createMirrorApp(
  mirror: Mirror,
  live: LiveTrustServe,
  { trustProxy: proxies }: Pick<TrustServeConfig, 'trustProxy'>,
  metrics: TrustMetrics,
  logger: Logger,
  tls?: TlsPair,
): App {
  const clients = new ClientAddresses(proxies);
  const requests = new Window(() => live.rateLimit.window);
  const file = ({ request: { url = '' } }: { readonly request: IncomingMessage }): Answer | Promise<Answer> => {
    const query = url.indexOf('?');
    const found = mirror.get(url.slice(1, query === -1 ? undefined : query));
    if (found === 'missing') throw new Refused(404, 'not found');
    if (found === 'busy')
      throw new Refused(503, 'too many large files are being sent; retry', { 'retry-after': RETRY_AFTER });
    return found;
  };
  const about = textAnswer(200, ABOUT, { 'cache-control': 'no-cache', 'access-control-allow-origin': '*' });
  const app: AppOptions = {
    routes: [
      { method: 'GET', path: '/', answer: () => about },
      { method: 'GET', path: '/*', answer: file },
    ],
    admit: (request) => {
      const { max } = live.rateLimit;
      if (max === 0) return;
      const client = clients.of(request);
      const full = requests.isFull(client, max);
      // A refusal costs about as much as a reply, so a client that goes on and on is not even refused.
      if (full && requests.isFull(client, max + MAX_REFUSALS)) clients.cutOff(request);
      requests.count(client);
      if (full) {
        const again = { 'retry-after': String(requests.retryAfter) };
        throw new Refused(429, 'too many requests from this address; retry later', again);
      }
    },
    refuse: (error, { method, url }) => {
      if (error instanceof Refused) return error.answer;
      if (error instanceof RouteError) return routeAnswer(error);
      logger.error({ err: error, method, url }, 'a request failed');
      return textAnswer(503, 'the file cannot be read now; retry\n', {
        ...FRESH_FOR_PAGES,
        'retry-after': RETRY_AFTER,
      });
    },
    observerOf: (route, _method, status) => metrics.request(route, status),
  };
  const bodies = bodiesOf(clients);
  metrics.port.bodyBytes = () => bodies.held;
  return serveRoutes(app, (handler) =>
    createHttpServer({
      limits: () => ({ ...OPERATOR_LIMITS, ...live.limits }),
      clients,
      bodies,
      handler,
      refuse: refusal,
      tls,
      metrics: metrics.port,
    }),
  );
}

/** No call takes a body. */
function bodiesOf(clients: ClientAddresses): RequestBodies {
  return new RequestBodies({ limits: () => OPERATOR_LIMITS, clients, refuse: (why) => new Error(why) });
}

function routeAnswer({ code, data }: RouteError): Answer<string> {
  if (code === 'bad-url') return textAnswer(400, 'the URL is malformed\n', FRESH_FOR_PAGES);
  if (code !== 'method-not-allowed') return textAnswer(404, 'not found\n', FRESH_FOR_PAGES);
  const allow = { allow: data.allow ?? '' };
  return textAnswer(405, `the method ${data.method} is not allowed here\n`, { ...FRESH_FOR_PAGES, ...allow });
}

function refusal(why: Refusal, text: string = why): Answer<string> {
  return textAnswer(STATUS[why], `${text}\n`, FRESH);
}

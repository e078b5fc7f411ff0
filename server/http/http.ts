/** The public HTTP server: joins the routes to one log, with the limits of its settings. */
import type { IncomingMessage } from 'node:http';
import { type App, type AppOptions, type Router, routerOf, serveRoutes } from '../../merkle/runtime/service/app.ts';
import { ClientAddresses, MAX_REFUSALS } from '../../merkle/runtime/service/client-address.ts';
import { createHttpServer } from '../../merkle/runtime/service/http-server.ts';
import type { Logger } from '../../merkle/runtime/service/logger.ts';
import { RequestBodies } from '../../merkle/runtime/service/request-bodies.ts';
import { Window } from '../../merkle/runtime/service/window.ts';
import { type RequestError, requestError } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import type { LogService } from '../types.ts';
import { aboutRoutes } from './about.ts';
import { bodyError, errorAnswer, forPages, refusalAnswer, toRequestError } from './answers.ts';
import { Compressor } from './compress.ts';
import type { HttpContext, HttpOptions, Served } from './context.ts';
import { explorerRoutes } from './explorer.ts';
import { openapiRoute } from './openapi.ts';
import { queryRoutes } from './query.ts';
import { readRoutes } from './read.ts';
import { trustRoutes } from './trust.ts';
import { writeRoutes } from './write.ts';

/** The logs of a port. */
export interface Hosts {
  /** The log that a request is for. */
  of(request: IncomingMessage): Served;
}

/**
 * The public API over `log`, for `listen`. `limits`, `rateLimit` and `retryAfter` of the options are read at each use. `close`
 * does not close the log; new entries are refused from then on.
 * @param hosts finds the log of a request where the port serves several; by default each request is for `log`
 */
export function createApp(
  log: LogService,
  options: HttpOptions,
  metrics: Metrics,
  logger: Logger,
  hosts: Hosts = alone(log, options, metrics),
): App {
  const clients = new ClientAddresses(options.trustProxy);
  const requests = new Window(() => options.rateLimit.window);
  const countRequest = (request: IncomingMessage): void => {
    const client = clients.of(request);
    const { max } = options.rateLimit;
    if (requests.isFull(client, max)) {
      // A refusal costs about as much as a reply, so a client that goes on and on is not even refused.
      if (requests.isFull(client, max + MAX_REFUSALS)) clients.cutOff(request);
      requests.count(client);
      metrics.refused('rate-limited');
      throw requestError('rate-limited', requests.retryAfter);
    }
    requests.count(client);
  };
  let draining = false;
  const bodies = new RequestBodies({ limits: () => options.limits, clients, refuse: bodyError });
  metrics.port.bodyBytes = () => bodies.held;
  /** Made at the first request for each log. */
  const routers = new WeakMap<Served, Router>();
  let last: { readonly served: Served; readonly router: Router } | undefined;
  const routerFor = (served: Served): Router => {
    const compressor = new Compressor(options.limits.compressedBytes);
    const context: HttpContext = { ...served, options, compressor, draining: () => draining };
    const routes = [
      ...writeRoutes(context),
      ...readRoutes(context),
      ...queryRoutes(context),
      ...trustRoutes(options.mirror),
    ];
    const pages = [...explorerRoutes(options.page), ...aboutRoutes(context)];
    const router = routerOf([...routes, openapiRoute(routes, served.publicUrl), ...pages]);
    routers.set(served, router);
    return router;
  };
  const app: AppOptions = {
    routes: (request) => {
      const served = hosts.of(request);
      // Most requests are for one log, and a look into the map costs more.
      if (served !== last?.served) last = { served, router: routers.get(served) ?? routerFor(served) };
      return last.router;
    },
    admit: (request) => {
      if (options.rateLimit.max > 0) countRequest(request);
      const { urlBytes } = options.limits;
      if (request.url!.length > urlBytes) throw requestError('uri-too-long', urlBytes);
    },
    readBody: (request, limit) =>
      bodies.read(request, limit).catch((error: RequestError) => {
        metrics.refused(error.code);
        throw error;
      }),
    refuse: (error, request) => {
      const known = toRequestError(error);
      if (known !== error && (known.code === 'internal' || known.code === 'unavailable')) {
        const { method, url } = request;
        logger.error({ err: error, method, url }, 'a request failed');
      }
      const successor = known.code === 'frozen' ? hosts.of(request).relations().successor : undefined;
      return forPages(request, errorAnswer(known, options, successor?.url), known);
    },
    observerOf: (route, method, status) => metrics.httpRequest(route, method, status),
    ...(options.log.requests && {
      log: (request, status, ms) => logRequest(logger, request, clients.addressOf(request), status, ms),
    }),
  };
  const { tls, replyRate } = options;
  return serveRoutes(
    app,
    (handler) =>
      createHttpServer({
        limits: () => options.limits,
        clients,
        bodies,
        handler,
        refuse: (refusal, why) => {
          const { writers, limits } = options;
          const head = refusal === 'headers-too-large' ? writers?.refuseHead(limits.headerBytes, metrics) : undefined;
          return head === undefined ? refusalAnswer(refusal, why) : errorAnswer(head, options);
        },
        tls,
        replyRate,
        metrics: metrics.port,
      }),
    () => {
      draining = true;
    },
  );
}

function alone(log: LogService, { publicUrl }: HttpOptions, metrics: Metrics): Hosts {
  const served = { log, metrics, publicUrl, relations: () => ({}) };
  return { of: () => served };
}

/** One line for each request: nothing of its headers but the client's name for itself, for a header may be a secret. */
function logRequest(
  logger: Logger,
  { method, url, headers }: IncomingMessage,
  address: string,
  status: number,
  milliseconds: number,
): void {
  const ms = Math.round(milliseconds * 1000) / 1000;
  logger.info({ method, url, status, ms, address, agent: headers['user-agent'] }, 'request');
}

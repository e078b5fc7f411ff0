/**
 * The application of a port: takes each request of a Node server to its route, and sends what the route answers or throws as
 * one whole reply. Bodies, connections and time limits are the server's own.
 */
import type { Server as HttpServer, IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Server as HttpsServer } from 'node:https';
import createRouter, { type HTTPMethod } from 'find-my-way';
import { CodedError } from '../../errors.ts';
import type { Observer } from './histogram.ts';
import type { Answer } from './http-server.ts';
import type { Body } from './request-bodies.ts';

export function textAnswer(status: number, body: string, headers: Answer['headers'] = {}): Answer<string> {
  return { status, headers: { 'content-type': 'text/plain; charset=utf-8', ...headers }, body };
}

export function jsonAnswer(status: number, value: unknown, headers: Answer['headers'] = {}): Answer<string> {
  const type = { 'content-type': 'application/json; charset=utf-8' };
  return { status, headers: { ...type, ...headers }, body: JSON.stringify(value) };
}

/** A request on its way through a route. */
export interface Call {
  readonly request: IncomingMessage;
  /** The parts of the path that the route names, percent-decoded. */
  readonly params: Readonly<Record<string, string | undefined>>;
  /** A name that stands twice in the query has a list of its values. */
  readonly query: Readonly<Record<string, string | readonly string[]>>;
  /** Reads the body of at most `limit` bytes, once, whatever its media type. */
  readonly body: (limit: number) => Promise<Body>;
}

export interface Route {
  /** A route for GET takes HEAD as well. */
  readonly method: 'GET' | 'POST';
  /** As find-my-way writes it: `:name` is one part of the path, `*` the rest, `::` a colon. */
  readonly path: string;
  readonly answer: (call: Call) => Answer | Promise<Answer>;
}

type RouteErrorCode =
  | 'not-found' // no route has this path
  | 'method-not-allowed' // the routes of this path have other methods: `data.allow`, for the header `Allow`
  | 'bad-url' // the path cannot be percent-decoded
  | 'param-too-long'; // a part of the path is longer than 100 characters

/** Why a request has no route. */
export class RouteError extends CodedError<RouteErrorCode, { readonly method: string; readonly allow?: string }> {
  override readonly name = 'RouteError';

  constructor(code: RouteErrorCode, { method = '' }: IncomingMessage, allow?: string) {
    super(code, code, { method, ...(allow !== undefined && { allow }) });
  }
}

export interface AppOptions {
  readonly routes: readonly Route[];
  /** Looks at a request before its route is known, and throws where it is refused. */
  readonly admit?: (request: IncomingMessage) => void;
  readonly readBody?: (request: IncomingMessage, limit: number) => Promise<Body>;
  /** The reply for what `admit`, `readBody` or a route threw, and for a `RouteError`. */
  readonly refuse: (error: unknown, request: IncomingMessage) => Answer;
  /** Takes the time of each reply. Called once for each route, method and status; the route is `none` where there is none. */
  readonly observerOf?: (route: string, method: string, status: number) => Observer;
  /** Called with each reply that went out. */
  readonly log?: (request: IncomingMessage, status: number, milliseconds: number) => void;
}

/** What listens on a port, and how it ends. */
export interface App {
  readonly server: HttpServer | HttpsServer;
  /** Takes no new connections, answers the requests under way, each with its connection's end, and then resolves. */
  close(): Promise<void>;
}

/**
 * @param serve makes the server
 * @param onClose called once `close` was called
 */
export function serveRoutes(
  options: AppOptions,
  serve: (listener: RequestListener) => HttpServer | HttpsServer,
  onClose: () => void = () => {},
): App {
  const { readBody, refuse, admit, observerOf, log } = options;
  const find = routerOf(options.routes);
  let closing = false;

  const observe = timer(observerOf);
  const listener: RequestListener = (request, response) => {
    const started = performance.now();
    let route: Route | undefined;
    // Requests may follow on the connection of one that came before the call of `close`, so its reply does not end it.
    const last = closing;
    // Node would read what is left of a body as the next request.
    let cut = false;
    const done = ({ status, headers, body }: Answer): void => {
      const all: Record<string, string | number> = { ...headers, 'content-length': Buffer.byteLength(body) };
      if (last || cut) all.connection = 'close';
      response.writeHead(status, all);
      response.end(request.method === 'HEAD' ? '' : body, 'utf8', () => {
        const milliseconds = performance.now() - started;
        observe?.(route, request.method!, status).observe(milliseconds / 1000);
        log?.(request, status, milliseconds);
      });
    };
    const failed = (error: unknown): void => done(refuse(error, request));
    const body = async (limit: number): Promise<Body> => {
      cut = true;
      const whole = await readBody!(request, limit);
      cut = false;
      return whole;
    };
    try {
      admit?.(request);
      const found = find(request, response);
      route = found.route;
      const answer = route.answer({ request, params: found.params, query: found.query, body });
      if (answer instanceof Promise) answer.then(done).catch(failed);
      else done(answer);
    } catch (error) {
      failed(error);
    }
  };
  const server = serve(listener);
  return {
    server,
    close: () => {
      closing = true;
      onClose();
      return new Promise((resolve) => {
        // Where the server never listened, this is called with an error.
        server.close(() => resolve());
        server.closeIdleConnections();
      });
    },
  };
}

/** Finds the observer of each reply once: to find one costs more than the rest of a request. */
function timer(observerOf: AppOptions['observerOf']) {
  if (observerOf === undefined) return undefined;
  const observers = new Map<string, Observer>();
  return (route: Route | undefined, method: string, status: number): Observer => {
    const [name, known] = route === undefined ? ['none', 'any'] : [route.path.replace('::', ':'), method];
    const key = `${status} ${known} ${name}`;
    let observer = observers.get(key);
    if (observer === undefined) {
      observer = observerOf(name, known, status);
      observers.set(key, observer);
    }
    return observer;
  };
}

type Found = Pick<Call, 'params' | 'query'> & { readonly route: Route };

/** Finds the route of a request. The function throws a `RouteError`. */
function routerOf(routes: readonly Route[]): (request: IncomingMessage, response: ServerResponse) => Found {
  const methods = new Set<HTTPMethod>();
  const refusal = (code: RouteErrorCode) => (_path: string, request: IncomingMessage) => {
    throw new RouteError(code, request);
  };
  const router = createRouter({
    defaultRoute: (request, response) => {
      const allowed = [...methods].sort().filter((method) => {
        const found = router.find(method, request.url!);
        // Only the two refusals below have no route.
        if (found?.store === null) found.handler(request, response, {}, null, {});
        return found !== null;
      });
      if (allowed.length === 0) throw new RouteError('not-found', request);
      throw new RouteError('method-not-allowed', request, allowed.join(', '));
    },
    onBadUrl: refusal('bad-url'),
    onMaxParamLength: refusal('param-too-long'),
  });
  for (const route of routes) {
    const all: HTTPMethod[] = route.method === 'GET' ? ['GET', 'HEAD'] : [route.method];
    const found = (
      _request: unknown,
      _response: unknown,
      params: Call['params'],
      _: unknown,
      query: Call['query'],
    ): Found => ({
      route,
      params,
      query,
    });
    router.on(all, route.path, found, route);
    for (const method of all) methods.add(method);
  }
  return (request, response) => router.lookup(request, response);
}

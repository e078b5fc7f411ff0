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
  /** The parts of the path that the route names, percent-decoded. What `*` stands for is in the URL of the request. */
  readonly params: Readonly<Record<string, string | undefined>>;
  /** A name that stands twice in the query has a list of its values. */
  readonly query: Readonly<Record<string, string | readonly string[]>>;
  /** Reads the body of at most `limit` bytes, once, whatever its media type. */
  body(limit: number): Promise<Body>;
}

export interface Route {
  /** A route for GET takes HEAD as well. */
  readonly method: 'GET' | 'POST' | 'DELETE';
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

/** A body of bytes up to this size goes out as text, in one piece with the head: a second piece costs more than the copy. */
const ONE_WRITE_BYTES = 1024;

const HEAD_KEY = 1000;
/** A URL that is a path, and the same after decoding. */
const PLAIN_URL = /^\/[^%?#]*$/;

export interface AppOptions {
  /** The routes of each request, or what finds those of one request: a port may serve several services by name. */
  readonly routes: readonly Route[] | ((request: IncomingMessage) => Router);
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
  const { routes } = options;
  const find: Router =
    typeof routes === 'function' ? (request, response) => routes(request)(request, response) : routerOf(routes);
  const observe = timer(options.observerOf);
  let closing = false;
  const listener: RequestListener = (request, response) => {
    // Requests that came together with one that ended the connection.
    if (request.socket.destroyed) return;
    const turn = new Turn(options, observe, request, response, closing);
    try {
      options.admit?.(request);
      turn.found = find(request, response);
      const answer = turn.found.route.answer(turn);
      if (answer instanceof Promise) answer.then((made) => turn.send(made)).catch((error) => turn.fail(error));
      else turn.send(answer);
    } catch (error) {
      turn.fail(error);
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

/** One request and its reply: one object, because a set of closures for each request costs more. */
class Turn implements Call {
  readonly request: IncomingMessage;
  found: Found | undefined;
  readonly #options: AppOptions;
  readonly #observe: ReturnType<typeof timer>;
  readonly #response: ServerResponse;
  readonly #started = performance.now();
  #ends: boolean;

  /** @param last whether the reply ends its connection. Requests may follow on that of one that came before `close` was called. */
  constructor(
    options: AppOptions,
    observe: ReturnType<typeof timer>,
    request: IncomingMessage,
    response: ServerResponse,
    last: boolean,
  ) {
    this.request = request;
    this.#options = options;
    this.#observe = observe;
    this.#response = response;
    this.#ends = last;
  }

  get params(): Call['params'] {
    return this.found!.params;
  }

  get query(): Call['query'] {
    return this.found!.query;
  }

  async body(limit: number): Promise<Body> {
    const last = this.#ends;
    // Node would read what is left of a body as the next request.
    this.#ends = true;
    const whole = await this.#options.readBody!(this.request, limit);
    this.#ends = last;
    return whole;
  }

  send({ status, headers, body }: Answer): void {
    const response = this.#response;
    const all: string[] = [];
    for (const name in headers) all.push(name, headers[name]!);
    all.push('content-length', String(typeof body === 'string' ? Buffer.byteLength(body) : body.length));
    // HTTP/2 has no such header (RFC 9113 section 8.2.2): its sessions end by themselves.
    if (this.#ends && this.request.httpVersionMajor === 1) all.push('connection', 'close');
    response.writeHead(status, all);
    // `end` would take this listener off again, which costs more than to add it.
    response.on('finish', () => this.#finished(status));
    if (this.request.method === 'HEAD') response.end();
    else if (typeof body === 'string' || body.length > ONE_WRITE_BYTES) response.end(body);
    else response.end(Buffer.from(body.buffer, body.byteOffset, body.length).toString('latin1'), 'latin1');
  }

  fail(error: unknown): void {
    this.send(this.#options.refuse(error, this.request));
  }

  #finished(status: number): void {
    const milliseconds = performance.now() - this.#started;
    this.#observe?.(this.found?.route, this.request.method!, status).observe(milliseconds / 1000);
    this.#options.log?.(this.request, status, milliseconds);
  }
}

/** Finds the observer of each reply once: to find one costs more than the rest of a request. */
function timer(observerOf: AppOptions['observerOf']) {
  if (observerOf === undefined) return undefined;
  /** By status, and that plus `HEAD_KEY` for HEAD: the only second method that a route has. */
  const observers = new Map<Route | undefined, Map<number, Observer>>();
  return (route: Route | undefined, method: string, status: number): Observer => {
    const ofRoute = observers.get(route) ?? new Map<number, Observer>();
    const key = route !== undefined && method === 'HEAD' ? status + HEAD_KEY : status;
    let observer = ofRoute.get(key);
    if (observer === undefined) {
      const [name, known] = route === undefined ? ['none', 'any'] : [plainPath(route), method];
      observer = observerOf(name, known, status);
      observers.set(route, ofRoute.set(key, observer));
    }
    return observer;
  };
}

function plainPath({ path }: Route): string {
  return path.replace('::', ':');
}

type Found = Pick<Call, 'params' | 'query'> & { readonly route: Route };

/** Finds the route of a request. @throws RouteError */
export type Router = (request: IncomingMessage, response: ServerResponse) => Found;

export function routerOf(routes: readonly Route[]): Router {
  const short = shortcut(routes);
  const full = fullRouter(routes);
  return (request, response) => short(request) ?? full(request, response);
}

/**
 * Finds what most requests ask for, as the router finds it: a path without parameters, or the longest that ends with `*`. No
 * route with a parameter may be below such a path.
 */
function shortcut(routes: readonly Route[]): (request: IncomingMessage) => Found | undefined {
  const whole = { GET: new Map<string, Found>(), POST: new Map<string, Found>(), DELETE: new Map<string, Found>() };
  const below: [prefix: string, found: Found][] = [];
  for (const route of routes) {
    if (route.method === 'DELETE' || route.path.replace('::', '').includes(':')) continue;
    const path = plainPath(route);
    const found = { route, params: {}, query: {} };
    if (path.endsWith('/*')) below.push([path.slice(0, -1), found]);
    else whole[route.method].set(path, found);
  }
  below.sort(([a], [b]) => b.length - a.length);
  return ({ method, url = '' }) => {
    if (method !== 'GET' && method !== 'POST' && method !== 'DELETE') return undefined;
    const found = whole[method].get(url);
    if (found !== undefined || !PLAIN_URL.test(url)) return found;
    return below.find(([prefix, { route }]) => route.method === method && url.startsWith(prefix))?.[1];
  };
}

/** Finds the route of any request. The function throws a `RouteError`. */
function fullRouter(routes: readonly Route[]) {
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
  return (request: IncomingMessage, response: ServerResponse): Found => router.lookup(request, response);
}

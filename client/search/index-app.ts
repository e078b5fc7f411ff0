/** The public port of the index: the routes of its parts behind the limits of its settings. */
import type { IncomingMessage } from 'node:http';
import {
  type App,
  type AppOptions,
  jsonAnswer,
  type Route,
  serveRoutes,
  textAnswer,
} from '../../merkle/runtime/service/app.ts';
import { type ClientAddresses, MAX_REFUSALS } from '../../merkle/runtime/service/client-address.ts';
import { createHttpServer } from '../../merkle/runtime/service/http-server.ts';
import type { Logger } from '../../merkle/runtime/service/logger.ts';
import { type DocumentedRoute, openapiText } from '../../merkle/runtime/service/openapi.ts';
import { RequestBodies } from '../../merkle/runtime/service/request-bodies.ts';
import type { TlsPair } from '../../merkle/runtime/service/tls-files.ts';
import { Window } from '../../merkle/runtime/service/window.ts';
import type { LiveIndex } from './index-config.ts';
import { FOR_PAGES, IndexError, indexBodyError, indexErrorAnswer, refusalError, toIndexError } from './index-errors.ts';
import type { IndexMetrics } from './index-metrics.ts';
import { openapiDocs } from './search-docs.ts';

const INFO = {
  title: 'Stele index',
  description:
    'Entries of transparency logs by what is in them. Each hit has its entry and a proof, so that a client believes the index nothing (docs/search.md).',
};

interface IndexAppOptions {
  /** Of all parts that are on. */
  readonly routes: readonly DocumentedRoute[];
  readonly clients: ClientAddresses;
  /** Lines for people, one a call. */
  readonly about: readonly string[];
  readonly publicUrl: string | undefined;
  readonly live: LiveIndex;
  readonly tls: TlsPair | undefined;
  readonly metrics: IndexMetrics;
  readonly logger: Logger;
}

export function createIndexApp(options: IndexAppOptions): App {
  const { routes, clients, live, tls, metrics, logger } = options;
  const requests = new Window(() => live.rateLimit.window);
  const bodies = new RequestBodies({ limits: () => live.limits, clients, refuse: indexBodyError });
  metrics.port.bodyBytes = () => bodies.held;
  const app: AppOptions = {
    routes: [...routes, openapiRoute(routes, options.publicUrl), aboutRoute(options.about)],
    admit: (request) => {
      admitRate(request, live, clients, requests);
      const { urlBytes } = live.limits;
      if (request.url!.length > urlBytes) {
        throw new IndexError('uri-too-long', `the URL has more than ${urlBytes} characters, which is the most here`);
      }
      admitEscapes(request.url!);
    },
    readBody: (request, limit) => bodies.read(request, limit),
    refuse: (error, { method, url }) => {
      const { code } = toIndexError(error);
      metrics.refused.inc({ error: code });
      // The URL may hold what somebody searches for, so it is not logged.
      if (code === 'internal') logger.error({ err: error, method, path: pathOf(url) }, 'a request failed');
      return indexErrorAnswer(error);
    },
    observerOf: (route, _method, status) => metrics.request(route, status),
  };
  return serveRoutes(app, (handler) =>
    createHttpServer({
      limits: () => live.limits,
      clients,
      bodies,
      handler,
      refuse: (why, text) => indexErrorAnswer(refusalError(why, text)),
      tls,
      metrics: metrics.port,
    }),
  );
}

/** An answer to another question than the one that was asked would be a wrong one. @throws IndexError `malformed` */
function admitEscapes(url: string): void {
  if (!url.includes('%')) return;
  try {
    decodeURIComponent(url);
  } catch (cause) {
    throw new IndexError(
      'malformed',
      'the URL has a % that begins no escape, or escapes that are not UTF-8',
      {},
      { cause },
    );
  }
}

function pathOf(url = ''): string {
  return url.split('?', 1)[0]!;
}

/** @throws IndexError `rate-limited` */
function admitRate(request: IncomingMessage, live: LiveIndex, clients: ClientAddresses, requests: Window): void {
  const { max } = live.rateLimit;
  if (max === 0) return;
  const client = clients.of(request);
  const full = requests.isFull(client, max);
  // A refusal costs about as much as a reply, so a client that goes on and on is not even refused.
  if (full && requests.isFull(client, max + MAX_REFUSALS)) clients.cutOff(request);
  requests.count(client);
  if (!full) return;
  throw new IndexError('rate-limited', 'too many requests from this address: try again later', {
    retryAfter: requests.retryAfter,
  });
}

function openapiRoute(routes: readonly DocumentedRoute[], publicUrl: string | undefined): DocumentedRoute {
  const headers = { ...FOR_PAGES, 'cache-control': 'public, max-age=300' };
  const route: DocumentedRoute = {
    method: 'GET',
    path: '/openapi.json',
    docs: openapiDocs,
    answer: () => ({ ...jsonAnswer(200, undefined, headers), body: text }),
  };
  const text = openapiText([...routes, route], INFO, publicUrl);
  return route;
}

/** A page that says what this is. It is no part of the API. */
function aboutRoute(lines: readonly string[]): Route {
  const text = `This is an index over transparency logs that runs Stele. Believe it nothing: \`stele search\` checks each hit.

${lines.join('\n')}
GET  /openapi.json         every call
`;
  const answer = textAnswer(200, text, { ...FOR_PAGES, 'cache-control': 'no-cache' });
  return { method: 'GET', path: '/', answer: () => answer };
}

/** The paths of a server, to tell an unknown path (404) from a method that a path does not have (405). */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type RequestError, requestError } from '../errors.ts';

/** The path of a request target, still percent-encoded, without its query. */
export function pathOf(url: string | undefined): string {
  const target = url ?? '';
  const query = target.indexOf('?');
  return query === -1 ? target : target.slice(0, query);
}

/**
 * Must be called before the routes are added. The function that it returns gives the error of a request that no route takes,
 * and sets `Allow` if another method would be right; undefined if a route takes the request.
 */
export function watchRoutes(
  app: FastifyInstance,
): (request: FastifyRequest, reply: FastifyReply) => RequestError | undefined {
  const methods = new Map<string, Set<string>>();
  let patterns: readonly (readonly [RegExp, Set<string>])[] | undefined;
  app.addHook('onRoute', ({ url, method }) => {
    const known = methods.get(url) ?? new Set();
    for (const name of typeof method === 'string' ? [method] : method) known.add(name);
    methods.set(url, known);
  });
  return (request, reply) => {
    if (!request.is404) return undefined;
    patterns ??= [...methods].map(([url, known]) => [routePattern(url), known] as const);
    const path = pathOf(request.raw.url);
    const known = patterns.find(([pattern]) => pattern.test(path))?.[1];
    if (known === undefined) return requestError('not-found');
    reply.header('allow', [...known].sort().join(', '));
    return requestError('method-not-allowed', request.method);
  };
}

function routePattern(url: string): RegExp {
  const parts = url.split(/(::|:\w+|\*)/).map((part) => {
    if (part === '::') return ':';
    if (part === '*') return '.*';
    return part.startsWith(':') ? '[^/]+' : part.replace(/[.+?^${}()|[\]\\]/g, '\\$&');
  });
  return new RegExp(`^${parts.join('')}$`);
}

/** OpenAPI 3.1, generated from the routes, at `/openapi.json`. */
import swagger from '@fastify/swagger';
import type { FastifyInstance, FastifySchema } from 'fastify';
import { sendJson } from './answers.ts';
import { docs, type RouteDocs } from './route-docs.ts';

/** Must be called before the routes are added. */
export function openapi(app: FastifyInstance, publicUrl: string | undefined): void {
  app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Stele',
        description:
          'An append-only transparency log: the write API of Rekor v2, and the read API of c2sp.org/tlog-tiles.',
        version: '1',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      ...(publicUrl === undefined ? {} : { servers: [{ url: publicUrl }] }),
    },
    transform: ({ schema, url, route }) => {
      const described = route.config?.docs;
      if (described === undefined) return { schema: { ...schema, hide: true } as FastifySchema, url };
      const { path, ...rest } = described;
      return { schema: { ...schema, ...rest } as unknown as FastifySchema, url: documentedPath(url, path) };
    },
  });
}

/** Must be called after the routes were added. */
export function openapiRoute(app: FastifyInstance): void {
  let text: string | undefined;
  app.get('/openapi.json', { config: { docs: docs.openapi as RouteDocs } }, (_request, reply) => {
    text ??= JSON.stringify(app.swagger());
    sendJson(reply.header('cache-control', 'public, max-age=300'), text);
  });
}

/** `path` is the path at the root; the same route is below `/api/v2` as well. */
function documentedPath(url: string, path: string | undefined): string {
  if (path === undefined) return url;
  return url.startsWith('/api/v2') ? `/api/v2${path}` : path;
}

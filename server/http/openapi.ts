/** OpenAPI 3.1, made from the routes and their descriptions, at `/openapi.json`. */
import type { TObject } from 'typebox';
import { ANY_ORIGIN, json } from './answers.ts';
import { type DocumentedRoute, docs } from './route-docs.ts';

const INFO = {
  title: 'Stele',
  description: 'An append-only transparency log: the write API of Rekor v2, and the read API of c2sp.org/tlog-tiles.',
  version: '1',
  license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
};

/** The route of the document that describes `routes`, and itself. */
export function openapiRoute(routes: readonly DocumentedRoute[], publicUrl: string | undefined): DocumentedRoute {
  const route: DocumentedRoute = {
    method: 'GET',
    path: '/openapi.json',
    docs: docs.openapi,
    answer: () => json(text, { ...ANY_ORIGIN, 'cache-control': 'public, max-age=300' }),
  };
  const text = JSON.stringify(describe([...routes, route], publicUrl));
  return route;
}

function describe(routes: readonly DocumentedRoute[], publicUrl: string | undefined) {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const { method, path, docs: described } of routes) {
    const { params, query, body, response, ...rest } = described;
    const parameters = [...parametersOf('path', params), ...parametersOf('query', query)];
    const operation = {
      ...rest,
      ...(parameters.length > 0 && { parameters }),
      ...(body !== undefined && { requestBody: { required: true, ...body } }),
      responses: response,
    };
    const documented = documentedPath(path, params);
    paths[documented] = { ...paths[documented], [method.toLowerCase()]: operation };
  }
  const servers = publicUrl === undefined ? {} : { servers: [{ url: publicUrl }] };
  return { openapi: '3.1.0', info: INFO, ...servers, components: { schemas: {} }, paths };
}

function parametersOf(where: 'path' | 'query', object: TObject | undefined) {
  return Object.entries(object?.properties ?? {}).map(([name, { description, ...schema }]: [string, Described]) => ({
    schema,
    in: where,
    name,
    required: true,
    ...(description !== undefined && { description }),
  }));
}

interface Described {
  readonly description?: string;
}

/** `/tile/{tile}` of `/tile/*`: the router gives no name to the rest of a path. */
function documentedPath(path: string, params: TObject | undefined): string {
  const [name] = Object.keys(params?.properties ?? {});
  return path.replace('::', ':').replace(/\*$|\/:\w+/, (part) => (part === '*' ? `{${name}}` : `/{${name}}`));
}

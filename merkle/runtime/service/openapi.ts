/** OpenAPI 3.1 of a service, made from its routes and their descriptions: the schemas of TypeBox are JSON Schema. */
import type { TObject } from 'typebox';
import type { Route } from './app.ts';

/** What one route takes and answers. */
export interface RouteDocs {
  readonly summary: string;
  readonly description?: string;
  readonly tags: readonly string[];
  /** Parts of the path. */
  readonly params?: TObject;
  readonly query?: TObject;
  readonly body?: { readonly content: unknown };
  readonly response: Readonly<Record<string, unknown>>;
}

export interface DocumentedRoute extends Route {
  readonly docs: RouteDocs;
}

interface ApiInfo {
  readonly title: string;
  readonly description: string;
}

const INFO = { version: '1', license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } };

/** The document as JSON. @param publicUrl where others reach the service, if that is known */
export function openapiText(routes: readonly DocumentedRoute[], info: ApiInfo, publicUrl: string | undefined): string {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const { method, path, docs } of routes) {
    const { params, query, body, response, ...rest } = docs;
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
  return JSON.stringify({
    openapi: '3.1.0',
    info: { ...info, ...INFO },
    ...servers,
    components: { schemas: {} },
    paths,
  });
}

function parametersOf(where: 'path' | 'query', object: TObject | undefined) {
  const required: readonly string[] = object?.required ?? [];
  return Object.entries(object?.properties ?? {}).map(([name, { description, ...schema }]: [string, Described]) => ({
    schema,
    in: where,
    name,
    required: required.includes(name),
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

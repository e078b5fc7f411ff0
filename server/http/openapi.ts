/** The log's OpenAPI document, at `/openapi.json`. */
import { type DocumentedRoute, openapiText } from '../../merkle/runtime/service/openapi.ts';
import { ANY_ORIGIN, json } from './answers.ts';
import { docs } from './route-docs.ts';

const INFO = {
  title: 'Stele',
  description: 'An append-only transparency log: the write API of Rekor v2, and the read API of c2sp.org/tlog-tiles.',
};

/** The route of the document that describes `routes`, and itself. */
export function openapiRoute(routes: readonly DocumentedRoute[], publicUrl: string | undefined): DocumentedRoute {
  const route: DocumentedRoute = {
    method: 'GET',
    path: '/openapi.json',
    docs: docs.openapi,
    answer: () => json(text, { ...ANY_ORIGIN, 'cache-control': 'public, max-age=300' }),
  };
  const text = openapiText([...routes, route], INFO, publicUrl);
  return route;
}

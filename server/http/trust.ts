/** `/trust/`: the files of the TUF repository that is configured, for clients that follow it. */
import type { Call } from '../../merkle/runtime/service/app.ts';
import type { Answer } from '../../merkle/runtime/service/http-server.ts';
import type { Mirror } from '../../merkle/runtime/service/mirror.ts';
import type { DocumentedRoute } from '../../merkle/runtime/service/openapi.ts';
import { requestError } from '../errors.ts';
import { docs } from './route-docs.ts';

const PREFIX = '/trust/';

/** @param mirror undefined where no repository is configured */
export function trustRoutes(mirror: Mirror | undefined): DocumentedRoute[] {
  if (mirror === undefined) return [];
  const answer = ({ request: { url = '' } }: Call): Answer | Promise<Answer> => {
    const query = url.indexOf('?');
    const found = mirror.get(url.slice(PREFIX.length, query === -1 ? undefined : query));
    if (found === 'missing') throw requestError('not-found');
    if (found === 'busy') throw requestError('pushback');
    return found;
  };
  return [{ method: 'GET', path: `${PREFIX}*`, docs: docs.trust, answer }];
}

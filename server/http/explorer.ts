/** `/explorer/`: the page that checks the log in a browser. It is no part of the API. */
import type { Call, Route } from '../../merkle/runtime/service/app.ts';
import type { ExplorerSite } from '../../merkle/runtime/service/explorer-site.ts';
import type { Answer } from '../../merkle/runtime/service/http-server.ts';
import { requestError } from '../errors.ts';

const PREFIX = '/explorer/';

/** @param site undefined where no page is configured */
export function explorerRoutes(site: ExplorerSite | undefined): Route[] {
  if (site === undefined) return [];
  const answer = ({ request: { url = '', headers } }: Call): Answer | Promise<Answer> => {
    const query = url.indexOf('?');
    const path = url.slice(PREFIX.length, query === -1 ? undefined : query);
    const accepted = headers['accept-encoding'];
    const found = site.get(path, typeof accepted === 'string' ? accepted : undefined);
    if (found === 'missing') throw requestError('not-found');
    if (found === 'busy') throw requestError('pushback');
    return found;
  };
  return [
    { method: 'GET', path: `${PREFIX}*`, answer },
    { method: 'GET', path: '/explorer', answer: () => toExplorer() },
  ];
}

/** Leads a browser to the page, also where a proxy serves the log below another path. */
export function toExplorer(): Answer {
  const headers = { location: 'explorer/', vary: 'Accept', 'cache-control': 'no-cache' };
  return { status: 302, headers: { ...headers, 'content-type': 'text/plain; charset=utf-8' }, body: '' };
}

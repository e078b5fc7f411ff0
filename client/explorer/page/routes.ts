/**
 * The routes of the page, in the hash: `#/`, `#/entry/17?log=log.example.com`. A page that is a file on any server needs no route
 * of the server then. The log that is shown stands in the query; without it, it is the first of `explorer.json`.
 */
import { useEffect, useState } from 'preact/hooks';

/** The names of the views; `log` has the empty path. */
const VIEW_NAMES = ['log', 'entry', 'search', 'file', 'bundle', 'compare'] as const;

export type ViewName = (typeof VIEW_NAMES)[number];

export interface Route {
  /** Undefined for a route that is none. */
  readonly view: ViewName | undefined;
  /** The part behind the name: `17` of `#/entry/17`; as it was sent, which anybody may have done. */
  readonly rest: string;
  readonly query: URLSearchParams;
}

function parseRoute(hash: string): Route {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?', 2);
  const [name = '', ...rest] = path.split('/');
  const view = VIEW_NAMES.find((known) => known === (name === '' ? 'log' : name));
  return { view, rest: decoded(rest.join('/')), query: new URLSearchParams(query) };
}

/** The hash of a route, for a link. */
export function linkTo(view: ViewName, rest = '', query: Readonly<Record<string, string | undefined>> = {}): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) params.set(name, value);
  const name = view === 'log' ? '' : view;
  const path = rest === '' ? name : `${name}/${encodeURIComponent(rest)}`;
  return `#/${path}${params.size === 0 ? '' : `?${params}`}`;
}

export function useRoute(): Route {
  const [route, setRoute] = useState(() => parseRoute(location.hash));
  useEffect(() => {
    const changed = () => setRoute(parseRoute(location.hash));
    addEventListener('hashchange', changed);
    return () => removeEventListener('hashchange', changed);
  }, []);
  return route;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** What stands around each view: the name of the log, the menu, the place of the view, and what went wrong before any view. */
import type { ComponentType } from 'preact';
import { useEffect, useErrorBoundary, useRef, useState } from 'preact/hooks';
import type { ExplorerConfig, ExplorerLog } from '../../../merkle/explorer-config.ts';
import { claimFailed, reasonOf } from '../model/claims.ts';
import { useDropAnywhere } from './drop-anywhere.tsx';
import { inWorker } from './in-worker.ts';
import { ClaimLine, shownText } from './page-claim.tsx';
import { linkTo, type Route, useRoute, type ViewName } from './routes.ts';
import type { ViewProps } from './types.ts';
import { VIEWS } from './views.ts';

export function Frame() {
  const route = useRoute();
  const [config, setConfig] = useState<ExplorerConfig | Error>();
  useEffect(() => {
    inWorker('readExplorer', { url: new URL('explorer.json', document.baseURI).href }).then(
      setConfig,
      (error: unknown) => setConfig(new Error(reasonOf(error))),
    );
  }, []);
  const log = config === undefined || config instanceof Error ? undefined : chosenLog(config, route);
  const [fault] = useErrorBoundary();
  const main = useRef<HTMLElement>(null);
  useFocusOnRoute(main, route);
  useDropAnywhere(route.query.get('log') ?? undefined);
  return (
    <>
      <button type="button" class="skip" onClick={() => main.current?.focus()}>
        Skip to the content
      </button>
      <header>
        <p class="brand">
          <img src={markUrl} alt="" width="20" height="20" /> Stele explorer
        </p>
        {config !== undefined && !(config instanceof Error) && (
          <Menu config={config} route={route} origin={log?.origin} />
        )}
      </header>
      <main id="main" ref={main} tabIndex={-1}>
        {fault !== undefined ? (
          <ClaimLine claim={claimFailed('This page has a fault, and shows nothing that it did not check', fault)} />
        ) : (
          <Content config={config} log={log} route={route} />
        )}
      </main>
      <footer>
        <p>
          What is marked as checked was checked here, in this browser, against the keys in{' '}
          <a href="explorer.json">explorer.json</a>. This page sends nothing to anybody but the servers that are named
          there.
        </p>
      </footer>
    </>
  );
}

const markUrl = new URL('./mark.svg', import.meta.url).href;

function Content({
  config,
  log,
  route,
}: {
  readonly config: ExplorerConfig | Error | undefined;
  readonly log: ExplorerLog | undefined;
  readonly route: Route;
}) {
  if (config === undefined) return <p role="status">Reading explorer.json …</p>;
  if (config instanceof Error) {
    return (
      <>
        <h1>Nothing can be checked</h1>
        <ClaimLine claim={claimFailed('The configuration of this page', config)} />
      </>
    );
  }
  if (route.view === undefined || log === undefined) {
    const what = route.view === undefined ? 'There is no such page' : 'There is no such log here';
    const asked = route.view === undefined ? location.hash : (route.query.get('log') ?? '');
    return (
      <>
        <h1>{what}</h1>
        <p>
          Asked for: <code class="hash">{shownText(asked, 200)}</code>
        </p>
        <p>
          <a href={linkTo('log')}>To the log</a>
        </p>
      </>
    );
  }
  // Another log is another view: nothing of the one before stays.
  return <Shown key={`${route.view} ${log.origin}`} view={route.view} props={{ ...route, config, log }} />;
}

function Shown({ view, props }: { readonly view: ViewName; readonly props: ViewProps }) {
  const [loaded, setLoaded] = useState<{ readonly View: ComponentType<ViewProps> } | Error>();
  useEffect(() => {
    VIEWS[view].load().then(
      (View) => setLoaded({ View }),
      (error: unknown) => setLoaded(new Error(reasonOf(error))),
    );
  }, [view]);
  if (loaded === undefined) {
    return (
      <>
        <h1>{VIEWS[view].title}</h1>
        <p role="status">Loading this part of the page …</p>
      </>
    );
  }
  if (loaded instanceof Error) {
    return (
      <>
        <h1>{VIEWS[view].title}</h1>
        <ClaimLine claim={claimFailed('This part of the page could not be loaded', loaded)} />
      </>
    );
  }
  return <loaded.View {...props} />;
}

function Menu({
  config,
  route,
  origin,
}: {
  readonly config: ExplorerConfig;
  readonly route: Route;
  readonly origin: string | undefined;
}) {
  const first = config.logs[0]?.origin;
  const log = origin === first ? undefined : origin;
  const names = Object.keys(VIEWS) as ViewName[];
  return (
    <nav aria-label="Explorer">
      {config.logs.length > 1 && (
        <label>
          Log{' '}
          <select
            value={origin ?? ''}
            onChange={({ currentTarget: { value } }) => {
              location.hash = linkTo('log', '', { log: value === first ? undefined : value });
            }}
          >
            {origin === undefined && <option value="">—</option>}
            {config.logs.map((one) => (
              <option key={one.origin} value={one.origin}>
                {shownText(one.origin, 100)}
              </option>
            ))}
          </select>
        </label>
      )}
      <ul>
        {names
          .filter((name) => VIEWS[name].inMenu)
          .map((name) => (
            <li key={name}>
              <a href={linkTo(name, '', { log })} {...(route.view === name && { 'aria-current': 'page' as const })}>
                {VIEWS[name].title}
              </a>
            </li>
          ))}
      </ul>
    </nav>
  );
}

function chosenLog({ logs }: ExplorerConfig, { query }: Route): ExplorerLog | undefined {
  const origin = query.get('log');
  return origin === null ? logs[0] : logs.find((log) => log.origin === origin);
}

/** After a change of the route the focus and the title follow it, as they do where a server sends each page. */
function useFocusOnRoute(main: { readonly current: HTMLElement | null }, { view, rest, query }: Route): void {
  const place = `${view} ${rest} ${query.get('log')}`;
  const before = useRef<string | undefined>(undefined);
  useEffect(() => {
    document.title = `${view === undefined ? 'Not found' : VIEWS[view].title} – Stele explorer`;
    if (before.current !== undefined && before.current !== place) main.current?.focus();
    before.current = place;
  }, [place, view, main]);
}

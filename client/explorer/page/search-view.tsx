/** Search in the index of a log. Each hit is checked here; what nothing proves is told. */
import { useEffect, useRef, useState } from 'preact/hooks';
import type { ExplorerLog } from '../../../merkle/explorer-config.ts';
import type { SearchQuery } from '../../search/types.ts';
import { claimFailed, claimNotChecked, reasonOf } from '../model/claims.ts';
import { SEARCH_KINDS, SEARCH_MATCHES, searchOf } from '../model/page-search.ts';
import type { SearchAnswer, ShownHit } from '../worker/search-index.ts';
import { DataText, HexText } from './data-text.tsx';
import { EntryDetails } from './entry-details.tsx';
import { inWorker, type TaskError } from './in-worker.ts';
import { LogWarnings } from './log-warnings.tsx';
import { ClaimLine, ClaimList } from './page-claim.tsx';
import { linkTo } from './routes.ts';
import type { ViewProps } from './types.ts';
import { useTask } from './use-task.ts';
import { WayPicture } from './way-picture.tsx';

export function SearchView({ query, log }: ViewProps) {
  const named = query.get('log') ?? undefined;
  let asked: SearchQuery | undefined;
  let wrong: string | undefined;
  try {
    asked = searchOf(log.origin, query);
  } catch (error) {
    wrong = reasonOf(error);
  }
  return (
    <>
      <h1>Search</h1>
      <LogWarnings log={log} />
      {log.index === undefined ? (
        <NoIndex log={named} />
      ) : (
        <>
          <SearchForm query={query} />
          {wrong !== undefined && <ClaimLine claim={claimFailed('The search can be made', wrong)} />}
          {asked !== undefined && <SearchHits key={JSON.stringify(asked)} log={log} query={asked} named={named} />}
        </>
      )}
    </>
  );
}

export function NoIndex({ log }: { readonly log: string | undefined }) {
  return (
    <>
      <ClaimLine
        claim={claimNotChecked(
          'Search',
          'explorer.json names no index for this log, and a log alone cannot be searched',
        )}
      />
      <p>
        What still works: <a href={linkTo('entry', '', { log })}>an entry by its number</a>, and{' '}
        <a href={linkTo('bundle', '', { log })}>a bundle verified</a>, which holds its entry itself.
      </p>
    </>
  );
}

function SearchForm({ query }: { readonly query: URLSearchParams }) {
  const kind = query.get('kind') ?? 'digest';
  const example = SEARCH_KINDS.find((one) => one.kind === kind)?.example;
  const given = (name: string) => query.get(name) ?? '';
  return (
    <form
      key={query.toString()}
      class="row"
      onSubmit={(event) => {
        event.preventDefault();
        const form = new FormData(event.currentTarget);
        const values: Record<string, string | undefined> = { log: query.get('log') ?? undefined };
        for (const name of ['kind', 'match', 'value', 'from', 'to', 'order']) {
          const value = form.get(name);
          if (typeof value === 'string' && value.trim() !== '') values[name] = value.trim();
        }
        location.hash = linkTo('search', '', values);
      }}
    >
      <label>
        Search for{' '}
        <select name="kind" defaultValue={kind}>
          {SEARCH_KINDS.map((one) => (
            <option key={one.kind} value={one.kind} selected={one.kind === kind}>
              {one.label}
            </option>
          ))}
        </select>
      </label>
      <label>
        that{' '}
        <select name="match">
          {SEARCH_MATCHES.map((one) => (
            <option key={one.match} value={one.match} selected={one.match === (query.get('match') ?? 'exact')}>
              {one.label}
            </option>
          ))}
        </select>
      </label>
      <label class="grow">
        Value{' '}
        <input name="value" defaultValue={given('value')} placeholder={example} spellcheck={false} autocomplete="off" />
      </label>
      <details>
        <summary>Range and order</summary>
        <label>
          From entry <input name="from" inputMode="numeric" size={10} maxLength={16} defaultValue={given('from')} />
        </label>{' '}
        <label>
          Before entry <input name="to" inputMode="numeric" size={10} maxLength={16} defaultValue={given('to')} />
        </label>{' '}
        <label>
          Order{' '}
          <select name="order">
            <option value="ascending" selected={given('order') !== 'descending'}>
              oldest first
            </option>
            <option value="descending" selected={given('order') === 'descending'}>
              newest first
            </option>
          </select>
        </label>
      </details>
      <button type="submit">Search</button>
    </form>
  );
}

interface HitsProps {
  readonly log: ExplorerLog;
  readonly query: SearchQuery;
  readonly named: string | undefined;
  /** The way of the first hit up the tree is drawn at once. */
  readonly drawn?: boolean;
}

/** The pages of one query. The parent gives another `key` for another query, so nothing of an earlier one stays. */
export function SearchHits({ log, query, named, drawn = false }: HitsProps) {
  const [pages, setPages] = useState<readonly SearchAnswer[]>([]);
  const [error, setError] = useState<TaskError>();
  const [busy, setBusy] = useState(true);
  const stop = useRef<AbortController | undefined>(undefined);
  const ask = (earlier: readonly SearchAnswer[]) => {
    stop.current?.abort();
    const own = new AbortController();
    stop.current = own;
    setBusy(true);
    setError(undefined);
    const before = earlier.at(-1);
    const page = before?.next;
    const input = {
      log,
      query: page === undefined ? query : { ...query, page },
      ...(before && {
        before: {
          log: before.log,
          size: before.size,
          root: before.root,
          ...(before.last !== undefined && { last: before.last }),
        },
      }),
    };
    inWorker('searchIndex', input, { signal: own.signal }).then(
      (answer) => {
        if (own.signal.aborted) return;
        setPages([...earlier, answer]);
        setBusy(false);
      },
      (reason: TaskError) => {
        if (own.signal.aborted) return;
        setError(reason);
        setBusy(false);
      },
    );
  };
  useEffect(() => {
    ask([]);
    return () => stop.current?.abort();
  }, []);
  const last = pages.at(-1);
  const hits = pages.flatMap((page) => page.hits);
  const wrong = hits.filter(({ claim }) => claim.state === 'failed').length;
  return (
    <div>
      {last !== undefined && (
        <>
          <h2 data-testid="count">{countOf(hits.length - wrong, last.next !== undefined)}</h2>
          <p data-testid="through">
            Complete through size {last.size} at root <HexText bytes={last.root} />, says the index.
          </p>
          {pages.length === 1 ? (
            <ClaimList claims={last.claims} label="What was checked of the answer" />
          ) : (
            pages.map((page, i) => (
              <details
                key={page.hits[0]?.index ?? `page ${i + 1}`}
                open={page.claims.some(({ state }) => state === 'failed')}
              >
                <summary>Page {i + 1}: what was checked of the answer</summary>
                <ClaimList claims={page.claims} label={`Page ${i + 1}: what was checked of the answer`} />
              </details>
            ))
          )}
        </>
      )}
      {hits.length > 0 && (
        <ol class="hits" aria-label="Entries">
          {hits.map((hit, i) => (
            <li key={hit.index}>
              <Hit hit={hit} log={named} />
              {drawn && i === 0 && <HitWay log={log} index={hit.index} />}
            </li>
          ))}
        </ol>
      )}
      {busy && <p role="status">Asking the index, and checking what it answers …</p>}
      {error !== undefined && (
        <ClaimLine claim={claimFailed('The answer of the index', error)}>
          <p>
            <button type="button" onClick={() => ask(pages)}>
              Ask again
            </button>
          </p>
        </ClaimLine>
      )}
      {last?.next !== undefined && !busy && error === undefined && (
        <button type="button" onClick={() => ask(pages)}>
          More
        </button>
      )}
    </div>
  );
}

function countOf(count: number, more: boolean): string {
  if (count === 0) return more ? 'No entry so far' : 'No entry';
  const what = count === 1 ? '1 entry' : `${count} entries`;
  return more ? `${what}, and there may be more` : what;
}

function Hit({
  hit: { index, claim, words, leafHash },
  log,
}: {
  readonly hit: ShownHit;
  readonly log: string | undefined;
}) {
  const isWrong = words.signatures.some(({ claims }) => claims.some(({ state }) => state === 'failed'));
  const who = words.signatures.flatMap(({ certificate }) => certificate?.names ?? []);
  return (
    <>
      <h3>
        <a href={linkTo('entry', String(index), { log })}>Entry {index}</a>
        {who.slice(0, 3).map(({ value }) => (
          <span key={value}>
            {' '}
            by <DataText text={value} short={120} />
          </span>
        ))}
      </h3>
      <ClaimLine claim={claim} />
      <details open={isWrong}>
        <summary>What it says</summary>
        <p>
          Leaf hash <HexText bytes={leafHash} />
        </p>
        <EntryDetails words={words} log={log} />
      </details>
    </>
  );
}

/** The way of an entry up the tree that the log itself shows now. */
function HitWay({ log, index }: { readonly log: ExplorerLog; readonly index: number }) {
  const { value, error } = useTask('showEntry', { log, index }, String(index));
  if (error !== undefined) return <ClaimLine claim={claimFailed(`Entry ${index} of the log can be read`, error)} />;
  if (value === undefined) return <p role="status">Reading its way up the tree …</p>;
  const failed = value.claims.filter(({ state }) => state === 'failed');
  return (
    <details open>
      <summary>Its way up the tree, each hash computed in this browser</summary>
      {failed.length > 0 && <ClaimList claims={failed} label="What the log shows of the entry" />}
      <WayPicture way={value.entry.way} />
    </details>
  );
}

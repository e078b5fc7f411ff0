/** The state of the log: its newest checkpoint, its witnesses, its growth, and what this browser remembers of it. */
import type { ComponentType } from 'preact';
import { useEffect, useMemo, useState } from 'preact/hooks';
import type { ExplorerConfig, ExplorerLog } from '../../../merkle/explorer-config.ts';
import { claimFailed, claimNotChecked, type PageClaim } from '../model/claims.ts';
import { claimsOfLook } from '../model/look-claims.ts';
import type { HeadLook, LogLook, RememberedHead } from '../model/looks.ts';
import { ageWords, durationWords, numberWords, timeWords } from '../model/time-words.ts';
import type { Around } from '../worker/look-around.ts';
import { DataText } from './data-text.tsx';
import { type Growth, growthOf } from './growth.ts';
import { inWorker, TaskError } from './in-worker.ts';
import { MemoryPart } from './memory-part.tsx';
import { ClaimList, shownText } from './page-claim.tsx';
import { linkTo } from './routes.ts';
import type { ViewProps } from './types.ts';
import { useLooks } from './use-looks.ts';
import { WitnessList } from './witness-list.tsx';

export function LogView({ log, config }: ViewProps) {
  const { look, looking, again } = useLooks(log);
  const [around, setAround] = useState<Around>();
  useEffect(() => {
    const stop = new AbortController();
    inWorker('lookAround', { log }, { signal: stop.signal }).then(setAround, () => {});
    return () => stop.abort();
  }, [log, look]);
  const shown = look instanceof TaskError ? undefined : look;
  const claims =
    look === undefined
      ? []
      : look instanceof TaskError
        ? [claimFailed('The log could not be checked', look)]
        : claimsOfLook(log, look);
  const when = shown === undefined ? 'Not looked yet' : `Looked at ${timeWords(shown.at)}`;
  return (
    <>
      <h1>{shownText(log.origin)}</h1>
      <p>
        <span role="status" data-looked={shown?.at}>
          {looking ? 'Looking at the log …' : `${when}.`}
        </span>{' '}
        <button type="button" onClick={again} disabled={looking}>
          Look again
        </button>
      </p>
      <ClaimList claims={[...claims, ...claimsAround(around, shown?.head)]} label="What was checked" />
      {shown !== undefined && <Facts look={shown} />}
      {shown?.head !== undefined && (
        <>
          <Witnesses log={log} head={shown.head} now={shown.at} />
          <section aria-labelledby="checkpoint">
            <h2 id="checkpoint">Its newest checkpoint</h2>
            <pre>
              <DataText text={shown.head.note} lines short={16_000} />
            </pre>
          </section>
        </>
      )}
      {shown !== undefined && <MemoryPart log={log} seen={shown.seen} onForgotten={again} />}
      {around !== undefined && <Shards around={around} config={config} />}
    </>
  );
}

function Facts({ look: { head, before, at, seen } }: { readonly look: LogLook }) {
  const growth = useMemo(() => growthOf(seen.heads), [seen]);
  const known: HeadLook | RememberedHead | undefined = head ?? before;
  const age = head?.quorumSeen ?? before?.cosigned;
  return (
    <>
      <ul class="tiles">
        <li>
          <b data-size={known?.size}>{known === undefined ? '?' : numberWords(known.size)}</b>
          {head === undefined && known !== undefined ? 'entries, when this browser last saw it' : 'entries'}
        </li>
        <li>
          <b>{growth.perHour === undefined ? '?' : numberWords(Math.round(growth.perHour))}</b>
          {growth.perHour === undefined
            ? 'entries an hour: this browser has not seen checkpoints of a minute yet'
            : `entries an hour, over ${durationWords(growth.over)}`}
        </li>
        <li>
          <b>{age === undefined ? '?' : ageWords(age, at)}</b>
          {age === undefined ? 'no quorum says when' : 'the quorum last cosigned'}
        </li>
      </ul>
      {growth.times.length > 1 && <GrowthPart growth={growth} />}
    </>
  );
}

function GrowthPart({ growth }: { readonly growth: Growth }) {
  const [Plot, setPlot] = useState<{ readonly View: ComponentType<{ growth: Growth; label: string }> }>();
  useEffect(() => {
    import('./growth-plot.tsx').then(
      ({ GrowthPlot }) => setPlot({ View: GrowthPlot }),
      () => {},
    );
  }, []);
  const { times, sizes } = growth;
  const label = `From ${numberWords(sizes[0]!)} entries at ${timeWords(times[0]! * 1000)} to ${numberWords(sizes.at(-1)!)} at ${timeWords(times.at(-1)! * 1000)}`;
  return (
    <section aria-labelledby="growth">
      <h2 id="growth">Its growth, by the checkpoints that this browser saw</h2>
      {Plot === undefined ? <div class="plot" /> : <Plot.View growth={growth} label={label} />}
      <details>
        <summary>The numbers</summary>
        <div class="table">
          <table>
            <thead>
              <tr>
                <th scope="col">Cosigned</th>
                <th scope="col">Entries</th>
              </tr>
            </thead>
            <tbody>
              {times.map((time, i) => (
                <tr key={time}>
                  <td>{timeWords(time * 1000)}</td>
                  <td>{numberWords(sizes[i]!)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </section>
  );
}

function Witnesses({ log, head, now }: { readonly log: ExplorerLog; readonly head: HeadLook; readonly now: number }) {
  if (log.policy === undefined || head.witnesses.length === 0) return null;
  return (
    <section aria-labelledby="witnesses">
      <h2 id="witnesses">Its witnesses</h2>
      <WitnessList witnesses={head.witnesses} now={now} />
    </section>
  );
}

function Shards({ around: { successor }, config }: { readonly around: Around; readonly config: ExplorerConfig }) {
  if (successor === undefined) return null;
  const known = config.logs.some(({ origin }) => origin === successor.origin);
  return (
    <section aria-labelledby="shards">
      <h2 id="shards">The next shard</h2>
      <p>
        The log says that it goes on in <b>{shownText(successor.origin, 200)}</b>.{' '}
        {known ? (
          <a href={linkTo('log', '', { log: successor.origin })}>Show it</a>
        ) : (
          'explorer.json does not have that log, so this page does not trust it for this word alone.'
        )}
      </p>
    </section>
  );
}

/** What the index says. */
function claimsAround(around: Around | undefined, head: HeadLook | undefined): PageClaim[] {
  if (around?.index === undefined) return [];
  const { index } = around;
  if ('why' in index) return [claimNotChecked('The index', index.why)];
  const { size } = index;
  const behind = head === undefined || size === undefined ? undefined : Math.max(0, head.size - size);
  const says =
    size === undefined
      ? 'it has read nothing of this log yet'
      : `it says that it has read ${numberWords(size)} entries${behind === undefined ? '' : behind === 0 ? ', all of them' : `, and is ${numberWords(behind)} behind`}`;
  return [claimNotChecked('How far the index is', `${says}. What it finds is checked when you search.`)];
}

/** What this browser remembers of the log, and the lies that it found. */
import { useEffect, useState } from 'preact/hooks';
import type { ExplorerLog } from '../../../merkle/explorer-config.ts';
import { reasonOf } from '../model/claims.ts';
import type { Seen, SeenLie } from '../model/looks.ts';
import { numberWords, timeWords } from '../model/time-words.ts';
import { DataText } from './data-text.tsx';
import { download } from './download.ts';
import { inWorker } from './in-worker.ts';

const TITLES = {
  fork: 'Two histories',
  'went-back': 'The log went back',
  'grew-after-freeze': 'The log grew after it was frozen',
} as const;

interface MemoryProps {
  readonly log: ExplorerLog;
  readonly seen: Seen;
  readonly onForgotten: () => void;
}

export function MemoryPart({ log, seen, onForgotten }: MemoryProps) {
  const [said, setSaid] = useState('');
  const [first] = seen.heads;
  const forget = () => {
    if (
      !confirm(
        `Forget all checkpoints of ${log.origin} that this browser saw? It can then not tell when the log goes back.`,
      )
    )
      return;
    inWorker('forgetLog', { log }).then(onForgotten, (error: unknown) => setSaid(reasonOf(error)));
  };
  return (
    <section aria-labelledby="memory">
      <h2 id="memory">What this browser remembers</h2>
      <p>
        {first === undefined
          ? 'Nothing yet.'
          : `${numberWords(seen.heads.length)} ${seen.heads.length === 1 ? 'checkpoint' : 'checkpoints'}, the first seen at ${timeWords(first.seen)}. A log that shows something else later is found out here.`}
      </p>
      {seen.lies.map((lie) => (
        <Lie key={lie.id} lie={lie} />
      ))}
      <Persistence />
      {(first !== undefined || seen.lies.length > 0) && (
        <button type="button" onClick={forget}>
          Forget them
        </button>
      )}
      <p role="status">{said}</p>
    </section>
  );
}

function Lie({ lie: { kind, seen, before, after, evidence } }: { readonly lie: SeenLie }) {
  return (
    <article class="claim failed" data-lie={kind}>
      <span class="mark" aria-hidden="true">
        ✗
      </span>
      <div>
        <h3>
          {TITLES[kind]}, found at {timeWords(seen)}
        </h3>
        <div class="two">
          <div>
            <p>This browser remembered:</p>
            <pre>
              <DataText text={before} lines short={16_000} />
            </pre>
          </div>
          <div>
            <p>The log showed:</p>
            <pre>
              <DataText text={after} lines short={16_000} />
            </pre>
          </div>
        </div>
        <EvidenceButton evidence={evidence} />
      </div>
    </article>
  );
}

export function EvidenceButton({ evidence }: { readonly evidence: string | undefined }) {
  if (evidence === undefined) return <p>Nothing proves it to others: a cache that is old looks the same.</p>;
  return (
    <p>
      <button type="button" onClick={() => download('stele-evidence.json', evidence)}>
        Save the evidence
      </button>{' '}
      Anybody can check it: <code>stele verify --evidence stele-evidence.json</code>
    </p>
  );
}

/** A browser may forget what a page keeps when its disk is full, unless it was asked not to. */
function Persistence() {
  const [persisted, setPersisted] = useState<boolean | 'refused'>();
  useEffect(() => {
    navigator.storage?.persisted?.().then(setPersisted, () => {});
  }, []);
  if (persisted === undefined) return null;
  if (persisted === true) return <p>The browser keeps them, also when its disk is full.</p>;
  const ask = () =>
    navigator.storage.persist().then(
      (kept) => setPersisted(kept || 'refused'),
      () => setPersisted('refused'),
    );
  return (
    <p>
      The browser may forget them when its disk is full.{' '}
      {persisted === 'refused' ? (
        'It does not promise to keep them.'
      ) : (
        <button type="button" onClick={ask}>
          Ask it to keep them
        </button>
      )}
    </p>
  );
}

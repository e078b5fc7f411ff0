/** Two checkpoints compared: pasted, dropped or chosen as files. */
import { useState } from 'preact/hooks';
import { claimChecked, claimFailed, claimNotChecked, type PageClaim, reasonOf } from '../model/claims.ts';
import { claimsOfHead } from '../model/look-claims.ts';
import { numberWords } from '../model/time-words.ts';
import type { Compared, ComparedSide } from '../worker/compare-checkpoints.ts';
import { DataText } from './data-text.tsx';
import { inWorker } from './in-worker.ts';
import { EvidenceButton } from './memory-part.tsx';
import { ClaimList } from './page-claim.tsx';
import type { ViewProps } from './types.ts';

/** A checkpoint has at most a megabyte. */
const MAX_FILE = 1_048_576;
const NAMES = ['first', 'second'] as const;

export function CompareView({ config }: ViewProps) {
  const [texts, setTexts] = useState<readonly [string, string]>(['', '']);
  const [outcome, setOutcome] = useState<Compared | Error>();
  const [busy, setBusy] = useState(false);
  const set = (at: 0 | 1, text: string) => {
    setTexts((before) => (at === 0 ? [text, before[1]] : [before[0], text]));
    setOutcome(undefined);
  };
  const compare = (event: Event) => {
    event.preventDefault();
    setBusy(true);
    inWorker('compareCheckpoints', { config, first: texts[0], second: texts[1] })
      .then(setOutcome, (error: unknown) => setOutcome(new Error(reasonOf(error))))
      .finally(() => setBusy(false));
  };
  return (
    <>
      <h1>Compare two checkpoints</h1>
      <p>
        Did two people see the same log? Each checkpoint is verified here, and the log’s tiles show whether one tree is
        the beginning of the other. Checkpoints stand at <code>/checkpoint</code> of a log, and in bundles.
      </p>
      <form onSubmit={compare}>
        <div class="two">
          {NAMES.map((name, i) => (
            <NoteField key={name} name={name} text={texts[i]!} onText={(text) => set(i as 0 | 1, text)} />
          ))}
        </div>
        <button type="submit" disabled={busy}>
          Compare
        </button>{' '}
        <span role="status">{busy ? 'Comparing …' : ''}</span>
      </form>
      {outcome instanceof Error && (
        <ClaimList claims={[claimFailed('The checkpoints could not be compared', outcome)]} label="What was checked" />
      )}
      {outcome !== undefined && !(outcome instanceof Error) && <Outcome outcome={outcome} texts={texts} />}
    </>
  );
}

interface NoteFieldProps {
  readonly name: (typeof NAMES)[number];
  readonly text: string;
  readonly onText: (text: string) => void;
}

function NoteField({ name, text, onText }: NoteFieldProps) {
  const [over, setOver] = useState(false);
  const [why, setWhy] = useState('');
  const read = (file: File | undefined) => {
    if (file === undefined) return;
    if (file.size > MAX_FILE) return setWhy('The file is larger than any checkpoint.');
    setWhy('');
    file.text().then(onText, (error: unknown) => setWhy(reasonOf(error)));
  };
  return (
    <fieldset
      aria-label={`The ${name} checkpoint`}
      class={`drop ${over ? 'over' : ''}`}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        read(event.dataTransfer?.files[0]);
      }}
    >
      <label class="field">
        <span>The {name} checkpoint: paste it, or drop a file here</span>
        <textarea
          name={name}
          value={text}
          spellcheck={false}
          onInput={({ currentTarget: { value } }) => onText(value)}
          required
        />
      </label>
      <label class="field">
        <span>Or choose a file</span>
        <input type="file" onChange={({ currentTarget: { files } }) => read(files?.[0])} />
      </label>
      <p role="status">{why}</p>
    </fieldset>
  );
}

function Outcome({
  outcome: { sides, standing },
  texts,
}: {
  readonly outcome: Compared;
  readonly texts: readonly string[];
}) {
  const evidence = standing !== undefined && 'evidence' in standing ? standing.evidence : undefined;
  return (
    <section aria-labelledby="outcome">
      <h2 id="outcome">What was found</h2>
      <ClaimList claims={[claimOfStanding(sides, standing)]} label="How they stand to each other" />
      {evidence !== undefined && <EvidenceButton evidence={evidence} />}
      <div class="two">
        {sides.map((side, i) => (
          <div key={NAMES[i]}>
            <h3>The {NAMES[i]}</h3>
            <ClaimList claims={claimsOfSide(side)} label={`The ${NAMES[i]} checkpoint`} />
            <pre>
              <DataText text={texts[i]!} lines short={16_000} />
            </pre>
          </div>
        ))}
      </div>
    </section>
  );
}

function claimsOfSide(side: ComparedSide): PageClaim[] {
  if ('why' in side) return [claimFailed('A checkpoint of a log in explorer.json', side.why)];
  return claimsOfHead(side.log, side.head, 'this checkpoint');
}

function claimOfStanding([a, b]: Compared['sides'], standing: Compared['standing']): PageClaim {
  const what = 'Both are of one history';
  if ('why' in a || 'why' in b) return claimNotChecked(what, 'One of them does not verify.');
  if (standing === undefined) {
    return claimNotChecked(
      what,
      `They are of two logs, ${a.log.origin} and ${b.log.origin}, which have nothing in common.`,
    );
  }
  const [less, more] = [a.head.size, b.head.size].sort((x, y) => x - y) as [number, number];
  switch (standing.stands) {
    case 'same':
      return claimChecked('Both are of the same tree', `Size and root are equal, at ${numberWords(less)} entries.`);
    case 'continues':
      return claimChecked(
        `${what}: the tree of ${numberWords(less)} entries is the beginning of the one of ${numberWords(more)}`,
        'The proof was computed from the tiles of the log.',
      );
    case 'fork':
      return claimFailed(what, 'The log signed two histories: no tree begins with both.');
    case 'grew-after-freeze':
      return claimFailed(what, 'The log signed the larger tree although it had said that it is frozen.');
    case 'went-back':
      return claimNotChecked(what, 'The tiles do not tell.');
    case 'unclear':
      return claimNotChecked(what, standing.why);
  }
}

/** One entry: what of it was checked, what it says, and its way up the tree. */
import { useEffect, useState } from 'preact/hooks';
import { claimFailed } from '../model/claims.ts';
import type { ShownEntry } from '../worker/show-entry.ts';
import { DataText, HexText } from './data-text.tsx';
import { EntryDetails } from './entry-details.tsx';
import { LogWarnings } from './log-warnings.tsx';
import { ClaimLine, ClaimList } from './page-claim.tsx';
import { linkTo } from './routes.ts';
import type { ViewProps } from './types.ts';
import { useTask } from './use-task.ts';
import { WayPicture } from './way-picture.tsx';

export function EntryView({ rest, query, log }: ViewProps) {
  const index = /^[0-9]{1,16}$/.test(rest) ? Number(rest) : undefined;
  const named = query.get('log') ?? undefined;
  const { value, error } = useTask(
    'showEntry',
    index === undefined ? undefined : { log, index },
    `${log.origin} ${rest}`,
  );
  return (
    <>
      <h1>{index === undefined ? 'Entry by number' : `Entry ${index}`}</h1>
      <NumberForm rest={rest} log={named} />
      <LogWarnings log={log} />
      {index === undefined && rest !== '' && (
        <ClaimLine
          claim={claimFailed('The number of an entry', 'it is a whole number, and the first entry is number 0')}
        />
      )}
      {index !== undefined && value === undefined && error === undefined && <p role="status">Reading the entry …</p>}
      {error !== undefined && <ClaimLine claim={claimFailed(`Entry ${rest} can be shown`, error)} />}
      {value !== undefined && <Found key={rest} shown={value} log={named} />}
    </>
  );
}

function Found({ shown, log }: { readonly shown: ShownEntry; readonly log: string | undefined }) {
  const { entry, words, size, root, claims } = shown;
  const { index, way } = entry;
  return (
    <>
      <nav aria-label="Entries" class="steps">
        {index > 0 && <a href={linkTo('entry', String(index - 1), { log })}>Entry {index - 1}</a>}
        {index + 1 < size && <a href={linkTo('entry', String(index + 1), { log })}>Entry {index + 1}</a>}
      </nav>
      <ClaimList claims={claims} label="What was checked of the entry" />
      {!way.holds && <p class="bad-text">What follows is what the log serves. It is not the entry of this tree.</p>}
      <EntryDetails words={words} log={log} />
      <h2>Its way up the tree</h2>
      <p>
        From its leaf hash <HexText bytes={entry.leafHash} /> to the root <HexText bytes={root} /> of {size} entries,
        each hash computed in this browser.
      </p>
      <WayPicture way={way} />
      <h2>As it is in the log</h2>
      <Raw shown={shown} />
    </>
  );
}

function Raw({ shown: { entry, words } }: { readonly shown: ShownEntry }) {
  const { body, index } = entry;
  const url = useObjectUrl(body);
  return (
    <>
      <p>
        {body.length} bytes.{' '}
        {url !== undefined && (
          <a href={url} download={`entry-${index}.${words.text === undefined ? 'bin' : 'json'}`}>
            Download
          </a>
        )}
      </p>
      <details>
        <summary>Show</summary>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached with the keyboard */}
        <section class="raw" tabIndex={0} aria-label="The entry as text">
          <pre>
            {words.text === undefined ? (
              <DataText text={hexDump(body)} lines short={4_000} />
            ) : (
              <DataText text={words.text} lines short={4_000} />
            )}
          </pre>
        </section>
      </details>
    </>
  );
}

function hexDump(bytes: Uint8Array): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const part = [...bytes.subarray(at, at + 16)].map((byte) => byte.toString(16).padStart(2, '0'));
    lines.push(`${at.toString(16).padStart(4, '0')}  ${part.join(' ')}`);
  }
  return lines.join('\n');
}

function useObjectUrl(bytes: Uint8Array): string | undefined {
  const [url, setUrl] = useState<string>();
  useEffect(() => {
    // A browser never shows octets of this type as a page.
    const made = URL.createObjectURL(
      new Blob([bytes as Uint8Array<ArrayBuffer>], { type: 'application/octet-stream' }),
    );
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [bytes]);
  return url;
}

function NumberForm({ rest, log }: { readonly rest: string; readonly log: string | undefined }) {
  const [number, setNumber] = useState(rest);
  useEffect(() => setNumber(rest), [rest]);
  return (
    <form
      class="row"
      onSubmit={(event) => {
        event.preventDefault();
        if (number.trim() !== '') location.hash = linkTo('entry', number.trim(), { log });
      }}
    >
      <label>
        Number{' '}
        <input
          inputMode="numeric"
          size={12}
          maxLength={16}
          value={number}
          onInput={({ currentTarget }) => setNumber(currentTarget.value)}
        />
      </label>
      <button type="submit">Show the entry</button>
    </form>
  );
}

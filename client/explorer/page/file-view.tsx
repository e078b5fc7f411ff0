/** Files that were dropped or chosen: hashed here, and looked up by their digests. */
import { useState } from 'preact/hooks';
import type { ExplorerLog } from '../../../merkle/explorer-config.ts';
import type { HashName } from '../../../merkle/rekor/hashes.ts';
import { claimFailed, claimNotChecked } from '../model/claims.ts';
import { SEARCH_LIMIT } from '../model/page-search.ts';
import { DataText } from './data-text.tsx';
import { dropFiles, useDroppedFiles } from './dropped-files.ts';
import { LogWarnings } from './log-warnings.tsx';
import { ClaimLine } from './page-claim.tsx';
import { linkTo } from './routes.ts';
import { NoIndex, SearchHits } from './search-view.tsx';
import type { ViewProps } from './types.ts';
import { useTask } from './use-task.ts';

export function FileView({ query, log }: ViewProps) {
  const named = query.get('log') ?? undefined;
  const { id, files, problems } = useDroppedFiles();
  return (
    <>
      <h1>Find a file</h1>
      <LogWarnings log={log} />
      <FileChoice
        what="Drop files anywhere on this page, or choose them."
        note="They are hashed in this browser, and only their digests are sent, to the index in explorer.json."
      />
      {problems.map((problem) => (
        <ClaimLine key={problem} claim={claimNotChecked('Something that was dropped', problem)} />
      ))}
      {files.map((file, i) => (
        <OneFile key={`${id} ${i}`} id={`${id} ${i}`} file={file} log={log} named={named} />
      ))}
    </>
  );
}

export function FileChoice({ what, note }: { readonly what: string; readonly note: string }) {
  return (
    <div class="drop">
      <p>{what}</p>
      <p>
        <label>
          Files{' '}
          <input
            type="file"
            multiple
            onChange={({ currentTarget }) => {
              dropFiles([...(currentTarget.files ?? [])]);
              // The same file can be chosen again.
              currentTarget.value = '';
            }}
          />
        </label>
      </p>
      <p class="quiet">{note}</p>
    </div>
  );
}

/** Files up to this length get all three digests at once: the longer ones take a second for 100 MB. */
const ALL_HASHES_BELOW = 64 * 1024 * 1024;
const ALL: readonly HashName[] = ['sha256', 'sha384', 'sha512'];

interface OneFileProps {
  readonly id: string;
  readonly file: File;
  readonly log: ExplorerLog;
  readonly named: string | undefined;
}

function OneFile({ id, file, log, named }: OneFileProps) {
  const [all, setAll] = useState(file.size <= ALL_HASHES_BELOW);
  const [ended, setEnded] = useState(false);
  const hashes = all ? ALL : ALL.slice(0, 1);
  const form = useTask('sniffDropped', { file }, id);
  const { value, error, progress } = useTask('hashDropped', ended ? undefined : { file, hashes }, `${id} ${hashes}`);
  const done = progress === undefined ? 0 : progress.done;
  return (
    <section data-testid="file">
      <h2>
        <DataText text={file.name} />
      </h2>
      <p>{file.size} bytes</p>
      {file.size === 0 && (
        <p>It is empty. All empty files have the same digest, so an entry that is found may be about any of them.</p>
      )}
      {form.value !== undefined && form.value !== 'file' && (
        <p>
          This file is a {form.value === 'bundle' ? 'Sigstore bundle' : 'tlog-proof'}:{' '}
          <a href={linkTo('bundle', '', { log: named })}>verify it</a>.
        </p>
      )}
      {value === undefined && error === undefined && !ended && (
        <p>
          <label>
            Hashing in this browser <progress max={file.size} value={done} />
          </label>{' '}
          <button type="button" onClick={() => setEnded(true)}>
            Stop
          </button>
        </p>
      )}
      {ended && <ClaimLine claim={claimNotChecked('The file', 'you stopped the hashing')} />}
      {error !== undefined && <ClaimLine claim={claimFailed('The file can be hashed', error)} />}
      {value !== undefined && (
        <>
          <dl class="words">
            {Object.entries(value.digests).map(([name, hex]) => (
              <>
                <dt>{name}</dt>
                <dd>
                  <code class="hash">{hex}</code>
                </dd>
              </>
            ))}
          </dl>
          {!all && (
            <button type="button" onClick={() => setAll(true)}>
              Look for SHA-384 and SHA-512 too
            </button>
          )}
          {log.index === undefined ? (
            <NoIndex log={named} />
          ) : (
            Object.entries(value.digests).map(([name, hex]) => (
              <div key={name} data-hash={name}>
                <h3>By its {name}</h3>
                <SearchHits
                  log={log}
                  named={named}
                  drawn
                  query={{
                    log: log.origin,
                    terms: [{ kind: 'digest', match: 'exact', value: `${name}:${hex}` }],
                    limit: SEARCH_LIMIT,
                    order: 'ascending',
                  }}
                />
              </div>
            ))
          )}
        </>
      )}
    </section>
  );
}

/** A bundle or a tlog-proof verified, with the file that it is about. */
import { useEffect, useState } from 'preact/hooks';
import type { ExplorerLog } from '../../../merkle/explorer-config.ts';
import { claimFailed, claimNotChecked } from '../model/claims.ts';
import type { EvidenceForm } from '../worker/sniff-dropped.ts';
import type { BundleWords, StatedSigner } from '../worker/verify-dropped.ts';
import { DataText } from './data-text.tsx';
import { useDroppedFiles } from './dropped-files.ts';
import { CertificateDetails } from './entry-details.tsx';
import { FileChoice } from './file-view.tsx';
import { inWorker } from './in-worker.ts';
import { ClaimLine, ClaimList } from './page-claim.tsx';
import { linkTo } from './routes.ts';
import type { ViewProps } from './types.ts';
import { useTask } from './use-task.ts';

interface Chosen {
  /** Names what is chosen. */
  readonly id: string;
  readonly evidence?: Blob;
  readonly file?: File;
  readonly problems: readonly string[];
}

export function BundleView({ query, log }: ViewProps) {
  const named = query.get('log') ?? undefined;
  const dropped = useDroppedFiles();
  const [chosen, setChosen] = useState<Chosen>({ id: '', problems: [] });
  const [pasted, setPasted] = useState('');
  useEffect(() => {
    if (dropped.id === 0) return;
    let live = true;
    sortOut(dropped.files, chosen).then((sorted) => {
      if (live) setChosen({ ...sorted, id: `drop ${dropped.id}` });
    });
    return () => {
      live = false;
    };
  }, [dropped]);
  return (
    <>
      <h1>Verify a bundle</h1>
      <FileChoice
        what="Drop a Sigstore bundle or a tlog-proof, and the file that it is about, or choose them."
        note="All is verified in this browser, and nothing is sent to anybody."
      />
      <details>
        <summary>Or paste it</summary>
        <form
          onSubmit={(event) => {
            event.preventDefault();
            const evidence = new Blob([pasted]);
            setChosen(({ file }) => ({ id: `paste ${pasted}`, evidence, ...(file && { file }), problems: [] }));
          }}
        >
          <label>
            Bundle or proof
            <textarea
              value={pasted}
              spellcheck={false}
              onInput={({ currentTarget }) => setPasted(currentTarget.value)}
            />
          </label>
          <p>
            <button type="submit">Read it</button>
          </p>
        </form>
      </details>
      {[...dropped.problems, ...chosen.problems].map((problem) => (
        <ClaimLine key={problem} claim={claimNotChecked('Something that was dropped', problem)} />
      ))}
      {chosen.file !== undefined && (
        <p>
          The file: <DataText text={chosen.file.name} />, {chosen.file.size} bytes
        </p>
      )}
      {chosen.evidence !== undefined && (
        <Evidence
          key={chosen.id}
          id={chosen.id}
          evidence={chosen.evidence}
          file={chosen.file}
          log={log}
          named={named}
        />
      )}
    </>
  );
}

/** Which of the files is the evidence and which the file that it is about, by what they hold. */
async function sortOut(files: readonly File[], before: Chosen): Promise<Omit<Chosen, 'id'>> {
  const forms = await Promise.all(
    files.map(async (file) => ({ file, form: await inWorker('sniffDropped', { file }).catch(() => 'file' as const) })),
  );
  const evidence = forms.filter(({ form }) => form !== 'file');
  const others = forms.filter(({ form }) => form === 'file');
  const problems = [
    ...(evidence.length > 1 ? [`${evidence.length} bundles and proofs: only the first is verified`] : []),
    ...(others.length > 1 ? [`${others.length} other files: only the first is compared`] : []),
    ...(evidence.length === 0 && before.evidence === undefined && others.length > 0
      ? ['none of the files is a Sigstore bundle or a tlog-proof: add one']
      : []),
  ];
  const [first] = evidence;
  const found = first?.file ?? before.evidence;
  const file = others[0]?.file ?? (first === undefined ? undefined : before.file);
  return { ...(found && { evidence: found }), ...(file && { file }), problems };
}

interface EvidenceProps {
  readonly id: string;
  readonly evidence: Blob;
  readonly file: File | undefined;
  readonly log: ExplorerLog;
  readonly named: string | undefined;
}

function Evidence({ id, evidence, file, log, named }: EvidenceProps) {
  const [bytes, setBytes] = useState<Uint8Array | Error>();
  const [signer, setSigner] = useState<StatedSigner>();
  useEffect(() => {
    evidence.arrayBuffer().then(
      (buffer) => setBytes(new Uint8Array(buffer)),
      () => setBytes(new Error('it cannot be read, or changed since it was chosen')),
    );
  }, [evidence]);
  const read = useTask('readDropped', bytes instanceof Uint8Array ? { log, bundle: bytes } : undefined, id);
  const words = read.value;
  const hash = useTask(
    'hashDropped',
    words === undefined || file === undefined || words.hashes.length === 0 ? undefined : { file, hashes: words.hashes },
    `${id} file`,
  );
  const isReady = file === undefined || hash.value !== undefined;
  const verified = useTask(
    'verifyDropped',
    signer === undefined || !(bytes instanceof Uint8Array) || !isReady
      ? undefined
      : { log, bundle: bytes, signer, ...(hash.value && { file: hash.value }) },
    `${id} ${JSON.stringify(signer)}`,
  );
  return (
    <>
      {bytes instanceof Error && <ClaimLine claim={claimFailed('The file can be read', bytes)} />}
      {read.error !== undefined && <ClaimLine claim={claimFailed('It is a bundle or a proof', read.error)} />}
      {words !== undefined && (
        <>
          <Says words={words} log={named} />
          {file !== undefined && !isReady && hash.error === undefined && <p role="status">Hashing the file …</p>}
          {hash.error !== undefined && <ClaimLine claim={claimFailed('The file can be hashed', hash.error)} />}
          <SignerForm words={words} onState={setSigner} />
          {signer !== undefined && verified.value === undefined && verified.error === undefined && isReady && (
            <p role="status">Verifying …</p>
          )}
          {verified.error !== undefined && <ClaimLine claim={claimFailed('The verification', verified.error)} />}
          {verified.value !== undefined && (
            <section aria-label="Result">
              <h2 data-testid="verdict">{verified.value.holds ? 'It holds' : 'It does not hold'}</h2>
              <ClaimList claims={verified.value.claims} label="Each check" />
            </section>
          )}
        </>
      )}
    </>
  );
}

const FORMS: Readonly<Record<EvidenceForm, string>> = { bundle: 'Sigstore bundle', 'tlog-proof': 'tlog-proof' };

function Says({ words, log }: { readonly words: BundleWords; readonly log: string | undefined }) {
  const { form, content, named, statement, certificate, entries, problems } = words;
  return (
    <section>
      <h2>What it says</h2>
      <p class="quiet">Nothing of this is verified yet.</p>
      <dl class="words">
        <dt>Form</dt>
        <dd>
          {FORMS[form]} with {content}
        </dd>
        {named !== undefined && (
          <>
            <dt>Digest that it names</dt>
            <dd>
              <code class="hash">
                {named.algorithm}:{named.hex}
              </code>
            </dd>
          </>
        )}
        {statement !== undefined && (
          <>
            <dt>Predicate type</dt>
            <dd>
              <DataText text={statement.predicateType} />
            </dd>
            {statement.subjects.map(({ name, digests }) => (
              <>
                <dt>About</dt>
                <dd>
                  <DataText text={name ?? 'a file without a name'} />
                  <br />
                  <DataText text={digests.join(', ')} />
                </dd>
              </>
            ))}
            {statement.more > 0 && (
              <>
                <dt>And</dt>
                <dd>{statement.more} more</dd>
              </>
            )}
          </>
        )}
        {entries.map(({ index, kind }) => (
          <>
            <dt>Log entry</dt>
            <dd>
              number {index}, <DataText text={kind} />
            </dd>
          </>
        ))}
        {problems.map((problem) => (
          <>
            <dt>Not read</dt>
            <dd>
              <DataText text={problem} />
            </dd>
          </>
        ))}
      </dl>
      {certificate !== undefined && <CertificateDetails certificate={certificate} log={log} />}
      <p>
        <a
          href={linkTo('search', '', {
            log,
            ...(named && { kind: 'digest', value: `${named.algorithm}:${named.hex}` }),
          })}
        >
          Search the log
        </a>
      </p>
    </section>
  );
}

/** The person must say who should have signed: a bundle names its own signer, and anybody can make one. */
function SignerForm({
  words,
  onState,
}: {
  readonly words: BundleWords;
  readonly onState: (signer: StatedSigner) => void;
}) {
  const [kind, setKind] = useState<StatedSigner['kind']>(words.certificate === undefined ? 'key' : 'identity');
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        const form = new FormData(event.currentTarget);
        const text = (name: string) => String(form.get(name) ?? '');
        onState(
          kind === 'key'
            ? { kind, pem: text('pem') }
            : { kind, identity: text('identity'), issuer: text('issuer'), pattern: form.get('pattern') !== null },
        );
      }}
    >
      <h2>Who must have signed</h2>
      <p>Take this from where you trust it, and not from the bundle: anybody can sign as anybody else.</p>
      <fieldset>
        <legend>Signer</legend>
        <label>
          <input type="radio" name="kind" checked={kind === 'key'} onChange={() => setKind('key')} /> A public key
        </label>{' '}
        <label>
          <input type="radio" name="kind" checked={kind === 'identity'} onChange={() => setKind('identity')} /> An
          identity in a certificate
        </label>
      </fieldset>
      {kind === 'key' ? (
        <label>
          Public key (PEM)
          <textarea name="pem" rows={6} spellcheck={false} placeholder="-----BEGIN PUBLIC KEY-----" />
        </label>
      ) : (
        <div class="row">
          <label class="grow">
            Identity <input name="identity" spellcheck={false} autocomplete="off" />
          </label>
          <label class="grow">
            Issuer <input name="issuer" spellcheck={false} autocomplete="off" />
          </label>
          <label>
            <input type="checkbox" name="pattern" /> These are patterns (RE2)
          </label>
        </div>
      )}
      <p>
        <button type="submit">Verify</button>
      </p>
    </form>
  );
}

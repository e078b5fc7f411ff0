/** What an entry says, in words. All of it is a stranger's text. */
import { timeText } from '../../../merkle/x509/utc-time.ts';
import type { CertificateWords } from '../model/certificate-words.ts';
import type { EntryWords, SignatureWords } from '../model/entry-words.ts';
import { DataText } from './data-text.tsx';
import { ClaimList } from './page-claim.tsx';
import { linkTo } from './routes.ts';

interface DetailsProps {
  readonly words: EntryWords;
  /** In the query of links; undefined for the first log. */
  readonly log: string | undefined;
}

export function EntryDetails({ words, log }: DetailsProps) {
  const { state, kind, version, digests, signatures, problem } = words;
  return (
    <>
      <dl class="words">
        <dt>Kind</dt>
        <dd>
          {state === 'opaque' ? (
            'no entry of Rekor: bytes of which this page knows nothing more'
          ) : (
            <>
              <DataText text={kind ?? ''} /> <DataText text={version ?? ''} />
            </>
          )}
        </dd>
        {digests.map(({ of, algorithm, hex }) => (
          <>
            <dt>{of === 'file' ? 'Signed file' : 'Signed payload'}</dt>
            <dd>
              <code class="hash">
                {algorithm}:{hex}
              </code>{' '}
              <a href={linkTo('search', '', { kind: 'digest', value: `${algorithm}:${hex}`, log })}>
                Search for this digest
              </a>
            </dd>
          </>
        ))}
        {problem !== undefined && (
          <>
            <dt>Not read</dt>
            <dd>
              <DataText text={problem} />
            </dd>
          </>
        )}
      </dl>
      {signatures.map((signature, i) => (
        <SignatureDetails
          key={i}
          signature={signature}
          title={signatures.length === 1 ? 'Signature' : `Signature ${i + 1} of ${signatures.length}`}
          log={log}
        />
      ))}
    </>
  );
}

function SignatureDetails({
  signature: { by, keyName, keyDetails, keyDigest, certificate, claims },
  title,
  log,
}: {
  readonly signature: SignatureWords;
  readonly title: string;
  readonly log: string | undefined;
}) {
  return (
    <section>
      <h2>{title}</h2>
      <ClaimList claims={claims} label={`${title}: what was checked`} />
      <dl class="words">
        <dt>By</dt>
        <dd>
          {by === 'key' ? 'a key without a certificate: the log does not say whose it is' : 'the key of a certificate'}
        </dd>
        <dt>Key</dt>
        <dd>
          {keyName ?? 'a key that this page cannot read'}
          {keyDetails !== undefined && (
            <>
              {', which the entry calls '}
              <DataText text={keyDetails} />
            </>
          )}
        </dd>
        {keyDigest !== undefined && (
          <>
            <dt>SHA-256 of the key</dt>
            <dd>
              <code class="hash">{keyDigest}</code>{' '}
              <a href={linkTo('search', '', { kind: 'key', value: keyDigest, log })}>Search for this key</a>
            </dd>
          </>
        )}
      </dl>
      {certificate !== undefined && <CertificateDetails certificate={certificate} log={log} />}
    </section>
  );
}

export function CertificateDetails({
  certificate,
  log,
}: {
  readonly certificate: CertificateWords;
  readonly log: string | undefined;
}) {
  const { names, issuer, extensions, subject, authority, serialNumber, notBefore, notAfter, usages, scts, problems } =
    certificate;
  return (
    <>
      <h3>Certificate</h3>
      <dl class="words">
        {names.length === 0 && (
          <>
            <dt>Name</dt>
            <dd>none</dd>
          </>
        )}
        {names.map(({ kind, value }) => (
          <>
            <dt>
              <DataText text={kind} />
            </dt>
            <dd>
              <DataText text={value} />{' '}
              <a href={linkTo('search', '', { kind: 'identity', value, log })}>Search for this identity</a>
            </dd>
          </>
        ))}
        {issuer !== undefined && (
          <>
            <dt>Vouched for by</dt>
            <dd>
              <DataText text={issuer} />
            </dd>
          </>
        )}
        <dt>Issued by</dt>
        <dd>
          <DataText text={authority} />
        </dd>
        {subject !== '' && (
          <>
            <dt>Subject</dt>
            <dd>
              <DataText text={subject} />
            </dd>
          </>
        )}
        <dt>Serial number</dt>
        <dd>
          <code class="hash">{serialNumber}</code>
        </dd>
        <dt>Valid</dt>
        <dd>
          from {timeText(notBefore)} to {timeText(notAfter)}
        </dd>
        {usages.length > 0 && (
          <>
            <dt>For</dt>
            <dd>
              <DataText text={usages.join(', ')} />
            </dd>
          </>
        )}
        {extensions.map(({ oid, name, value }) => (
          <>
            <dt>{name ?? `Extension ${oid}`}</dt>
            <dd>
              <DataText text={value} />
            </dd>
          </>
        ))}
        {scts.map(({ logId, time }) => (
          <>
            <dt>Promised to the public</dt>
            <dd>
              at {timeText(time)} by the log <code class="hash">{logId}</code>
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
    </>
  );
}

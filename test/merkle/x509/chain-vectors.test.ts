import { describe, expect, it } from 'vitest';
import { MerkleError } from '../../../merkle/errors.ts';
import { noblePrimitives } from '../../../merkle/rekor/noble-primitives.ts';
import type { Certificate } from '../../../merkle/x509/certificate.ts';
import { type Authorities, verifyChain } from '../../../merkle/x509/certificate-chain.ts';
import { verifySct } from '../../../merkle/x509/sct.ts';
import { type BundleCases, bundleCases } from '../../support/vectors.ts';
import { type VectorRoot, vectorBundle, vectorRoot } from './vectors.ts';

const authoritiesOf = ({ authorities }: VectorRoot): Authorities => ({
  roots: authorities.map(({ certificates }) => certificates.at(-1)!),
  intermediates: authorities.flatMap(({ certificates }) => certificates.slice(0, -1)),
});

/** 'ok', or the code of the error. */
function outcome(action: () => unknown): string {
  try {
    action();
    return 'ok';
  } catch (error) {
    if (error instanceof MerkleError) return error.code;
    throw error;
  }
}

type Moment = (leaf: Certificate) => number;

function checkCase(cases: BundleCases, name: string, rootName: string, at?: Moment): string {
  const leaf = vectorBundle(cases.named(name)).certificates[0]!;
  const root = vectorRoot(cases.named(rootName));
  return outcome(() => {
    const time = at === undefined ? leaf.notBefore : at(leaf);
    const [, issuer] = verifyChain(leaf, authoritiesOf(root), time, noblePrimitives);
    verifySct(leaf, issuer!, root.ctlogs, noblePrimitives);
  });
}

const GOOD = 'happy-path-v0.3-new-mediaType';
const STAGING = 'rekor2-timestamp-with-embedded-cert';

describe.each(bundleCases())('chains and certificate timestamps of bundles: %s', (cases) => {
  const check = (name: string, rootName: string, at?: Moment) => checkCase(cases, name, rootName, at);
  const certificatesOf = (name: string) => vectorBundle(cases.named(name)).certificates;

  it.each([GOOD, STAGING, 'happy-path-intoto-in-dsse-v3', 'trust-root-tlog-validity-end-inclusive'])(
    '%s: good',
    (name) => expect(check(name, name)).toBe('ok'),
  );

  it.each([
    ['bundle-from-wrong-instance_fail', 'bad-certificate'],
    ['intoto-expired-certificate_fail', 'bad-certificate'],
    ['invalid-ct-key_fail', 'bad-sct'],
  ])('%s: %s', (name, code) => expect(check(name, name)).toBe(code));

  it('the authorities of another instance: bad-certificate', () => {
    expect(check(GOOD, STAGING)).toBe('bad-certificate');
    expect(check(STAGING, GOOD)).toBe('bad-certificate');
  });

  it('hold from the first to the last moment of the validity', () => {
    expect(check(GOOD, GOOD, ({ notBefore }) => notBefore)).toBe('ok');
    expect(check(GOOD, GOOD, ({ notAfter }) => notAfter)).toBe('ok');
    expect(check(GOOD, GOOD, ({ notBefore }) => notBefore - 1)).toBe('bad-certificate');
    expect(check(GOOD, GOOD, ({ notAfter }) => notAfter + 1)).toBe('bad-certificate');
  });

  it('refuse a root among the intermediates, and a root or an intermediate as the leaf', () => {
    const certificates = certificatesOf('bundle-with-root-cert_fail');
    const authorities = authoritiesOf(vectorRoot(cases.named(GOOD)));
    const verify = (leaf: Certificate, intermediates: readonly Certificate[]) =>
      outcome(() => verifyChain(leaf, { ...authorities, intermediates }, leaf.notBefore, noblePrimitives));
    const [leaf, ...more] = certificates as [Certificate, ...Certificate[]];
    expect(verify(leaf, authorities.intermediates)).toBe('ok');
    expect(verify(leaf, [...authorities.intermediates, ...more])).toBe('bad-certificate');
    for (const authority of [...authorities.roots, ...authorities.intermediates]) {
      expect(verify(authority, authorities.intermediates)).toBe('bad-certificate');
    }
  });

  it('refuse the timestamp of another certificate, of another issuer and of a log whose key has gone', () => {
    const root = vectorRoot(cases.named(GOOD));
    const [leaf] = certificatesOf(GOOD) as [Certificate];
    const [other] = certificatesOf('happy-path-intoto-in-dsse-v3') as [Certificate];
    const [, issuer, top] = verifyChain(leaf, authoritiesOf(root), leaf.notBefore, noblePrimitives) as Certificate[];
    const verify = (certificate: Certificate, by = issuer!, logs = root.ctlogs) =>
      outcome(() => verifySct(certificate, by, logs, noblePrimitives));
    expect(verify(leaf)).toBe('ok');
    const swapped: Certificate = { ...leaf, tbs: other.tbs };
    expect(verify(swapped)).toBe('bad-sct');
    expect(verify(leaf, top!)).toBe('bad-sct');
    expect(verify(leaf, issuer!, [])).toBe('bad-sct');
    expect(verify(issuer!, top!)).toBe('bad-sct');
    const [time] = verifySct(leaf, issuer!, root.ctlogs, noblePrimitives).map((sct) => sct.time) as [number];
    const during = (start: number, end?: number) =>
      root.ctlogs.map((log) => ({ ...log, validFor: { start, ...(end !== undefined && { end }) } }));
    expect(verify(leaf, issuer!, during(time, time))).toBe('ok');
    expect(verify(leaf, issuer!, during(time + 1))).toBe('bad-sct');
    expect(verify(leaf, issuer!, during(0, time - 1))).toBe('bad-sct');
    const keys = root.ctlogs.map(({ key }) => key);
    expect(
      verify(
        leaf,
        issuer!,
        root.ctlogs.map((log, i) => ({ ...log, key: keys.at(i - 1)! })),
      ),
    ).toBe('bad-sct');
  });
});

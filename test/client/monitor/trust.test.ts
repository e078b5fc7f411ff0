/** Certificates that say the right thing, and who issued them. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { acknowledge } from '../../../client/monitor/acks.ts';
import { readAuthorities } from '../../../client/monitor/config/authorities.ts';
import { loadMonitorConfig, loadRules } from '../../../client/monitor/config/load-monitor.ts';
import { createMatcher } from '../../../client/monitor/matcher.ts';
import { readEntry } from '../../../client/monitor/rules/entry-reader.ts';
import { explain } from '../../../client/monitor/rules/explain.ts';
import { Trust } from '../../../client/monitor/rules/issuer-trust.ts';
import type { Rule } from '../../../client/monitor/rules/types.ts';
import { AckStore } from '../../../client/monitor/store/ack-store.ts';
import { ed25519VerifierKey, formatVerifierKey } from '../../../merkle/verifier-key.ts';
import type { Certificate } from '../../../merkle/x509/certificate.ts';
import { type Authority, issueCa, issueLeaf, utf8 } from '../../merkle/x509/make.ts';
import { der } from '../../support/der.ts';
import { hashedRekord, keyFingerprint } from '../../support/fulcio.ts';

const NAME = 'release@acme.com';
const ISSUER = 'https://accounts.example.com';
const claims = (issuer = ISSUER) => ({
  names: [der(0x81, Buffer.from(NAME))],
  extensions: [{ oid: '1.3.6.1.4.1.57264.1.8', value: utf8(issuer) }],
});

const chain = () => {
  const root = issueCa('root');
  return { root, intermediate: issueCa('intermediate', root, { pathLen: 0 }) };
};
const good = chain();
/** The same names, other keys. */
const thief = chain();
const real = issueLeaf(good.intermediate, claims());
const forged = issueLeaf(thief.intermediate, claims());

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
const pem = (...certificates: readonly Certificate[]) =>
  Buffer.from(
    certificates
      .map(
        (one) =>
          `-----BEGIN CERTIFICATE-----\n${base64(one.der).replace(/.{64}/g, '$&\n')}\n-----END CERTIFICATE-----\n`,
      )
      .join(''),
  );
const trustedRoot = ({ root, intermediate }: Record<'root' | 'intermediate', Authority>, validFor: object) =>
  Buffer.from(
    JSON.stringify({
      mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1',
      certificateAuthorities: [
        {
          validFor,
          certChain: { certificates: [intermediate, root].map((one) => ({ rawBytes: base64(one.certificate.der) })) },
        },
      ],
    }),
  );
const PEM = pem(good.root.certificate, good.intermediate.certificate);
const authorities = readAuthorities(PEM);

const rule: Rule = {
  name: 'release',
  severity: 'alert',
  watch: [{ identity: NAME }],
  expect: [{ identity: NAME, issuer: ISSUER }],
};
const bodyOf = (certificate: Certificate) => hashedRekord({ certificate: certificate.der });
const seen = (...certificates: readonly Certificate[]) =>
  certificates.map((certificate, index) => ({
    log: 'log.example.com',
    index,
    leafHash: Buffer.alloc(32, index),
    body: bodyOf(certificate),
  }));

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'stele-trust-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

describe('with authorities', () => {
  it.each([0, 2])('a certificate is expected only where one of them issued it (%i threads)', async (threads) => {
    const many = Array.from({ length: 20 }, () => real);
    const matcher = createMatcher([rule], { authorities, threads });
    try {
      const alerts = await matcher.match(seen(...many, forged));
      expect(alerts).toMatchObject([{ kind: 'unexpected', rule: 'release', entry: { index: 20, names: [NAME] } }]);
      expect(alerts[0]!.summary).toMatch(/no trusted authority issued its certificate: .* signature of its issuer/);
    } finally {
      await matcher.close();
    }
    // What the setting is for.
    expect(await createMatcher([rule]).match(seen(real, forged))).toEqual([]);
  });

  it('a key that is expected needs no authority', async () => {
    const own: Rule = { ...rule, expect: [{ key: keyFingerprint(forged.spki) }] };
    expect(await createMatcher([own], { authorities }).match(seen(forged))).toEqual([]);
  });

  it('what an authority issued without the right claims is still unexpected, and not in doubt', async () => {
    const other = issueLeaf(good.intermediate, claims('https://other.example.com'));
    const [alert] = await createMatcher([rule], { authorities }).match(seen(other));
    expect(alert).toMatchObject({ kind: 'unexpected' });
    expect(alert!.summary).not.toContain('authority');
  });

  it('an acknowledgement of the real identity does not cover one that only says so', async () => {
    const store = new AckStore(dir);
    const watched: Rule = { name: 'all', severity: 'alert', watch: [{ identity: NAME }] };
    const matcher = createMatcher([watched], { authorities, acknowledged: store });
    try {
      const [first] = await matcher.match(seen(real));
      const terms = { until: '2099-01-01', reason: 'ours', by: 'carol', now: Date.now() };
      await store.add(acknowledge(await store.find(first!.id), terms));
      const again = issueLeaf(good.intermediate, claims());
      expect(await matcher.match(seen(again, forged))).toMatchObject([{ kind: 'match', entry: { index: 1 } }]);
    } finally {
      await matcher.close();
    }
  });

  it('the chain must hold when the certificate began, and in the time of the authority', async () => {
    const doubt = (validFor: object, certificate = real) =>
      new Trust(readAuthorities(trustedRoot(good, validFor))).doubt(certificate.der);
    expect(real.notBefore).toBe(Date.parse('2020-01-01T00:00:00Z'));
    expect(doubt({ start: '2019-01-01T00:00:00Z' })).toBeUndefined();
    expect(doubt({ start: '2021-01-01T00:00:00Z' })).toMatch(/^no authority was trusted at 2020-01-01/);
    const early = issueLeaf(good.intermediate, { ...claims(), from: '2019-06-01T00:00:00Z' });
    expect(doubt({ start: '2019-01-01T00:00:00Z' }, early)).toMatch(/is valid from 2020-01-01/);
  });

  it('stele monitor test shows it', () => {
    const shown = (one: Certificate) => explain(rule, readEntry(bodyOf(one)), undefined, new Trust(authorities));
    const line = (one: Certificate) => shown(one).signers[0]?.expect?.[0]?.conditions.at(-1);
    expect(shown(real)).toMatchObject({ outcome: 'expected' });
    expect(line(real)).toMatchObject({ field: 'certificate', got: ['one of theirs'], holds: true });
    expect(shown(forged)).toMatchObject({ outcome: 'unexpected', signers: [{ expect: [{ holds: false }] }] });
    expect(line(forged)).toMatchObject({ field: 'certificate', holds: false });
  });
});

describe('the setting "authorities"', () => {
  const key = formatVerifierKey(ed25519VerifierKey('log.example.com', new Uint8Array(32).fill(7)));
  const config = (content: Uint8Array): string => {
    writeFileSync(join(dir, 'ca'), content);
    const file = join(dir, 'monitor.yaml');
    writeFileSync(
      file,
      `logs: [{ url: 'https://log.example.com', keys: ['${key}'] }]
sinks: [{ type: stdout }]
authorities: ./ca
rules: [{ name: r, watch: { identity: ${NAME} }, expect: { identity: ${NAME} } }]
`,
    );
    return file;
  };

  it.each([
    ['PEM', PEM],
    ['a trusted root', trustedRoot(good, { start: '2019-01-01T00:00:00Z' })],
    ['PEM with text around its blocks', Buffer.from(`root:\r\n${PEM.toString().replaceAll('\n', '\r\n')}the end\r\n`)],
    ['PEM of an intermediate alone', pem(good.intermediate.certificate)],
  ])('takes %s, for the monitor and for `stele monitor test`', (_, content) => {
    for (const { authorities: read } of [loadMonitorConfig(config(content)), loadRules(config(content))]) {
      expect(new Trust(read!).doubt(real.der)).toBeUndefined();
      expect(new Trust(read!).doubt(forged.der)).toBeDefined();
    }
  });

  it.each([
    ['nothing', Buffer.alloc(0), /neither a trusted root \(JSON\) nor certificates in PEM/],
    ['PEM without its end', PEM.subarray(0, -10), /is broken/],
    ['a certificate that signs files', pem(real), /is not that of an authority/],
    ['a damaged certificate', Buffer.from(PEM.toString().replace('-----\nM', '-----\nX')), /cannot be used/],
    ['JSON of something else', Buffer.from('{}'), /the trusted root cannot be used/],
    [
      'a trusted root without an authority',
      Buffer.from('{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}'),
      /has no certificate authority/,
    ],
  ])('refuses %s', (_, content, message) => {
    expect(() => loadMonitorConfig(config(content))).toThrow(message);
    expect(() => loadMonitorConfig(config(content))).toThrow(/"authorities" \(line 3\) cannot be used/);
  });
});

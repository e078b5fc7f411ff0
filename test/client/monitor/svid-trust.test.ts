/** X.509-SVIDs in entries: as expected where the trust bundle of their trust domain vouches for them, for their names alone. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadRules } from '../../../client/monitor/config/load-monitor.ts';
import { RuleEngine } from '../../../client/monitor/rules/engine.ts';
import { readEntry } from '../../../client/monitor/rules/entry-reader.ts';
import { Trust } from '../../../client/monitor/rules/issuer-trust.ts';
import { formatPem } from '../../../merkle/pem.ts';
import { CLIENT_AUTH, domainCa, issueSvid, x509Key } from '../../merkle/spiffe/make-svid.ts';
import { type Authority, issueCa, issueLeaf, SIGNING, utf8, type Wish } from '../../merkle/x509/make.ts';
import { der } from '../../support/der.ts';
import { hashedRekord } from '../../support/fulcio.ts';

const ID = 'spiffe://example.org/build/main';
const ISSUER = 'https://id.example.org';
const ca = domainCa('example.org');
const foreign = domainCa('example.net');
const signers = issueCa('authority of signers');
const issuerIn = (issuer: string) => ({ oid: '1.3.6.1.4.1.57264.1.8', value: utf8(issuer) });

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'stele-svid-trust-'));
  const bundle = (one: Authority) => ({ keys: [x509Key(one)] });
  const map = { trust_domains: { 'example.org': bundle(ca), 'example.net': bundle(foreign) } };
  writeFileSync(join(dir, 'bundles.json'), JSON.stringify(map));
  writeFileSync(join(dir, 'signers.pem'), formatPem('CERTIFICATE', signers.certificate.der));
});
afterAll(() => rmSync(dir, { recursive: true }));

/** Kinds of alert for a certificate, with these settings. */
function tried(certificate: Uint8Array, settings: string, more = ''): string[] {
  const file = join(dir, 'monitor.yaml');
  writeFileSync(
    file,
    `${settings}
rules:
  - name: builds
    watch: { spiffe: { trustDomain: example.org } }
    expect: { spiffe: { trustDomain: example.org, path: /build/**${more} } }
`,
  );
  const { rules, authorities } = loadRules(file);
  const engine = new RuleEngine(rules, authorities && new Trust(authorities));
  return engine.match(readEntry(hashedRekord({ certificate })), 'log.example.com').map(({ kind }) => kind);
}

const svid = (wish: Wish = {}, by: Authority = ca, id = ID) => issueSvid(by, id, wish).certificate.der;
const BUNDLES = 'spiffeBundles: bundles.json';
const BOTH = `${BUNDLES}\nauthorities: signers.pem`;
const signing = (id = ID, issuer = ISSUER) =>
  issueLeaf(signers, { names: [der(0x86, Buffer.from(id))], extensions: [issuerIn(issuer)] }).der;

describe('an X.509-SVID in an entry', () => {
  it.each<[string, () => Uint8Array, string, string[]]>([
    ['of the trust domain', () => svid(), BUNDLES, []],
    ['of the trust domain, beside authorities', () => svid(), BOTH, []],
    ['of another path', () => svid({}, ca, 'spiffe://example.org/deploy/main'), BUNDLES, ['unexpected']],
    ['of the authority of another trust domain', () => svid({}, foreign), BUNDLES, ['unexpected']],
    ['of an unknown authority', () => svid({}, domainCa('example.org')), BUNDLES, ['unexpected']],
    ['for code signing', () => svid({ usages: [CLIENT_AUTH, SIGNING] }), BUNDLES, ['unexpected']],
    ['that is an authority', () => svid({ ca: true, keyUsage: 0x84 }), BUNDLES, ['unexpected']],
    ['without bundles', () => svid(), 'authorities: signers.pem', ['unexpected']],
    ['of an authority of signers', () => svid({}, signers), BOTH, ['unexpected']],
    ['and a certificate of signers', () => signing(), BOTH, []],
    ['and a certificate of signers without its authority', () => signing(), BUNDLES, ['unexpected']],
  ])('%s', (_, make, settings, want) => expect(tried(make(), settings)).toEqual(want));

  it('proves no issuer, whatever its authority wrote', () => {
    const more = `, issuer: '${ISSUER}'`;
    const forged = svid({ extensions: [issuerIn(ISSUER)] });
    expect(tried(forged, BOTH)).toEqual([]);
    expect(tried(forged, BOTH, more)).toEqual(['unexpected']);
    expect(tried(signing(), BOTH, more)).toEqual([]);
  });

  it('needs bundles that can be used', () => {
    writeFileSync(join(dir, 'one.json'), JSON.stringify({ keys: [x509Key(ca)] }));
    expect(() => tried(svid(), 'spiffeBundles: one.json')).toThrow('"spiffeBundles"');
    expect(() => tried(svid(), 'spiffeBundles: gone.json')).toThrow('"spiffeBundles"');
  });
});

/** Which X.509-SVIDs count as the certificate of a signer, by SPIFFE trust bundles and beside a trusted root. */

import { describe, expect, it } from 'vitest';
import { parseBundle } from '../../../client/formats/bundle.ts';
import {
  type BundleRequest,
  noblePrimitives,
  parseSpiffeBundles,
  parseTrustedRoot,
  verifyBundle,
} from '../../../client/verify.ts';
import { encodeUtf8 } from '../../../merkle/bytes.ts';
import { formatPem } from '../../../merkle/pem.ts';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import type { Certificate } from '../../../merkle/x509/certificate.ts';
import { CLIENT_AUTH, domainCa, issueSvid, SERVER_AUTH, uriName, x509Key } from '../../merkle/spiffe/make-svid.ts';
import { generalName, nameConstraints } from '../../merkle/x509/constraint-cases.ts';
import { type Authority, issueCa, keyInfo, newKeys, SIGNING, type Wish } from '../../merkle/x509/make.ts';
import { bundleJson, FILE, messageOf, recordOf, sha256, type Version } from '../../support/bundle-json.ts';
import { Instance, type Json, OWN_IDENTITY, OWN_ISSUER, signedBy } from '../../support/instance.ts';
import { code } from './verify-parts.ts';

const own = new Instance();
const ID = 'spiffe://example.org/build/main';
const ca = domainCa('example.org');
const foreign = domainCa('example.net');
/** The log promised the entry at 12:01, and a time stamp is of that time too. */
const FROM = '2026-08-01T12:00:00Z';
const TO = '2026-08-01T13:00:00Z';

const bytesOf = (...authorities: Authority[]) =>
  encodeUtf8(JSON.stringify({ keys: authorities.map((one) => x509Key(one)) }));
const bundlesOf = (domains: Readonly<Record<string, readonly Authority[]>>) =>
  parseSpiffeBundles(Object.entries(domains).map(([trustDomain, list]) => ({ trustDomain, bytes: bytesOf(...list) })));
const trusted = bundlesOf({ 'example.org': [ca], 'example.net': [foreign] });

interface Made {
  readonly chain?: readonly Certificate[];
  readonly version?: Version;
  /** When the log promised the entry. */
  readonly time?: string;
  readonly stamps?: readonly string[];
}

/** A file that the SVID signed, in the log of Rekor v1, whose promise has a time. */
function signed(wish: Wish = {}, by: Authority = ca, id = ID, made: Made = {}): Json {
  const { certificate, keys } = issueSvid(by, id, { from: FROM, to: TO, ...wish });
  const { chain = [], version = '0.2', time, stamps = [] } = made;
  const signer = { keys, certificate: Buffer.from(certificate.der) };
  const signature = signedBy(signer, FILE);
  const entry = own.logged1('hashedrekord', '0.0.1', recordOf(signer, signature), time);
  const replies = stamps.map((at) => own.stamp(signature, { time: at }));
  return bundleJson(
    version,
    signer,
    messageOf(signature),
    [entry],
    replies,
    chain.map(({ der }) => der),
  );
}

const rootOf = (change: (json: Json) => void = () => {}) => {
  const json = own.trustedRoot();
  change(json);
  return parseTrustedRoot(encodeUtf8(JSON.stringify(json)));
};
/** Keys of logs and of time-stamp authorities, and no certificate authority. */
const logsAlone = rootOf((json) => {
  json.certificateAuthorities = [];
});

const request = (json: Json, change: Partial<BundleRequest> = {}): BundleRequest => ({
  bundle: parseBundle(encodeUtf8(JSON.stringify(json))),
  artifact: { sha256: sha256(FILE) },
  trustedRoot: rootOf(),
  spiffeBundles: trusted,
  identity: { identity: ID },
  now: Number.POSITIVE_INFINITY,
  ...change,
});
const outcome = (json: Json, change?: Partial<BundleRequest>) => verifyBundle(request(json, change), nodePrimitives());
const check = (json: Json, change?: Partial<BundleRequest>) => code(() => outcome(json, change));

describe('an X.509-SVID as it is issued', () => {
  it('counts by the bundle of its trust domain, at the time of the promise, in every form of a bundle', () => {
    for (const version of ['0.1', '0.2', '0.3'] as const) {
      const { checks, notProven, signer } = outcome(signed({}, ca, ID, { version }));
      const name = { type: 'uri', value: ID };
      expect(signer).toMatchObject({
        kind: 'certificate',
        identity: { names: [name], svid: { text: ID, trustDomain: 'example.org', path: '/build/main' } },
      });
      expect(checks).toContainEqual(
        expect.objectContaining({
          name: 'certificate',
          by: 'spiffe://example.org',
          trustDomain: 'example.org',
          times: [Date.parse('2026-08-01T12:01:00Z')],
        }),
      );
      expect(checks).toContainEqual(expect.objectContaining({ name: 'identity', matched: name }));
      expect(notProven).toContainEqual({ name: 'certificate-transparency', because: 'svid' });
      // Its trust domain vouches for it, so no issuer is missing.
      expect(notProven.map((one) => one.name)).not.toContain('issuer');
    }
  });

  it('is verified the same without Node', () => {
    expect(verifyBundle(request(signed()), noblePrimitives).signer.kind).toBe('certificate');
    expect(code(() => verifyBundle(request(signed({}, foreign)), noblePrimitives))).toBe('bad-certificate');
  });

  it('counts without a certificate authority in the trusted root, and by a time stamp', () => {
    const stamped = signed({}, ca, ID, { stamps: ['2026-08-01T12:30:00Z'] });
    expect(outcome(stamped, { trustedRoot: logsAlone }).times.map(({ kind }) => kind)).toEqual([
      'promise',
      'timestamp',
    ]);
  });

  it('counts for its SPIFFE ID alone, whatever else the certificate says', () => {
    const names = [generalName('dns:build.example.org'), uriName(ID), generalName('email:me@example.org')];
    const json = signed({ names });
    expect(check(json)).toBe('accepted');
    expect(outcome(json).signer).toMatchObject({ identity: { names: [{ type: 'uri', value: ID }] } });
    expect(check(json, { identity: { identity: 'me@example.org' } })).toBe('identity');
    expect(check(json, { identity: { identity: 'build.example.org' } })).toBe('identity');
  });

  it('proves no issuer and no extension of Fulcio, although its authority wrote some', () => {
    const issuer = 'https://id.example.org';
    const text = (value: string) => Buffer.concat([Buffer.from([0x0c, value.length]), Buffer.from(value)]);
    const extensions = [
      { oid: '1.3.6.1.4.1.57264.1.8', value: text(issuer) },
      { oid: '1.3.6.1.4.1.57264.1.12', value: text('https://github.com/acme/app') },
    ];
    const json = signed({ extensions });
    expect(check(json)).toBe('accepted');
    expect(check(json, { identity: { identity: ID, issuer } })).toBe('identity');
    const repository = { sourceRepositoryURI: 'https://github.com/acme/app' };
    expect(check(json, { identity: { extensions: repository } })).toBe('identity');
    expect(check(json, { identity: { identity: ID, extensions: repository } })).toBe('identity');
    expect(() => outcome(json, { identity: { identity: ID, issuer } })).toThrow('proves no issuer and no extension');
  });

  it.each<[string, string, string]>([
    ['a pattern of SPIFFE IDs', 'spiffe://example.org/build/**', 'accepted'],
    ['a star', 'spiffe://example.org/*/main', 'accepted'],
    ['the whole trust domain', 'spiffe://example.org/**', 'accepted'],
    ['a pattern of another path', 'spiffe://example.org/deploy/**', 'identity'],
    ['a pattern that is longer', 'spiffe://example.org/build/main/**', 'identity'],
    ['a pattern of another trust domain', 'spiffe://example.net/**', 'identity'],
    ['a pattern of every trust domain', 'spiffe://*/build/main', 'usage'],
    ['another ID', 'spiffe://example.org/build/other', 'identity'],
    ['the ID with a slash', `${ID}/`, 'identity'],
    ['another spelling', 'SPIFFE://example.org/build/main', 'identity'],
  ])('is compared with %s', (_, identity, want) => expect(check(signed(), { identity: { identity } })).toBe(want));

  it('is compared with patterns of RE2', () => {
    expect(check(signed(), { identity: { identity: { pattern: 'spiffe://example\\.org/build/[a-z]+' } } })).toBe(
      'accepted',
    );
    expect(check(signed(), { identity: { identity: { pattern: 'spiffe://example\\.org/build' } } })).toBe('identity');
  });

  it('may be below an intermediate of the bundle, or below one that the bundle of its trust domain has', () => {
    const middle = issueCa('middle', ca, { pathLen: 0 });
    expect(check(signed({}, middle))).toBe('bad-certificate');
    expect(check(signed({}, middle, ID, { chain: [middle.certificate] }))).toBe('accepted');
    expect(check(signed({}, middle, ID, { chain: [ca.certificate, middle.certificate] }))).toBe('accepted');
    expect(check(signed({}, middle), { spiffeBundles: bundlesOf({ 'example.org': [middle] }) })).toBe('accepted');
  });

  it('counts after it expired, if a verified time is in its time', () => {
    expect(check(signed(), { now: Date.parse('2030-01-01T00:00:00Z') })).toBe('accepted');
  });
});

describe('an X.509-SVID is refused', () => {
  const self = domainCa('example.org');
  it.each<[string, () => Json]>([
    ['of an authority that the bundle lacks', () => signed({}, self)],
    ['of the authority of another trust domain in the same file', () => signed({}, foreign)],
    [
      'of another trust domain, by an authority of its own',
      () => signed({}, domainCa('example.com'), 'spiffe://example.com/a'),
    ],
    ['of another trust domain, by the authority of this one', () => signed({}, ca, 'spiffe://example.net/build/main')],
    ['that brings its root', () => signed({}, self, ID, { chain: [self.certificate] })],
    ['with two URIs', () => signed({ names: [uriName(ID), uriName('spiffe://example.org/other')] })],
    ['with the same URI twice', () => signed({ names: [uriName(ID), uriName(ID)] })],
    ['with a URI beside its ID', () => signed({ names: [uriName(ID), uriName('https://example.org/')] })],
    ['without a name', () => signed({ names: undefined as never, rawExtensions: [] })],
    ['with a DNS name alone', () => signed({ names: [generalName('dns:example.org')] })],
    ['with a traversal in its ID', () => signed({}, ca, 'spiffe://example.org/deploy/../build/main')],
    ['with a wildcard in its ID', () => signed({}, ca, 'spiffe://example.org/build/*')],
    ['with a trust domain alone', () => signed({}, ca, 'spiffe://example.org')],
    ['with a trust domain in upper case', () => signed({}, ca, 'spiffe://EXAMPLE.org/build/main')],
    ['with a slash at the end of its ID', () => signed({}, ca, `${ID}/`)],
    ['with a query in its ID', () => signed({}, ca, `${ID}?a=b`)],
    ['with percent signs in its ID', () => signed({}, ca, 'spiffe://example.org/build/%6dain')],
    ['with a port in its ID', () => signed({}, ca, 'spiffe://example.org:443/build/main')],
    ["that is an authority's", () => signed({ ca: true, keyUsage: 0x84 })],
    ['whose key signs certificates', () => signed({ keyUsage: 0x84 })],
    ['whose key is for encryption', () => signed({ keyUsage: 0x20 })],
    ['without a key usage', () => signed({ keyUsage: undefined })],
    ['for servers alone', () => signed({ usages: [SERVER_AUTH] })],
    ['for time stamps', () => signed({ usages: ['1.3.6.1.5.5.7.3.8'] })],
    ['for any use', () => signed({ usages: ['2.5.29.37.0'] })],
    ['that expired before the signature', () => signed({ from: '2026-08-01T11:00:00Z', to: '2026-08-01T12:00:30Z' })],
    ['that became valid after the signature', () => signed({ from: '2026-08-01T12:02:00Z' })],
    [
      'that expired before a second time',
      () => signed({ to: '2026-08-01T12:10:00Z' }, ca, ID, { stamps: ['2026-08-01T12:30:00Z'] }),
    ],
    [
      'whose name its authority may not certify',
      () => {
        const permitted = nameConstraints(['uri:other.example']);
        const middle = issueCa('middle', ca, { extensions: [permitted] });
        return signed({}, middle, ID, { chain: [middle.certificate] });
      },
    ],
    [
      'below more authorities than one of them allows',
      () => {
        const first = issueCa('first', ca, { pathLen: 0 });
        const second = issueCa('second', first);
        return signed({}, second, ID, { chain: [first.certificate, second.certificate] });
      },
    ],
    [
      'below an SVID',
      () => {
        const leaf = issueSvid(ca, ID);
        return signed({}, leaf, ID, { chain: [leaf.certificate] });
      },
    ],
  ])('%s', (_, make) => {
    // Whatever name is asked for: the certificate itself does not hold.
    expect(check(make(), { identity: { identity: { pattern: '.*' } } })).toBe('bad-certificate');
    expect(check(make(), { identity: { identity: { pattern: '.*' } }, trustedRoot: logsAlone })).toBe(
      'bad-certificate',
    );
  });

  it('by an empty bundle, by none, and by an empty list', () => {
    expect(check(signed(), { spiffeBundles: bundlesOf({ 'example.org': [] }) })).toBe('bad-certificate');
    expect(check(signed(), { spiffeBundles: bundlesOf({}) })).toBe('bad-certificate');
    expect(() => outcome(signed(), { spiffeBundles: bundlesOf({ 'example.org': [] }) })).toThrow('no X.509 authority');
  });

  it('without a bundle, as before', () => {
    const json = signed();
    const { spiffeBundles: _, ...without } = request(json);
    expect(() => verifyBundle(without, nodePrimitives())).toThrow('is not for code signing');
    const signing = signed({ usages: [SIGNING, CLIENT_AUTH] });
    const { spiffeBundles: __, ...unknown } = request(signing);
    expect(code(() => verifyBundle(unknown, nodePrimitives()))).toBe('bad-certificate');
  });

  it('once its authority is in no bundle any more: old ones must stay', () => {
    const old = signed();
    const next = domainCa('example.org');
    expect(check(old, { spiffeBundles: bundlesOf({ 'example.org': [next] }) })).toBe('bad-certificate');
    expect(check(old, { spiffeBundles: bundlesOf({ 'example.org': [next, ca] }) })).toBe('accepted');
    // Two files of one trust domain count together.
    const both = parseSpiffeBundles([next, ca].map((one) => ({ trustDomain: 'example.org', bytes: bytesOf(one) })));
    expect(check(old, { spiffeBundles: both })).toBe('accepted');
  });

  it('without a verified time, and with a time that nobody vouches for', () => {
    const { certificate, keys } = issueSvid(ca, ID, { from: FROM, to: TO });
    const signer = { keys, certificate: Buffer.from(certificate.der) };
    const signature = signedBy(signer, FILE);
    const entry = own.logged2(sha256(FILE), signature, signer);
    const bare = bundleJson('0.3', signer, messageOf(signature), [entry]);
    expect(check(bare)).toBe('bad-timestamp');
    const stamped = (time: string) =>
      bundleJson('0.3', signer, messageOf(signature), [entry], [own.stamp(signature, { time })]);
    expect(check(stamped('2026-08-01T12:01:00Z'))).toBe('accepted');
    expect(check(stamped('2026-08-01T13:00:01Z'))).toBe('bad-certificate');
    expect(check(stamped('2026-08-01T11:59:59Z'))).toBe('bad-certificate');
    const noStamps = rootOf((json) => {
      json.timestampAuthorities = [];
    });
    expect(check(stamped('2026-08-01T12:01:00Z'), { trustedRoot: noStamps })).toBe('bad-timestamp');
  });

  it('where a promise of a certificate-transparency log is required', () => {
    expect(check(signed(), { requireSct: true })).toBe('bad-sct');
    expect(check(signed(), { ignoreSct: true })).toBe('accepted');
  });

  it('of another signature and of another file', () => {
    const [one, other] = [signed(), signed()];
    one.verificationMaterial.x509CertificateChain = other.verificationMaterial.x509CertificateChain;
    expect(check(one)).toBe('bad-signature');
    expect(check(signed(), { artifact: { sha256: sha256('another') } })).toBe('digest-mismatch');
  });
});

describe('certificates of a trusted root beside SPIFFE bundles', () => {
  const ofFulcio = (wish: Parameters<Instance['signer']>[0] = {}) => {
    const signer = own.signer(wish);
    const signature = signedBy(signer, FILE);
    return bundleJson('0.3', signer, messageOf(signature), [
      own.logged1('hashedrekord', '0.0.1', recordOf(signer, signature)),
    ]);
  };
  const workflow = { identity: { identity: OWN_IDENTITY, issuer: OWN_ISSUER } };
  const bundles = bundlesOf({ 'example.org': [own.root, own.intermediate, ca] });

  it('count as before, with their promise of a certificate-transparency log', () => {
    expect(check(ofFulcio(), workflow)).toBe('accepted');
    expect(check(ofFulcio({ ctLog: null }), workflow)).toBe('bad-sct');
  });

  it('are spared nothing by a bundle that has the same authority', () => {
    const identity = { identity: { identity: ID } };
    const named = { identity: ID, from: FROM };
    expect(check(ofFulcio(named), { ...identity, spiffeBundles: bundles })).toBe('accepted');
    expect(check(ofFulcio({ ...named, ctLog: null }), { ...identity, spiffeBundles: bundles })).toBe('bad-sct');
    // The trusted root ended the authority: the bundle does not undo that.
    const ended = rootOf((json) => {
      json.certificateAuthorities[0].validFor.end = '2026-01-01T00:00:00Z';
    });
    const after = { ...identity, spiffeBundles: bundles, trustedRoot: ended };
    expect(check(ofFulcio(named), after)).toBe('bad-certificate');
    expect(check(signed({ usages: [CLIENT_AUTH, SERVER_AUTH, SIGNING] }), after)).toBe('bad-certificate');
  });

  it('and SPIFFE IDs in them are compared with patterns too', () => {
    const named = ofFulcio({ identity: ID, from: FROM });
    const pattern = (identity: string) => check(named, { identity: { identity } });
    expect(pattern('spiffe://example.org/build/**')).toBe('accepted');
    expect(pattern('spiffe://example.org/deploy/**')).toBe('identity');
    const traversal = ofFulcio({ identity: 'spiffe://example.org/build/../deploy', from: FROM });
    expect(check(traversal, { identity: { identity: 'spiffe://example.org/build/**' } })).toBe('identity');
  });

  it('do not vouch for client certificates: those count by bundles alone', () => {
    const ofRoot = signed({}, own.intermediate, ID, { version: '0.3' });
    expect(check(ofRoot)).toBe('bad-certificate');
    expect(check(ofRoot, { spiffeBundles: bundlesOf({ 'example.org': [own.intermediate] }) })).toBe('bad-certificate');
  });

  it('may vouch for a certificate without usages, and else its bundle does', () => {
    const none = { usages: undefined };
    expect(outcome(signed(none)).signer).toMatchObject({ identity: { svid: { text: ID } } });
    const ofRoot = signed(none, own.intermediate, ID, { version: '0.3' });
    // Of the root's authority: its rules count, such as the promise of a certificate-transparency log.
    expect(check(ofRoot, { spiffeBundles: bundles })).toBe('bad-sct');
    expect(outcome(ofRoot, { spiffeBundles: bundles, ignoreSct: true }).signer).not.toHaveProperty('identity.svid');
  });

  it('where there is no trusted root with authorities, a bundle vouches for code signing too', () => {
    const json = signed({ usages: [CLIENT_AUTH, SERVER_AUTH, SIGNING] });
    expect(check(json)).toBe('bad-certificate');
    expect(check(json, { trustedRoot: logsAlone })).toBe('accepted');
  });

  it('several trusted roots: each needs all of the evidence', () => {
    const other = parseTrustedRoot(encodeUtf8(JSON.stringify(new Instance('other.example').trustedRoot())));
    expect(check(signed(), { trustedRoot: [other, rootOf()] })).toBe('accepted');
    expect(check(signed(), { trustedRoot: [other] })).not.toBe('accepted');
  });
});

describe('SPIFFE bundles of a request', () => {
  it('are for an identity, which needs them or a trusted root', () => {
    const { identity: _, ...nobody } = request(signed());
    expect(code(() => verifyBundle({ ...nobody, key: keyInfo(newKeys()) }, nodePrimitives()))).toBe('usage');
    const { trustedRoot: __, spiffeBundles: ___, ...untrusted } = request(signed());
    const logKey = own.rekor.key;
    expect(code(() => verifyBundle({ ...untrusted, logKey }, nodePrimitives()))).toBe('usage');
  });

  it('are JWK sets, PEM, and files that name their trust domains', () => {
    const pem = encodeUtf8(formatPem('CERTIFICATE', ca.certificate.der));
    const map = encodeUtf8(
      JSON.stringify({
        trust_domains: { 'example.net': { keys: [x509Key(foreign)] }, 'example.org': { keys: [x509Key(ca)] } },
      }),
    );
    expect(check(signed(), { spiffeBundles: parseSpiffeBundles([{ trustDomain: 'example.org', bytes: pem }]) })).toBe(
      'accepted',
    );
    expect(check(signed(), { spiffeBundles: parseSpiffeBundles([{ bytes: map }]) })).toBe('accepted');
  });

  it.each<[string, Parameters<typeof parseSpiffeBundles>[0][number]]>([
    ['no JSON', { trustDomain: 'example.org', bytes: encodeUtf8('bundle') }],
    ['nothing', { trustDomain: 'example.org', bytes: encodeUtf8('') }],
    ['no list of keys', { trustDomain: 'example.org', bytes: encodeUtf8('{}') }],
    ['a name that is no trust domain', { trustDomain: 'Example.org', bytes: bytesOf(ca) }],
    ['a trust domain that is missing', { bytes: bytesOf(ca) }],
    [
      "a workload's certificate",
      { trustDomain: 'example.org', bytes: encodeUtf8(formatPem('CERTIFICATE', issueSvid(ca, ID).certificate.der)) },
    ],
  ])('are refused: %s', (_, file) => expect(code(() => parseSpiffeBundles([file]))).toBe('spiffe-bundle'));

  it('say how the trust domain of a file is given', () => {
    expect(() => parseSpiffeBundles([{ bytes: bytesOf(ca) }])).toThrow(/is given as DOMAIN=FILE$/);
  });

  it('have a bound together', () => {
    const many = Array.from({ length: 40 }, () => domainCa('example.org'));
    const files = [many, many, [...many.slice(0, 15), ...Array.from({ length: 30 }, () => domainCa('example.org'))]];
    const of = (lists: readonly Authority[][]) =>
      lists.map((list) => ({ trustDomain: 'example.org', bytes: bytesOf(...list) }));
    expect(parseSpiffeBundles(of(files.slice(0, 2))).get('example.org')?.x509Authorities).toHaveLength(40);
    expect(code(() => parseSpiffeBundles(of(files)))).toBe('spiffe-bundle');
  });
});

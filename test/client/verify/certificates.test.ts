/** Which certificates of a bundle count, and whether one must be in a certificate-transparency log. */
import { describe, expect, it } from 'vitest';
import { parseBundle } from '../../../client/formats/bundle.ts';
import { type BundleRequest, parseTrustedRoot, verifyBundle } from '../../../client/verify.ts';
import { issueCa, issueDer, keyInfo, newKeys, SIGNING, sequence } from '../../merkle/x509/make.ts';
import { bundleJson, FILE, messageOf, recordOf, sha256, type Version } from '../../support/bundle-json.ts';
import { Instance, type Json, OWN_IDENTITY, OWN_ISSUER, type SignerWish, signedBy } from '../../support/instance.ts';
import { code, text } from './verify-parts.ts';

const own = new Instance();
const other = new Instance('other.example');
const CA = { pathLen: 0, usages: [SIGNING] };

const rootOf = (instance: Instance, change: (json: Json) => void = () => {}) => {
  const json = instance.trustedRoot();
  change(json);
  return parseTrustedRoot(text(JSON.stringify(json)));
};
/** The trusted root without its intermediate: a path needs the one in the bundle. */
const bareRoot = rootOf(own, (json) => {
  json.certificateAuthorities[0].certChain.certificates.shift();
});

/** A signed file in the log of Rekor v1, with `chain` above the signer's certificate. */
function signed(chain: readonly Uint8Array[], wish: SignerWish = {}, version: Version = '0.1'): Json {
  const signer = own.signer(wish);
  const signature = signedBy(signer, FILE);
  const entry = own.logged1('hashedrekord', '0.0.1', recordOf(signer, signature));
  return bundleJson(version, signer, messageOf(signature), [entry], [], chain);
}

const request = (json: Json, change: Partial<BundleRequest> = {}): BundleRequest => ({
  bundle: parseBundle(text(JSON.stringify(json))),
  artifact: { sha256: sha256(FILE) },
  trustedRoot: rootOf(own),
  identity: { identity: OWN_IDENTITY, issuer: OWN_ISSUER },
  ...change,
});
const check = (json: Json, change?: Partial<BundleRequest>) => code(() => verifyBundle(request(json, change)));

const ofOwn = [own.intermediate.certificate.der, own.root.certificate.der];
const foreignRoot = issueCa(own.root.name).certificate.der;
/** DER, and no certificates that can be read: of another version, and something else. */
const unreadable = [issueDer({ version: 5, ca: true }).der, sequence(sequence(), sequence())];

describe('certificates of a bundle that the path does not need', () => {
  it.each<[string, readonly Uint8Array[]]>([
    ['the root', ofOwn],
    ['the root in front', ofOwn.toReversed()],
    ['a root of the same name with another key', [own.intermediate.certificate.der, foreignRoot]],
    ['the authorities of others', [other.intermediate.certificate.der, other.root.certificate.der]],
    ['a signer of others', [other.signer().certificate, ...ofOwn]],
    ['what is no certificate', [...unreadable, ...ofOwn]],
    ['the same one again', [...ofOwn, ...ofOwn]],
    ['fifteen of them', Array.from({ length: 15 }, (_, i) => issueCa(`authority ${i}`).certificate.der)],
  ])('are superfluous: %s', (_, chain) => {
    for (const version of ['0.1', '0.2'] as const) {
      const outcome = verifyBundle(request(signed(chain, {}, version)));
      const [certificate] = outcome.checks.filter(({ name }) => name === 'certificate');
      expect(certificate).toMatchObject({ by: `CN=${own.root.name}` });
    }
  });

  it.each<[string, readonly Uint8Array[]]>([
    ['alone', ofOwn.slice(0, 1)],
    ['with a root', ofOwn],
    ['twice', [ofOwn[0]!, ...ofOwn]],
    ['after what is no certificate', [...unreadable, foreignRoot, ...ofOwn]],
    [
      'among authorities of its name with other keys',
      [...Array.from({ length: 13 }, () => issueCa(own.intermediate.name, other.root, CA).certificate.der), ...ofOwn],
    ],
  ])('do not hide the intermediate that the trusted root lacks: %s', (_, chain) => {
    expect(check(signed(chain), { trustedRoot: bareRoot })).toBe('accepted');
    expect(check(signed(chain.filter((der) => der !== ofOwn[0])), { trustedRoot: bareRoot })).toBe('bad-certificate');
  });

  it('bring no root: a leaf that leads to a root of the bundle alone is refused', () => {
    const root = issueCa('own root');
    const intermediate = issueCa('own intermediate', root, CA);
    const chain = [intermediate, root].map(({ certificate }) => certificate.der);
    expect(check(signed(chain, { by: intermediate }))).toBe('bad-certificate');
    const twin = issueCa(own.root.name);
    const below = issueCa(own.intermediate.name, twin, CA);
    const twins = [below, twin].map(({ certificate }) => certificate.der);
    expect(check(signed(twins, { by: below }))).toBe('bad-certificate');
    expect(check(signed(twins.slice(1), { by: twin }))).toBe('bad-certificate');
    expect(check(signed(twins, { by: below }), { trustedRoot: bareRoot })).toBe('bad-certificate');
  });

  it("must be DER, at most fifteen, and none the signer's again", () => {
    expect(check(signed([...ofOwn, Buffer.concat([foreignRoot, Buffer.alloc(1)])]))).toBe('malformed');
    expect(check(signed([...ofOwn, foreignRoot.subarray(0, -1)]))).toBe('malformed');
    const many = Array.from({ length: 16 }, (_, i) => issueCa(`authority ${i}`).certificate.der);
    expect(() => parseBundle(text(JSON.stringify(signed(many))))).toThrow('certificates has more than 16 items');
    const doubled = signed(ofOwn);
    const { certificates } = doubled.verificationMaterial.x509CertificateChain;
    certificates.push(certificates[0]);
    expect(check(doubled)).toBe('bad-certificate');
  });

  it('are malformed in a bundle v0.3', () => {
    const json = { ...signed(ofOwn), mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json' };
    expect(code(() => parseBundle(text(JSON.stringify(json))))).toBe('malformed');
  });
});

describe('certificate transparency', () => {
  const noLogs = rootOf(own, (json) => {
    json.ctlogs = [];
  });
  const notProven = (json: Json, change: Partial<BundleRequest> = {}) =>
    verifyBundle(request(json, change)).notProven.filter(({ name }) => name === 'certificate-transparency');

  it('is asked for where the trusted root names a log', () => {
    const bare = signed([], { ctLog: null });
    expect(check(bare)).toBe('bad-sct');
    expect(check(signed([], { ctLog: other.ctLog }))).toBe('bad-sct');
    expect(check(signed([]), { requireSct: true })).toBe('accepted');
    expect(notProven(signed([]))).toEqual([]);
    // A log with a key of another kind is named all the same.
    const unreadableLog = rootOf(own, (json) => {
      json.ctlogs = [json.ctlogs[0]];
      json.ctlogs[0].publicKey.keyDetails = 'PKIX_ML_DSA_65';
    });
    expect(check(bare, { trustedRoot: unreadableLog })).toBe('bad-sct');
  });

  it('is not asked for where the trusted root names none, unless the caller requires it', () => {
    for (const its of [signed([], { ctLog: null }), signed([]), signed([], { ctLog: other.ctLog })]) {
      expect(notProven(its, { trustedRoot: noLogs })).toEqual([
        { name: 'certificate-transparency', because: 'no-log' },
      ]);
      expect(check(its, { trustedRoot: noLogs, requireSct: true })).toBe('bad-sct');
    }
  });

  it('is not spared a leaf of one root because another root names no log', () => {
    // The other root knows the log and names no certificate-transparency log, and the leaf is not of its authority.
    const without = rootOf(other, (json) => {
      json.ctlogs = [];
      json.tlogs = own.trustedRoot().tlogs;
    });
    const bare = signed([], { ctLog: null });
    for (const trustedRoot of [
      [without, rootOf(own)],
      [rootOf(own), without],
    ]) {
      expect(check(bare, { trustedRoot })).toBe('bad-sct');
      expect(check(signed([]), { trustedRoot })).toBe('accepted');
      expect(check(signed([]), { trustedRoot, requireSct: true })).toBe('accepted');
    }
    const ofOther = signed([], { ctLog: null, by: other.intermediate });
    expect(check(ofOther, { trustedRoot: [without, rootOf(own)] })).toBe('accepted');
    expect(check(ofOther, { trustedRoot: [without, rootOf(own)], requireSct: true })).toBe('bad-sct');
  });

  it('is ignored where the caller says so, and nothing else is', () => {
    const bare = signed([], { ctLog: null });
    const ignored = { ignoreSct: true };
    expect(notProven(bare, ignored)).toEqual([{ name: 'certificate-transparency', because: 'ignored' }]);
    expect(check(signed([], { ctLog: other.ctLog }), ignored)).toBe('accepted');
    expect(check(bare, { ...ignored, identity: { identity: 'https://example.com/other' } })).toBe('identity');
    expect(check(signed([], { ctLog: null, by: other.intermediate }), ignored)).toBe('bad-certificate');
  });

  it('is a question for identities, with one answer', () => {
    const bare = signed([]);
    expect(check(bare, { requireSct: true, ignoreSct: true })).toBe('usage');
    const { identity: _, ...nobody } = request(bare);
    const key = { key: keyInfo(newKeys()) };
    expect(code(() => verifyBundle({ ...nobody, ...key, requireSct: true }))).toBe('usage');
    expect(code(() => verifyBundle({ ...nobody, ...key, ignoreSct: true }))).toBe('usage');
  });
});

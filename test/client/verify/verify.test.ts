import { generateKeyPairSync } from 'node:crypto';
import { ed25519, ed25519ph } from '@noble/curves/ed25519.js';
import { bundleFromJSON } from '@sigstore/bundle';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ClientError } from '../../../client/errors.ts';
import { type Bundle, formatBundle, parseBundle } from '../../../client/formats/bundle.ts';
import { keyHint } from '../../../client/formats/key.ts';
import type { InclusionProof, TlogEntry } from '../../../client/formats/log-entry.ts';
import {
  type BundleRequest,
  parseLogKey,
  parseTrustedRoot,
  requiredHashes,
  verifyBundle,
} from '../../../client/verify.ts';
import { formatCheckpoint } from '../../../merkle/checkpoint.ts';
import { parseSpki } from '../../../merkle/rekor/spki.ts';
import { FakeLog } from '../../support/fake-log.ts';
import {
  attestation,
  code,
  digestsOf,
  hex,
  messageBundle,
  policyOf,
  rootJson,
  statement,
  type TestKey,
  testKey,
  testWitness,
  text,
  witnessed,
} from './verify-parts.ts';

const file = text('hello');
const key = testKey();
const log = FakeLog.empty();
const bundle = messageBundle(file, key, log);
const about = { ...attestation(file, key, log) };
const artifact = digestsOf(file);
const [entry] = bundle.entries as [TlogEntry];

type Change = Partial<Omit<BundleRequest, 'bundle'>>;
const request = (its: Bundle, change: Change = {}): BundleRequest => ({
  bundle: its,
  artifact,
  key: key.info,
  logKey: log.key,
  ...change,
});
const check = (its: Bundle, change: Change = {}) => code(() => verifyBundle(request(its, change)));
const withEntry = (change: Partial<TlogEntry>): Bundle => ({ ...bundle, entries: [{ ...entry, ...change }] });
const withProof = (change: Partial<InclusionProof>) => withEntry({ proof: { ...entry.proof!, ...change } });
const root = (json: object) => parseTrustedRoot(text(JSON.stringify(json)));

describe('verifyBundle, with a key', () => {
  it('accepts what was signed and logged, and says what it checked and what it did not', () => {
    const outcome = verifyBundle(request(parseBundle(formatBundle(bundle))));
    expect(outcome.entries).toMatchObject([{ origin: 'localhost', index: 3, tree: { size: 8 }, unverified: [] }]);
    expect(outcome.checks.map(({ name }) => name)).toEqual([
      'artifact',
      'signature',
      'entry',
      'inclusion',
      'checkpoint',
    ]);
    expect(outcome.signer).toMatchObject({ kind: 'key' });
    expect(outcome.notProven).toEqual([{ name: 'key-holder' }, { name: 'time' }, { name: 'witnesses' }]);
  });

  it.each(['P-384', 'P-521', 'rsa'] as const)('accepts a key of the kind %s', (kind) => {
    const other = testKey(kind);
    for (const its of [messageBundle(file, other, log), attestation(file, other, log)]) {
      expect(requiredHashes(its, other.info)).toEqual([its.content.kind === 'dsse' ? 'sha256' : other.hash]);
      expect(check(its, { key: other.info })).toBe('accepted');
      expect(check(its)).toBe('bad-signature');
    }
  });

  it('accepts Ed25519: Ed25519ph over a digest, of the file or of the PAE, and never another form of it', () => {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    const info = parseSpki(publicKey.export({ format: 'der', type: 'spki' }));
    const secret = Buffer.from(privateKey.export({ format: 'jwk' }).d!, 'base64url');
    const prehashed: TestKey = {
      info,
      details: 'PKIX_ED25519_PH',
      hash: 'sha512',
      digestName: 'SHA2_512',
      sign: (message) => ed25519ph.sign(message, secret),
    };
    const pure: TestKey = { ...prehashed, sign: (message) => ed25519.sign(message, secret) };
    const given = { key: info };
    expect(check(messageBundle(file, prehashed, log), given)).toBe('accepted');
    expect(check(attestation(file, prehashed, log), given)).toBe('accepted');
    expect(check(messageBundle(file, pure, log), given)).toBe('bad-signature');
    // A signature over the PAE itself is good, but no entry about a digest can be of it.
    expect(check(attestation(file, pure, log), given)).toBe('entry-mismatch');
  });

  it('accepts an attestation by the statement in it, and only for its subjects', () => {
    expect(verifyBundle(request(about)).statement).toEqual({
      predicateType: 'https://example.com/p/v1',
      subject: 'file',
    });
    expect(check(about, { artifact: digestsOf(text('other')) })).toBe('digest-mismatch');
    const { sha256, sha512 } = digestsOf(file);
    const half = statement(file, { sha256: hex(sha256), sha512: hex(digestsOf(text('x')).sha512) });
    expect(check(attestation(file, key, log, half))).toBe('digest-mismatch');
    const both = statement(file, { sha256: hex(sha256), sha512: hex(sha512) });
    expect(check(attestation(file, key, log, both))).toBe('accepted');
    expect(check(attestation(file, key, log, statement(file, { md5: '00', sha256: hex(sha256) })))).toBe('accepted');
    // The specification wants a digest of each subject, in lower-case hex.
    for (const wrong of [statement(file, {}), statement(file, { sha256: hex(sha256).toUpperCase() })]) {
      expect(check(attestation(file, key, log, wrong))).toBe('malformed');
    }
    expect(check(attestation(file, key, log, text('{}')))).toBe('malformed');
    expect(check(attestation(file, key, log, text(`${'['.repeat(10_000)}`)))).toBe('malformed');
  });

  it('calls an attestation unsupported, and no change of the file, where none of its digests can be compared', () => {
    const others = { gitCommit: 'a'.repeat(40), sha1: 'b'.repeat(40), blake2b: 'c'.repeat(128) };
    const about = attestation(file, key, log, statement(file, others));
    expect(check(about)).toBe('unsupported');
    expect(() => verifyBundle(request(about))).toThrow(/names its subjects by gitCommit, sha1, blake2b alone/);
    expect(requiredHashes(about, key.info)).toEqual([]);
    // The signature comes first.
    expect(check(about, { key: testKey().info })).toBe('bad-signature');
    // One subject that can be compared decides.
    const subjects = (...digests: object[]) =>
      text(
        JSON.stringify({
          ...JSON.parse(Buffer.from(statement(file)).toString()),
          subject: digests.map((digest, i) => ({ name: `subject ${i}`, digest })),
        }),
      );
    const [own, other] = [file, text('other')].map((one) => ({ sha256: hex(digestsOf(one).sha256) })) as [
      object,
      object,
    ];
    expect(check(attestation(file, key, log, subjects(others, own)))).toBe('accepted');
    expect(check(attestation(file, key, log, subjects(others, other)))).toBe('digest-mismatch');
  });

  it('refuses another file, key and log', () => {
    const other = digestsOf(text('other'));
    expect(check(bundle, { artifact: other })).toBe('digest-mismatch');
    const moved: Bundle = {
      ...bundle,
      content: { ...bundle.content, digest: { algorithm: 'SHA2_256', value: other.sha256 } } as Bundle['content'],
    };
    expect(check(moved, { artifact: other })).toBe('bad-signature');
    expect(check(bundle, { key: testKey().info })).toBe('bad-signature');
    expect(check(bundle, { key: testKey('P-384').info })).toBe('bad-signature');
    expect(check(bundle, { logKey: FakeLog.empty().key })).toBe('bad-checkpoint');
    expect(check(bundle, { logKey: FakeLog.empty('other.example').key })).toBe('bad-checkpoint');
  });

  it('says that another key signed where the hint tells', () => {
    const hinted: Bundle = { ...bundle, signer: { kind: 'public-key', hint: keyHint(key.info) } };
    const refused = () => verifyBundle(request(hinted, { key: testKey().info }));
    expect(refused).toThrow('another key signed');
    expect(check(hinted)).toBe('accepted');
  });

  it("refuses an entry about somebody else's signature, even a valid one", () => {
    const mallory = messageBundle(file, testKey(), log);
    expect(check({ ...bundle, entries: mallory.entries })).toBe('entry-mismatch');
    expect(check({ ...bundle, entries: [entry, ...mallory.entries] })).toBe('entry-mismatch');
    expect(check({ ...bundle, entries: about.entries })).toBe('entry-mismatch');
    expect(check(withEntry({ version: '0.0.1' }))).toBe('entry-mismatch');
    expect(check(withEntry({ kind: 'dsse' }))).toBe('entry-mismatch');
    expect(check(withEntry({ kind: 'rpm', version: '0.0.1' }))).toBe('unsupported');
    expect(check({ ...bundle, entries: [] })).toBe('bad-proof');
  });

  it('refuses a proof that is changed anywhere', () => {
    const { proof } = entry as { proof: InclusionProof };
    expect(check(withEntry({ index: 4 }))).toBe('bad-proof');
    expect(check(withEntry({ index: 4, proof: { ...proof, index: 4 } }))).toBe('bad-proof');
    expect(check(withEntry({ index: 8, proof: { ...proof, index: 8 } }))).toBe('bad-proof');
    expect(check(withProof({ hashes: proof.hashes.slice(1) }))).toBe('bad-proof');
    expect(check(withProof({ hashes: [...proof.hashes, proof.root] }))).toBe('bad-proof');
    for (const at of proof.hashes.keys()) {
      expect(check(withProof({ hashes: proof.hashes.map((hash, i) => (i === at ? proof.root : hash)) }))).toBe(
        'bad-proof',
      );
    }
    expect(check(withProof({ treeSize: 9 }))).toBe('bad-checkpoint');
    expect(check(withProof({ root: new Uint8Array(32) }))).toBe('bad-checkpoint');
    expect(check(withEntry({ logId: new Uint8Array(32) }))).toBe('bad-checkpoint');
    expect(check(withEntry({ integratedTime: 1 }))).toBe('bad-promise');
    expect(check(withEntry({ integratedTime: 1, promise: new Uint8Array(64) }))).toBe('bad-promise');
  });

  it('refuses a checkpoint that is changed, or of another log with the same name', () => {
    const { checkpoint, treeSize: size, root: hash } = entry.proof!;
    expect(check(withProof({ checkpoint: checkpoint!.replace('\n8\n', '\n9\n') }))).toBe('bad-checkpoint');
    expect(check(withProof({ checkpoint: checkpoint!.slice(0, -1) }))).toBe('bad-checkpoint');
    const foreign = log.sign(formatCheckpoint({ origin: 'other.example', size, root: hash, extensions: [] }));
    expect(check(withProof({ checkpoint: foreign }))).toBe('bad-checkpoint');
    const twin = FakeLog.empty().sign(formatCheckpoint({ origin: 'localhost', size, root: hash, extensions: [] }));
    expect(check(withProof({ checkpoint: twin }))).toBe('bad-checkpoint');
  });

  it('names signatures that it did not check', () => {
    const checkpoint = `${entry.proof!.checkpoint}— witness.example/w AAAAAAAAAAAA\n`;
    const [checked] = verifyBundle(request(withProof({ checkpoint }))).entries;
    expect(checked!.unverified).toEqual(['witness.example/w']);
  });

  it('needs to know whom and which log to trust', () => {
    const { logKey: _, ...noLog } = request(bundle);
    expect(code(() => verifyBundle(noLog))).toBe('usage');
    const { key: __, ...nobody } = request(bundle);
    expect(code(() => verifyBundle(nobody))).toBe('usage');
    expect(check(bundle, { identity: { identity: 'me@example.com' } })).toBe('usage');
    expect(code(() => verifyBundle({ ...nobody, identity: { identity: 'me@example.com' } }))).toBe('usage');
    expect(check(bundle, { artifact: {} })).toBe('usage');
    expect(check(bundle, { witnessTime: true })).toBe('usage');
    const identity = { identity: 'me@example.com' };
    const trustedRoot = root(rootJson(log));
    expect(code(() => verifyBundle({ ...nobody, identity, trustedRoot }))).toBe('identity');
  });
});

describe('verifyBundle, with a trusted root', () => {
  const trusted = (json: object, change: Change = {}) => {
    const { logKey: _, ...rest } = request(bundle, change);
    return code(() => verifyBundle({ ...rest, trustedRoot: root(json) }));
  };

  it('takes a log that it has, by its ID and its key', () => {
    expect(trusted(rootJson(log))).toBe('accepted');
    expect(trusted(rootJson(FakeLog.empty()))).toBe('bad-checkpoint');
    const wrongKey = rootJson(log);
    wrongKey.tlogs[0]!.publicKey = rootJson(FakeLog.empty()).tlogs[0]!.publicKey;
    expect(trusted(wrongKey)).toBe('bad-checkpoint');
  });

  it('says where nothing shows that the entry was made before the time of the key ended', () => {
    const { logKey: _, ...rest } = request(bundle);
    const notProven = (validFor: object) =>
      verifyBundle({ ...rest, trustedRoot: root(rootJson(log, validFor)) }).notProven.map(({ name }) => name);
    const start = '2020-01-01T00:00:00Z';
    expect(notProven({ start, end: '2021-01-01T00:00:00Z' })).toContain('log-key-period');
    expect(notProven({ start })).not.toContain('log-key-period');
  });

  it('needs the key that signed to count, not another under the same log ID', async () => {
    const witness = testWitness('witness.example/w');
    const its = await witnessed(bundle, [[witness, 1_700_000_000]]);
    const [old] = rootJson(log, { start: '2020-01-01T00:00:00Z', end: '2021-01-01T00:00:00Z' }).tlogs;
    const [next] = rootJson(FakeLog.empty(), { start: '2021-01-01T00:00:00Z' }).tlogs;
    const at = (...tlogs: object[]) => {
      const { logKey: _, ...rest } = request(its, { policy: policyOf([], [witness], 1), witnessTime: true });
      return code(() => verifyBundle({ ...rest, trustedRoot: root({ ...rootJson(log), tlogs }) }));
    };
    const again = { ...old!, publicKey: { ...old!.publicKey, validFor: { start: '2022-01-01T00:00:00Z' } } };
    expect(at(old!, again)).toBe('accepted');
    expect(at(old!, { ...next!, logId: old!.logId })).toBe('bad-checkpoint');
  });

  it('holds all that is given: root, key of the log and policy', () => {
    expect(check(bundle, { trustedRoot: root(rootJson(log)) })).toBe('accepted');
    expect(check(bundle, { trustedRoot: root(rootJson(FakeLog.empty())) })).toBe('bad-checkpoint');
    const stranger = policyOf([FakeLog.empty().vkey], [testWitness('a')], 1);
    expect(trusted(rootJson(log), { policy: stranger })).toBe('bad-checkpoint');
  });

  it("gives a log's key only for its time, both ends included", async () => {
    const witness = testWitness('witness.example/w');
    const its = await witnessed(bundle, [[witness, 1_700_000_000]]);
    const policy = policyOf([], [witness], 1);
    const at = (validFor: object) => {
      const { logKey: _, ...rest } = request(its, { policy, witnessTime: true });
      return code(() => verifyBundle({ ...rest, trustedRoot: root(rootJson(log, validFor)) }));
    };
    const [before, then, after] = ['2023-11-14T22:13:19Z', '2023-11-14T22:13:20Z', '2023-11-14T22:13:21Z'];
    expect(at({ start: then })).toBe('accepted');
    expect(at({ start: before, end: then })).toBe('accepted');
    expect(at({ start: after })).toBe('bad-checkpoint');
    expect(at({ start: '2020-01-01T00:00:00Z', end: before })).toBe('bad-checkpoint');
  });

  it.each([
    ['nothing', ''],
    ['another type', { ...rootJson(log), mediaType: 'application/json' }],
    ['an unknown field', { ...rootJson(log), more: 1 }],
    [
      'a key that is none',
      { ...rootJson(log), tlogs: [{ ...rootJson(log).tlogs[0], publicKey: { rawBytes: 'AA==' } }] },
    ],
    ['a time that is none', rootJson(log, { start: 'yesterday' })],
    [
      'a period that ends before it starts',
      rootJson(log, { start: '2021-01-01T00:00:00Z', end: '2020-01-01T00:00:00Z' }),
    ],
    ['an authority that is none', { ...rootJson(log), certificateAuthorities: [{ certChain: {} }] }],
  ])('that is wrong (%s) is refused', (_, json) => {
    expect(code(() => parseTrustedRoot(text(typeof json === 'string' ? json : JSON.stringify(json))))).toBe(
      'trusted-root',
    );
  });
});

describe('verifyBundle, with a policy', () => {
  const [a, b, c] = ['a', 'b', 'c'].map((name) => testWitness(`${name}.example/w`)) as [
    ReturnType<typeof testWitness>,
    ReturnType<typeof testWitness>,
    ReturnType<typeof testWitness>,
  ];
  const policy = policyOf([log.vkey], [a, b, c], 2);
  const by = async (...lines: (readonly [typeof a, number])[]) => {
    const { logKey: _, ...rest } = request(await witnessed(bundle, lines), { policy, witnessTime: true });
    return rest;
  };

  it('asks for its quorum, and counts a witness once', async () => {
    const met = verifyBundle(await by([a, 1000], [c, 3000]));
    expect(met.checks.filter(({ name }) => name === 'cosignature')).toHaveLength(2);
    expect(met.notProven).not.toContainEqual({ name: 'witnesses' });
    const once = await by([a, 1000]);
    expect(code(() => verifyBundle(once))).toBe('quorum');
    const twice = await by([a, 1000], [a, 2000]);
    expect(code(() => verifyBundle(twice))).toBe('quorum');
    const none = request(bundle, { policy });
    expect(code(() => verifyBundle(none))).toBe('quorum');
  });

  it('that cannot be met refuses everything', async () => {
    const all = await by([a, 1000], [b, 1000], [c, 1000]);
    const stranger = policyOf([log.vkey], [a, testWitness('d.example/w')], 2);
    expect(code(() => verifyBundle({ ...all, policy: stranger }))).toBe('quorum');
  });

  it("takes the witnesses' time at which the quorum was met first", async () => {
    const time = async (...lines: (readonly [typeof a, number])[]) => {
      const [first] = verifyBundle(await by(...lines)).times;
      return first!.time / 1000;
    };
    expect(await time([a, 3000], [b, 1000], [c, 2000])).toBe(2000);
    expect(await time([a, 3000], [c, 2000])).toBe(3000);
    expect(await time([a, 3000], [c, 2000], [a, 1500])).toBe(2000);
    const { witnessTime: _, ...unasked } = await by([a, 3000], [b, 1000]);
    expect(verifyBundle(unasked).times).toEqual([]);
  });
});

describe('a bundle', () => {
  const json = (its = bundle) => JSON.parse(new TextDecoder().decode(formatBundle(its)));
  const parse = (value: unknown) => parseBundle(text(typeof value === 'string' ? value : JSON.stringify(value)));

  it('is read again as it was written, and by @sigstore/bundle', () => {
    for (const its of [bundle, about]) {
      expect(parse(json(its))).toEqual(its);
      expect(bundleFromJSON(json(its)).verificationMaterial.tlogEntries[0]?.logIndex).toBe(
        String(its.entries[0]!.index),
      );
    }
  });

  const set = (path: string, value: unknown, its = bundle) => {
    const whole = json(its);
    const names = path.split('.');
    const last = names.pop()!;
    const at = names.reduce((inner, name) => inner[name], whole);
    at[last] = value;
    return whole;
  };
  const ENTRY = 'verificationMaterial.tlogEntries.0';
  const RAW = { rawBytes: 'AA==' };

  it.each([
    ['nothing', ''],
    ['no object', '[]'],
    ['broken JSON', '{'],
    ['an open string', '{"a": "b'],
    ['a field twice', `{"mediaType": "a",${' '.repeat(100)}"media\\u0054ype"${' '.repeat(100)}: "b"}`],
    ['nesting of 10,000', `${'['.repeat(10_000)}${']'.repeat(10_000)}`],
    ['nesting of 10,000 objects', '{"a":'.repeat(10_000)],
    ['a field that is unknown', { ...json(), more: 1 }],
    ['a field that is unknown deep inside', set(`${ENTRY}.inclusionProof.more`, 1)],
    ['two names of one field', { ...json(), media_type: 'x' }],
    ['no material', set('verificationMaterial', null)],
    ['both arms of the content', { ...json(), dsseEnvelope: json(about).dsseEnvelope }],
    ['two kinds of signer', set('verificationMaterial.certificate', RAW)],
    ['no kind of signer', set('verificationMaterial.publicKey', null)],
    ['a chain where v0.3 has none', set('verificationMaterial', { x509CertificateChain: { certificates: [RAW] } })],
    [
      'an entry twice',
      set('verificationMaterial.tlogEntries', Array(2).fill(json().verificationMaterial.tlogEntries[0])),
    ],
    [
      'a timestamp twice',
      set('verificationMaterial.timestampVerificationData', {
        rfc3161Timestamps: Array(2).fill({ signedTimestamp: 'AA==' }),
      }),
    ],
    ['an index below zero', set(`${ENTRY}.logIndex`, '-1')],
    ['an index in hex', set(`${ENTRY}.logIndex`, '0x3')],
    ['an index past 2^53', set(`${ENTRY}.logIndex`, '9007199254740992')],
    ['no proof', set(`${ENTRY}.inclusionProof`, null)],
    ['no checkpoint', set(`${ENTRY}.inclusionProof.checkpoint`, null)],
    ['a short hash', set(`${ENTRY}.inclusionProof.hashes`, ['AA=='])],
    ['a proof with too many hashes', set(`${ENTRY}.inclusionProof.hashes`, Array(64).fill('AA=='))],
    ['base64 with half of its padding', set('messageSignature.signature', 'AA=')],
    ['base64 with spare bits', set('messageSignature.signature', 'AB==')],
    ['base64 with white space', set('messageSignature.signature', 'AA ==')],
    ['an empty signature', set('messageSignature.signature', '')],
    ['no content', set('messageSignature', undefined)],
    ['a number as text', set('mediaType', 3)],
    ['two signatures of an envelope', set('dsseEnvelope.signatures', Array(2).fill({ sig: 'AA==' }), about)],
    ['no signature of an envelope', set('dsseEnvelope.signatures', [], about)],
  ])('with %s is refused', (_, value) => {
    expect(code(() => parse(value))).toBe('malformed');
  });

  it('has at most 32 entries and 32 time stamps, and the refusal names the limit', () => {
    const [first] = json().verificationMaterial.tlogEntries;
    const entries = (count: number) =>
      set(
        'verificationMaterial.tlogEntries',
        Array.from({ length: count }, (_, i) => ({ ...first, logIndex: i, canonicalizedBody: btoa(`body ${i}`) })),
      );
    const stamps = (count: number) =>
      set('verificationMaterial.timestampVerificationData', {
        rfc3161Timestamps: Array.from({ length: count }, (_, i) => ({ signedTimestamp: btoa(`stamp ${i}`) })),
      });
    expect(parse(entries(32)).entries).toHaveLength(32);
    expect(parse(stamps(32)).timestamps).toHaveLength(32);
    expect(() => parse(entries(33))).toThrow('tlogEntries has more than 32 items');
    expect(() => parse(stamps(33))).toThrow('rfc3161Timestamps has more than 32 items');
  });

  it.each([
    ['another version', set('mediaType', 'application/vnd.dev.sigstore.bundle+json;version=99.9')],
    ['another digest', set('messageSignature.messageDigest.algorithm', 'SHA3_256')],
  ])('with %s is called unsupported', (_, value) => {
    expect(code(() => parse(value))).toBe('unsupported');
  });

  it('is read with the names and numbers that proto3 JSON allows', () => {
    const { verificationMaterial: material, messageSignature, mediaType } = json();
    const snake = { media_type: mediaType, verification_material: material, message_signature: messageSignature };
    expect(parse(snake)).toEqual(bundle);
    expect(parse(set('messageSignature.messageDigest.algorithm', 1))).toEqual(bundle);
    expect(parse(set(`${ENTRY}.logIndex`, 3))).toEqual(bundle);
    expect(parse(set('mediaType', 'application/vnd.dev.sigstore.bundle+json;version=0.3'))).toEqual(bundle);
  });

  it('that is too long or not UTF-8 is refused, and at once', () => {
    const start = performance.now();
    expect(code(() => parseBundle(new Uint8Array(100 * 1024 * 1024)))).toBe('malformed');
    expect(code(() => parseBundle(new Uint8Array([0x22, 0xff, 0x22])))).toBe('malformed');
    expect(code(() => parse('\\"'.repeat(400_000)))).toBe('malformed');
    expect(performance.now() - start).toBeLessThan(3000);
  });

  it('never verifies with a byte changed, and never throws anything but a ClientError', () => {
    const whole = formatBundle(bundle);
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), (at, by) => {
        const changed = whole.slice();
        changed[at]! ^= by;
        let parsed: Bundle;
        try {
          parsed = parseBundle(changed);
        } catch (error) {
          expect(error).toBeInstanceOf(ClientError);
          return;
        }
        // The hint is no evidence, and white space is none of the bundle.
        if (check(parsed) === 'accepted') expect({ ...parsed, signer: bundle.signer }).toEqual(bundle);
      }),
      { numRuns: 200 },
    );
  });
});

describe('parseLogKey', () => {
  it('takes a verifier key, and refuses what is none with its own code', () => {
    expect(parseLogKey(` ${log.vkey}\n`).name).toBe('localhost');
    for (const wrong of ['', 'localhost', `${log.vkey}A`, log.vkey.replace('localhost', 'other')]) {
      expect(code(() => parseLogKey(wrong))).toBe('log-key');
    }
  });
});

import { createHash, sign } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { parseBundle } from '../../../client/formats/bundle.ts';
import { canonicalEntry, createEntryRequest } from '../../../client/formats/entry-request.ts';
import {
  certificateVerifier,
  completeBundle,
  fromDigest,
  keyVerifier,
  parseSignature,
  parseSigned,
  parseVerifierPem,
  type Submission,
} from '../../../client/submit/submission.ts';
import { encodeUtf8 } from '../../../merkle/bytes.ts';
import { FakeLog } from '../../support/fake-log.ts';
import { type KeyKind, makeSigner, pae, sharedSigner, type TestSigner } from '../../support/requests.ts';

const TYPE = 'application/vnd.dev.sigstore.bundle.v0.3+json';
const ARTIFACT = Buffer.from('hello');
const fails = (code: string, text = '') => expect.objectContaining({ code, message: expect.stringContaining(text) });
const file = (json: unknown) => encodeUtf8(JSON.stringify(json));
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
const pem = (label: string, der: Buffer) =>
  `-----BEGIN ${label}-----\n${der.toString('base64')}\n-----END ${label}-----\n`;

const messageSignature = (signer: TestSigner) => ({
  messageDigest: { algorithm: signer.algorithm, digest: base64(signer.digest(ARTIFACT)) },
  signature: base64(signer.sign(ARTIFACT)),
});
const bundle = (signer: TestSigner, material: object = { publicKey: { hint: 'x' } }) => ({
  mediaType: TYPE,
  verificationMaterial: material,
  messageSignature: messageSignature(signer),
});
const envelope = (signers: readonly TestSigner[], payload = '{}') => ({
  payload: base64(Buffer.from(payload)),
  payloadType: 'application/vnd.in-toto+json',
  signatures: signers.map((signer) => ({
    sig: base64(signer.sign(pae('application/vnd.in-toto+json', Buffer.from(payload)))),
    keyid: 'k',
  })),
});

function only(submissions: readonly Submission[]): Submission {
  expect(submissions).toHaveLength(1);
  return submissions[0]!;
}

describe('digest, signature and key', () => {
  // Larger RSA keys take seconds to make.
  it.each<KeyKind>(['p256', 'p384', 'p521', 'rsa2048', 'ed25519ph'])('are taken with %s', (kind) => {
    const signer = sharedSigner(kind);
    const submission = fromDigest(signer.digest(ARTIFACT), signer.sign(ARTIFACT), keyVerifier(signer.spki));
    expect(
      JSON.parse(createEntryRequest(submission.signed)).hashedRekordRequestV002.signature.verifier.keyDetails,
    ).toBe(signer.keyDetails);
    const entry = FakeLog.empty().add(canonicalEntry(submission.signed));
    const complete = parseBundle(completeBundle(submission, entry));
    expect(complete.entries).toHaveLength(1);
    expect(complete.entries[0]!.body).toEqual(canonicalEntry(submission.signed));
  });

  it('are refused where they do not fit, before anything is sent', () => {
    const signer = sharedSigner();
    const key = keyVerifier(signer.spki);
    const signature = signer.sign(ARTIFACT);
    expect(() => fromDigest(createHash('sha512').update('x').digest(), signature, key)).toThrow(
      fails('usage', '32 bytes'),
    );
    expect(() => fromDigest(signer.digest(Buffer.from('other')), signature, key)).toThrow(fails('bad-signature'));
    expect(() => fromDigest(signer.digest(ARTIFACT), signature, keyVerifier(makeSigner().spki))).toThrow(
      fails('bad-signature'),
    );
    expect(() => keyVerifier(signer.spki.subarray(1))).toThrow(fails('key'));
  });

  it('say of a plain Ed25519 signature what is wrong with it', () => {
    const signer = sharedSigner('ed25519ph');
    const plain = sign(null, ARTIFACT, signer.privateKey);
    expect(() => fromDigest(signer.digest(ARTIFACT), plain, keyVerifier(signer.spki))).toThrow(
      fails('bad-signature', 'Ed25519ph'),
    );
  });

  it('read the signature raw and in base64', () => {
    const signature = sharedSigner().sign(ARTIFACT);
    expect(Buffer.from(parseSignature(signature))).toEqual(signature);
    expect(Buffer.from(parseSignature(Buffer.from(`${signature.toString('base64')}\n`)))).toEqual(signature);
  });
});

describe('a bundle without a log entry', () => {
  it('gets its proof, and keeps all that it had', () => {
    const signer = sharedSigner();
    const certificate = signer.certificate();
    const before = {
      ...bundle(signer, { certificate: { rawBytes: base64(certificate) }, tlogEntries: [] }),
      verificationMaterial: {
        certificate: { rawBytes: base64(certificate) },
        timestampVerificationData: { rfc3161Timestamps: [{ signedTimestamp: 'AAAA' }] },
      },
    };
    const submission = only(parseSigned(file(before)));
    expect(submission).toMatchObject({ fromBundle: true });
    expect(Buffer.from(submission.signed.certificate!)).toEqual(certificate);
    const complete = JSON.parse(
      Buffer.from(completeBundle(submission, FakeLog.empty().add(canonicalEntry(submission.signed)))).toString(),
    );
    const { tlogEntries, ...material } = complete.verificationMaterial;
    expect({ ...complete, verificationMaterial: material }).toEqual(before);
    expect(tlogEntries).toHaveLength(1);
  });

  it('of v0.1 becomes one of v0.2, with its chain', () => {
    const signer = sharedSigner();
    const chain = {
      certificates: [{ rawBytes: base64(signer.certificate()) }, { rawBytes: base64(makeSigner().certificate()) }],
    };
    const old = {
      ...bundle(signer, { x509CertificateChain: chain }),
      mediaType: 'application/vnd.dev.sigstore.bundle+json;version=0.1',
    };
    const submission = only(parseSigned(file(old)));
    const complete = completeBundle(submission, FakeLog.empty().add(canonicalEntry(submission.signed)));
    expect(parseBundle(complete)).toMatchObject({
      version: '0.2',
      signer: { kind: 'certificate', chain: { length: 1 } },
    });
  });

  it('needs the key that it does not hold, and no other', () => {
    const signer = sharedSigner();
    expect(() => parseSigned(file(bundle(signer)))).toThrow(fails('usage', 'must be given'));
    const key = keyVerifier(signer.spki);
    expect(parseSigned(file(bundle(signer)), [key])).toHaveLength(1);
    expect(() => parseSigned(file(bundle(signer)), [key, keyVerifier(makeSigner().spki)])).toThrow(fails('usage'));
    const withCertificate = bundle(signer, { certificate: { rawBytes: base64(signer.certificate()) } });
    expect(() => parseSigned(file(withCertificate), [key])).toThrow(fails('usage', 'leave out'));
  });

  /** Each changes a complete bundle, from which the entry was taken unless it says so. */
  const CHANGES: readonly [what: string, code: string, change: (json: ReturnType<typeof bundle>) => unknown][] = [
    ['an unknown field', 'malformed', (json) => Object.assign(json, { more: 1 })],
    ['another version', 'unsupported', (json) => Object.assign(json, { mediaType: `${TYPE}9` })],
    ['no digest', 'malformed', (json) => Reflect.deleteProperty(json.messageSignature, 'messageDigest')],
    [
      'a digest of another kind',
      'unsupported',
      ({ messageSignature: { messageDigest } }) => Object.assign(messageDigest, { algorithm: 'SHA2_512' }),
    ],
    [
      'another digest',
      'bad-signature',
      ({ messageSignature: { messageDigest } }) => Object.assign(messageDigest, { digest: base64(Buffer.alloc(32)) }),
    ],
    [
      'a key and a certificate',
      'malformed',
      ({ verificationMaterial }) => Object.assign(verificationMaterial, { certificate: { rawBytes: 'AAAA' } }),
    ],
  ];
  it.each(CHANGES)('with %s is refused as %s', (_what, code, change) => {
    const signer = sharedSigner();
    const json = bundle(signer);
    change(json);
    expect(() => parseSigned(file(json), [keyVerifier(signer.spki)])).toThrow(fails(code));
  });

  it('that has one already is refused', () => {
    const signer = sharedSigner();
    const keys = [keyVerifier(signer.spki)];
    const submission = only(parseSigned(file(bundle(signer)), keys));
    const complete = completeBundle(submission, FakeLog.empty().add(canonicalEntry(submission.signed)));
    expect(() => parseSigned(complete, keys)).toThrow(fails('unsupported', 'already'));
  });
});

describe('a DSSE envelope', () => {
  it('is logged as the digest of its encoding, with a key or a certificate', () => {
    const signer = sharedSigner();
    for (const verifier of [keyVerifier(signer.spki), certificateVerifier(signer.certificate())]) {
      const submission = only(parseSigned(file(envelope([signer])), [verifier]));
      expect(Buffer.from(submission.signed.digest)).toEqual(
        signer.digest(pae('application/vnd.in-toto+json', Buffer.from('{}'))),
      );
      const complete = parseBundle(completeBundle(submission, FakeLog.empty().add(canonicalEntry(submission.signed))));
      expect(complete).toMatchObject({ content: { kind: 'dsse', keyId: 'k' } });
    }
  });

  it('with several signatures gives one submission each', () => {
    const signers = [sharedSigner(), sharedSigner('p384')];
    const keys = signers.map(({ spki }) => keyVerifier(spki)).reverse();
    const submissions = parseSigned(file(envelope(signers)), keys);
    expect(submissions.map(({ signed }) => signed.publicKey.details)).toEqual(
      signers.map(({ keyDetails }) => keyDetails),
    );
    expect(submissions.map(({ bundle: one }) => one.content.signature)).toEqual(
      submissions.map(({ signed }) => signed.signature),
    );
  });

  it('may have members that DSSE does not define, which are not sent on', () => {
    const signer = sharedSigner();
    const key = keyVerifier(signer.spki);
    const plain = envelope([signer]);
    // SLSA's generator puts `cert` beside each signature; `extension` is of DSSE 1.1.
    const extra = { cert: '-----BEGIN CERTIFICATE-----', extension: { kind: 'k', ext: {} }, note: null };
    const more = {
      ...plain,
      mediaType: 'x',
      comment: 'x',
      signatures: plain.signatures.map((one) => ({ ...extra, ...one })),
    };
    const submission = only(parseSigned(file(more), [key]));
    expect(submission).toEqual({ ...only(parseSigned(file(plain), [key])) });
    const entry = FakeLog.empty().add(canonicalEntry(submission.signed));
    const complete = JSON.parse(Buffer.from(completeBundle(submission, entry)).toString());
    expect(complete.dsseEnvelope).toEqual(plain);
  });

  it.each([
    ['a known member twice', (text: string) => text.replace('"sig":', '"sig":"AAAA","sig":')],
    ['an unknown member twice', (text: string) => text.replace('"sig":', '"a":1,"a":1,"sig":')],
    ['a member under two names', (text: string) => text.replace('"payloadType":', '"payload_type":"x","payloadType":')],
    [
      'nesting of 100 in an unknown member',
      (text: string) => text.replace('{', `{"a":${'['.repeat(100)}${']'.repeat(100)},`),
    ],
    ['no signature', (text: string) => text.replace('"sig":', '"signature":')],
    [
      '17 signatures',
      (text: string) => text.replace('"signatures":[', `"signatures":[${'{"sig":"AA=="},'.repeat(16)}`),
    ],
    ['base64 with stray bits', (text: string) => text.replace('"sig":"', '"sig":"AB==","x":"')],
  ])('with %s is refused', (_, change) => {
    const signer = sharedSigner();
    const text = JSON.stringify(envelope([signer]));
    expect(change(text)).not.toBe(text);
    expect(() => parseSigned(encodeUtf8(change(text)), [keyVerifier(signer.spki)])).toThrow(fails('malformed'));
  });

  it('in a bundle may have such members too, and nothing else of the bundle', () => {
    const signer = sharedSigner();
    const key = keyVerifier(signer.spki);
    const plain = envelope([signer]);
    const bundleOf = (dsseEnvelope: object, more = {}, material = {}) =>
      file({ mediaType: TYPE, verificationMaterial: { publicKey: { hint: 'x' }, ...material }, dsseEnvelope, ...more });
    const extra = { ...plain, comment: 'x', signatures: [{ ...plain.signatures[0], cert: 'x' }] };
    const complete = (json: Uint8Array) => {
      const submission = only(parseSigned(json, [key]));
      const bytes = completeBundle(submission, FakeLog.empty().add(canonicalEntry(submission.signed)));
      return JSON.parse(Buffer.from(bytes).toString());
    };
    expect(complete(bundleOf(extra)).dsseEnvelope).toEqual(plain);
    for (const wrong of [bundleOf(extra, { comment: 'x' }), bundleOf(extra, {}, { cert: 'x' })]) {
      expect(() => parseSigned(wrong, [key])).toThrow(fails('malformed', 'has an unknown field'));
    }
  });

  it('is refused without its keys, with a key too many, or where a signature fails', () => {
    const signer = sharedSigner();
    const key = keyVerifier(signer.spki);
    const other = keyVerifier(makeSigner().spki);
    expect(() => parseSigned(file(envelope([signer])))).toThrow(fails('usage', 'must be given'));
    expect(() => parseSigned(file(envelope([signer])), [key, other])).toThrow(fails('bad-signature', 'signed nothing'));
    expect(() => parseSigned(file(envelope([signer, makeSigner()])), [key])).toThrow(
      fails('bad-signature', 'signature 2'),
    );
    expect(() => parseSigned(file({ ...envelope([signer]), payload: base64(Buffer.from('{ }')) }), [key])).toThrow(
      fails('bad-signature'),
    );
    expect(() => parseSigned(file({ ...envelope([]) }), [key])).toThrow(fails('malformed'));
  });
});

it.each([
  ['nothing', ''],
  ['no JSON', 'hello'],
  ['other JSON', '{"a":1}'],
  ['a list', '[]'],
  ['deep nesting', '['.repeat(10_000)],
])('%s is malformed', (_what, text) => {
  expect(() => parseSigned(encodeUtf8(text))).toThrow(fails('malformed'));
});

it('keys and certificates are read from PEM', () => {
  const signer = sharedSigner();
  expect(parseVerifierPem(pem('PUBLIC KEY', signer.spki)).certificate).toBeUndefined();
  const certificate = signer.certificate();
  expect(Buffer.from(parseVerifierPem(pem('CERTIFICATE', certificate)).certificate!)).toEqual(certificate);
  expect(() => parseVerifierPem('-----BEGIN PRIVATE KEY-----')).toThrow(fails('key'));
});

it('text around PEM is not read, and the first certificate of a chain counts', () => {
  const signer = sharedSigner();
  const leaf = signer.certificate();
  const [key, certificate] = [pem('PUBLIC KEY', signer.spki), pem('CERTIFICATE', leaf)];
  expect(Buffer.from(parseVerifierPem(`Example Ltd\r\n${key}the end`).publicKey.spki)).toEqual(
    Buffer.from(signer.spki),
  );
  const chain = `subject=CN = a\n${certificate}issuer=CN = b\n${pem('CERTIFICATE', Buffer.of(1))}`;
  expect(Buffer.from(parseVerifierPem(chain).certificate!)).toEqual(leaf);
  expect(() => parseVerifierPem('Example Ltd')).toThrow(fails('key', 'no PEM block'));
  expect(() => parseVerifierPem(key + key)).toThrow(fails('key', 'there are 2 PEM blocks'));
  expect(() => parseVerifierPem(certificate + key)).toThrow(fails('key', '("CERTIFICATE", "PUBLIC KEY")'));
  expect(() => parseVerifierPem(certificate + certificate.slice(0, -5))).toThrow(fails('key', 'not a pair'));
  expect(() => parseVerifierPem(pem('PRIVATE KEY', Buffer.of(1)))).toThrow(fails('key', 'a private key'));
});

import { generateKeyPairSync } from 'node:crypto';
import { ed25519ph } from '@noble/curves/ed25519.js';
import { describe, expect, it } from 'vitest';
import type { Bundle } from '../../../client/formats/bundle.ts';
import { type BundleRequest, requiredHashes, verifyBundle } from '../../../client/verify.ts';
import { preAuthEncoding } from '../../../merkle/rekor/dsse.ts';
import { parseSpki } from '../../../merkle/rekor/spki.ts';
import { FakeLog } from '../../support/fake-log.ts';
import { attestation, code, digestsOf, hex, messageBundle, type TestKey, testKey, text } from './verify-parts.ts';

const TYPE = 'https://slsa.dev/provenance/v1';
const file = text('hello');
const other = text('other');
const key = testKey();
const log = FakeLog.empty();
const artifact = digestsOf(file);

type Claim = Pick<BundleRequest, 'predicateType' | 'subject'>;
interface Subject {
  readonly name?: string;
  readonly digest: object;
}

const named = (name: string | undefined, of: Uint8Array, ...hashes: (keyof typeof artifact)[]): Subject => {
  const list = hashes.length === 0 ? (['sha256'] as const) : hashes;
  const digest = Object.fromEntries(list.map((hash) => [hash, hex(digestsOf(of)[hash])]));
  return name === undefined ? { digest } : { name, digest };
};
const about = (subject: readonly Subject[], predicateType = TYPE) =>
  attestation(
    file,
    key,
    log,
    text(JSON.stringify({ _type: 'https://in-toto.io/Statement/v1', subject, predicateType, predicate: {} })),
  );
const check = (bundle: Bundle, claim: Claim = {}, digests: BundleRequest['artifact'] = artifact) =>
  code(() => verifyBundle({ bundle, artifact: digests, key: key.info, logKey: log.key, ...claim }));

describe('a required predicate type', () => {
  it('must be exactly that of the statement', () => {
    const bundle = about([named('a', file)]);
    expect(check(bundle, { predicateType: TYPE })).toBe('accepted');
    for (const wrong of ['https://slsa.dev/provenance/v0.2', `${TYPE}/`, TYPE.toUpperCase(), '', 'slsaprovenance1']) {
      expect(check(bundle, { predicateType: wrong }), wrong).toBe('attestation');
    }
    const refused = () =>
      verifyBundle({ bundle, artifact, key: key.info, logKey: log.key, predicateType: 'https://spdx.dev/Document' });
    expect(refused).toThrow(`is of the type ${TYPE}, not of the required type https://spdx.dev/Document`);
  });

  it('refuses what is no attestation: a signature over the file, and another payload', () => {
    const message = messageBundle(file, key, log);
    expect(check(message)).toBe('accepted');
    expect(check(message, { predicateType: TYPE })).toBe('attestation');
    const payloadType = 'application/json';
    const whole = about([named('a', file)]);
    const content = whole.content as Extract<Bundle['content'], { kind: 'dsse' }>;
    const signature = key.sign(preAuthEncoding(payloadType, content.payload));
    const plain: Bundle = { ...whole, content: { ...content, payloadType, signature } };
    expect(requiredHashes(plain, key.info)).toEqual([]);
    expect(check(plain, { predicateType: TYPE })).toBe('attestation');
    expect(check(plain)).toBe('unsupported');
    expect(check(attestation(file, key, log, text('[]')), { predicateType: TYPE })).toBe('malformed');
  });

  it('is not looked at before the signature holds', () => {
    const mallory = testKey();
    const forged = attestation(file, mallory, log);
    expect(check(forged, { predicateType: TYPE })).toBe('bad-signature');
  });
});

describe('a required subject', () => {
  it('is the one with the digest of the file', () => {
    const bundle = about([named('a', file), named('b', other)]);
    expect(check(bundle, { subject: 'a' })).toBe('accepted');
    for (const wrong of ['b', 'A', 'a ', '', './a'])
      expect(check(bundle, { subject: wrong }), wrong).toBe('attestation');
    expect(check(bundle, { subject: 'a' }, digestsOf(text('changed')))).toBe('digest-mismatch');
  });

  it('may be any of several with the digest, and becomes the subject of the outcome', () => {
    const bundle = about([named('a', file), named('b', file), named(undefined, file)]);
    const outcome = verifyBundle({ bundle, artifact, key: key.info, logKey: log.key, subject: 'b' });
    expect(outcome.statement).toEqual({ predicateType: TYPE, subject: 'b' });
    expect(outcome.checks[0]).toMatchObject({ name: 'artifact', subject: 'b' });
    expect(check(bundle, { subject: 'c' })).toBe('attestation');
    expect(check(about([named(undefined, file)]), { subject: '' })).toBe('attestation');
  });

  it('refuses a signature over the file, which names no subject', () => {
    expect(check(messageBundle(file, key, log), { subject: 'file' })).toBe('attestation');
  });
});

describe('a signature over the file, without the file', () => {
  const { sha256, sha384, sha512 } = artifact;
  const p384 = testKey('P-384');
  const with384 = (bundle: Bundle, digests: BundleRequest['artifact']) =>
    code(() => verifyBundle({ bundle, artifact: digests, key: p384.info, logKey: log.key }));
  const content = (bundle: Bundle, digest: object | undefined): Bundle =>
    ({ ...bundle, content: { ...bundle.content, digest } }) as Bundle;

  it('needs the digest that the key signed', () => {
    const named384 = messageBundle(file, p384, log);
    const unnamed = content(named384, undefined);
    for (const bundle of [named384, unnamed]) {
      expect(with384(bundle, { sha384 })).toBe('accepted');
      expect(with384(bundle, { sha384, sha256 })).toBe('accepted');
      expect(with384(bundle, { sha256 })).toBe('usage');
      expect(with384(bundle, { sha512 })).toBe('usage');
    }
    // A signature over any of two digests that were tried is wrong; over one that was not, it is not known.
    const forged = content(messageBundle(file, testKey('P-384'), log), undefined);
    expect(with384(forged, { sha384 })).toBe('usage');
    expect(with384(forged, { sha384, sha256 })).toBe('bad-signature');
  });

  it('compares the digest in the bundle where it can', () => {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    const secret = Buffer.from(privateKey.export({ format: 'jwk' }).d!, 'base64url');
    const ph: TestKey = {
      info: parseSpki(publicKey.export({ format: 'der', type: 'spki' })),
      details: 'PKIX_ED25519_PH',
      hash: 'sha512',
      digestName: 'SHA2_512',
      sign: (message) => ed25519ph.sign(message, secret),
    };
    const hinted = content(messageBundle(file, ph, log), { algorithm: 'SHA2_256', value: sha256 });
    const by = (bundle: Bundle, digests: BundleRequest['artifact']) =>
      code(() => verifyBundle({ bundle, artifact: digests, key: ph.info, logKey: log.key }));
    expect(by(hinted, { sha256, sha512 })).toBe('accepted');
    expect(by(hinted, { sha512 })).toBe('accepted');
    expect(by(hinted, { sha256 })).toBe('usage');
    const lie = content(hinted, { algorithm: 'SHA2_256', value: digestsOf(other).sha256 });
    expect(by(lie, { sha256, sha512 })).toBe('digest-mismatch');
    expect(by(hinted, { sha512: digestsOf(other).sha512 })).toBe('bad-signature');
  });
});

describe('an attestation, without the file', () => {
  const { sha256, sha512 } = artifact;

  it('is compared by the digest that is given', () => {
    const bundle = about([named('a', file, 'sha256', 'sha512')]);
    expect(check(bundle, {}, { sha256 })).toBe('accepted');
    expect(check(bundle, {}, { sha512 })).toBe('accepted');
    expect(check(bundle, {}, { sha256: digestsOf(other).sha256 })).toBe('digest-mismatch');
    // With all digests of the file, all of them count.
    const half = about([{ name: 'a', digest: { sha256: hex(sha256), sha512: hex(digestsOf(other).sha512) } }]);
    expect(check(half)).toBe('digest-mismatch');
    expect(check(half, {}, { sha256, sha512: digestsOf(other).sha512 })).toBe('accepted');
  });

  it('needs a digest by which the statement names the file', () => {
    const bundle = about([named('a', file, 'sha512')]);
    expect(check(bundle, {}, { sha256 })).toBe('usage');
    expect(() => verifyBundle({ bundle, artifact: { sha256 }, key: key.info, logKey: log.key })).toThrow(
      'the sha512 digest of the file is needed',
    );
    expect(check(bundle, {}, { sha512: sha512.subarray(1) })).toBe('usage');
    expect(check(bundle, {}, {})).toBe('usage');
  });

  it('is never about another file because some subjects cannot be compared', () => {
    const mixed = about([named('a', other, 'sha256'), named('b', file, 'sha512')]);
    expect(check(mixed, {}, { sha512 })).toBe('accepted');
    expect(check(mixed, {}, { sha256 })).toBe('usage');
    expect(check(mixed, {}, { sha256: digestsOf(other).sha256 })).toBe('accepted');
  });
});

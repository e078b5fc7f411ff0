/** A certificate that verifiers would refuse is refused before a log has the signature. */
import { createHash, type KeyPairKeyObjectResult, sign } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { MAX_BUNDLE, parseBundle } from '../../../../client/formats/bundle.ts';
import { parsePublicKey } from '../../../../client/formats/key.ts';
import { newItem, submissionOf } from '../../../../client/submit/queue/queue-item.ts';
import { signDigest } from '../../../../client/submit/signed-digest.ts';
import { signingCertificate } from '../../../../client/submit/signers/signing-certificate.ts';
import { softwareSigner } from '../../../../client/submit/signers/software-signer.ts';
import { certificateVerifier, fromBundle, fromDigest, parseSigned } from '../../../../client/submit/submission.ts';
import { encodeUtf8 } from '../../../../merkle/bytes.ts';
import { nodePrimitives } from '../../../../merkle/runtime/crypto/node-primitives.ts';
import {
  bitString,
  der,
  integer,
  issueCa,
  issueDer,
  nameOf,
  newKeys,
  octets,
  oid,
  SIGNING,
  STAMPING,
  sequence,
  spkiOf,
  timeOf,
  utf8,
  type Wish,
} from '../../../merkle/x509/make.ts';
import { Instance } from '../../../support/instance.ts';

const ARTIFACT = Buffer.from('hello');
const DIGEST = createHash('sha256').update(ARTIFACT).digest();
const root = issueCa('root');
const keys = newKeys();
const leaf = (more: Wish = {}) => issueDer({ by: root, keys, keyUsage: 0x80, usages: [SIGNING], ...more }).der;
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
const pem = (...certificates: Uint8Array[]) =>
  certificates.map((one) => `-----BEGIN CERTIFICATE-----\n${base64(one)}\n-----END CERTIFICATE-----\n`).join('');
const key = parsePublicKey(spkiOf(keys.publicKey), nodePrimitives());
const fails = (code: string, text: string) => expect.objectContaining({ code, message: expect.stringContaining(text) });

/** X.509 version 1: no version, no extensions. */
function versionOne(own: KeyPairKeyObjectResult): Buffer {
  const algorithm = sequence(oid('1.2.840.10045.4.3.2'));
  const validity = sequence(timeOf('2020-01-01T00:00:00Z'), timeOf('2040-01-01T00:00:00Z'));
  const tbs = sequence(integer(1), algorithm, nameOf('root'), validity, nameOf('leaf'), spkiOf(own.publicKey));
  return sequence(tbs, algorithm, bitString(sign('sha256', tbs, root.keys.privateKey)));
}

const uris = (count: number) =>
  Array.from({ length: count }, (_, at) => der(0x86, Buffer.from(`https://x.test/${at}`)));

const BAD: readonly [string, () => Buffer, string][] = [
  ['of version 1', () => versionOne(keys), 'not of version 3'],
  ['with 300 names', () => leaf({ names: uris(300) }), '300 alternative names'],
  ['of an authority', () => leaf({ ca: true }), "an authority's"],
  ['that may sign certificates', () => leaf({ keyUsage: 0x84 }), "an authority's"],
  ['for key agreement', () => leaf({ keyUsage: 0x08 }), 'not for digital signatures'],
  ['for time stamping', () => leaf({ usages: [STAMPING] }), 'not for code signing'],
  [
    'with a critical extension that nobody knows',
    () => leaf({ extensions: [{ oid: '1.2.3.4', critical: true, value: utf8('x') }] }),
    '1.2.3.4',
  ],
  [
    'with two issuers of its identity',
    () => {
      const issuer = (last: number, value: Buffer) => ({ oid: `1.3.6.1.4.1.57264.1.${last}`, value });
      return leaf({ extensions: [issuer(1, Buffer.from('a')), issuer(8, utf8('b'))] });
    },
    'two issuers',
  ],
  ['of 17 KiB', () => leaf({ extensions: [{ oid: '1.2.3.4', value: octets(Buffer.alloc(17_000)) }] }), '16384'],
];

/** A bundle that is yet to be logged. */
function unlogged(certificate: Uint8Array, stamps: readonly Uint8Array[] = [], signature = signed()) {
  return {
    mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
    verificationMaterial: {
      certificate: { rawBytes: base64(certificate) },
      timestampVerificationData: { rfc3161Timestamps: stamps.map((stamp) => ({ signedTimestamp: base64(stamp) })) },
    },
    messageSignature: {
      messageDigest: { algorithm: 'SHA2_256', digest: base64(DIGEST) },
      signature: base64(signature),
    },
  };
}
const signed = () => sign('sha256', ARTIFACT, keys.privateKey);
const file = (json: unknown) => encodeUtf8(JSON.stringify(json));
const signer = (certificate: Uint8Array) => {
  const { d } = keys.privateKey.export({ format: 'jwk' });
  return { ...softwareSigner(key, Buffer.from(d!, 'base64url')), certificate };
};

describe('a certificate', () => {
  it('that verifiers take is logged', async () => {
    const good = leaf({ names: uris(1) });
    expect(Buffer.from(signingCertificate(pem(good), key))).toEqual(good);
    expect(Buffer.from(signingCertificate(pem(good, root.certificate.der), key))).toEqual(good);
    expect((await signDigest(DIGEST, signer(good))).certificate).toEqual(good);
    expect(parseSigned(file(unlogged(good)))).toHaveLength(1);
    expect(fromDigest(DIGEST, signed(), certificateVerifier(good)).signed.digest).toEqual(DIGEST);
  });

  it('is found in a chain with text around its blocks, as openssl writes it, and not in a broken one', () => {
    const good = leaf({ names: uris(1) });
    const [first, second] = [pem(good), pem(root.certificate.der)];
    const chain = `Certificate chain\r\n 0 s:CN = a\r\n${first} 1 s:CN = b\r\n${second}---\r\n`;
    expect(Buffer.from(signingCertificate(chain, key))).toEqual(good);
    for (const [wrong, why] of [
      [first + second.replace(/-+END.*/, ''), 'is not read: the PEM block "CERTIFICATE" is broken'],
      [`${first}x${second}`, 'is not read'],
      [second + first, 'is not for this key'],
      ['Certificate chain', 'holds no certificate in PEM'],
    ] as const) {
      expect(() => signingCertificate(wrong, key), why).toThrow(fails('key', why));
    }
  });

  it.each(BAD)('%s is refused by all that logs', async (_what, make, text) => {
    const certificate = make();
    expect(() => signingCertificate(pem(certificate), key)).toThrow(fails('key', text));
    await expect(signDigest(DIGEST, signer(certificate))).rejects.toThrow(fails('bad-certificate', text));
    expect(() => certificateVerifier(certificate)).toThrow(fails('bad-certificate', text));
    const code = ['version', 'names', '16384'].some((part) => text.includes(part)) ? 'malformed' : 'bad-certificate';
    expect(() => parseSigned(file(unlogged(certificate)))).toThrow(fails(code, text));
  });

  it('without an extended key usage is for every use', () => {
    const any = leaf({ usages: undefined });
    expect(Buffer.from(signingCertificate(pem(any), key))).toEqual(any);
  });

  it('that is not valid now is refused for a new signature', async () => {
    for (const period of [{ to: '2021-01-01T00:00:00Z' }, { from: '2038-01-01T00:00:00Z' }]) {
      const ended = leaf(period);
      expect(() => signingCertificate(pem(ended), key)).toThrow(fails('key', 'is valid from'));
      await expect(signDigest(DIGEST, signer(ended))).rejects.toThrow(fails('bad-certificate', 'is valid from'));
      const verifier = certificateVerifier(ended);
      expect(() => fromDigest(DIGEST, signed(), verifier)).toThrow(fails('bad-certificate', 'is valid from'));
      expect(() => parseSigned(file(unlogged(ended)))).toThrow(fails('bad-certificate', 'is valid from'));
    }
  });

  it('that has ended is logged where a time stamp is from its time, or where the entry waited in a queue', () => {
    const instance = new Instance('sign.test');
    const ended = leaf({ from: '2026-08-01T12:00:00Z', to: '2026-08-01T12:10:00Z' });
    const signature = signed();
    const stamped = (time: string) => unlogged(ended, [instance.stamp(signature, { time })], signature);
    expect(parseSigned(file(stamped('2026-08-01T12:05:00Z')))).toHaveLength(1);
    expect(() => parseSigned(file(stamped('2026-08-01T12:15:00Z')))).toThrow(fails('bad-certificate', 'is valid from'));

    const waiting = fromBundle(parseBundle(file(unlogged(ended))), []);
    const item = newItem(waiting, { log: 'https://log.test', out: '/srv/x.json' }, undefined);
    expect(submissionOf(item).signed.digest).toEqual(waiting.signed.digest);
  });

  it('under an authority whose chain verifiers refuse is refused', () => {
    const other = issueCa('middle', root, { pathLen: 0 });
    const below = issueCa('below', other);
    const long = issueDer({ by: below, keys, keyUsage: 0x80, usages: [SIGNING] }).der;
    const chain = [long, below.certificate.der, other.certificate.der, root.certificate.der];
    expect(() => signingCertificate(pem(...chain), key)).toThrow(fails('key', 'authorities below it'));
    const stamping = issueCa('stamping', root, { usages: [STAMPING] });
    const under = issueDer({ by: stamping, keys, keyUsage: 0x80 }).der;
    const wrong = pem(under, stamping.certificate.der, root.certificate.der);
    expect(() => signingCertificate(wrong, key)).toThrow(fails('key', 'not for code signing'));
  });

  it('for another key is refused', async () => {
    const other = leaf({ keys: newKeys() });
    expect(() => signingCertificate(pem(other), key)).toThrow(fails('key', 'not for this key'));
    await expect(signDigest(DIGEST, signer(other))).rejects.toThrow(fails('bad-certificate', 'another key'));
  });
});

it('a bundle that would be too long with its proof is not logged', () => {
  const bundle = { ...unlogged(leaf()), messageSignature: undefined };
  const payload = Buffer.alloc(((MAX_BUNDLE - 1_000_000) / 4) * 3, 0x20);
  const dsseEnvelope = { payload: base64(payload), payloadType: 'text/plain', signatures: [{ sig: 'AAAA' }] };
  expect(() => parseSigned(file({ ...bundle, dsseEnvelope }))).toThrow(fails('unsupported', 'with its proof'));
});

describe('an X.509-SVID as it is issued', () => {
  const CLIENT = '1.3.6.1.5.5.7.3.2';
  const SERVER = '1.3.6.1.5.5.7.3.1';
  const uri = (text: string) => der(0x86, Buffer.from(text));
  const svid = (more: Wish = {}) =>
    leaf({ usages: [SERVER, CLIENT], names: [uri('spiffe://example.org/build')], ...more });

  it('is for the signatures of its workload', () => {
    expect(certificateVerifier(svid())).toMatchObject({ publicKey: { spki: key.spki } });
  });

  it.each<[string, () => Buffer, string]>([
    ['for servers alone', () => svid({ usages: [SERVER] }), 'not for code signing'],
    ['of another name', () => svid({ names: [uri('https://example.org/build')] }), 'not for code signing'],
    [
      'of two URIs',
      () => svid({ names: [uri('spiffe://example.org/a'), uri('spiffe://example.org/b')] }),
      'not for code',
    ],
    ['of a trust domain', () => svid({ names: [uri('spiffe://example.org')] }), 'not for code signing'],
    [
      'with a path that leads away',
      () => svid({ names: [uri('spiffe://example.org/a/../b')] }),
      'not for code signing',
    ],
    ['of an authority', () => svid({ ca: true }), "an authority's"],
    ['that signs nothing', () => svid({ keyUsage: 0x08 }), 'not for digital signatures'],
  ])('is refused %s', (_, make, why) => {
    expect(() => certificateVerifier(make())).toThrow(fails('bad-certificate', why));
  });
});

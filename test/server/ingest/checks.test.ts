import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  dsseRequest,
  hashedRekordRequest,
  jsonValue,
  makeSigner,
  sharedSigner,
  toJson,
  verifierOf,
} from '../../support/requests.ts';
import { entriesOf, ingestHere, refusalOf, withField } from './support.ts';

const ARTIFACT = Buffer.from('artifact');
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
const H = 'hashedRekordRequestV002';
const KEY = `${H}.signature.verifier.publicKey.rawBytes`;
const CERTIFICATE = `${H}.signature.verifier.x509Certificate.rawBytes`;
const DETAILS = `${H}.signature.verifier.keyDetails`;
const CONTENT = `${H}.signature.content`;
const DIGEST = `${H}.digest`;

const signer = sharedSigner('p256');
const VALUE = jsonValue(hashedRekordRequest(signer, ARTIFACT));
const signature = signer.sign(ARTIFACT);

/** The refusal of the good P-256 request with these fields replaced, or left out where undefined. */
function refused(fields: Record<string, unknown>, value: unknown = VALUE) {
  const body = Object.entries(fields).reduce((so, [path, field]) => withField(so, path, field), value);
  return refusalOf(ingestHere(JSON.stringify(body)));
}

function flipLast(bytes: Uint8Array): Buffer {
  const copy = Buffer.from(bytes);
  copy[copy.length - 1] = copy.readUInt8(copy.length - 1) ^ 1;
  return copy;
}

const otherCurve = (namedCurve: string) =>
  generateKeyPairSync('ec', { namedCurve }).publicKey.export({ format: 'der', type: 'spki' });

describe('a hashedrekord that is refused', () => {
  it.each<[string, Record<string, unknown>, string, string]>([
    ['no signature', { [`${H}.signature`]: undefined }, 'missing', 'missing signature'],
    ['an empty signature', { [CONTENT]: '' }, 'missing', 'missing signature'],
    ['no verifier', { [`${H}.signature.verifier`]: undefined }, 'missing', 'missing verifier'],
    ['no digest', { [DIGEST]: undefined }, 'missing', 'missing digest'],
    ['nothing at all', { [H]: {} }, 'missing', 'missing signature'],
    ['no key', { [`${H}.signature.verifier.publicKey`]: undefined }, 'missing', 'missing public key or X.509'],
    ['an empty key', { [KEY]: '' }, 'missing', 'missing public key raw bytes'],
    ['garbage for a key', { [KEY]: 'AAAA' }, 'key', 'not a public key'],
    [
      'a key with trailing bytes',
      { [KEY]: base64(Buffer.concat([signer.spki, Buffer.alloc(1)])) },
      'key',
      'not a public',
    ],
    ['a cut key', { [KEY]: base64(signer.spki.subarray(0, -1)) }, 'key', 'not a public key'],
    ['a key off its curve', { [KEY]: base64(flipLast(signer.spki)) }, 'key', 'not a point on its curve'],
    ['a key of secp256k1', { [KEY]: base64(otherCurve('secp256k1')) }, 'key', 'a kind, curve or encoding'],
    ['a key of P-224', { [KEY]: base64(otherCurve('P-224')) }, 'key', 'a kind, curve or encoding'],
    ['a certificate for a key', { [KEY]: base64(signer.certificate()) }, 'key', 'not a public key'],
    ['a key of P-384', { [KEY]: base64(sharedSigner('p384').spki) }, 'key-details', 'ECDSA on P-384'],
    ['no key type', { [DETAILS]: undefined }, 'key-details', 'PUBLIC_KEY_DETAILS_UNSPECIFIED'],
    ['an unknown number', { [DETAILS]: 99 }, 'key-details', 'unsupported keyDetails 99'],
    ['RSA-PSS', { [DETAILS]: 'PKIX_RSA_PSS_2048_SHA256' }, 'key-details', 'unsupported keyDetails PKIX_RSA_PSS'],
    ['P-384 with SHA-256', { [DETAILS]: 'PKIX_ECDSA_P384_SHA_256' }, 'key-details', 'unsupported keyDetails'],
    ['P-521 with SHA-256', { [DETAILS]: 20 }, 'key-details', 'unsupported keyDetails PKIX_ECDSA_P521_SHA_256'],
    ['pure Ed25519', { [DETAILS]: 'PKIX_ED25519' }, 'key-details', 'sign with PKIX_ED25519_PH'],
    ['the type of another kind', { [DETAILS]: 'PKIX_ED25519_PH' }, 'key-details', 'do not fit the key'],
    ['an RSA type for ECDSA', { [DETAILS]: 9 }, 'key-details', 'do not fit the key'],
    ['a short digest', { [DIGEST]: base64(Buffer.alloc(31)) }, 'digest-length', '31 bytes; SHA2_256 has 32'],
    ['a long digest', { [DIGEST]: base64(Buffer.alloc(64)) }, 'digest-length', '64 bytes; SHA2_256 has 32'],
    ['another digest', { [DIGEST]: base64(Buffer.alloc(32)) }, 'signature', 'does not verify'],
    ['a signature by another key', { [KEY]: base64(makeSigner('p256').spki) }, 'signature', 'does not verify'],
    ['a truncated signature', { [CONTENT]: base64(signature.subarray(0, -1)) }, 'signature', 'does not verify'],
    ['trailing bytes', { [CONTENT]: base64(Buffer.concat([signature, Buffer.alloc(1)])) }, 'signature', 'not verify'],
    ['a key beyond an entry', { [KEY]: base64(Buffer.alloc(70_000)) }, 'entry-size', 'more than 65535 bytes'],
    ['a signature beyond an entry', { [CONTENT]: base64(Buffer.alloc(70_000)) }, 'entry-size', 'more than 65535'],
  ])('%s', (_, fields, reason, message) => {
    const refusal = refused(fields);
    expect(refusal).toMatchObject({ code: 'invalid-entry', reason });
    expect(refusal?.message).toMatch(/^invalid hashedrekord request: /);
    expect(refusal?.message).toContain(message);
  });

  it('checks in the order of the specification', () => {
    const wrong: [string, unknown][] = [
      [CONTENT, base64(Buffer.alloc(9))],
      [DIGEST, base64(Buffer.alloc(3))],
      [DETAILS, 99],
      [KEY, base64(flipLast(signer.spki))],
      [KEY, 'AAAA'],
      [DIGEST, undefined],
      [CONTENT, undefined],
    ];
    const fields: Record<string, unknown> = {};
    const reasons = wrong.map(([path, value]) => {
      fields[path] = value;
      return refused(fields)?.reason;
    });
    expect(reasons).toEqual(['signature', 'digest-length', 'key-details', 'key', 'key', 'missing', 'missing']);
  });

  it('RSA: other sizes, and the signature of another digest', () => {
    const rsa = jsonValue(hashedRekordRequest(sharedSigner('rsa2048'), ARTIFACT));
    const small = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'der', type: 'spki' });
    expect(refused({ [KEY]: base64(small) }, rsa)).toMatchObject({ code: 'invalid-entry', reason: 'key' });
    expect(refused({ [KEY]: base64(small) }, rsa)?.message).toContain('1024 bits');
    expect(refused({ [DIGEST]: base64(Buffer.alloc(32)) }, rsa)?.reason).toBe('signature');
    expect(refused({ [DETAILS]: 'PKIX_RSA_PSS_2048_SHA256' }, rsa)?.reason).toBe('key-details');
  });

  it.each(['ed25519ph', 'p384', 'p521'] as const)('%s: a digest of SHA-256', (kind) => {
    const value = jsonValue(hashedRekordRequest(sharedSigner(kind), ARTIFACT));
    expect(refused({ [DIGEST]: base64(Buffer.alloc(32)) }, value)?.reason).toBe('digest-length');
  });

  it('certificates: none, garbage, trailing bytes, PEM, a key, a key off its curve', () => {
    const value = jsonValue(hashedRekordRequest(signer, ARTIFACT, 'x509Certificate'));
    const good = signer.certificate();
    const pem = `-----BEGIN CERTIFICATE-----\n${base64(good)}\n-----END CERTIFICATE-----\n`;
    const certificates = [Buffer.from('x'), Buffer.concat([good, Buffer.alloc(1)]), Buffer.from(pem), signer.spki];
    for (const bad of certificates) {
      expect(refused({ [CERTIFICATE]: base64(bad) }, value)).toMatchObject({
        code: 'invalid-entry',
        reason: 'certificate',
      });
    }
    const off = Buffer.from(good);
    const point = off.indexOf(signer.spki.subarray(27));
    off.writeUInt8(off.readUInt8(point + 63) ^ 1, point + 63);
    const refusal = refused({ [CERTIFICATE]: base64(off) }, value);
    expect(refusal?.code).toBe('invalid-entry');
    expect(['key', 'certificate']).toContain(refusal?.reason);
    expect(refused({ [CERTIFICATE]: '' }, value)?.message).toContain('missing X.509 certificate raw bytes');
  });

  it('an entry of more than 65,535 bytes, and none that is shorter', () => {
    const [short = ''] = entriesOf(ingestHere(toJson(hashedRekordRequest(signer, ARTIFACT, 'x509Certificate'))));
    const { content: own, verifier: of } = JSON.parse(short).spec.hashedRekordV002.signature;
    const rest = short.length - own.length - of.x509Certificate.rawBytes.length;
    const fits = Math.floor((65_535 - rest - own.length) / 4) * 3 - signer.certificate().length;
    const verdicts = new Set<boolean>();
    // The length of an ECDSA signature, here and in the certificate, is known only when it is made.
    for (let padding = fits - 60; padding < fits + 60; padding += 3) {
      const request = hashedRekordRequest(signer, ARTIFACT, 'x509Certificate');
      const { content, verifier } = request[H].signature;
      const rawBytes = signer.certificate(padding);
      verifier.x509Certificate = { rawBytes };
      const length = rest + base64(content).length + base64(rawBytes).length;
      const answer = ingestHere(toJson(request));
      const taken = length <= 65_535;
      verdicts.add(taken);
      if (taken) expect(entriesOf(answer)[0]).toHaveLength(length);
      else expect(refusalOf(answer)).toMatchObject({ code: 'invalid-entry', reason: 'entry-size' });
    }
    expect(verdicts).toEqual(new Set([true, false]));
    expect(ingestHere(toJson(hashedRekordRequest()), 'json', { entryBytes: 200 })).toMatchObject({
      items: [{ refusal: { reason: 'entry-size' } }],
    });
  });
});

describe('a DSSE envelope that is refused', () => {
  const D = 'dsseRequestV002';
  const two = [sharedSigner('p256'), sharedSigner('p384')] as const;
  const good = dsseRequest(two);
  const { signatures } = good[D].envelope;
  const { verifiers } = good[D];
  const DSSE = jsonValue(good);
  const json = (value: unknown) => jsonValue(value);

  it.each<[string, Record<string, unknown>, string, string]>([
    ['no envelope', { [`${D}.envelope`]: undefined }, 'missing', 'missing envelope'],
    ['no signatures', { [`${D}.envelope.signatures`]: [] }, 'missing', 'missing signatures'],
    ['no verifiers', { [`${D}.verifiers`]: undefined }, 'missing', 'missing verifiers'],
    ['no payload', { [`${D}.envelope.payload`]: undefined }, 'missing', 'missing payload'],
    ['no payload type', { [`${D}.envelope.payloadType`]: '' }, 'missing', 'missing payload type'],
    ['an empty signature', { [`${D}.envelope.signatures`]: [json(signatures[0]), {}] }, 'missing', 'signature 1'],
    ['another payload', { [`${D}.envelope.payload`]: 'AAAA' }, 'signature', 'signature 0 does not verify'],
    ['another type', { [`${D}.envelope.payloadType`]: 'x' }, 'signature', 'signature 0 does not verify'],
    ['a verifier too few', { [`${D}.verifiers`]: [json(verifiers[0])] }, 'signature', 'signature 1 does not verify'],
    [
      'an unused verifier',
      { [`${D}.envelope.signatures`]: [json(signatures[0])] },
      'signature',
      'verifier 1 verifies none',
    ],
    [
      'the same verifier twice for one signature',
      { [`${D}.envelope.signatures`]: [json(signatures[0])], [`${D}.verifiers`]: Array(2).fill(json(verifiers[0])) },
      'signature',
      'verifier 1 verifies none',
    ],
    ['a bad verifier', { [`${D}.verifiers`]: [json(verifiers[0]), {}] }, 'missing', 'missing public key'],
    [
      'nine signatures',
      { [`${D}.envelope.signatures`]: Array(9).fill(json(signatures[0])) },
      'too-many',
      '9 signatures',
    ],
    ['nine verifiers', { [`${D}.verifiers`]: Array(9).fill(json(verifiers[0])) }, 'too-many', '9 verifiers'],
    [
      'pure Ed25519',
      { [`${D}.verifiers`]: [{ ...(json(verifierOf(sharedSigner('ed25519ph'))) as object), keyDetails: 7 }] },
      'key-details',
      'PKIX_ED25519_PH',
    ],
  ])('%s', (_, fields, reason, message) => {
    const refusal = refused(fields, DSSE);
    expect(refusal).toMatchObject({ code: 'invalid-entry', reason });
    expect(refusal?.message).toMatch(/^invalid dsse request: /);
    expect(refusal?.message).toContain(message);
  });

  it('asks for no more verifications than a body may', () => {
    const signers = Array.from({ length: 8 }, () => makeSigner('p256'));
    const request = dsseRequest(signers);
    request[D].verifiers.push(request[D].verifiers.shift()!);
    const requests = Array(4).fill(json(request));
    const answer = ingestHere(JSON.stringify({ requests }), 'json-batch', { bulkItems: 64 });
    const items = 'items' in answer ? answer.items : [];
    expect(items.map((item) => ('refusal' in item ? item.refusal.reason : 'good'))).toEqual([
      'good',
      'good',
      'too-many',
      'too-many',
    ]);
  });
});

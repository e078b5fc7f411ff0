import { createHash, createPublicKey, generateKeyPairSync, publicEncrypt, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { hasValidPoint } from '../../../../merkle/rekor/spki.ts';
import { digestVerifier } from '../../../../merkle/runtime/crypto/digest.ts';
import { readPublicKey } from '../../../../merkle/runtime/crypto/public-key.ts';
import { RuntimeError } from '../../../../merkle/runtime/runtime-errors.ts';
import { certificateKey } from '../../../../merkle/runtime/x509/certificate-key.ts';
import { der, sequence } from '../../../support/der.ts';
import { ALL_KEY_KINDS, makeSigner, sharedSigner, type TestSigner } from '../../../support/requests.ts';

const fast = digestVerifier();
const noble = digestVerifier('noble');
const ARTIFACT = Buffer.from('artifact');

function flip(bytes: Uint8Array, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = copy.readUInt8(at) ^ 1;
  return copy;
}

function parse(signer: TestSigner) {
  return readPublicKey(signer.spki);
}

function codeOf(call: () => unknown): string | undefined {
  try {
    call();
  } catch (error) {
    return error instanceof RuntimeError ? error.code : String(error);
  }
  return undefined;
}

describe('digestVerifier', () => {
  it('runs ECDSA in the OpenSSL of the Node process, and says why where it does not', () => {
    expect(fast.fast).toBe(true);
    expect(fast.why).toBeUndefined();
    expect(noble.fast).toBe(false);
    expect(noble.why).toBe('it was switched off');
    process.env.STELE_NO_FAST_VERIFY = '1';
    expect(digestVerifier().fast).toBe(false);
    delete process.env.STELE_NO_FAST_VERIFY;
  });

  it.each(ALL_KEY_KINDS)('%s: takes a good signature and no other, fast and slow alike', (kind) => {
    const signer = sharedSigner(kind);
    const digest = signer.digest(ARTIFACT);
    const signature = signer.sign(ARTIFACT);
    const s = signature;
    const wrong: [string, Uint8Array, Uint8Array][] = [
      ['other digest', flip(digest, 0), s],
      ['short digest', digest.subarray(1), s],
      ['long digest', Buffer.concat([digest, Buffer.alloc(1)]), s],
      ['empty digest', Buffer.alloc(0), s],
      ['empty', digest, Buffer.alloc(0)],
      ['truncated', digest, s.subarray(0, -1)],
      ['beheaded', digest, s.subarray(1)],
      ['trailing zero', digest, Buffer.concat([s, Buffer.alloc(1)])],
      ['zeroes', digest, Buffer.alloc(s.length)],
      ['ones', digest, Buffer.alloc(s.length, 0xff)],
      ['long', digest, Buffer.alloc(5_000, 0x30)],
      ...Array.from({ length: s.length }, (_, at) => [`byte ${at}`, digest, flip(s, at)] as [string, Buffer, Buffer]),
    ];
    for (const verifier of [fast, noble]) {
      expect(verifier.verifyDigest(parse(signer), digest, signature)).toBe(true);
    }
    for (const [what, otherDigest, other] of wrong) {
      expect([what, fast.verifyDigest(parse(signer), otherDigest, other)]).toEqual([what, false]);
    }
    // noble takes milliseconds each.
    for (const [what, otherDigest, other] of wrong.slice(0, 40)) {
      expect([what, noble.verifyDigest(parse(signer), otherDigest, other)]).toEqual([what, false]);
    }
  });

  it('refuses DER that is not the only encoding of its numbers, fast and slow alike', () => {
    const signer = sharedSigner('p256');
    const digest = signer.digest(ARTIFACT);
    const signature = signer.sign(ARTIFACT);
    const rLength = signature.readUInt8(3);
    const r = signature.subarray(4, 4 + rLength);
    const s = signature.subarray(6 + rLength);
    const integer = (bytes: Uint8Array) => der(0x02, bytes);
    expect(sequence(integer(r), integer(s)).equals(signature)).toBe(true);
    const zero = Buffer.alloc(1);
    const cases = [
      sequence(integer(Buffer.concat([zero, r])), integer(s)),
      sequence(integer(r), integer(s), integer(zero)),
      sequence(integer(zero), integer(s)),
      sequence(integer(r), integer(zero)),
      sequence(integer(r)),
      Buffer.concat([Buffer.from([0x30, 0x81, signature.length - 2]), signature.subarray(2)]),
      Buffer.concat([Buffer.from([0x30, 0x80]), signature.subarray(2), Buffer.alloc(2)]),
    ];
    for (const [index, other] of cases.entries()) {
      for (const verifier of [fast, noble]) {
        expect([index, verifier.verifyDigest(parse(signer), digest, other)]).toEqual([index, false]);
      }
    }
  });

  it('refuses points off the curve and the signature of another key, and goes on well after', () => {
    for (const kind of ['p256', 'p384', 'p521'] as const) {
      const signer = sharedSigner(kind);
      const digest = signer.digest(ARTIFACT);
      const signature = signer.sign(ARTIFACT);
      for (const verifier of [fast, noble]) {
        const off = readPublicKey(flip(signer.spki, signer.spki.length - 1));
        expect(hasValidPoint(off)).toBe(false);
        expect(verifier.verifyDigest(off, digest, signature)).toBe(false);
        expect(verifier.verifyDigest(parse(makeSigner(kind)), digest, signature)).toBe(false);
        expect(hasValidPoint(parse(signer))).toBe(true);
        expect(verifier.verifyDigest(parse(signer), digest, signature)).toBe(true);
      }
    }
  });

  it('leaves nothing in the error queue that Node would trip over', () => {
    const signer = sharedSigner('p256');
    fast.verifyDigest(parse(signer), signer.digest(ARTIFACT), Buffer.from('garbage'));
    expect(() => createPublicKey({ key: signer.spki, format: 'der', type: 'spki' })).not.toThrow();
    expect(() => publicEncrypt(sharedSigner('rsa2048').privateKey, randomBytes(16))).not.toThrow();
  });

  it('knows the Ed25519ph vector of RFC 8032 section 7.3', () => {
    const point = 'ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf';
    const key = readPublicKey(Buffer.from(`302a300506032b6570032100${point}`, 'hex'));
    const signature = Buffer.from(
      '98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae4131f85042463c2a355a2003d062adf5aaa10b8c61e636062aaad11c2a26083406',
      'hex',
    );
    expect(fast.verifyDigest(key, createHash('sha512').update('abc').digest(), signature)).toBe(true);
    expect(fast.verifyDigest(key, createHash('sha512').update('abd').digest(), signature)).toBe(false);
  });
});

describe('readPublicKey', () => {
  it.each(ALL_KEY_KINDS)('%s: reads the key, and no other encoding of it', (kind) => {
    const { spki } = sharedSigner(kind);
    expect(codeOf(() => readPublicKey(spki))).toBeUndefined();
    const zero = Buffer.alloc(1);
    const pem = Buffer.from(`-----BEGIN PUBLIC KEY-----\n${spki.toString('base64')}\n-----END PUBLIC KEY-----\n`);
    for (const bad of [
      Buffer.concat([spki, zero]),
      spki.subarray(0, -1),
      spki.subarray(1),
      pem,
      zero,
      Buffer.alloc(0),
    ]) {
      expect(codeOf(() => readPublicKey(bad))).toBe('key-format');
    }
  });

  it('refuses other curves, kinds, sizes, exponents and compressed points', () => {
    const spki = (...args: Parameters<typeof generateKeyPairSync>) =>
      (generateKeyPairSync as (...all: unknown[]) => { publicKey: import('node:crypto').KeyObject })(
        ...args,
      ).publicKey.export({ format: 'der', type: 'spki' });
    const uncompressed = sharedSigner('p256').spki;
    const compressed = sequence(
      uncompressed.subarray(2, 23),
      der(0x03, Buffer.from([0, 2 + (uncompressed.readUInt8(90) & 1)]), uncompressed.subarray(27, 59)),
    );
    expect(() => createPublicKey({ key: compressed, format: 'der', type: 'spki' })).not.toThrow();
    const cases = [
      compressed,
      spki('ec' as never, { namedCurve: 'secp256k1' } as never),
      spki('ec' as never, { namedCurve: 'P-224' } as never),
      spki('ed448' as never, undefined as never),
      spki('x25519' as never, undefined as never),
      spki('rsa-pss' as never, { modulusLength: 2048 } as never),
      spki('rsa' as never, { modulusLength: 1024 } as never),
      spki('rsa' as never, { modulusLength: 2056 } as never),
      Buffer.alloc(100_000, 0x30),
    ];
    expect(cases.map((bad) => codeOf(() => readPublicKey(bad)))).toEqual(cases.map(() => 'key-format'));
  });
});

describe('certificateKey', () => {
  it.each(ALL_KEY_KINDS)('%s: gives the bytes that Node finds', (kind) => {
    const signer = sharedSigner(kind);
    expect(Buffer.from(certificateKey(signer.certificate())).equals(signer.spki)).toBe(true);
  });

  it('refuses what is not exactly one certificate in DER', () => {
    const signer = sharedSigner('p256');
    const good = signer.certificate();
    const pem = Buffer.from(`-----BEGIN CERTIFICATE-----\n${good.toString('base64')}\n-----END CERTIFICATE-----\n`);
    const cases = [Buffer.concat([good, Buffer.alloc(1)]), good.subarray(0, -1), pem, signer.spki, Buffer.alloc(0)];
    expect(cases.map((bad) => codeOf(() => certificateKey(bad)))).toEqual(cases.map(() => 'key-format'));
    expect(() => certificateKey(signer.spki)).toThrow(/^a public key, not a certificate: it belongs into `publicKey`$/);
  });
});

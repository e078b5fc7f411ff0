import { createHash, createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { formatPublicKeyPem, parsePublicKey, parsePublicKeyPem } from '../../../client/formats/key.ts';
import { softwareSigner } from '../../../client/submit/signers/software-signer.ts';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import { newKey } from '../../support/new-key.ts';

const der = (key: ReturnType<typeof createPublicKey>) => key.export({ format: 'der', type: 'spki' });
const bad = expect.objectContaining({ code: 'key' });

describe.each([
  ['P-256', 'sha256'],
  ['P-384', 'sha384'],
  ['P-521', 'sha512'],
] as const)('a key on %s', (curve, hash) => {
  it('signs what OpenSSL verifies, the same each time', () => {
    const key = newKey(curve);
    const digest = createHash(hash).update('hello').digest();
    const signature = key.sign(digest);
    const openssl = createPublicKey(formatPublicKeyPem(key.publicKey));
    expect(verify(hash, Buffer.from('hello'), openssl, signature)).toBe(true);
    expect(key.sign(digest)).toEqual(signature);
    expect(key.publicKey.verify(digest, signature)).toBe(true);
    expect(key.publicKey.verify(createHash(hash).update('other').digest(), signature)).toBe(false);
    expect(key.publicKey.verify(digest, signature.subarray(0, -1))).toBe(false);
    expect(key.publicKey.verify(digest, new Uint8Array(0))).toBe(false);
  });

  it('is the same in PEM, as OpenSSL writes it', () => {
    const { publicKey } = newKey(curve);
    const pem = formatPublicKeyPem(publicKey);
    expect(pem).toBe(createPublicKey(pem).export({ format: 'pem', type: 'spki' }));
    expect(parsePublicKeyPem(pem, nodePrimitives()).spki).toEqual(publicKey.spki);
  });
});

describe('a public key', () => {
  it('is refused where it is of another kind, off its curve, or has trailing bytes', () => {
    const spki = newKey().publicKey.spki;
    const off = spki.slice();
    off[off.length - 1]! ^= 1;
    for (const wrong of [
      off,
      new Uint8Array([...spki, 0]),
      spki.subarray(0, -1),
      new Uint8Array(0),
      der(generateKeyPairSync('x25519').publicKey),
      der(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey),
      der(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey),
    ]) {
      expect(() => parsePublicKey(wrong, nodePrimitives())).toThrow(bad);
    }
  });

  it('is one PEM block and nothing else', () => {
    const pem = formatPublicKeyPem(newKey().publicKey);
    for (const wrong of ['', `x${pem}`, pem + pem, pem.replaceAll('PUBLIC', 'PRIVATE'), pem.replace('M', '!')]) {
      expect(() => parsePublicKeyPem(wrong, nodePrimitives())).toThrow(bad);
    }
  });

  it('does not go with another private key', () => {
    expect(() => softwareSigner(newKey().publicKey, new Uint8Array(32).fill(1))).toThrow(bad);
    expect(() => softwareSigner(newKey().publicKey, new Uint8Array(32))).toThrow(bad);
  });
});

import { createHash, createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { formatPublicKeyPem, parsePublicKey, parsePublicKeyPem } from '../../../client/formats/key.ts';
import { softwareSigner } from '../../../client/submit/signers/software-signer.ts';
import { formatPem } from '../../../merkle/pem.ts';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import { newKey } from '../../support/new-key.ts';

const der = (key: ReturnType<typeof createPublicKey>) => key.export({ format: 'der', type: 'spki' });
/** What `openssl ecparam -genkey` writes before a key. */
const parameters = formatPem('EC PARAMETERS', Buffer.from('06082a8648ce3d030107', 'hex'));
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

  it('is the only PEM block; text around it is not read', () => {
    const { publicKey } = newKey();
    const pem = formatPublicKeyPem(publicKey);
    const read = (text: string) => parsePublicKeyPem(text, nodePrimitives());
    for (const good of [`# Example Ltd\n${pem}the end`, pem.replaceAll('\n', ' \r\n'), `${parameters}${pem}`]) {
      expect(read(good).spki).toEqual(publicKey.spki);
    }
    for (const wrong of ['', `x${pem}`, pem.replace('M', '!'), pem.slice(0, -3), pem.replace('\n', '\nA: b\n\n')]) {
      expect(() => read(wrong)).toThrow(bad);
    }
  });

  it.each([
    ['two keys', (pem: string) => pem + pem, 'there are 2 PEM blocks ("PUBLIC KEY", "PUBLIC KEY"), where one key'],
    [
      'a key and a certificate',
      (pem: string) => pem + formatPem('CERTIFICATE', Buffer.of(1)),
      '"CERTIFICATE"), where one',
    ],
    [
      'a private key',
      (pem: string) => pem.replaceAll('PUBLIC', 'EC PRIVATE'),
      '"EC PRIVATE KEY", not "PUBLIC KEY", a private key',
    ],
    ['a certificate', (pem: string) => pem.replaceAll('PUBLIC KEY', 'CERTIFICATE'), 'openssl x509 -pubkey'],
    ['a PKCS#1 key', (pem: string) => pem.replaceAll('PUBLIC', 'RSA PUBLIC'), 'openssl rsa -RSAPublicKey_in'],
    ['text', () => 'ssh-ed25519 AAAA', 'there is no PEM block "PUBLIC KEY"'],
  ])('is named where it is another thing: %s', (_, of, message) => {
    const pem = of(formatPublicKeyPem(newKey().publicKey));
    expect(() => parsePublicKeyPem(pem, nodePrimitives())).toThrow(message);
    expect(() => parsePublicKeyPem(pem, nodePrimitives())).toThrow(bad);
  });

  it('does not go with another private key', () => {
    expect(() => softwareSigner(newKey().publicKey, new Uint8Array(32).fill(1))).toThrow(bad);
    expect(() => softwareSigner(newKey().publicKey, new Uint8Array(32))).toThrow(bad);
  });
});

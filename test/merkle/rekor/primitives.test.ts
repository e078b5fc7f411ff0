import * as crypto from 'node:crypto';
import { ed25519ph } from '@noble/curves/ed25519.js';
import { p256, p384, p521 } from '@noble/curves/nist.js';
import { describe, expect, it } from 'vitest';
import type { HashName } from '../../../merkle/rekor/hashes.ts';
import { noblePrimitives } from '../../../merkle/rekor/noble-primitives.ts';
import type { Primitives } from '../../../merkle/rekor/primitives.ts';
import { type KeyInfo, parseSpki, pointOf } from '../../../merkle/rekor/spki.ts';
import { messagePrimitives } from '../../../merkle/runtime/crypto/message-primitives.ts';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';

const HASHES: readonly HashName[] = ['sha256', 'sha384', 'sha512'];
const PLATFORMS: readonly (readonly [string, Primitives])[] = [
  ['noble', noblePrimitives],
  ['node', nodePrimitives()],
  ['node, with a memory of messages', messagePrimitives(nodePrimitives())],
];

function pair(name: string): crypto.KeyPairKeyObjectResult {
  if (name === 'Ed25519') return crypto.generateKeyPairSync('ed25519');
  if (name.startsWith('RSA')) return crypto.generateKeyPairSync('rsa', { modulusLength: Number(name.slice(4)) });
  return crypto.generateKeyPairSync('ec', { namedCurve: name.slice(6) });
}
const spkiOf = (key: crypto.KeyObject): Buffer => key.export({ format: 'der', type: 'spki' });
const rsaPem = (bits: number, exponent: number) =>
  crypto.generateKeyPairSync('rsa', { modulusLength: bits, publicExponent: exponent }).publicKey;

const message = Buffer.from('what was signed');
const flipped = (bytes: Uint8Array, at: number): Uint8Array => {
  const copy = Uint8Array.from(bytes);
  copy[at] = copy[at]! ^ 1;
  return copy;
};

const KEYS = ['ECDSA P-256', 'ECDSA P-384', 'ECDSA P-521', 'RSA-2048', 'RSA-3072', 'Ed25519'].map((name) => {
  const { publicKey, privateKey } = pair(name);
  return { name, key: parseSpki(spkiOf(publicKey)), privateKey };
});

/** Two signatures by OpenSSL, which takes s as it comes: one with s below half of the order, one above. */
function bothHalves(curve: typeof p256, privateKey: crypto.KeyObject): [low: Uint8Array, high: Uint8Array] {
  let low: Uint8Array | undefined;
  let high: Uint8Array | undefined;
  for (let tries = 0; tries < 200 && !(low && high); tries++) {
    const signature = new Uint8Array(crypto.sign('sha256', message, privateKey));
    if (curve.Signature.fromBytes(signature, 'der').hasHighS()) high = signature;
    else low = signature;
  }
  return [low!, high!];
}

describe.each(PLATFORMS)('signatures, %s', (_, primitives) => {
  const check = (key: KeyInfo, hash: HashName | undefined, signature: Uint8Array): boolean[] => {
    const digest = hash && primitives.hash(hash, message);
    const results = [primitives.verifyMessage(key, hash, message, signature)];
    if (hash !== undefined) results.push(primitives.verifyDigest(key, hash, digest!, signature));
    return [...new Set(results)];
  };

  it.each(KEYS.filter(({ name }) => name !== 'Ed25519'))('$name with each hash, and no change', (entry) => {
    const { name, key, privateKey } = entry;
    expect(key.name).toBe(name);
    for (const hash of HASHES) {
      const signature = crypto.sign(hash, message, privateKey);
      expect(check(key, hash, signature)).toEqual([true]);
      expect(check(key, hash, flipped(signature, signature.length - 1))).toEqual([false]);
      expect(check(key, hash, signature.subarray(0, -1))).toEqual([false]);
      expect(check(key, hash, Buffer.concat([signature, Buffer.from([0])]))).toEqual([false]);
      expect(check(key, hash, new Uint8Array(0))).toEqual([false]);
      for (const other of HASHES) if (other !== hash) expect(check(key, other, signature)).toEqual([false]);
      expect(primitives.verifyMessage(key, undefined, message, signature)).toBe(false);
      expect(primitives.verifyDigest(key, hash, new Uint8Array(31), signature)).toBe(false);
    }
  });

  it.each([
    ['ECDSA P-256', p256],
    ['ECDSA P-384', p384],
    ['ECDSA P-521', p521],
  ] as const)('%s: with a high s as with a low one, as OpenSSL makes them', (name, curve) => {
    const { key, privateKey } = KEYS.find((entry) => entry.name === name)!;
    const [low, high] = bothHalves(curve, privateKey);
    for (const signature of [low, high]) expect(check(key, 'sha256', signature)).toEqual([true]);
    // What the option is for: noble refuses half of all signatures where it is asked for low ones, its default on P-256.
    const point = pointOf(key);
    const verifyLow = (signature: Uint8Array) =>
      curve.verify(signature, primitives.hash('sha256', message), point, { prehash: false, format: 'der', lowS: true });
    expect([verifyLow(low), verifyLow(high)]).toEqual([true, false]);
  });

  it('Ed25519 over a message, and Ed25519ph over a digest, which are two things', () => {
    const { key, privateKey } = KEYS.at(-1)!;
    const pure = crypto.sign(null, message, privateKey);
    const seed = privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(-32);
    const prehashed = ed25519ph.sign(message, seed);
    expect(check(key, undefined, pure)).toEqual([true]);
    expect(check(key, 'sha512', prehashed)).toEqual([true]);
    expect(check(key, 'sha512', pure)).toEqual([false]);
    expect(check(key, undefined, prehashed)).toEqual([false]);
    expect(check(key, 'sha256', pure)).toEqual([false]);
    expect(check(key, undefined, flipped(pure, 3))).toEqual([false]);
    expect(check(key, undefined, pure.subarray(1))).toEqual([false]);
  });

  it('fail with a key that is not a point on its curve', () => {
    const { key, privateKey } = KEYS[0]!;
    const wrong = parseSpki(flipped(key.spki, key.spki.length - 1));
    expect(check(wrong, 'sha256', crypto.sign('sha256', message, privateKey))).toEqual([false]);
  });

  it('RSA: refuse a padding with room for what a forger needs', () => {
    const { key, privateKey } = KEYS.find(({ name }) => name === 'RSA-2048')!;
    const info = Buffer.from('3031300d060960864801650304020105000420', 'hex');
    const digest = crypto.hash('sha256', message, 'buffer');
    const raw = (...parts: Uint8Array[]) => {
      const block = Buffer.concat([...parts, Buffer.alloc(256)]).subarray(0, 256);
      return crypto.privateEncrypt({ key: privateKey, padding: crypto.constants.RSA_NO_PADDING }, block);
    };
    const ff = (count: number) => Buffer.alloc(count, 0xff);
    const [start, zero] = [Buffer.from([0, 1]), Buffer.from([0])];
    expect(check(key, 'sha256', raw(start, ff(202), zero, info, digest))).toEqual([true]);
    expect(check(key, 'sha256', raw(start, ff(8), zero, info, digest))).toEqual([false]);
    const noNull = Buffer.from('302f300b0609608648016503040201' + '0420', 'hex');
    expect(check(key, 'sha256', raw(start, ff(204), zero, noNull, digest))).toEqual([false]);
    expect(check(key, 'sha256', raw(Buffer.from([0, 2]), ff(202), zero, info, digest))).toEqual([false]);
  });
});

describe('public keys', () => {
  const refused = expect.objectContaining({ name: 'MerkleError', code: 'bad-key' });
  const p256 = KEYS[0]!.key.spki;
  const rsa = KEYS[3]!.key.spki;

  it('have one encoding', () => {
    for (const { key } of KEYS) expect(parseSpki(key.spki)).toEqual(key);
    for (const spki of [p256, rsa, KEYS.at(-1)!.key.spki]) {
      expect(() => parseSpki(Buffer.concat([spki, Buffer.from([0])]))).toThrow(refused);
      expect(() => parseSpki(spki.subarray(0, -1))).toThrow(refused);
      for (let at = 0; at < 12; at++) expect(() => parseSpki(flipped(spki, at))).toThrow(refused);
    }
    expect(() => parseSpki(new Uint8Array(0))).toThrow(refused);
  });

  it('are copied', () => {
    const bytes = Uint8Array.from(p256);
    const key = parseSpki(bytes);
    bytes.fill(0);
    expect(key.spki).toEqual(p256);
  });

  it.each([
    [
      'P-256 with a compressed point',
      () => crypto.ECDH.convertKey(p256.subarray(26), 'prime256v1', undefined, undefined, 'compressed'),
    ],
    ['secp256k1', () => spkiOf(crypto.generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey)],
    [
      'explicit curve',
      () => spkiOf(crypto.generateKeyPairSync('ec', { namedCurve: 'P-256', paramEncoding: 'explicit' }).publicKey),
    ],
    ['X25519', () => spkiOf(crypto.generateKeyPairSync('x25519').publicKey)],
    ['Ed448', () => spkiOf(crypto.generateKeyPairSync('ed448').publicKey)],
    ['RSA-1024', () => spkiOf(rsaPem(1024, 65_537))],
    ['RSA-2050, no whole bytes', () => spkiOf(rsaPem(2050, 65_537))],
    ['RSA-PSS', () => spkiOf(crypto.generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).publicKey)],
  ])('of other kinds are refused: %s', (_, spki) => expect(() => parseSpki(spki() as Buffer)).toThrow(refused));

  it('RSA: refuse an even exponent, another form of a number, and another of a length', () => {
    const der = Buffer.from(rsa);
    expect(der.subarray(-3)).toEqual(Buffer.from([1, 0, 1]));
    const even = Buffer.from(der);
    even[even.length - 1] = 0;
    expect(() => parseSpki(even)).toThrow(refused);
    const one = Buffer.from(der);
    one.set([0, 0, 1], one.length - 3);
    expect(() => parseSpki(one)).toThrow(refused);
    expect(() => parseSpki(Buffer.concat([Buffer.from([0x30, 0x83, 0]), der.subarray(2)]))).toThrow(refused);
  });

  it('RSA: take 3 as exponent', () => expect(parseSpki(spkiOf(rsaPem(2048, 3))).bits).toBe(2048));
});

it.each([
  [1024, 'this key has 1024 bits'],
  [16_384, 'that of this key is negative or longer'],
])('an RSA key of %i bits is refused, and the reason says what it is', (bits, why) => {
  const n = Buffer.alloc(bits / 8, 0xff).toString('base64url');
  const key = crypto.createPublicKey({ format: 'jwk', key: { kty: 'RSA', e: 'AQAB', n } });
  expect(() => parseSpki(key.export({ type: 'spki', format: 'der' }))).toThrow(why);
});

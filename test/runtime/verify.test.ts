import { generateKeyPairSync, sign } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { nodePrimitives } from '../../merkle/runtime/verify.ts';

const message = Buffer.from('a message');

describe('signature checks on OpenSSL', () => {
  it.each([
    ['ed25519', generateKeyPairSync('ed25519'), null, 32],
    ['ecdsaP256', generateKeyPairSync('ec', { namedCurve: 'P-256' }), 'sha256', 91],
  ] as const)('%s takes what the key signed and nothing else', (name, { publicKey, privateKey }, hash, length) => {
    const key = publicKey.export({ format: 'der', type: 'spki' }).subarray(-length);
    const signature = sign(hash, message, privateKey);
    const check = nodePrimitives[name];
    expect(check(key, message, signature)).toBe(true);
    expect(check(key, Buffer.from('b message'), signature)).toBe(false);
    expect(check(key, message, signature.subarray(1))).toBe(false);
    expect(check(key, message, new Uint8Array(0))).toBe(false);
    // A key of the wrong form is no exception either.
    expect(check(new Uint8Array(5), message, signature)).toBe(false);
  });
});

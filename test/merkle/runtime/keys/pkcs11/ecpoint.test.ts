import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { CKK_EC, CKK_EC_EDWARDS } from '../../../../../merkle/runtime/keys/pkcs11/cryptoki.ts';
import { algorithmOf, ecParams, spkiFromPoint } from '../../../../../merkle/runtime/keys/pkcs11/ecpoint.ts';

const spki = {
  ed25519: generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'der' }),
  'ecdsa-p256': generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ type: 'spki', format: 'der' }),
};
const point = { ed25519: spki.ed25519.subarray(-32), 'ecdsa-p256': spki['ecdsa-p256'].subarray(-65) };

describe('CKA_EC_POINT', () => {
  for (const algorithm of ['ed25519', 'ecdsa-p256'] as const) {
    const raw = point[algorithm];
    it(`gives the public key for ${algorithm} from each form`, () => {
      const octetString = Buffer.concat([Buffer.of(4, raw.length), raw]);
      const bitString = Buffer.concat([Buffer.of(3, raw.length + 1, 0), raw]);
      for (const value of [raw, octetString, bitString]) {
        expect(Buffer.from(spkiFromPoint(algorithm, value))).toEqual(spki[algorithm]);
      }
    });

    it(`is refused for ${algorithm} in any other form`, () => {
      const wrong = [
        Buffer.alloc(0),
        raw.subarray(1),
        Buffer.concat([raw, Buffer.of(0)]),
        Buffer.concat([Buffer.of(4, raw.length + 1), raw]),
        Buffer.concat([Buffer.of(5, raw.length), raw]),
        Buffer.concat([Buffer.of(3, raw.length + 1, 1), raw]),
      ];
      for (const value of wrong) {
        expect(() => spkiFromPoint(algorithm, value)).toThrow(expect.objectContaining({ code: 'pkcs11-key' }));
      }
    });
  }

  it('is refused off the curve', () => {
    const off = Buffer.from(point['ecdsa-p256']);
    off[64]! ^= 1;
    expect(() => spkiFromPoint('ecdsa-p256', off)).toThrow(expect.objectContaining({ code: 'pkcs11-key' }));
  });
});

it('knows the algorithm by key type and curve together', () => {
  const [p256] = ecParams('ecdsa-p256');
  for (const params of ecParams('ed25519')) {
    expect(algorithmOf(CKK_EC_EDWARDS, params)).toBe('ed25519');
    expect(algorithmOf(CKK_EC, params)).toBeUndefined();
  }
  expect(algorithmOf(CKK_EC, p256!)).toBe('ecdsa-p256');
  expect(algorithmOf(CKK_EC_EDWARDS, p256!)).toBeUndefined();
  expect(algorithmOf(CKK_EC, Buffer.from('06052b81040022', 'hex'))).toBeUndefined();
});

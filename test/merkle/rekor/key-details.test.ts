import { describe, expect, it } from 'vitest';
import {
  findKeyDetails,
  keyDetailsToLog,
  LOGGED_KEY_DETAILS,
  loggedKeyDetailsOf,
  signedKeyDetailsOf,
} from '../../../merkle/rekor/key-details.ts';
import { parseSpki } from '../../../merkle/rekor/spki.ts';
import { ALL_KEY_KINDS, sharedSigner } from '../../support/requests.ts';

const keyOf = (kind: (typeof ALL_KEY_KINDS)[number]) => parseSpki(sharedSigner(kind).spki);

describe('key details', () => {
  it('are found by name and by number, each once', () => {
    for (let number = 0; number <= 23; number++) {
      const details = findKeyDetails(number)!;
      expect(details.number).toBe(number);
      expect(findKeyDetails(details.name)).toBe(details);
    }
    for (const other of ['5', 'PKIX', 24, -1, 5.5, undefined, null, {}]) expect(findKeyDetails(other)).toBeUndefined();
  });

  it('are advertised in this order', () => {
    expect(LOGGED_KEY_DETAILS.map(({ name, number }) => `${name} ${number}`)).toEqual([
      'PKIX_ECDSA_P256_SHA_256 5',
      'PKIX_ECDSA_P384_SHA_384 12',
      'PKIX_ECDSA_P521_SHA_512 13',
      'PKIX_RSA_PKCS1V15_2048_SHA256 9',
      'PKIX_RSA_PKCS1V15_3072_SHA256 10',
      'PKIX_RSA_PKCS1V15_4096_SHA256 11',
      'PKIX_ED25519_PH 8',
    ]);
  });

  it.each(ALL_KEY_KINDS)('of a key of each kind are its own: %s', (kind) => {
    const { keyDetails } = sharedSigner(kind);
    const key = keyOf(kind);
    const details = loggedKeyDetailsOf(key)!;
    expect(details.name).toBe(keyDetails);
    expect(signedKeyDetailsOf(key, details.hash)).toBe(details);
    expect(keyDetailsToLog(key, details.number)).toBe(details);
  });

  it('tell pure Ed25519 from Ed25519ph, and take no other hash', () => {
    const ed25519 = keyOf('ed25519ph');
    expect(signedKeyDetailsOf(ed25519, undefined)?.name).toBe('PKIX_ED25519');
    expect(signedKeyDetailsOf(ed25519, 'sha256')).toBeUndefined();
    expect(signedKeyDetailsOf(keyOf('p384'), 'sha256')).toBeUndefined();
    expect(signedKeyDetailsOf(keyOf('rsa2048'), undefined)).toBeUndefined();
  });

  it('say why a log does not take a key', () => {
    expect(keyDetailsToLog(keyOf('p256'), 12)).toContain('do not fit the key, which is ECDSA on P-256');
    expect(keyDetailsToLog(keyOf('rsa2048'), 8)).toContain('do not fit the key, which is RSA of 2048 bits');
    expect(keyDetailsToLog(keyOf('ed25519ph'), 7)).toContain('sign with PKIX_ED25519_PH');
    expect(keyDetailsToLog(keyOf('p384'), 19)).toContain(
      'unsupported keyDetails PKIX_ECDSA_P384_SHA_256; a log accepts',
    );
    expect(keyDetailsToLog(keyOf('p256'), 99)).toContain(
      'unsupported keyDetails 99; a log accepts PKIX_ECDSA_P256_SHA_256, ',
    );
  });

  it('of an RSA key are those of its size, whatever the request calls it', () => {
    for (const number of [9, 10, 11]) {
      expect(keyDetailsToLog(keyOf('rsa3072'), number)).toMatchObject({ name: 'PKIX_RSA_PKCS1V15_3072_SHA256' });
    }
  });
});

/** A threshold counts different keys with a valid signature, and nothing else. */
import { describe, expect, it } from 'vitest';
import { readRoot, readTargets, writeMetadata } from '../../../../client/trust/tuf/metadata.ts';
import { checkSigned, signedBy } from '../../../../client/trust/tuf/threshold.ts';
import { tufKey, verifyTufSignature } from '../../../../client/trust/tuf/tuf-key.ts';
import { newKey } from '../../../support/new-key.ts';
import {
  ed25519Key,
  file,
  type Json,
  keysOf,
  p256Key,
  roleOf,
  rootJson,
  signatureOf,
  type TestKey,
  targetsJson,
} from './tuf-files.ts';

const holders = [ed25519Key(), p256Key(), ed25519Key(), p256Key(), ed25519Key()];
const online = p256Key();
const json = () => rootJson(3, holders, online);
const signedWith = (...signatures: readonly Json[]) => readRoot(writeMetadata(json(), signatures));
const by = (key: TestKey) => signatureOf(key, json());
const refused = (signatures: readonly Json[]) => {
  const root = signedWith(...signatures);
  expect(() => checkSigned(root.signed, 'root', root)).toThrow(
    expect.objectContaining({ code: 'tuf-signatures', message: expect.stringMatching(/needs valid signatures of 3/) }),
  );
};

describe('a threshold of 3 of 5', () => {
  it('is met by any three, and by all', () => {
    for (const chosen of [
      [0, 1, 2],
      [4, 3, 1],
      [0, 2, 4],
      [0, 1, 2, 3, 4],
    ]) {
      const root = signedWith(...chosen.map((i) => by(holders[i]!)));
      checkSigned(root.signed, 'root', root);
      expect(signedBy(root.signed, 'root', root).signed).toHaveLength(chosen.length);
    }
  });

  it('is not met by two', () => refused([by(holders[0]!), by(holders[1]!)]));
  it('is not met by none', () => refused([]));
  it('does not count an empty signature', () =>
    refused([by(holders[0]!), by(holders[1]!), { keyid: holders[2]!.id, sig: '' }]));
  it('does not count a key of another role', () => refused([by(holders[0]!), by(holders[1]!), by(online)]));
  it('does not count a key that the root does not name', () =>
    refused([by(holders[0]!), by(holders[1]!), by(ed25519Key())]));
  it('does not count the signature of one holder under the key ID of another', () =>
    refused([by(holders[0]!), by(holders[1]!), { keyid: holders[2]!.id, sig: by(holders[0]!).sig }]));
  it('does not count a signature over another version', () => {
    const other = signatureOf(holders[2]!, { ...json(), version: 2 });
    refused([by(holders[0]!), by(holders[1]!), other]);
  });
  it('does not count a signature with a flipped bit', () => {
    const { keyid, sig } = by(holders[2]!);
    const flipped = Buffer.from(sig, 'hex');
    flipped[flipped.length - 1]! ^= 1;
    refused([by(holders[0]!), by(holders[1]!), { keyid, sig: flipped.toString('hex') }]);
  });

  it('says who signed and how many are missing', () => {
    const root = signedWith(by(holders[0]!));
    expect(() => checkSigned(root.signed, 'root', root)).toThrow(
      new RegExp(`${holders[0]!.id.slice(0, 16)} signed, missing 2 of ${holders[1]!.id.slice(0, 16)}`),
    );
  });
});

describe('a delegation', () => {
  const team = ed25519Key();
  const delegating = (): Json => ({
    ...targetsJson(),
    delegations: {
      keys: keysOf(team),
      roles: [{ name: 'team', terminating: false, paths: ['*'], ...roleOf(1, team) }],
    },
  });

  it('is checked by the keys of the role that delegates', () => {
    const targets = readTargets(file(delegating()));
    checkSigned(targets.signed, 'team', readTargets(file(targetsJson(), team)));
    expect(() => checkSigned(targets.signed, 'team', readTargets(file(targetsJson(), online)))).toThrow(/"team" needs/);
  });

  it('counts for nobody whom it does not name', () => {
    const targets = readTargets(file(delegating()));
    const other = readTargets(file(targetsJson(), team));
    for (const role of ['other', 'constructor', 'targets']) {
      expect(() => checkSigned(targets.signed, role, other)).toThrow(
        expect.objectContaining({ code: 'tuf-malformed' }),
      );
    }
    const root = readRoot(file(json(), ...holders));
    expect(() => checkSigned(root.signed, 'team', other)).toThrow(/names no role "team"/);
  });
});

describe('a key', () => {
  it('has the key ID that other implementations make', () => {
    for (const key of [ed25519Key(), p256Key()]) {
      const made = tufKey(key.spki);
      expect(made).toMatchObject({ keyid: key.id, json: key.json });
      expect(verifyTufSignature(made, Buffer.from('{}'), signatureOf(key, {}).sig)).toBe(true);
      expect(verifyTufSignature(made, Buffer.from('[]'), signatureOf(key, {}).sig)).toBe(false);
    }
  });

  it('is Ed25519 or P-256', () => {
    for (const curve of ['P-384', 'P-521'] as const) {
      expect(() => tufKey(newKey(curve).publicKey.spki)).toThrow(expect.objectContaining({ code: 'key' }));
    }
    expect(() => tufKey(Buffer.from('no key'))).toThrow(expect.objectContaining({ code: 'key' }));
  });
});

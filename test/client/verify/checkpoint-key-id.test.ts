/** How the log of an entry is found in a trusted root v0.2: by the name and the key ID of the checkpoint's signature. */
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { parseTrustedRoot, verifyBundle } from '../../../client/verify.ts';
import { FakeLog } from '../../support/fake-log.ts';
import { code, digestsOf, messageBundle, rootJson, testKey, text } from './verify-parts.ts';

const file = text('hello');
const key = testKey();
const log = FakeLog.empty('log.example');
const bundle = messageBundle(file, key, log);
const [logged] = bundle.entries;

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
const [its] = rootJson(log).tlogs as [ReturnType<typeof rootJson>['tlogs'][0]];
const spkiHash = createHash('sha256').update(Buffer.from(its.publicKey.rawBytes, 'base64')).digest();
/** As the specification describes both IDs: of the key alone, and 4 bytes of what the checkpoint has. */
const v2 = {
  ...its,
  baseUrl: 'log.example',
  logId: { keyId: base64(spkiHash) },
  checkpointKeyId: { keyId: base64(log.logId.subarray(0, 4)) },
};

const check = (change: object, entry: object = {}) =>
  code(() =>
    verifyBundle({
      bundle: { ...bundle, entries: [{ ...logged!, ...entry }] },
      artifact: digestsOf(file),
      key: key.info,
      trustedRoot: parseTrustedRoot(
        text(
          JSON.stringify({
            ...rootJson(log),
            mediaType: 'application/vnd.dev.sigstore.trustedroot.v0.2+json',
            tlogs: [{ ...v2, ...change }],
          }),
        ),
      ),
    }),
  );

describe('the log of an entry in a trusted root v0.2', () => {
  it('is found by the ID of its checkpoint key, whole or its first bytes', () => {
    expect(check({})).toBe('accepted');
    expect(check({ checkpointKeyId: { keyId: base64(log.logId) } })).toBe('accepted');
    expect(check({}, { logId: spkiHash })).toBe('accepted');
    for (const baseUrl of ['https://log.example', 'https://log.example/', 'log.example:443']) {
      expect(check({ baseUrl }), baseUrl).toBe('accepted');
    }
  });

  it('is not found by an ID that only begins like it', () => {
    const other = Uint8Array.from(log.logId).fill(0, 4);
    expect(check({}, { logId: other })).toBe('bad-checkpoint');
    expect(check({}, { logId: log.logId.subarray(0, 8) })).toBe('bad-checkpoint');
    expect(check({ checkpointKeyId: { keyId: base64(other.subarray(0, 8)) } })).toBe('bad-checkpoint');
  });

  it('is not one with another name or another key', () => {
    expect(check({ baseUrl: 'other.example' })).toBe('bad-checkpoint');
    expect(check({ baseUrl: '' })).toBe('bad-checkpoint');
    const [stranger] = rootJson(FakeLog.empty('log.example')).tlogs;
    expect(check({ publicKey: stranger!.publicKey })).toBe('bad-checkpoint');
  });
});

import { createHash } from 'node:crypto';
import { bundleFromJSON } from '@sigstore/bundle';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Bundle, formatBundle, parseBundle } from '../../client/bundle.ts';
import { ClientError } from '../../client/errors.ts';
import { keyHint } from '../../client/key.ts';
import type { LogEntry } from '../../client/log-entry.ts';
import { parseLogKey, verifyBundle } from '../../client/verify.ts';
import { formatCheckpoint } from '../../merkle/checkpoint.ts';
import { newKey, TinyLog } from './tiny-log.ts';

const key = newKey();
const log = new TinyLog();
const digest = Uint8Array.from(createHash('sha256').update('hello').digest());

function make(): Bundle {
  const signed = { digest, signature: key.sign(digest), publicKey: key.publicKey };
  return {
    hint: keyHint(key.publicKey),
    entry: log.logged(signed),
    digestAlgorithm: 'SHA2_256',
    digest,
    signature: signed.signature,
  };
}
const bundle = make();
const json = () => JSON.parse(new TextDecoder().decode(formatBundle(bundle)));
const bytes = (value: unknown) => new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value));
const code = (work: () => unknown) => {
  try {
    work();
  } catch (error) {
    if (error instanceof ClientError) return error.code;
    throw error;
  }
  return 'accepted';
};
const check = (b: Bundle, d: Uint8Array = digest, k = key, l = log) =>
  code(() => verifyBundle(b, d, k.publicKey, l.key));
const withEntry = (change: Partial<LogEntry>): Bundle => ({ ...bundle, entry: { ...bundle.entry, ...change } });

describe('verifyBundle', () => {
  it('accepts what was signed and logged, and says where it is', () => {
    const verified = verifyBundle(parseBundle(formatBundle(bundle)), digest, key.publicKey, log.key);
    expect(verified).toMatchObject({ origin: 'localhost', index: 3, treeSize: 8, unverified: [] });
  });

  it.each(['P-384', 'P-521'] as const)('accepts a key on %s', (curve) => {
    const other = newKey(curve);
    const long = createHash(curve === 'P-384' ? 'sha384' : 'sha512')
      .update('hello')
      .digest();
    const signed = { digest: long, signature: other.sign(long), publicKey: other.publicKey };
    const its = {
      ...bundle,
      digest: long,
      signature: signed.signature,
      digestAlgorithm: other.publicKey.digest,
      entry: log.logged(signed),
    };
    expect(check(its, long, other)).toBe('accepted');
  });

  it('refuses another file, key and log', () => {
    const other = createHash('sha256').update('other').digest();
    expect(check(bundle, other)).toBe('digest-mismatch');
    expect(check({ ...bundle, digest: other }, other)).toBe('bad-signature');
    expect(check(bundle, digest, newKey())).toBe('bad-signature');
    expect(check(bundle, digest, newKey('P-384'))).toBe('digest-mismatch');
    expect(check(bundle, digest, key, new TinyLog())).toBe('bad-checkpoint');
    expect(check(bundle, digest, key, new TinyLog('other.example'))).toBe('bad-checkpoint');
  });

  it("refuses an entry about somebody else's signature, even a valid one", () => {
    const mallory = newKey();
    const other = { digest, signature: mallory.sign(digest), publicKey: mallory.publicKey };
    expect(check({ ...bundle, entry: log.logged(other) })).toBe('entry-mismatch');
    expect(check(withEntry({ kind: 'dsse' }))).toBe('entry-mismatch');
    expect(check(withEntry({ version: '0.0.1' }))).toBe('entry-mismatch');
  });

  it('refuses a proof that is changed anywhere', () => {
    const { entry } = bundle;
    expect(check(withEntry({ index: entry.index + 1 }))).toBe('bad-proof');
    expect(check(withEntry({ index: entry.treeSize }))).toBe('bad-proof');
    expect(check(withEntry({ hashes: entry.hashes.slice(1) }))).toBe('bad-proof');
    expect(check(withEntry({ hashes: [...entry.hashes, entry.root] }))).toBe('bad-proof');
    for (const at of entry.hashes.keys()) {
      expect(check(withEntry({ hashes: entry.hashes.map((hash, i) => (i === at ? entry.root : hash)) }))).toBe(
        'bad-proof',
      );
    }
    expect(check(withEntry({ treeSize: 9 }))).toBe('bad-checkpoint');
    expect(check(withEntry({ root: new Uint8Array(32) }))).toBe('bad-checkpoint');
  });

  it('refuses a checkpoint that is changed, or names another origin', () => {
    const { checkpoint, treeSize: size, root } = bundle.entry;
    expect(check(withEntry({ checkpoint: checkpoint.replace('\n8\n', '\n9\n') }))).toBe('bad-checkpoint');
    expect(check(withEntry({ checkpoint: checkpoint.slice(0, -1) }))).toBe('bad-checkpoint');
    expect(check(withEntry({ checkpoint: '' }))).toBe('bad-checkpoint');
    const foreign = log.signed(formatCheckpoint({ origin: 'other.example', size, root, extensions: [] }));
    expect(check(withEntry({ checkpoint: foreign }))).toBe('bad-checkpoint');
  });

  it('names signatures that it did not check', () => {
    const checkpoint = `${bundle.entry.checkpoint}— witness.example/w AAAAAAAAAAAA\n`;
    const verified = verifyBundle(withEntry({ checkpoint }), digest, key.publicKey, log.key);
    expect(verified.unverified).toEqual(['witness.example/w']);
  });
});

describe('a bundle', () => {
  it('is read again as it was written, and by @sigstore/bundle', () => {
    expect(parseBundle(formatBundle(bundle))).toEqual(bundle);
    expect(bundleFromJSON(json()).verificationMaterial.tlogEntries[0]?.logIndex).toBe('3');
  });

  const set = (path: string, value: unknown) => {
    const root = json();
    const names = path.split('.');
    const last = names.pop()!;
    const at = names.reduce((inner, name) => inner[name], root);
    at[last] = value;
    return root;
  };
  const ENTRY = 'verificationMaterial.tlogEntries.0';

  it.each([
    ['nothing', ''],
    ['no object', '[]'],
    ['broken JSON', '{'],
    ['an open string', '{"a": "b'],
    ['a field twice', `{"mediaType": "a",${' '.repeat(100)}"media\\u0054ype"${' '.repeat(100)}: "b"}`],
    ['deep nesting', '['.repeat(1000)],
    ['a field that is unknown', { ...json(), more: 1 }],
    ['two names of one field', { ...json(), media_type: 'x' }],
    ['no material', set('verificationMaterial', null)],
    ['no entry', set('verificationMaterial.tlogEntries', [])],
    ['two entries', set('verificationMaterial.tlogEntries', [1, 2])],
    ['an index below zero', set(`${ENTRY}.logIndex`, '-1')],
    ['an index in hex', set(`${ENTRY}.logIndex`, '0x3')],
    ['an index past 2^53', set(`${ENTRY}.logIndex`, '9007199254740992')],
    ['two different indexes', set(`${ENTRY}.inclusionProof.logIndex`, '4')],
    ['an inclusion promise', set(`${ENTRY}.inclusionPromise`, { signedEntryTimestamp: 'AA==' })],
    ['no proof', set(`${ENTRY}.inclusionProof`, null)],
    ['a short hash', set(`${ENTRY}.inclusionProof.hashes`, ['AA=='])],
    ['a proof with too many hashes', set(`${ENTRY}.inclusionProof.hashes`, Array(64).fill('AA=='))],
    ['unpadded base64', set('messageSignature.signature', 'AAA')],
    ['an empty signature', set('messageSignature.signature', '')],
    ['no message signature', set('messageSignature', undefined)],
    ['a number as text', set('mediaType', 3)],
  ])('with %s is refused', (_, value) => {
    expect(code(() => parseBundle(bytes(value)))).toBe('malformed');
  });

  it('of a kind that is not checked yet is called that', () => {
    expect(
      code(() => parseBundle(bytes(set('mediaType', 'application/vnd.dev.sigstore.bundle+json;version=0.2')))),
    ).toBe('unsupported');
    expect(code(() => parseBundle(bytes({ ...json(), dsseEnvelope: {} })))).toBe('unsupported');
    expect(code(() => parseBundle(bytes(set('verificationMaterial.certificate', { rawBytes: 'AA==' }))))).toBe(
      'unsupported',
    );
  });

  it('that is too long or not UTF-8 is refused, and a long run of escapes costs no time', () => {
    expect(code(() => parseBundle(new Uint8Array(2 * 1024 * 1024)))).toBe('malformed');
    expect(code(() => parseBundle(new Uint8Array([0x22, 0xff, 0x22])))).toBe('malformed');
    expect(code(() => parseBundle(bytes('\\"'.repeat(400_000))))).toBe('malformed');
  });

  it('never verifies with a byte changed, and never throws anything but a ClientError', () => {
    const whole = formatBundle(bundle);
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), (at, by) => {
        const changed = whole.slice();
        changed[at]! ^= by;
        let parsed: Bundle;
        try {
          parsed = parseBundle(changed);
        } catch (error) {
          expect(error).toBeInstanceOf(ClientError);
          return;
        }
        // Only what is evidence counts: hint, log ID and time are not, and white space is none of the bundle.
        const { hint: _, entry, ...rest } = parsed;
        const { hint: __, entry: own, ...mine } = bundle;
        const same = { ...entry, logId: own.logId, integratedTime: own.integratedTime };
        const outcome = check(parsed);
        if (outcome === 'accepted') expect({ ...rest, entry: same }).toEqual({ ...mine, entry: own });
      }),
      { numRuns: 300 },
    );
  });
});

describe('parseLogKey', () => {
  it('takes a verifier key, and refuses what is none with its own code', () => {
    expect(parseLogKey(` ${log.vkey}\n`).name).toBe('localhost');
    for (const wrong of ['', 'localhost', `${log.vkey}A`, log.vkey.replace('localhost', 'other')]) {
      expect(code(() => parseLogKey(wrong))).toBe('log-key');
    }
  });
});

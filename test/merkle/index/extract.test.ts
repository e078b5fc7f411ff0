import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { extractKeys } from '../../../merkle/index/extract.ts';
import {
  EXTRACTOR,
  type IndexKey,
  isKeyKind,
  issuerIdentity,
  KEY_KINDS,
  type KeyKind,
  keyHash,
  MAX_KEY_VALUE,
} from '../../../merkle/index/keys.ts';
import { fastSha256 } from '../../../merkle/runtime/crypto/hash.ts';
import { fulcioCertificate, githubRun, hashedRekord, keyFingerprint, madeUpKey } from '../../support/fulcio.ts';

const GOOGLE = 'https://accounts.google.com';
const DIGEST = createHash('sha256').update('artifact').digest('hex');

const valuesOf = (keys: readonly IndexKey[], kind: KeyKind) =>
  keys.filter((key) => key.kind === kind).map(({ value }) => value);
const json = (value: unknown) => Buffer.from(JSON.stringify(value));

describe('the keys of an entry', () => {
  it('are its digest, key and kind', () => {
    const key = madeUpKey('release');
    expect(extractKeys(hashedRekord({ key }))).toEqual([
      { kind: 'kind', value: 'hashedrekord' },
      { kind: 'digest', value: `sha256:${DIGEST}` },
      { kind: 'key', value: keyFingerprint(key) },
    ]);
  });

  it('are the names, the issuer and the extensions of its certificate', () => {
    const options = githubRun('acme/app', 'release.yml', 'refs/heads/main');
    const keys = extractKeys(hashedRekord({ certificate: fulcioCertificate(options) }));
    const [name] = options.names!;
    expect(valuesOf(keys, 'key')).toEqual([keyFingerprint(madeUpKey(options.seed!))]);
    expect(valuesOf(keys, 'identity')).toEqual([name]);
    expect(valuesOf(keys, 'issuer')).toEqual([options.issuer]);
    expect(valuesOf(keys, 'issuer-identity')).toEqual([`${options.issuer!.length}:${options.issuer}${name}`]);
    expect(valuesOf(keys, 'extension')).toEqual(
      Object.entries(options.extensions!).map(([number, text]) => `1.3.6.1.4.1.57264.1.${number}=${text}`),
    );
    expect(valuesOf(keys, 'kind')).toEqual(['hashedrekord']);
  });

  it('are every name of a certificate, of each type', () => {
    const names = [
      'a@acme.com',
      'https://acme.com/x',
      'dns:acme.com',
      'ip:192.0.2.1',
      'user:ann!acme',
      'upn:a@acme.net',
    ];
    const keys = extractKeys(hashedRekord({ certificate: fulcioCertificate({ names, issuer: GOOGLE }) }));
    const shown = ['a@acme.com', 'https://acme.com/x', 'acme.com', '192.0.2.1', 'ann!acme', 'a@acme.net'];
    expect(valuesOf(keys, 'identity')).toEqual(shown);
    expect(valuesOf(keys, 'issuer-identity')).toEqual(shown.map((name) => issuerIdentity(GOOGLE, name)));
    expect(valuesOf(keys, 'kind')).toEqual(['hashedrekord']);
  });

  it.each<[string, Uint8Array, string[]]>([
    ['no bytes', new Uint8Array(), ['opaque']],
    ['text', Buffer.from('hello'), ['opaque']],
    ['an array', Buffer.from('[]'), ['opaque']],
    ['an empty object', Buffer.from('{}'), ['unreadable']],
    ['half an object', Buffer.from(' \n{'), ['unreadable']],
    ['an object after a byte order mark', Buffer.from('\ufeff{"kind":"x"}'), ['unreadable']],
    ['a kind that nobody knows', json({ kind: 'x', apiVersion: '1', spec: {} }), ['x', 'unreadable']],
    ['a kind named opaque', json({ kind: 'opaque' }), ['opaque', 'unreadable']],
    ['a kind that is half a character', Buffer.from('{"kind":"\\ud800"}'), ['unreadable']],
    ['an entry that no log can have', Buffer.alloc(65_536, '{'), ['unreadable']],
  ])('is a kind alone for %s', (_, body, kinds) => {
    expect(extractKeys(body)).toEqual(kinds.map((value) => ({ kind: 'kind', value })));
  });
});

describe('the hash of a key', () => {
  it('binds kind and value with their lengths', () => {
    const data = Buffer.concat([Buffer.from('\x04\x04kind\x00\x00\x00\x06opaque', 'latin1')]);
    expect(Buffer.from(keyHash({ kind: 'kind', value: 'opaque' }))).toEqual(createHash('sha256').update(data).digest());
  });

  it('counts bytes of UTF-8', () => {
    expect(issuerIdentity('é€𝄞', 'x')).toBe('9:é€𝄞x');
  });
});

describe('the kinds of keys', () => {
  it('are a closed list', () => {
    expect(KEY_KINDS.filter(isKeyKind)).toHaveLength(7);
    expect(['', 'Digest', 'toString', 'digests'].filter(isKeyKind)).toEqual([]);
    expect(EXTRACTOR).toBe('v1');
    expect(MAX_KEY_VALUE).toBe(2 * 65_536);
  });
});

describe('an entry made for many keys', () => {
  const bytesOf = (keys: readonly IndexKey[]) => keys.reduce((sum, { value }) => sum + Buffer.byteLength(value), 0);
  const times = (count: number, make: (i: number) => Buffer) =>
    Buffer.concat(Array.from({ length: count }, (_, i) => make(i)));
  const inBase64 = (bytes: Buffer) => Buffer.from(`{"a":"${bytes.toString('base64').slice(0, 65_000)}"}`);
  const name = (i: number) => Buffer.from([0x86, 2, 0x21 + (i % 90), 0x21 + (Math.floor(i / 90) % 90)]);

  it.each<[string, Uint8Array]>([
    [
      'overlapping lists of names',
      inBase64(
        times(200, (i) =>
          Buffer.concat([Buffer.from('0603551d11048203f8308203f4', 'hex'), times(60, (j) => name(i * 60 + j))]),
        ),
      ),
    ],
    [
      'dense lists of names',
      inBase64(times(3000, (i) => Buffer.concat([Buffer.from('0603551d1104820100308200fc', 'hex'), name(i)]))),
    ],
    [
      'extensions that overlap',
      inBase64(times(2500, (i) => Buffer.concat([Buffer.from('060a2b0601040183bf300109048203e0', 'hex'), name(i)]))),
    ],
    [
      'issuers that overlap',
      inBase64(times(2500, (i) => Buffer.concat([Buffer.from('060a2b0601040183bf300101048203e0', 'hex'), name(i)]))),
    ],
    ['keys in keys', inBase64(times(3000, () => Buffer.from('30820ff03002060003820fe800', 'hex')))],
    [
      'a certificate of many names',
      hashedRekord({ certificate: fulcioCertificate({ names: Array.from({ length: 4000 }, (_, i) => `raw:${i}`) }) }),
    ],
  ])('has a bounded number of them: %s', (_, body) => {
    expect(body.length).toBeLessThanOrEqual(65_535);
    const keys = extractKeys(body, fastSha256);
    expect(keys.length).toBeGreaterThan(1);
    expect(keys.length).toBeLessThan(50_000);
    expect(bytesOf(keys)).toBeLessThan(16 * 1024 * 1024);
  });
});

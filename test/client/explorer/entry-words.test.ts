/** Entries in words: of each kind, forged, unreadable, and of any bytes. */
import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { entryWords, indentJson } from '../../../client/explorer/model/entry-words.ts';
import { parseTrustedRoot } from '../../../client/trust/trusted-root.ts';
import { formatPem } from '../../../merkle/pem.ts';
import { formatHashedRekord } from '../../../merkle/rekor/hashedrekord.ts';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import { fulcioCertificate, githubRun, hashedRekord } from '../../support/fulcio.ts';
import { certificateOf } from './certificates.ts';

const primitives = nodePrimitives();
const words = (body: Uint8Array, options: Parameters<typeof entryWords>[1] = {}) =>
  entryWords(body, options, primitives);
const json = (value: unknown) => Buffer.from(JSON.stringify(value));
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
const FILE = Buffer.from('an artifact');
const digest = createHash('sha256').update(FILE).digest();
const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const spki = publicKey.export({ format: 'der', type: 'spki' });
const signature = sign('sha256', FILE, privateKey);
const states = (body: Uint8Array, options: Parameters<typeof entryWords>[1] = {}) =>
  words(body, options).signatures.map(({ claims }) => claims.map(({ state }) => state));

const rekord = {
  digestAlgorithm: 'SHA2_256',
  digest,
  signature,
  keyDetails: 'PKIX_ECDSA_P256_SHA_256',
  verifier: { publicKey: spki },
};

describe('a hashedrekord 0.0.2', () => {
  it('is about a file, and its signature is verified', () => {
    const { state, kind, version, digests, signatures, problem } = words(formatHashedRekord(rekord));
    expect({ state, kind, version, problem }).toEqual({ state: 'read', kind: 'hashedrekord', version: '0.0.2' });
    expect(digests).toEqual([{ of: 'file', algorithm: 'sha256', hex: digest.toString('hex') }]);
    expect(signatures).toMatchObject([
      {
        by: 'key',
        keyName: 'ECDSA P-256',
        keyDetails: 'PKIX_ECDSA_P256_SHA_256',
        keyDigest: createHash('sha256').update(spki).digest('hex'),
        claims: [{ state: 'checked' }],
      },
    ]);
  });

  it.each([
    ['another digest', { ...rekord, digest: createHash('sha256').update('another').digest() }],
    [
      'another key',
      {
        ...rekord,
        verifier: {
          publicKey: generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({
            format: 'der',
            type: 'spki',
          }),
        },
      },
    ],
    ['a changed signature', { ...rekord, signature: sign('sha256', Buffer.from('x'), privateKey) }],
    ['a key of another kind than it says', { ...rekord, keyDetails: 'PKIX_ECDSA_P384_SHA_384' }],
    ['a point that is on no curve', { ...rekord, verifier: { publicKey: spki.with(90, spki[90]! ^ 1) } }],
  ])('with %s is red', (_what, entry) => expect(states(formatHashedRekord(entry))).toEqual([['failed']]));

  it('in another spelling is red: another reader may read another signature', () => {
    const body = Buffer.from(Buffer.from(formatHashedRekord(rekord)).toString().replace('{', '{ '));
    expect(states(body)).toEqual([['failed']]);
  });

  it('with a kind of signature that is not known is not checked', () =>
    expect(states(formatHashedRekord({ ...rekord, keyDetails: 'ML_DSA_65' }))).toEqual([['not-checked']]));

  it('says who a certificate names, and that nobody vouches for it here', () => {
    const run = githubRun('example/app', 'release.yml', 'refs/tags/v1');
    const { signatures } = words(hashedRekord({ certificate: fulcioCertificate(run) }));
    const { certificate, claims } = signatures[0]!;
    expect(certificate).toMatchObject({
      names: [{ kind: 'URI', value: run.names![0] }],
      issuer: run.issuer,
      authority: 'CN=sigstore-intermediate,O=sigstore.dev',
      notBefore: Date.parse('2026-08-01T12:00:00Z'),
      usages: ['code signing'],
      problems: [],
    });
    expect(certificate!.extensions).toContainEqual({
      oid: '1.3.6.1.4.1.57264.1.12',
      name: 'sourceRepositoryURI',
      value: 'https://github.com/example/app',
    });
    const trust = claims.find(({ what }) => what.startsWith('An authority'));
    expect(trust).toMatchObject({ state: 'not-checked', why: expect.stringContaining('no trusted root') });
  });

  it('with a certificate of an authority of the trusted root', () => {
    const { leaf, trustedRoot, notBefore, key } = certificateOf('release@example.com');
    const body = formatHashedRekord({
      ...rekord,
      signature: sign('sha256', FILE, key),
      verifier: { certificate: leaf },
    });
    const trust = { trustedRoot: parseTrustedRoot(trustedRoot) };
    expect(states(body, trust)).toEqual([['checked', 'checked', 'checked', 'not-checked']]);
    expect(states(body, { ...trust, seenBy: notBefore + 60_000 })).toEqual([
      ['checked', 'checked', 'checked', 'checked'],
    ]);
    expect(states(body, { ...trust, seenBy: notBefore + 86_400_000 })[0]!.at(-1)).toBe('not-checked');
    expect(states(body, { ...trust, seenBy: notBefore - 86_400_000 })[0]!.at(-1)).toBe('failed');
    const other = { trustedRoot: parseTrustedRoot(certificateOf('x@example.com').trustedRoot) };
    expect(states(body, other)).toEqual([['checked', 'failed', 'not-checked', 'not-checked']]);
    const without = certificateOf('release@example.com', { sct: false });
    const bare = formatHashedRekord({
      ...rekord,
      signature: sign('sha256', FILE, without.key),
      verifier: { certificate: without.leaf },
    });
    expect(states(bare, { trustedRoot: parseTrustedRoot(without.trustedRoot) })[0]!.slice(1, 3)).toEqual([
      'checked',
      'failed',
    ]);
  });
});

describe('other kinds', () => {
  const pem = base64(Buffer.from(formatPem('PUBLIC KEY', spki)));
  const hash = { algorithm: 'sha256', value: digest.toString('hex') };
  const v1 = (content: Uint8Array) =>
    json({
      apiVersion: '0.0.1',
      kind: 'hashedrekord',
      spec: { data: { hash }, signature: { content: base64(content), publicKey: { content: pem } } },
    });

  it('a hashedrekord 0.0.1 is verified', () => {
    expect(states(v1(signature))).toEqual([['checked']]);
    expect(states(v1(sign('sha256', Buffer.from('x'), privateKey)))).toEqual([['failed']]);
  });

  it.each([
    [
      'dsse 0.0.2',
      {
        apiVersion: '0.0.2',
        kind: 'dsse',
        spec: {
          dsseV002: {
            payloadHash: { algorithm: 'SHA2_256', digest: base64(digest) },
            signatures: [
              {
                content: 'AAAA',
                verifier: { keyDetails: 'PKIX_ECDSA_P256_SHA_256', publicKey: { rawBytes: base64(spki) } },
              },
            ],
          },
        },
      },
    ],
    [
      'dsse 0.0.1',
      {
        apiVersion: '0.0.1',
        kind: 'dsse',
        spec: { envelopeHash: hash, payloadHash: hash, signatures: [{ signature: 'AAAA', verifier: pem }] },
      },
    ],
    [
      'intoto 0.0.1',
      { apiVersion: '0.0.1', kind: 'intoto', spec: { content: { hash, payloadHash: hash }, publicKey: pem } },
    ],
    [
      'intoto 0.0.2',
      {
        apiVersion: '0.0.2',
        kind: 'intoto',
        spec: {
          content: {
            hash,
            payloadHash: hash,
            envelope: { payloadType: 'x', signatures: [{ sig: 'AAAA', publicKey: pem }] },
          },
        },
      },
    ],
  ])('%s is about a payload, which the log does not hold', (_kind, entry) => {
    const { state, digests, signatures } = words(json(entry));
    expect(state).toBe('read');
    expect(digests).toEqual([{ of: 'payload', algorithm: 'sha256', hex: hash.value }]);
    expect(signatures).toMatchObject([{ by: 'key', keyName: 'ECDSA P-256', claims: [{ state: 'not-checked' }] }]);
  });

  it('a rekord with a key of OpenPGP is read in part', () => {
    const entry = {
      apiVersion: '0.0.1',
      kind: 'rekord',
      spec: {
        data: { hash },
        signature: { content: 'AAAA', format: 'pgp', publicKey: { content: base64(Buffer.from('no PEM')) } },
      },
    };
    expect(words(json(entry))).toMatchObject({
      state: 'partly',
      digests: [{ of: 'file' }],
      signatures: [{ claims: [{ state: 'not-checked' }] }],
    });
  });

  it.each([
    ['another kind', { apiVersion: '0.0.1', kind: 'alpine', spec: {} }, 'partly'],
    ['a name of an object', { apiVersion: '0.0.1', kind: 'constructor', spec: {} }, 'partly'],
    ['no spec', { apiVersion: '0.0.2', kind: 'hashedrekord' }, 'partly'],
    [
      'a digest of another length',
      { apiVersion: '0.0.1', kind: 'hashedrekord', spec: { data: { hash: { algorithm: 'sha256', value: 'aa' } } } },
      'partly',
    ],
    ['no kind', { a: 1 }, 'opaque'],
    ['a list', [1], 'opaque'],
  ])('%s is said to be what it is', (_what, entry, state) => {
    const found = words(json(entry));
    expect(found.state).toBe(state);
    expect(found.problem).toBeTruthy();
    expect(found.text).toBeTruthy();
  });

  it('a certificate that cannot be read is red, and the rest stays', () => {
    const found = words(hashedRekord({ certificate: Buffer.from('no certificate') }));
    expect(found.state).toBe('partly');
    expect(found.digests).toHaveLength(1);
    expect(found.signatures[0]!.claims.map(({ state }) => state)).toEqual(['not-checked', 'failed']);
  });

  it('a thousand signatures are not all read', () => {
    const one = { signature: 'AAAA', verifier: pem };
    const entry = json({
      apiVersion: '0.0.1',
      kind: 'dsse',
      spec: { payloadHash: hash, signatures: Array(200).fill(one) },
    });
    const { signatures, problem } = words(entry);
    expect(signatures).toHaveLength(64);
    expect(problem).toContain('more than 64');
  });

  it('bytes of any kind are taken', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(words(bytes).state).toBe('opaque');
      }),
    );
    const parts = fc.constantFrom(
      '{',
      '}',
      '"spec"',
      ':',
      '"kind"',
      '"dsse"',
      '"apiVersion"',
      '"0.0.1"',
      ',',
      '[',
      ']',
      '1',
    );
    fc.assert(
      fc.property(fc.array(parts), (list) => {
        words(Buffer.from(list.join('')));
      }),
    );
    const spec = fc.jsonValue({ maxDepth: 4 });
    const kinds = fc.constantFrom('hashedrekord', 'dsse', 'intoto', 'rekord');
    fc.assert(
      fc.property(spec, kinds, fc.constantFrom('0.0.1', '0.0.2'), (value, kind, apiVersion) => {
        expect(words(json({ apiVersion, kind, spec: value })).state).toBe('partly');
      }),
    );
    expect(words(Buffer.from('{"a":'.repeat(10_000))).state).toBe('opaque');
  });
});

describe('JSON in lines', () => {
  it('keeps each token as it is', () => {
    expect(indentJson('{"a":[1,{"b":1.00000000000000000001}],"c":{},"d":[],"e":"x, {y}\\"z"}')).toBe(
      '{\n  "a": [\n    1,\n    {\n      "b": 1.00000000000000000001\n    }\n  ],\n  "c": {},\n  "d": [],\n  "e": "x, {y}\\"z"\n}',
    );
    const same = (value: unknown) => {
      const text = JSON.stringify(value);
      expect(JSON.parse(indentJson(text))).toEqual(JSON.parse(text));
    };
    fc.assert(fc.property(fc.jsonValue(), same));
  });

  it('stays short, however deep', () => {
    const deep = `${'[['.repeat(15)}${'1,'.repeat(20_000)}1${']]'.repeat(15)}`;
    expect(indentJson(deep).length).toBeLessThan(1_000_000);
  });
});

/**
 * What go-spiffe, the library of the SPIFFE project, makes of thousands of IDs, trust bundles and SVIDs. Where the two differ, ours
 * refuses, or a row here says why it does not. The file is long because it is tables of cases, which one call of the judge answers.
 */
import { spawnSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { afterAll, describe, expect, it } from 'vitest';
import { encodeBase64 } from '../../merkle/bytes.ts';
import { MerkleError } from '../../merkle/errors.ts';
import { nodePrimitives } from '../../merkle/runtime/crypto/node-primitives.ts';
import { parseWorkloadSocket } from '../../merkle/runtime/identity/spiffe/workload-socket.ts';
import { RuntimeError } from '../../merkle/runtime/runtime-errors.ts';
import { parseSpiffeId, parseTrustDomain } from '../../merkle/spiffe/spiffe-id.ts';
import { parseJwtBundle, parseTrustBundle } from '../../merkle/spiffe/trust-bundle.ts';
import { checkX509Svid } from '../../merkle/spiffe/x509-svid.ts';
import type { Certificate } from '../../merkle/x509/certificate.ts';
import { CLIENT_AUTH, domainCa, issueSvid, jwtKey, SERVER_AUTH, uriName, x509Key } from '../merkle/spiffe/make-svid.ts';
import { generalName, nameConstraints } from '../merkle/x509/constraint-cases.ts';
import { type Authority, issueCa, SIGNING, type Wish } from '../merkle/x509/make.ts';
import { skips } from '../support/skip.ts';
import { buildJudge } from './go-judge.ts';

const built = buildJudge('spiffe-client');
const program = typeof built === 'string' ? '' : built.program;

interface Answer {
  readonly error?: string;
  readonly domain?: string;
  readonly path?: string;
  readonly x509: number;
  readonly jwt: number;
}

/** What go-spiffe makes of each question. */
function ask(questions: readonly object[]): Answer[] {
  const input = questions.map((question) => JSON.stringify(question)).join('\n');
  const { status, stdout, stderr } = spawnSync(program, ['judge'], { input, encoding: 'utf8', maxBuffer: 2 ** 28 });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  const answers = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Answer);
  expect(answers).toHaveLength(questions.length);
  return answers;
}

/** The result of `work`; undefined where it refuses on purpose. */
function taken<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    expect(error instanceof MerkleError || error instanceof RuntimeError, String(error)).toBe(true);
    return undefined;
  }
}

const base64 = (text: string) => Buffer.from(text).toString('base64');

/** A bundle, and the reason where ours takes it and go-spiffe does not. */
type Row = readonly [name: string, text: string, why?: string | undefined];

describe.skipIf(skips('go-spiffe', typeof built === 'string' ? built : undefined))('beside go-spiffe', () => {
  afterAll(() => {
    if (typeof built !== 'string') built.remove();
  });

  it('thousands of SPIFFE IDs mean the same', () => {
    const schemes = ['spiffe://', 'SPIFFE://', 'spiffe:/', 'spiffe:', 'https://', '', ' spiffe://', 'spiffe:///'];
    const domains = [
      'example.org',
      'Example.org',
      'a',
      'a_b',
      'a-b.c',
      '10.0.0.1',
      '[::1]',
      'a:1',
      'a@b',
      'a%62',
      '',
      '.',
      '..',
      'a..b',
      '-',
      'ä',
      'a b',
      'a*',
      '*.a',
      'a\\b',
      'a\n',
      'x'.repeat(255),
      'a~b',
      'a!b',
    ];
    const segments = [
      'a',
      'A',
      '.',
      '..',
      '...',
      '',
      'a b',
      '%2e',
      '%2E%2E',
      '*',
      '**',
      'ä',
      'a.b',
      'a_b',
      '-',
      '?x',
      '#x',
      'a:b',
      '~',
      '$',
      'a\\b',
      '\n',
      '\0',
      ';',
      '@',
      '0',
    ];
    const paths = [
      '',
      '/',
      ...segments.map((one) => `/${one}`),
      ...segments.flatMap((one) => segments.map((two) => `/${one}/${two}`)),
      '//',
      'a',
    ];
    const texts = [
      ...schemes.flatMap((scheme) => domains.flatMap((domain) => segments.map((path) => `${scheme}${domain}/${path}`))),
      ...schemes.slice(0, 2).flatMap((scheme) => paths.map((path) => `${scheme}example.org${path}`)),
      ...domains.map((domain) => `spiffe://${domain}`),
    ];
    expect(texts.length).toBeGreaterThan(6000);
    const answers = ask(texts.map((text) => ({ kind: 'id', text })));
    const differing = texts.filter((text, at) => {
      const ours = taken(() => parseSpiffeId(text));
      const { error, domain, path } = answers[at]!;
      return error === undefined ? ours?.trustDomain !== domain || ours?.path !== (path ?? '') : ours !== undefined;
    });
    expect(differing).toEqual([]);
    expect(answers.filter(({ error }) => error === undefined).length).toBeGreaterThan(100);
  });

  it('SPIFFE IDs beyond the lengths of the standard are taken by go-spiffe alone', () => {
    const long = [`spiffe://${'a'.repeat(256)}/b`, `spiffe://a/${'b'.repeat(2038)}`];
    for (const [at, { error }] of ask(long.map((text) => ({ kind: 'id', text }))).entries()) {
      expect(error).toBeUndefined();
      expect(taken(() => parseSpiffeId(long[at]!))).toBeUndefined();
    }
  });

  it('names of trust domains mean the same', () => {
    const texts = [
      'a',
      'A',
      '',
      'a.b',
      'spiffe://a',
      'spiffe://a/',
      'spiffe://a/b',
      'spiffe://',
      'a/b',
      'a:1',
      '/a',
      'a\n',
      'ä',
      '*',
      '..',
      'spiffe:a',
      'https://a',
      'x'.repeat(255),
    ];
    const answers = ask(texts.map((text) => ({ kind: 'domain', text })));
    const verdicts = texts.map((text, at) => [
      text,
      taken(() => parseTrustDomain(text)),
      answers[at]!.error === undefined ? answers[at]!.domain : undefined,
    ]);
    // go-spiffe takes the ID of any workload for its trust domain.
    expect(verdicts.filter(([, ours, theirs]) => ours !== theirs)).toEqual([['spiffe://a/b', undefined, 'a']]);
  });

  it('addresses of a Workload API mean the same, but for bare paths', () => {
    const texts = [
      'unix:///run/a.sock',
      'unix:/run/a.sock',
      'unix://run/a.sock',
      'unix:a.sock',
      'unix:',
      'unix:///',
      '/run/a.sock',
      'a.sock',
      './a',
      'tcp://127.0.0.1:80',
      'tcp://[::1]:80',
      'tcp://127.0.0.1',
      'tcp://localhost:80',
      'tcp://127.0.0.1:80/',
      'tcp://127.0.0.1:80/a',
      'tcp:127.0.0.1:80',
      'tcp://me@127.0.0.1:80',
      'tcp://127.0.0.1:80?a',
      'tcp://127.0.0.1:80#a',
      'unix:///a?b',
      'unix:///a#b',
      'unix://me@/a',
      'http://127.0.0.1:80',
      'npipe:a',
      '',
    ];
    const answers = ask(texts.map((text) => ({ kind: 'address', text })));
    const differing = texts.flatMap((text, at) => {
      const ours = taken(() => parseWorkloadSocket(text)) !== undefined;
      return ours === (answers[at]!.error === undefined) ? [] : [`${ours ? 'ours' : 'theirs'}: ${text}`];
    });
    // A bare path is what cosign reads. The standard allows no host, and the root is no path of a socket.
    expect(differing).toEqual(['theirs: unix://run/a.sock', 'theirs: unix:///', 'ours: /run/a.sock']);
  });

  describe('trust bundles', () => {
    const ca = domainCa('example.org');
    const other = domainCa('example.org');
    const ec = (curve: string) => generateKeyPairSync('ec', { namedCurve: curve }).publicKey;
    const p256 = ec('P-256');
    const good = jwtKey(p256, 'a');
    const ed = jwtKey(generateKeyPairSync('ed25519').publicKey, 'e');
    const rsa = (bits: number) => jwtKey(generateKeyPairSync('rsa', { modulusLength: bits }).publicKey, 'r');
    const der = encodeBase64(ca.certificate.der);
    const private_ = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
    const leaf = issueSvid(ca, 'spiffe://example.org/a');

    /** One key each, and the reason where ours takes a bundle with it that go-spiffe refuses. */
    const rows: readonly (readonly [name: string, key: unknown, why?: string])[] = [
      ['an authority', x509Key(ca)],
      ['P-256', good],
      ['P-384', jwtKey(ec('P-384'), 'b')],
      ['P-521', jwtKey(ec('P-521'), 'b')],
      ['Ed25519', ed],
      ['Ed25519 named EdDSA', { ...ed, alg: 'EdDSA' }],
      ['Ed25519 named Ed25519', { ...ed, alg: 'Ed25519' }],
      ['RSA-2048', rsa(2048)],
      ['RSA-3072', rsa(3072)],
      ['RSA-1024', rsa(1024)],
      ['an unknown use', { ...good, use: 'wit-svid' }],
      ['the use of web tokens', { ...good, use: 'sig' }],
      ['no use', { ...good, use: undefined }],
      ['a use in capitals', { ...good, use: 'X509-SVID' }],
      ['a use that is no text', { ...good, use: 7 }, 'section 4.2.2: an unknown use is ignored'],
      [
        'an unknown type',
        { use: 'jwt-svid', kid: 'a', kty: 'AKP', alg: 'ML-DSA-65', pub: 'AA' },
        'section 4.2.1: an unknown key type is ignored',
      ],
      ['no type', { ...good, kty: undefined }, 'section 4.2.1: an unknown key type is ignored'],
      ['secp256k1', jwtKey(ec('secp256k1'), 'b'), 'RFC 7517 section 5: a key of unknown parameters is ignored'],
      [
        'Ed448',
        jwtKey(generateKeyPairSync('ed448').publicKey, 'b'),
        'RFC 7517 section 5: a key of unknown parameters is ignored',
      ],
      [
        'X25519',
        { kty: 'OKP', crv: 'X25519', x: ed.x, use: 'jwt-svid', kid: 'x' },
        'RFC 7517 section 5: a key of unknown parameters is ignored',
      ],
      ['no key ID', { ...good, kid: undefined }, 'no token can name the key'],
      ['an empty key ID', { ...good, kid: '' }, 'no token can name the key'],
      ['no certificate', x509Key(ca, { x5c: undefined }), 'X509-SVID section 6.2: the key is ignored'],
      ['no certificate in the list', x509Key(ca, { x5c: [] }), 'X509-SVID section 6.2: the key is ignored'],
      [
        'two certificates',
        x509Key(ca, { x5c: [der, encodeBase64(other.certificate.der)] }),
        'X509-SVID section 6.2: all but the first are ignored',
      ],
      ['the certificate of another key', x509Key(ca, { x5c: [encodeBase64(other.certificate.der)] })],
      ['a broken certificate', x509Key(ca, { x5c: ['AAAA'] })],
      ['a cut certificate', x509Key(ca, { x5c: [encodeBase64(ca.certificate.der.subarray(0, -1))] })],
      ['a certificate in base64url', x509Key(ca, { x5c: [Buffer.from(ca.certificate.der).toString('base64url')] })],
      ['a certificate with line feeds', x509Key(ca, { x5c: [`${der.slice(0, 64)}\n${der.slice(64)}`] })],
      ['certificates that are no list', x509Key(ca, { x5c: der })],
      ['a leaf as authority', x509Key(leaf)],
      ['a point off its curve', { ...good, x: good.y, y: good.x }],
      ['a short coordinate', { ...good, x: 'AAAA' }],
      ['no coordinate', { ...good, y: undefined }],
      ['padding', { ...ed, x: `${ed.x}=` }],
      ['a private key', { ...private_, use: 'jwt-svid', kid: 'p' }],
      ['a symmetric key', { kty: 'oct', k: 'AAAA', use: 'jwt-svid', kid: 'o' }],
      ['a key that is no object', 'a'],
      ['no object but null', null],
      ['a key ID that is a number', { ...good, kid: 1 }],
    ];
    const sets: readonly Row[] = [
      ...rows.flatMap(([name, key, why]): Row[] => [
        [`${name} alone`, JSON.stringify({ keys: [key] }), why],
        [`${name} behind another`, JSON.stringify({ keys: [x509Key(other), jwtKey(p256, 'z'), key] }), why],
        [
          `${name} before another, with a sequence`,
          JSON.stringify({ spiffe_sequence: 1, spiffe_refresh_hint: 5, keys: [key, x509Key(other)] }),
          why,
        ],
        [`${name} twice`, JSON.stringify({ keys: [key, key] }), why],
        [
          `${name} for the other kind`,
          JSON.stringify({
            keys: [
              typeof key === 'object' && key !== null
                ? { ...key, use: 'use' in key && key.use === 'x509-svid' ? 'jwt-svid' : 'x509-svid' }
                : key,
            ],
          }),
          why ?? 'the key is of no use, and is passed over',
        ],
      ]),
      ['no keys', '{"keys":[]}'],
      ['keys that are null', '{"keys":null}'],
      ['no member', '{}'],
      ['a list', '[]'],
      ['nothing', ''],
      ['a text', '"a"'],
      ['keys that are an object', '{"keys":{}}'],
      ['keys in capitals', '{"KEYS":[]}'],
      ['a member twice', '{"keys":[],"keys":[]}'],
      ['a cut text', '{"keys":['],
      ['bytes behind it', '{"keys":[]} x'],
      ...['0', '1', '-1', '1.5', '"1"', 'null', '18446744073709551615', '18446744073709551616', '1e3', 'true'].flatMap(
        (value): Row[] => [
          [`the sequence ${value}`, `{"keys":[],"spiffe_sequence":${value}}`],
          [`the hint ${value}`, `{"keys":[],"spiffe_refresh_hint":${value}}`],
        ],
      ),
      ['two keys of one ID', JSON.stringify({ keys: [good, jwtKey(ec('P-256'), 'a')] })],
    ];

    it('some hundred are taken by ours where they are taken by go-spiffe, or for a reason', () => {
      expect(sets.length).toBeGreaterThan(200);
      const answers = ask(sets.map(([, text]) => ({ kind: 'bundle', domain: 'example.org', bytes: base64(text) })));
      const looser: string[] = [];
      const other_: string[] = [];
      const stricter = new Set<string>();
      for (const [at, [name, text, why]] of sets.entries()) {
        const ours = taken(() => parseTrustBundle(Buffer.from(text), 'example.org'));
        const { error, x509, jwt } = answers[at]!;
        if (error === undefined && ours === undefined)
          stricter.add(name.replace(/ (?:alone|behind|before|twice|for the other).*/, ''));
        else if (error !== undefined && ours !== undefined && why === undefined) looser.push(`${name}: ${error}`);
        else if (error === undefined && ours !== undefined) {
          const [roots, keys] = [ours.x509Authorities.length, ours.jwtAuthorities.length];
          // A key that ours passes over may count there, never the other way round.
          if (roots > x509 || keys > jwt || (ours.passedOver.length === 0 && (roots !== x509 || keys !== jwt)))
            other_.push(name);
        }
      }
      expect(looser).toEqual([]);
      expect(other_).toEqual([]);
      // Malformed by the standards, or secret; of two keys with one ID, go-spiffe takes the last.
      expect([...stricter].sort()).toMatchInlineSnapshot(`
        [
          "a certificate with line feeds",
          "a leaf as authority",
          "a member",
          "a private key",
          "a symmetric key",
          "keys in capitals",
          "the hint -1",
          "the hint null",
          "the sequence null",
          "two keys of one ID",
        ]
      `);
    });

    it('of a Workload API have no key of another SVID', () => {
      const jwtSets = rows.map(([name, key]) => [name, JSON.stringify({ keys: [key, jwtKey(p256, 'z')] })] as const);
      const answers = ask(
        jwtSets.map(([, text]) => ({ kind: 'jwt-bundle', domain: 'example.org', bytes: base64(text) })),
      );
      const more = jwtSets.filter(([, text], at) => {
        const ours = taken(() => parseJwtBundle(Buffer.from(text), 'example.org'))?.jwtAuthorities.length ?? 0;
        const { error, jwt } = answers[at]!;
        return error === undefined && ours > jwt;
      });
      expect(more).toEqual([]);
    });
  });

  it('hundreds of SVIDs prove the same, or nothing', () => {
    const AT = Date.parse('2030-01-01T00:00:00Z');
    const ID = 'spiffe://example.org/a/b';
    const [ca, foreign] = [domainCa('example.org'), domainCa('example.org')];
    const old = domainCa('example.org', { to: '2029-01-01T00:00:00Z' });
    const authority = (name: string, more: Wish = {}) => issueCa(name, ca, more);
    const middles: readonly [string, readonly Authority[]][] = [
      ['', []],
      ['intermediate', [authority('m')]],
      ['two intermediates', ((m) => [issueCa('n', m), m])(authority('m'))],
      ['path of 0', [authority('m', { pathLen: 0 })]],
      ['path too short', ((m) => [issueCa('n', m), m])(authority('m', { pathLen: 0 }))],
      ['expired intermediate', [authority('m', { to: '2029-01-01T00:00:00Z' })]],
      ['intermediate without key usage', [authority('m', { keyUsage: undefined })]],
      ['intermediate for other uses', [authority('m', { keyUsage: 0x80 })]],
      ['leaf as intermediate', [issueSvid(ca, 'spiffe://example.org/m')]],
      ['intermediate for signing', [authority('m', { usages: [SIGNING] })]],
      ['permitted', [authority('m', { extensions: [nameConstraints(['uri:example.org'])] })]],
      ['not permitted', [authority('m', { extensions: [nameConstraints(['uri:example.net'])] })]],
      ['permitted below', [authority('m', { extensions: [nameConstraints(['uri:.example.org'])] })]],
      ['permitted above', [authority('m', { extensions: [nameConstraints(['uri:org'])] })]],
      ['excluded', [authority('m', { extensions: [nameConstraints([], ['uri:example.org'])] })]],
      ['other root', [foreign]],
      ['old root', [old]],
    ];
    const dns = generalName('dns:a.example.org');
    const leaves: readonly [string, Wish][] = [
      ['good', {}],
      ['no usages', { usages: undefined }],
      ['client alone', { usages: [CLIENT_AUTH] }],
      ['server alone', { usages: [SERVER_AUTH] }],
      ['signing alone', { usages: [SIGNING] }],
      ['no key usage', { keyUsage: undefined }],
      ['key usage of encipherment', { keyUsage: 0x20 }],
      ['key usage of an authority', { keyUsage: 0x84 }],
      ['key usage of lists', { keyUsage: 0x82 }],
      ['authority', { ca: true, keyUsage: 0x84 }],
      ['authority without key usage', { ca: true, keyUsage: undefined }],
      ['no names', { names: undefined as never }],
      ['DNS alone', { names: [dns] }],
      ['DNS too', { names: [dns, uriName(ID)] }],
      ['two URIs', { names: [uriName(ID), uriName('spiffe://example.org/c')] }],
      ['one URI twice', { names: [uriName(ID), uriName(ID)] }],
      ['another URI too', { names: [uriName(ID), uriName('https://example.org/')] }],
      ...[
        'https://example.org/a',
        'spiffe://example.org',
        'spiffe://example.org/',
        'spiffe://example.org/../a',
        'spiffe://example.org/*',
        'spiffe://Example.org/a',
        'SPIFFE://example.org/a',
        'spiffe://example.org/a%62',
        'spiffe://example.org:1/a',
        'spiffe://me@example.org/a',
        'spiffe://example.org/a?b',
        'spiffe://example.org/a#b',
        'spiffe:example.org',
        '',
        'spiffe://sub.example.org/a',
      ].map((uri): [string, Wish] => [uri, { names: [uriName(uri)] }]),
      ['expired', { to: '2029-12-31T23:59:59Z' }],
      ['to the second', { to: '2030-01-01T00:00:00Z' }],
      ['of later', { from: '2030-01-01T00:00:01Z' }],
      ['from the second', { from: '2030-01-01T00:00:00Z' }],
      ['no subject', { name: '' }],
      ['unknown critical extension', { extensions: [{ oid: '1.2.3', critical: true, value: Uint8Array.of(5, 0) }] }],
      ['unknown extension', { extensions: [{ oid: '1.2.3', value: Uint8Array.of(5, 0) }] }],
    ];
    const bundle = JSON.stringify({ keys: [x509Key(ca), x509Key(old)] });
    const bundles = new Map([['example.org', parseTrustBundle(Buffer.from(bundle), 'example.org')]]);
    const cases = middles.flatMap(([over, path]) =>
      leaves.map(([name, wish]) => {
        const svid = issueSvid(path[0] ?? ca, ID, wish);
        return { name: `${name}, ${over}`, chain: [svid, ...path].map(({ certificate }) => certificate) };
      }),
    );
    expect(cases.length).toBeGreaterThan(500);
    const answers = ask(
      cases.map(({ chain }) => ({
        kind: 'svid',
        domain: 'example.org',
        bytes: base64(bundle),
        chain: chain.map(({ der }: Certificate) => encodeBase64(der)),
        at: AT,
      })),
    );
    const looser: string[] = [];
    const stricter = new Set<string>();
    let both = 0;
    for (const [at, { name, chain }] of cases.entries()) {
      const ours = taken(() => checkX509Svid(chain, bundles, AT, nodePrimitives(), 'client'));
      const { error, domain, path } = answers[at]!;
      if (error !== undefined && ours !== undefined) looser.push(`${name}: ${error}`);
      if (error === undefined && ours === undefined)
        stricter.add(name.endsWith(', ') ? name.slice(0, -2) : name.startsWith('good, ') ? name.slice(6) : '');
      if (error === undefined && ours !== undefined) {
        both += 1;
        expect([ours.trustDomain, ours.path]).toEqual([domain, path ?? '']);
      }
    }
    expect(looser).toEqual([]);
    expect(both).toBeGreaterThan(20);
    // go-spiffe looks at no usage of keys, and takes subdomains for the domain in a constraint. The rest the standards forbid.
    expect([...stricter].filter((name) => name !== '').sort()).toMatchInlineSnapshot(`
      [
        "SPIFFE://example.org/a",
        "intermediate for signing",
        "key usage of encipherment",
        "no key usage",
        "permitted above",
        "server alone",
        "signing alone",
        "spiffe://example.org",
      ]
    `);
  });
});

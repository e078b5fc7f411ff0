/**
 * Tokens that must be refused: kinds of attack and of mistake, 20 variants or more of each, with the codes that each kind may end with.
 * The tokens are made with the keys of a real issuer and of a real trust domain, so that a verifier which left out the one check
 * would take them. The file is long because it is one table, which three services are tried with.
 */
import { createSign } from 'node:crypto';
import { MAX_TOKEN } from '../../../../../merkle/runtime/identity/tokens/compact-token.ts';
import {
  type IssuerKey,
  macToken,
  newIssuerKey,
  signingInput,
  signToken,
  type TestIssuer,
} from '../../../../support/issuer.ts';
import { AUDIENCE } from './opened.ts';

/** Issuer and trust domain that the verifier knows, and keys that it does not. */
export interface Known {
  /** Publishes a key of RSA, one of P-256 and one of Ed25519. */
  readonly issuer: TestIssuer;
  /** Of the trust domain ci.example.com. */
  readonly svidKey: IssuerKey;
  /** Of the trust domain other.example.com, which the verifier knows too. */
  readonly otherSvidKey: IssuerKey;
  /** Milliseconds since 1970. */
  readonly now: number;
}

export interface BadKind {
  readonly kind: string;
  readonly codes: readonly string[];
  readonly tokens: readonly string[];
}

type Json = Readonly<Record<string, unknown>>;

const b64 = (text: string | Uint8Array) => Buffer.from(text).toString('base64url');

export function badTokens({ issuer, svidKey, otherSvidKey, now }: Known): readonly BadKind[] {
  const [rsa, ec, ed] = issuer.keys as [IssuerKey, IssuerKey, IssuerKey];
  const seconds = Math.floor(now / 1000);
  const good = {
    iss: issuer.url,
    aud: AUDIENCE,
    sub: 'builder-1',
    iat: seconds,
    exp: seconds + 300,
    marker: 'MARKER-of-claims',
  };
  const headerOf = (key: IssuerKey) => ({ alg: key.algorithm, kid: key.kid, typ: 'JWT' });
  const idToken = (claims: Json, header: Json = {}, key = ec) =>
    signToken(key, { ...headerOf(key), ...header }, { ...good, ...claims });
  const withHeader = (header: Json) => [rsa, ec, ed].map((key) => idToken({}, header, key));
  const raw = (header: string, claims: string, key = ec) => signToken(key, header, claims);
  const svid = (claims: Json, header: Json = {}, key = svidKey) => {
    const { iss: _, ...rest } = good;
    const head = { alg: key.algorithm, kid: key.kid };
    return signToken(key, { ...head, ...header }, { ...rest, sub: 'spiffe://ci.example.com/build', ...claims });
  };
  const parts = idToken({}).split('.') as [string, string, string];
  const [head, body, signature] = parts;
  const bytes = Buffer.from(signature, 'base64url');
  const unsigned = (header: Json, mark = '') => `${signingInput(header, good)}.${mark}`;

  const algorithms = [
    'none',
    'None',
    'NONE',
    'nOnE',
    '',
    ' none',
    'none ',
    'null',
    'HS1',
    'RS1',
    'ES256K',
    'ES256 ',
    'es256',
    'Ed448',
    'X25519',
    'RSA-OAEP',
    'dir',
    'A128KW',
    'ML-DSA-44',
    'ECDH-ES',
    '__proto__',
    'constructor',
    'toString',
  ];
  const oddAlgorithms = [null, 0, true, ['none'], ['ES256'], {}, undefined];
  const secrets = [rsa, ec, ed].flatMap(({ publicKey, jwk, kid }) => [
    publicKey.export({ type: 'spki', format: 'pem' }) as string,
    (publicKey.export({ type: 'spki', format: 'pem' }) as string).trim(),
    publicKey.export({ type: 'spki', format: 'der' }),
    JSON.stringify(jwk),
    JSON.stringify({ keys: [jwk] }),
    String(jwk.n ?? jwk.x),
    Buffer.from(String(jwk.n ?? jwk.x), 'base64url'),
    kid,
    '',
  ]);
  const stranger = newIssuerKey('ES256');
  const strangerRsa = newIssuerKey('RS256');
  const kids = [
    'unknown',
    '../../../../dev/null',
    '/etc/passwd',
    "' OR 1=1 --",
    'https://evil.example.com/key',
    '*',
    '.',
    ' ',
    `${ec.kid} `,
    ec.kid.toUpperCase(),
    `${ec.kid}\u0000`,
    '%00',
    '\u202e',
    'ключ',
    'x'.repeat(1024),
    '__proto__',
  ];
  const oddKids = ['', 0, null, true, [ec.kid], { kid: ec.kid }, 'x'.repeat(1025)];
  const audiences = [
    '',
    ' ',
    'other.example.com',
    'log.example.com ',
    ' log.example.com',
    'LOG.example.com',
    'log.example.com.',
    'log.example.com/',
    'https://log.example.com',
    'log.example.com:443',
    'log.example',
    'og.example.com',
    'evil-log.example.com',
    'log.example.com.evil.org',
    'log.example.com\u0000',
    'lοg.example.com',
    '*',
    'log.example.com,other.example.com',
    'log.example.com other.example.com',
    '["log.example.com"]',
    null,
    undefined,
    0,
    true,
    {},
    [],
    [null],
    [['log.example.com']],
    [{ 0: 'log.example.com' }],
  ];
  const pairs = [AUDIENCE, 'other.example.com', 'sigstore', '', ' ', 'log.example.com ', null, 7, {}, []];
  const issuers = [
    '',
    'https://accounts.example.com',
    `${issuer.url}/`,
    `${issuer.url}/.`,
    `${issuer.url}?`,
    `${issuer.url}#`,
    ` ${issuer.url}`,
    `${issuer.url} `,
    issuer.url.toUpperCase(),
    issuer.url.replace('http:', 'https:'),
    issuer.url.replace('localhost', '127.0.0.1'),
    issuer.url.replace('//', '//a@'),
    `${issuer.url}\u0000`,
    `${issuer.url}.evil.org`,
    'localhost',
    issuer.jwksUrl,
    null,
    undefined,
    0,
    [issuer.url],
    { iss: issuer.url },
    'spiffe://ci.example.com',
  ];
  const domains = [
    'third.example.com',
    'example.com',
    'sub.ci.example.com',
    'ci.example.com.evil.org',
    'evilci.example.com',
    'ci-example.com',
    'ci.example.co',
    'xn--ci.example.com',
    'localhost',
    'a',
    '0',
    'ci.example.com.',
    '.ci.example.com',
    'ci..example.com',
    'ci_example.com',
    'ci.example.org',
    'unknown',
    '-',
    '_',
  ];
  const ids = [
    'spiffe://ci.example.com/../other',
    'spiffe://ci.example.com/a/../../b',
    'spiffe://ci.example.com/a/./b',
    'spiffe://ci.example.com/..',
    'spiffe://ci.example.com/.',
    'spiffe://ci.example.com/a//b',
    'spiffe://ci.example.com//',
    'spiffe://ci.example.com/a/',
    'spiffe://ci.example.com/',
    'spiffe://ci.example.com',
    'spiffe://ci.example.com/%2e%2e/b',
    'spiffe://ci.example.com/a%2fb',
    'spiffe://ci.example.com/*',
    'spiffe://*.example.com/a',
    'spiffe://ci.example.com/a?b',
    'spiffe://ci.example.com/a#b',
    'spiffe://ci.example.com:443/a',
    'spiffe://user@ci.example.com/a',
    'spiffe://CI.example.com/a',
    'spiffe:///a',
    'spiffe://',
    'spiffe://ci.example.com/a b',
    'spiffe://ci.example.com/ä',
    'spiffe://ci.example.com/a\u0000',
    'spiffe://ci.example.com\\a',
    `spiffe://ci.example.com/${'a'.repeat(2048)}`,
  ];
  const past = [0, 1, 2, 10, 29, 30, 31, 59, 60, 61, 119, 120, 300, 301, 3600, 7200, 86_400, 604_800, 31_536_000, 0.5];
  const future = [11, 12, 15, 30, 31, 60, 61, 90, 120, 150, 200, 250, 290, 299, 30.5, 45, 75, 100, 180, 240];
  const oddTimes = [
    null,
    '',
    'now',
    String(seconds + 300),
    true,
    [],
    [seconds + 300],
    {},
    -1,
    -seconds,
    '1e9',
    1e30,
    253_402_300_800,
  ];
  const names = ['crit', 'b64', 'jwk', 'jku', 'x5u', 'x5c', 'enc', 'zip', 'cty', 'epk', 'p2s', 'p2c'];
  const subjects = [
    undefined,
    null,
    '',
    ' ',
    0,
    true,
    [],
    ['builder-1'],
    {},
    'a\u0000b',
    'a\nb',
    '\tx',
    'x ',
    ' x',
    'x\u202ey',
    'x\u200by',
    '\ud800',
    'x'.repeat(2049),
    '\u001b[2Jx',
    '\ufeffx',
    'a\u2028b',
  ];

  return [
    {
      kind: 'no algorithm, or one that no token may have',
      codes: ['token-algorithm', 'token-malformed'],
      tokens: [
        ...algorithms.flatMap((alg) => [
          ...withHeader({ alg }),
          unsigned({ alg, kid: ec.kid }),
          unsigned({ alg }, signature),
        ]),
        ...oddAlgorithms.flatMap((alg) => [...withHeader({ alg }), unsigned({ alg })]),
      ],
    },
    {
      kind: 'a shared secret made of a public key',
      codes: ['token-algorithm'],
      tokens: secrets.flatMap((secret) =>
        ['HS256', 'HS384', 'HS512'].map((alg) => macToken(secret, { alg, kid: ec.kid, typ: 'JWT' }, good)),
      ),
    },
    {
      kind: 'a shared secret in the name of an algorithm that is allowed',
      codes: ['token-signature', 'token-algorithm'],
      tokens: secrets.map((secret, i) => macToken(secret, headerOf([rsa, ec, ed][i % 3]!), good)),
    },
    {
      kind: 'an unknown key',
      codes: ['token-key', 'token-malformed', 'token-signature', 'token-algorithm'],
      tokens: [
        ...[...kids, ...oddKids].map((kid) => idToken({}, { kid })),
        ...[ec.kid, rsa.kid, ed.kid, undefined, 'other'].map((kid) => signToken(stranger, { alg: 'ES256', kid }, good)),
        ...[rsa.kid, undefined, 'other'].map((kid) => signToken(strangerRsa, { alg: 'RS256', kid }, good)),
      ],
    },
    {
      kind: 'a key that the token brings along',
      codes: ['token-malformed'],
      tokens: [stranger, strangerRsa].flatMap((key) =>
        [
          { jwk: key.jwk },
          { jwk: key.jwk, kid: undefined },
          { jku: `${issuer.url}/keys` },
          { jku: 'https://evil.example.com' },
          { x5u: issuer.url },
          { x5c: [] },
          { x5c: ['AAAA'] },
          { x5u: 'file:///etc/passwd' },
          { jwk: null },
          { jku: '' },
          { jwk: key.jwk, kid: ec.kid },
        ].map((header) => signToken(key, { alg: key.algorithm, kid: ec.kid, ...header }, good)),
      ),
    },
    {
      kind: 'the algorithm of another key',
      codes: ['token-algorithm', 'token-signature', 'token-key'],
      tokens: [
        ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'EdDSA', 'Ed25519', 'ES384', 'ES512'].map((alg) =>
          idToken({}, { alg }, ec),
        ),
        ...['RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'EdDSA', 'ES256', 'ES384', 'ES512'].map((alg) =>
          idToken({}, { alg }, rsa),
        ),
        ...['RS256', 'PS256', 'ES256', 'ES384', 'ES512'].map((alg) => idToken({}, { alg }, ed)),
        idToken({}, { kid: rsa.kid }, ec),
        idToken({}, { kid: ed.kid }, rsa),
        idToken({}, { kid: ec.kid }, ed),
      ],
    },
    {
      kind: 'a signature that is not the one',
      codes: ['token-signature', 'token-malformed'],
      tokens: [
        ...Array.from({ length: 64 }, (_, i) => {
          const changed = Buffer.from(bytes);
          changed[i]! ^= 1 << (i % 8);
          return changed;
        }),
        Buffer.alloc(0),
        Buffer.alloc(64),
        Buffer.alloc(64, 0xff),
        Buffer.alloc(1),
        bytes.subarray(0, 63),
        bytes.subarray(1),
        Buffer.concat([bytes, bytes]),
        Buffer.concat([bytes, Buffer.alloc(1)]),
        Buffer.concat([Buffer.alloc(1), bytes]),
        Buffer.concat([bytes.subarray(32), bytes.subarray(0, 32)]),
        createSign('sha256').update(`${head}.${body}`).sign(ec.privateKey),
        createSign('sha512').update(`${head}.${body}`).sign({ key: ec.privateKey, dsaEncoding: 'ieee-p1363' }),
        Buffer.alloc(4096, 1),
      ].map((wrong) => `${head}.${body}.${b64(wrong)}`),
    },
    {
      kind: 'claims or a header that the issuer did not sign',
      codes: ['token-signature', 'token-key', 'token-algorithm', 'token-malformed'],
      tokens: [
        ...[
          { sub: 'admin' },
          { aud: AUDIENCE, more: 1 },
          { exp: seconds + 301 },
          { email: 'a@b.example.com', email_verified: true },
          { iat: seconds - 1 },
          { nbf: seconds },
          {},
          { sub: 'builder-2' },
          { jti: '1' },
          { iss: issuer.url, z: 0 },
        ].map((claims) => `${head}.${b64(JSON.stringify({ ...good, ...claims, x: 1 }))}.${signature}`),
        ...[
          { typ: undefined },
          { more: 1 },
          { kid: undefined },
          { kid: rsa.kid },
          { alg: 'ES384' },
          { typ: 'jwt' },
          { alg: 'RS256' },
          { x: '' },
          { kid: 'x' },
          { typ: 'JWS' },
        ].map((header) => `${b64(JSON.stringify({ ...headerOf(ec), ...header }))}.${body}.${signature}`),
      ],
    },
    {
      kind: 'another audience',
      codes: ['token-audience'],
      tokens: audiences.flatMap((aud) => [idToken({ aud }), svid({ aud })]),
    },
    {
      kind: 'two audiences',
      codes: ['token-audience'],
      tokens: [
        ...pairs.flatMap((other) => [
          idToken({ aud: [AUDIENCE, other] }),
          idToken({ aud: [other, AUDIENCE] }),
          svid({ aud: [AUDIENCE, other] }),
        ]),
        idToken({ aud: [AUDIENCE, AUDIENCE, AUDIENCE] }),
        idToken({ aud: Array.from({ length: 500 }, () => AUDIENCE) }),
      ],
    },
    { kind: 'another issuer', codes: ['token-issuer', 'spiffe-id'], tokens: issuers.map((iss) => idToken({ iss })) },
    {
      kind: 'another trust domain',
      codes: ['trust-domain', 'token-key', 'spiffe-id'],
      tokens: [
        ...domains.map((name) => svid({ sub: `spiffe://${name}/build` })),
        svid({ sub: 'spiffe://other.example.com/build' }),
        svid({}, {}, otherSvidKey),
      ],
    },
    {
      kind: 'a subject that is no SPIFFE ID of a workload',
      codes: ['spiffe-id'],
      tokens: ids.map((sub) => svid({ sub })),
    },
    {
      kind: 'a JWT-SVID against its standard',
      codes: ['token-malformed', 'token-algorithm', 'token-key'],
      tokens: [
        ...[
          'at+jwt',
          'JWS',
          'jwt',
          'jose',
          '',
          'application/jwt',
          'JOSE+JSON',
          'secevent+jwt',
          ' JWT',
          0,
          null,
          ['JWT'],
          true,
        ].map((typ) => svid({}, { typ })),
        svid({}, { kid: undefined }),
        svid({}, { kid: '' }),
        svid({}, { kid: 'unknown' }),
        svid({}, { kid: otherSvidKey.kid }),
        svid({}, { alg: 'ES384' }),
        svid({}, { alg: 'EdDSA' }),
        svid({}, { x5t: 'x' }),
        svid({}, { more: 1 }),
        svid({}, { nonce: 'x' }),
        svid({}, { url: 'x' }),
        svid({}, { alg: 'Ed25519' }, newIssuerKey('Ed25519', { kid: svidKey.kid })),
      ],
    },
    {
      kind: 'expired',
      codes: ['token-expired', 'token-claims'],
      tokens: past.flatMap((ago) => [
        idToken({ iat: seconds - ago - 300, exp: seconds - ago }),
        svid({ iat: seconds - ago - 300, exp: seconds - ago }),
        idToken({ iat: seconds - ago - 300, nbf: seconds - ago - 200, exp: seconds - ago }),
      ]),
    },
    {
      kind: 'not yet valid',
      codes: ['token-not-yet-valid'],
      tokens: future.flatMap((ahead) => [
        idToken({ nbf: seconds + ahead }),
        idToken({ iat: seconds + ahead, exp: seconds + ahead + 300 }),
        svid({ nbf: seconds + ahead }),
        svid({ iat: seconds + ahead, exp: seconds + 600 }),
      ]),
    },
    {
      kind: 'times that are none',
      codes: ['token-claims'],
      tokens: [
        ...oddTimes
          .flatMap((time) => [
            idToken({ exp: time }),
            idToken({ iat: time }),
            idToken({ nbf: time }),
            svid({ exp: time }),
          ])
          .filter((token) => !isRight(token)),
        idToken({ exp: undefined }),
        idToken({ iat: undefined }),
        svid({ exp: undefined }),
        svid({ iat: undefined }),
        idToken({ exp: seconds, iat: seconds }),
        idToken({ exp: seconds + 1, iat: seconds + 2 }),
        ...['-0.5', '1E30'].map((number) =>
          raw(JSON.stringify(headerOf(ec)), JSON.stringify(good).replace(/"exp":\d+/, `"exp":${number}`)),
        ),
      ],
    },
    {
      kind: 'valid for too long',
      codes: ['token-lifetime'],
      tokens: [
        601,
        602,
        660,
        900,
        1200,
        3600,
        3601,
        7200,
        86_400,
        604_800,
        2_592_000,
        31_536_000,
        315_360_000,
        seconds,
        600.5,
        1000,
        2000,
        5000,
        10_000,
        100_000,
      ].flatMap((long) => [
        idToken({ exp: seconds + long }),
        svid({ exp: seconds + long }),
        idToken({ iat: seconds - 300, exp: seconds + long }),
      ]),
    },
    { kind: 'a subject that is none', codes: ['token-claims'], tokens: subjects.map((sub) => idToken({ sub })) },
    {
      kind: 'an e-mail address that is none, said to be verified',
      codes: ['token-claims'],
      tokens: [
        '',
        ' ',
        'a',
        '@',
        'a@',
        '@b',
        'a@b@c',
        'a b@c.example.com',
        'a@b c',
        'a@b\u0000',
        'a\n@b.example.com',
        'ä@b.example.com',
        'a@bä.example.com',
        'a@-b.example.com',
        'a@b.example.com.',
        'a@b.example.com ',
        ' a@b.example.com',
        null,
        0,
        true,
        [],
        ['a@b.example.com'],
        {},
        `${'a'.repeat(250)}@b.example.com`,
        '\u202ea@b.example.com',
      ].map((email) => idToken({ email, email_verified: true })),
    },
    {
      kind: 'a header that the verifier would have to understand',
      codes: ['token-malformed'],
      tokens: names.flatMap((name) => [['exp'], true, 'x', null].map((value) => idToken({}, { [name]: value }))),
    },
    {
      kind: 'a token for another purpose',
      codes: ['token-malformed'],
      tokens: [
        'at+jwt',
        'application/at+jwt',
        'dpop+jwt',
        'logout+jwt',
        'secevent+jwt',
        'JWS',
        'JOSE',
        'JOSE+JSON',
        'JWE',
        'kb+jwt',
        'dc+sd-jwt',
        'token-introspection+jwt',
        'client-authentication+jwt',
        '',
        ' JWT',
        'JWT ',
        'JWT\u0000',
        'jwt/jwt',
        null,
        0,
        true,
        ['JWT'],
        {},
      ].map((typ) => idToken({}, { typ })),
    },
    {
      kind: 'JSON that two readers could read differently',
      codes: ['token-malformed'],
      tokens: [
        ...['alg', 'kid', 'typ', '\\u0061lg', 'x'].flatMap((name) =>
          ['"none"', '"ES256"'].map((value) =>
            raw(`{"${name}":${value},${JSON.stringify({ ...headerOf(ec), x: 1 }).slice(1)}`, JSON.stringify(good)),
          ),
        ),
        ...['sub', 'iss', 'aud', 'exp', 'iat', '\\u0073ub', 'email'].flatMap((name) =>
          ['"builder-2"', String(seconds + 300)].map((value) =>
            raw(JSON.stringify(headerOf(ec)), `{"${name}":${value},${JSON.stringify({ ...good, email: 1 }).slice(1)}`),
          ),
        ),
      ],
    },
    {
      kind: 'no JSON object',
      codes: ['token-malformed'],
      tokens: [
        ...[
          '',
          '{',
          '}',
          '[]',
          '7',
          '"x"',
          'null',
          'true',
          '{}x',
          ' ',
          '{"a":1,}',
          "{'a':1}",
          '{"a":01}',
          '{"a":NaN}',
          '\ufeff{}',
          '{"a":1}{"b":2}',
          `${'['.repeat(2000)}${']'.repeat(2000)}`,
          `{"a":${'['.repeat(20)}${']'.repeat(20)}}`,
          '{"a":"\\x"}',
          '{"a":"\n"}',
        ].flatMap((text) => [raw(text, JSON.stringify(good)), raw(JSON.stringify(headerOf(ec)), text)]),
        `${b64(Buffer.from([0xff, 0xfe]))}.${body}.${signature}`,
        `${head}.${b64(Buffer.from([0x7b, 0x22, 0xc0, 0x80, 0x22, 0x7d]))}.${signature}`,
      ],
    },
    {
      kind: 'another spelling of its parts',
      codes: ['token-malformed'],
      tokens: [
        '',
        '.',
        '..',
        '...',
        head,
        `${head}.${body}`,
        `${head}.${body}.`,
        `.${body}.${signature}`,
        `${head}..${signature}`,
        `${head}.${body}.${signature}.`,
        `${head}.${body}.${signature}.${signature}`,
        `${head}.${body}.${signature}.a.b`,
        `${head}.${body}.${signature}=`,
        `${head}.${body}.${signature}==`,
        `${head}.${body}=.${signature}`,
        ` ${head}.${body}.${signature}`,
        `${head}.${body}.${signature} `,
        `${head}.${body}.${signature}\n`,
        `${head} .${body}.${signature}`,
        `${head}.${body}.${signature.slice(0, 20)}\n${signature.slice(20)}`,
        `${head}.${body}.${noncanonical(signature)}`,
        `${head}.${body}.${bytes.toString('base64')}`,
        `${head}.${body}.+${signature.slice(1)}`,
        `${head}.${body}.${signature}%`,
        `Bearer ${head}.${body}.${signature}`,
        `${head}/${body}/${signature}`,
        `${head}.${body}.${signature}\u0000`,
        `${head}.${body}.${signature.replace(/^./, 'é')}`,
        JSON.stringify({ protected: head, payload: body, signature }),
        JSON.stringify({ payload: body, signatures: [{ protected: head, signature }] }),
        `${head}.${body}.${signature}`.replaceAll('.', '\uff0e'),
      ],
    },
    {
      kind: 'too long',
      codes: ['token-too-long'],
      tokens: [
        MAX_TOKEN + 1,
        20_000,
        32_768,
        65_536,
        100_000,
        262_144,
        524_288,
        1_000_000,
        1_048_576,
        1_048_577,
      ].flatMap((length) => [
        'a'.repeat(length),
        '.'.repeat(length),
        idToken({ padding: 'x'.repeat(length) }),
        `${head}.${body}.${'A'.repeat(length)}`,
        idToken({}, { padding: 'x'.repeat(length) }),
      ]),
    },
  ];
}

/** Of odd times, some are right: RFC 7519 allows `nbf` to be long ago. */
function isRight(token: string): boolean {
  const { exp, iat, nbf } = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString());
  return [exp, iat, nbf ?? iat].every((time) => typeof time === 'number' && time >= 0 && time < 253_402_300_800);
}

/** The same bytes with other padding bits in the last character. */
function noncanonical(part: string): string {
  const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  return `${part.slice(0, -1)}${digits[digits.indexOf(part.at(-1)!) + 1]}`;
}

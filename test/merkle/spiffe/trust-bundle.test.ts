import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { encodeBase64, encodeUtf8 } from '../../../merkle/bytes.ts';
import { formatPem } from '../../../merkle/pem.ts';
import {
  haveSameKeys,
  parseJwtBundle,
  parseTrustBundle,
  parseTrustBundles,
} from '../../../merkle/spiffe/trust-bundle.ts';
import { codeOf } from '../helpers.ts';
import { domainCa, issueSvid, jwtKey, x509Key } from './make-svid.ts';

const DOMAIN = 'example.org';
const ca = domainCa(DOMAIN);
const other = domainCa(DOMAIN);
const ec = (curve: string) => generateKeyPairSync('ec', { namedCurve: curve }).publicKey;
const p256 = ec('P-256');
const ed25519 = generateKeyPairSync('ed25519').publicKey;
const rsa = (modulusLength: number) => generateKeyPairSync('rsa', { modulusLength }).publicKey;

const bytesOf = (set: unknown) => encodeUtf8(typeof set === 'string' ? set : JSON.stringify(set));
const parse = (set: unknown) => parseTrustBundle(bytesOf(set), DOMAIN);
const parseKeys = (...keys: unknown[]) => parse({ keys });

describe('a trust bundle', () => {
  it('gives its authorities, its sequence and its hint', () => {
    const bundle = parse({
      spiffe_sequence: 7,
      spiffe_refresh_hint: 300,
      keys: [x509Key(ca), jwtKey(p256, 'a'), x509Key(other)],
      more: { anything: true },
    });
    expect(bundle).toMatchObject({ trustDomain: DOMAIN, sequence: 7n, refreshHint: 300, passedOver: [] });
    expect(bundle.x509Authorities.map(({ der }) => Buffer.from(der))).toEqual(
      [ca, other].map(({ certificate }) => Buffer.from(certificate.der)),
    );
    expect(bundle.jwtAuthorities).toEqual([{ keyId: 'a', jwk: { ...p256.export({ format: 'jwk' }), kid: 'a' } }]);
  });

  it('keeps every digit of the sequence', () => {
    const text = (sequence: string) => `{"keys":[],"spiffe_sequence":${sequence}}`;
    expect(parse(text('18446744073709551615')).sequence).toBe(18446744073709551615n);
    expect(parse(text('9007199254740993')).sequence).toBe(9007199254740993n);
    for (const bad of ['18446744073709551616', '-1', '1.5', '"1"', 'null', '1e3']) {
      expect(
        codeOf(() => parse(text(bad))),
        bad,
      ).toBe('bad-spiffe-bundle');
    }
  });

  it('refuses a hint that is no whole number of seconds', () => {
    for (const bad of ['-1', '0.5', '"300"', '18446744073709551615']) {
      expect(
        codeOf(() => parse(`{"keys":[],"spiffe_refresh_hint":${bad}}`)),
        bad,
      ).toBe('bad-spiffe-bundle');
    }
  });

  it('is read with no key, since all may be revoked', () => {
    expect(parseKeys()).toMatchObject({ x509Authorities: [], jwtAuthorities: [] });
  });

  it('gives Ed25519 keys without an algorithm, and others with theirs', () => {
    const keys = [
      jwtKey(ed25519, 'a', { alg: 'EdDSA' }),
      jwtKey(ed25519, 'b', { alg: 'Ed25519' }),
      jwtKey(p256, 'c', { alg: 'ES256', x: p256.export({ format: 'jwk' }).x }),
      jwtKey(rsa(2048), 'd'),
    ];
    const { jwtAuthorities } = parseKeys(...keys);
    expect(jwtAuthorities.map(({ jwk }) => [jwk.kid, jwk.kty, jwk.alg, jwk.use])).toEqual([
      ['a', 'OKP', undefined, undefined],
      ['b', 'OKP', undefined, undefined],
      ['c', 'EC', 'ES256', undefined],
      ['d', 'RSA', undefined, undefined],
    ]);
  });

  it.each([
    ['no use', { ...jwtKey(p256, 'a'), use: undefined }, /has no "use"/],
    ['an unknown use', jwtKey(p256, 'a', { use: 'wit-svid' }), /has the use "wit-svid"/],
    ['a use in capitals', jwtKey(p256, 'a', { use: 'JWT-SVID' }), /has the use "JWT-SVID"/],
    ['the use of web tokens', jwtKey(p256, 'a', { use: 'sig' }), /has the use "sig"/],
    ['an unknown type', { use: 'jwt-svid', kid: 'a', kty: 'AKP', alg: 'ML-DSA-65', pub: 'AA' }, /unknown key type/],
    ['no type', { ...jwtKey(p256, 'a'), kty: undefined }, /unknown key type/],
    ['an unknown curve', jwtKey(ec('secp256k1'), 'a'), /on a curve other/],
    ['another Edwards curve', jwtKey(generateKeyPairSync('ed448').publicKey, 'a'), /other than Ed25519/],
    ['a short RSA key', jwtKey(rsa(1024), 'a'), /RSA key of 1024 bits/],
    ['no key ID', { ...jwtKey(p256, 'a'), kid: undefined }, /no key ID/],
    ['an empty key ID', jwtKey(p256, ''), /no key ID/],
    ['no certificate', x509Key(ca, { x5c: undefined }), /has no certificate/],
    ['an empty list of certificates', x509Key(ca, { x5c: [] }), /has no certificate/],
  ])('passes over a key with %s, and says so', (_, key, why) => {
    const bundle = parseKeys(key, x509Key(ca), jwtKey(p256, 'z'));
    expect(bundle.x509Authorities).toHaveLength(1);
    expect(bundle.jwtAuthorities.map(({ keyId }) => keyId)).toEqual(['z']);
    expect(bundle.passedOver).toHaveLength(1);
    expect(bundle.passedOver[0]).toMatch(why);
    expect(bundle.passedOver[0]).toMatch(/^key 1 of 3 of example\.org /);
  });

  it('reads the first certificate of a key alone', () => {
    const { x509Authorities } = parseKeys(
      x509Key(ca, { x5c: [ca, other].map((one) => encodeBase64(one.certificate.der)) }),
    );
    expect(x509Authorities.map(({ der }) => Buffer.from(der))).toEqual([Buffer.from(ca.certificate.der)]);
  });

  it('has an authority once', () => {
    expect(parseKeys(x509Key(ca), x509Key(ca), jwtKey(p256, 'a'), jwtKey(p256, 'a'))).toMatchObject({
      x509Authorities: { length: 1 },
      jwtAuthorities: { length: 1 },
    });
  });

  const jwk = (key: ReturnType<typeof ec>) => key.export({ format: 'jwk' });
  const leaf = issueSvid(ca, 'spiffe://example.org/a');
  it.each<[string, unknown]>([
    ['that is no object', []],
    ['without keys', { spiffe_sequence: 1 }],
    ['whose keys are null', { keys: null }],
    ['whose keys are no list', { keys: {} }],
    ['with capital letters in "keys"', { Keys: [] }],
    ['whose key is no object', { keys: ['a'] }],
    ['with more than 256 keys', { keys: Array.from({ length: 257 }, () => ({})) }],
    [
      'with a private key',
      { keys: [{ ...generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' }), use: 'jwt-svid', kid: 'a' }] },
    ],
    ['with a symmetric key', { keys: [{ kty: 'oct', k: 'AAAA', use: 'jwt-svid', kid: 'a' }] }],
    ['with a point off its curve', { keys: [jwtKey(p256, 'a', { x: jwk(p256).y, y: jwk(p256).x })] }],
    ['with a short coordinate', { keys: [jwtKey(p256, 'a', { x: 'AAAA' })] }],
    ['without a coordinate', { keys: [jwtKey(p256, 'a', { y: undefined })] }],
    ['with standard base64 in a key', { keys: [jwtKey(ed25519, 'a', { x: `${jwk(ed25519).x!.slice(0, -2)}+A` })] }],
    ['with a modulus that starts with zero', { keys: [jwtKey(rsa(2048), 'a', { n: `AAAA${jwk(rsa(2048)).n}` })] }],
    ['with two keys of one ID', { keys: [jwtKey(p256, 'a'), jwtKey(ec('P-256'), 'a')] }],
    ['with a key ID that is a number', { keys: [jwtKey(p256, 'a', { kid: 7 })] }],
    ['with the certificate of another key', { keys: [x509Key(ca, { x5c: [encodeBase64(other.certificate.der)] })] }],
    ['with certificates that are no list', { keys: [x509Key(ca, { x5c: encodeBase64(ca.certificate.der) })] }],
    ['with a certificate that is no text', { keys: [x509Key(ca, { x5c: [7] })] }],
    ['with a leaf as authority', { keys: [x509Key(leaf)] }],
  ])('is refused %s', (_, set) => {
    expect(codeOf(() => parse(set))).toBe('bad-spiffe-bundle');
  });

  it.each<[string, unknown, string]>([
    ['with a member twice', '{"keys":[],"keys":[]}', 'bad-json'],
    ['that is empty', '', 'bad-json'],
    ['that is no JSON', '{"keys":[', 'bad-json'],
    ['with a certificate of random bytes', { keys: [x509Key(ca, { x5c: ['AAAA'] })] }, 'bad-der'],
    ['with base64url in a certificate', { keys: [x509Key(ca, { x5c: ['--__'] })] }, 'bad-base64'],
  ])('is refused %s', (_, set, code) => {
    expect(codeOf(() => parse(set))).toBe(code);
  });

  it('is refused beyond 4 MiB', () => {
    expect(codeOf(() => parse(`{"keys":[]${' '.repeat(4_194_304)}}`))).toBe('bad-json');
  });

  it('is refused with more than 64 X.509 authorities', () => {
    const many = Array.from({ length: 65 }, () => x509Key(domainCa(DOMAIN)));
    expect(parseKeys(...many.slice(1)).x509Authorities).toHaveLength(64);
    expect(codeOf(() => parseKeys(...many))).toBe('bad-spiffe-bundle');
  });

  it('shows nothing of a private key in its error', () => {
    const secret = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
    expect(() => parseKeys({ ...secret, use: 'jwt-svid', kid: 'a' })).toThrow(
      expect.not.objectContaining({ message: expect.stringContaining(secret.d!) }),
    );
  });

  it('is read from certificates in PEM', () => {
    const pem = [ca, other].map(({ certificate }) => formatPem('CERTIFICATE', certificate.der)).join('');
    expect(parse(pem)).toMatchObject({ trustDomain: DOMAIN, x509Authorities: { length: 2 }, jwtAuthorities: [] });
    expect(codeOf(() => parse(pem + formatPem('PRIVATE KEY', Uint8Array.of(1))))).toBe('bad-spiffe-bundle');
    expect(codeOf(() => parse(formatPem('CERTIFICATE', leaf.certificate.der)))).toBe('bad-spiffe-bundle');
    expect(codeOf(() => parse(pem.slice(0, -20)))).toBe('bad-pem');
  });

  it('belongs to a trust domain with a valid name', () => {
    expect(codeOf(() => parseTrustBundle(bytesOf({ keys: [] }), 'Example.org'))).toBe('bad-spiffe-id');
  });

  it('has the same keys as another in any order', () => {
    const one = parseKeys(x509Key(ca), x509Key(other), jwtKey(p256, 'a'));
    expect(haveSameKeys(one, parseKeys(jwtKey(p256, 'a'), x509Key(other), x509Key(ca)))).toBe(true);
    expect(haveSameKeys(one, parseKeys(x509Key(ca), x509Key(other)))).toBe(false);
    expect(haveSameKeys(one, parseKeys(x509Key(ca), x509Key(other), jwtKey(p256, 'b')))).toBe(false);
  });
});

describe('a bundle map', () => {
  const parseMap = (value: unknown) => parseTrustBundles(bytesOf(value));

  it('gives the bundle of each trust domain', () => {
    const map = parseMap({
      trust_domains: { 'example.org': { keys: [x509Key(ca)] }, 'example.net': { keys: [], spiffe_sequence: 2 } },
    });
    expect([...map.keys()]).toEqual(['example.org', 'example.net']);
    expect(map.get('example.org')!.x509Authorities).toHaveLength(1);
    expect(map.get('example.net')).toMatchObject({ trustDomain: 'example.net', sequence: 2n });
  });

  it.each<[string, unknown, string]>([
    ['without trust domains', {}, 'bad-spiffe-bundle'],
    ['with a list of them', { trust_domains: [] }, 'bad-spiffe-bundle'],
    ['with a bad name', { trust_domains: { 'Example.org': { keys: [] } } }, 'bad-spiffe-id'],
    [
      'with a domain in two spellings',
      { trust_domains: { a: { keys: [] }, 'spiffe://a': { keys: [] } } },
      'bad-spiffe-bundle',
    ],
    ['with a domain twice', '{"trust_domains":{"a":{"keys":[]},"a":{"keys":[]}}}', 'bad-json'],
    ['with one bad bundle', { trust_domains: { a: { keys: [] }, b: {} } }, 'bad-spiffe-bundle'],
  ])('is refused %s', (_, value, code) => {
    expect(codeOf(() => parseMap(value))).toBe(code);
  });
});

describe('a JWT bundle of the Workload API', () => {
  const parseJwt = (...keys: unknown[]) => parseJwtBundle(bytesOf({ keys }), DOMAIN);

  it('has keys without use, and of tokens', () => {
    const { jwtAuthorities, passedOver } = parseJwt(
      { ...jwtKey(p256, 'a'), use: undefined },
      jwtKey(p256, 'b'),
      jwtKey(p256, 'c', { use: 'sig' }),
    );
    expect(jwtAuthorities.map(({ keyId }) => keyId)).toEqual(['a', 'b', 'c']);
    expect(passedOver).toEqual([]);
  });

  it('never takes an authority of certificates for one of tokens', () => {
    const { jwtAuthorities, x509Authorities, passedOver } = parseJwt(
      x509Key(ca, { kid: 'a' }),
      jwtKey(p256, 'b', { use: 'enc' }),
    );
    expect([jwtAuthorities, x509Authorities]).toEqual([[], []]);
    expect(passedOver).toHaveLength(2);
  });
});

/** Tokens that are right, of every algorithm, from a real issuer. What is wrong with a token: bad-tokens.test.ts. */
import { afterEach, describe, expect, it } from 'vitest';
import { parseTrustBundle } from '../../../../../merkle/spiffe/trust-bundle.ts';
import {
  newIssuerKey,
  signToken,
  startIssuer,
  type TestIssuer,
  type TokenAlgorithm,
} from '../../../../support/issuer.ts';
import { AUDIENCE, bundleOf, open, WISH } from './opened.ts';

const closing: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of closing.splice(0)) await one.close();
});
const closed = <T extends { close(): Promise<void> }>(one: T): T => {
  closing.push(one);
  return one;
};

const ALGORITHMS: readonly TokenAlgorithm[] = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
];

describe('an ID token', () => {
  it.each(ALGORITHMS)('signed with %s proves who calls', async (algorithm) => {
    const issuer = closed(await startIssuer({ algorithms: [algorithm] }));
    const verifier = closed(await open([issuer]));
    const caller = await verifier.verify(issuer.token({ groups: ['release'] }), WISH);
    expect(caller).toMatchObject({
      kind: 'id-token',
      id: `${issuer.url} release@example.com`,
      issuer: issuer.url,
      subject: 'release@example.com',
      email: 'release@example.com',
      names: [],
    });
    expect(caller.claims).toMatchObject({ aud: AUDIENCE, groups: ['release'] });
    expect(caller.expires).toBeGreaterThan(Date.now());
    expect(caller.spiffeId).toBeUndefined();
  });

  it.each([
    ['EdDSA', 'Ed25519'],
    ['Ed25519', 'EdDSA'],
  ] as const)('of %s verifies with a key that is listed for %s', async (algorithm, listed) => {
    const issuer = closed(await startIssuer());
    const key = newIssuerKey(algorithm, { jwk: { alg: listed } });
    issuer.keys.push(key);
    const verifier = closed(await open([issuer]));
    await expect(verifier.verify(issuer.token({}, { key }), WISH)).resolves.toMatchObject({ kind: 'id-token' });
  });

  it('has an e-mail address only where the issuer verified it', async () => {
    const issuer = closed(await startIssuer());
    const verifier = closed(await open([issuer]));
    for (const verified of [false, 'true', 1, null, undefined]) {
      const caller = await verifier.verify(issuer.token({ email_verified: verified }), WISH);
      expect(caller.email).toBeUndefined();
      expect(caller.subject).toBe('release@example.com');
    }
  });

  it('of one issuer is told from that of another by the issuer alone', async () => {
    const issuers = [closed(await startIssuer({ path: '/a' })), closed(await startIssuer({ path: '/a/b' }))];
    const verifier = closed(await open(issuers));
    for (const issuer of issuers) {
      await expect(verifier.verify(issuer.token(), WISH)).resolves.toMatchObject({ issuer: issuer.url });
    }
    const [one, other] = issuers as [TestIssuer, TestIssuer];
    const forged = one.token({ iss: other.url });
    await expect(verifier.verify(forged, WISH)).rejects.toMatchObject({ code: 'token-key', status: 401 });
  });

  it('names no key where its issuer has one of the algorithm', async () => {
    const issuer = closed(await startIssuer({ algorithms: ['ES256', 'RS256'] }));
    const verifier = closed(await open([issuer]));
    const token = issuer.token({}, { header: { kid: undefined, typ: undefined } });
    await expect(verifier.verify(token, WISH)).resolves.toMatchObject({ kind: 'id-token' });
  });
});

describe('a JWT-SVID', () => {
  const key = newIssuerKey('ES256', { jwk: { use: 'jwt-svid', alg: undefined } });
  const bundle = parseTrustBundle(Buffer.from(JSON.stringify({ keys: [key.jwk] })), 'ci.example.com');
  const seconds = Math.floor(Date.now() / 1000);
  const claims = { sub: 'spiffe://ci.example.com/build/main', aud: [AUDIENCE], iat: seconds, exp: seconds + 300 };

  it('proves a SPIFFE ID', async () => {
    const verifier = closed(await open([], bundleOf(bundle)));
    const caller = await verifier.verify(signToken(key, { alg: 'ES256', kid: key.kid, typ: 'JWT' }, claims), WISH);
    expect(caller).toMatchObject({
      kind: 'jwt-svid',
      id: 'spiffe://ci.example.com/build/main',
      spiffeId: { trustDomain: 'ci.example.com', path: '/build/main' },
    });
    expect(caller.issuer).toBeUndefined();
  });

  it.each([
    ['EdDSA', 'Ed25519'],
    ['Ed25519', 'EdDSA'],
    ['EdDSA', undefined],
  ] as const)('of %s verifies with a key that its bundle lists for %s', async (algorithm, alg) => {
    const edKey = newIssuerKey(algorithm, { jwk: { use: 'jwt-svid', alg } });
    const set = Buffer.from(JSON.stringify({ keys: [edKey.jwk, key.jwk] }));
    const verifier = closed(await open([], bundleOf(parseTrustBundle(set, 'ci.example.com'))));
    const token = signToken(edKey, { alg: algorithm, kid: edKey.kid }, claims);
    await expect(verifier.verify(token, WISH)).resolves.toMatchObject({ kind: 'jwt-svid' });
    const other = signToken(edKey, { alg: algorithm, kid: key.kid }, claims);
    await expect(verifier.verify(other, WISH)).rejects.toMatchObject({ code: 'token-algorithm' });
  });

  it('is not taken where no trust bundles are', async () => {
    const verifier = closed(await open([]));
    const token = signToken(key, { alg: 'ES256', kid: key.kid }, claims);
    await expect(verifier.verify(token, WISH)).rejects.toMatchObject({ code: 'token-issuer' });
  });
});

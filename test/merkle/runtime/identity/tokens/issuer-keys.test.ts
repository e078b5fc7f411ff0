/** The keys of an issuer while it rotates them, answers badly, and is away: from a real issuer over HTTP and HTTPS. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { KeyTimes } from '../../../../../merkle/runtime/identity/tokens/issuer-keys.ts';
import { openTokenVerifier } from '../../../../../merkle/runtime/identity/tokens/open-token-verifier.ts';
import { parseTrustBundle } from '../../../../../merkle/spiffe/trust-bundle.ts';
import { type IssuerAnswer, newIssuerKey, signToken, startIssuer } from '../../../../support/issuer.ts';
import { newAuthority, pemOf } from '../../../../support/tls-server.ts';
import { until } from '../../../../support/until.ts';
import { AUDIENCE, bundleOf, type IssuerSettings, settingsOf, WISH } from './opened.ts';

const closing: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});
const folder = () => {
  const dir = mkdtempSync(join(tmpdir(), 'issuer-'));
  closing.push(() => rmSync(dir, { recursive: true }));
  return dir;
};
const started = async (wish: Parameters<typeof startIssuer>[0] = {}) => {
  const issuer = await startIssuer(wish);
  closing.push(() => issuer.close());
  return issuer;
};
/** Renewed by no timer within the test, unless `times` say otherwise. */
const NEVER = { least: 3_600_000, usual: 3_600_000, longest: 3_600_000 };
const verifierOf = async (
  issuer: { readonly url: string },
  more: Partial<IssuerSettings> = {},
  times: Partial<KeyTimes> = { renewMs: NEVER },
) => {
  const clock = { ms: 1_000_000 };
  const settings = { issuers: [settingsOf(issuer, more)] };
  const verifier = await openTokenVerifier(settings, { elapsed: () => clock.ms, times });
  closing.push(() => verifier.close());
  return { clock, verifier, verify: (token: string) => verifier.verify(token, WISH) };
};
const ok = expect.objectContaining({ kind: 'id-token' });
const refused = (code: string) => expect.objectContaining({ name: 'IdentityError', code });
const setRequests = (requests: readonly string[]) => requests.filter((path) => path.endsWith('/keys')).length;

describe('the keys of an issuer', () => {
  it('are fetched once for many tokens', async () => {
    const issuer = await started();
    const { verify } = await verifierOf(issuer);
    await Promise.all(Array.from({ length: 30 }, (_, i) => verify(issuer.token({ jti: String(i) }))));
    expect(issuer.requests).toEqual(['/.well-known/openid-configuration', '/keys']);
  });

  it('are fetched again for a key ID that is not among them, and the old ones go with their set', async () => {
    const issuer = await started();
    const { clock, verify } = await verifierOf(issuer);
    const old = issuer.token();
    expect(await verify(old)).toEqual(ok);
    issuer.rotate('RS256');
    clock.ms += 10_000;
    expect(await verify(issuer.token())).toEqual(ok);
    await expect(verify(old)).rejects.toEqual(refused('token-key'));
  });

  it('are kept beside a new one for as long as the issuer publishes both', async () => {
    const issuer = await started();
    const { clock, verify } = await verifierOf(issuer);
    const old = issuer.token();
    await verify(old);
    issuer.rotate('ES384', 'keep');
    clock.ms += 10_000;
    expect(await verify(issuer.token())).toEqual(ok);
    expect(await verify(old)).toEqual(ok);
  });

  it('are fetched at once for three rotations in a row', async () => {
    const issuer = await started();
    const { verify } = await verifierOf(issuer);
    await verify(issuer.token());
    for (let i = 0; i < 3; i++) {
      issuer.rotate();
      expect(await verify(issuer.token())).toEqual(ok);
    }
    issuer.rotate();
    await expect(verify(issuer.token())).rejects.toEqual(refused('token-key'));
  });

  it.each([
    ['the ID of the old one', 'same'],
    ['no ID', undefined],
  ])('are fetched for a new key that has %s', async (_, kid) => {
    const issuer = await started();
    const renew = () => {
      const key = newIssuerKey('ES256', { jwk: { kid } });
      issuer.keys.splice(0, 1, key);
      return () => issuer.token({}, { key, header: { kid } });
    };
    const old = renew();
    const { verify } = await verifierOf(issuer);
    expect(await verify(old())).toEqual(ok);
    const next = renew();
    expect(await verify(next())).toEqual(ok);
    await expect(verify(old())).rejects.toEqual(refused('token-signature'));
  });

  it.each([
    ['key IDs are named', (token: string) => token],
    ['signatures are sent', (token: string) => `${token.slice(0, token.lastIndexOf('.'))}.${'A'.repeat(86)}`],
  ])('are fetched three times, and then once in 10 seconds, however many unknown %s', async (what, forge) => {
    const issuer = await started();
    const { clock, verify } = await verifierOf(issuer);
    await verify(issuer.token());
    const forged = (i: number) =>
      forge(issuer.token({ jti: `${i}` }, what.startsWith('key') ? { header: { kid: `x${i}` } } : {}));
    for (let round = 1; round <= 6; round++) {
      const all = await Promise.allSettled(Array.from({ length: 50 }, (_, i) => verify(forged(i))));
      for (const one of all) expect(one.status).toBe('rejected');
      expect(setRequests(issuer.requests)).toBeLessThanOrEqual(4);
    }
    for (let round = 1; round <= 3; round++) {
      clock.ms += 10_000;
      for (let i = 0; i < 20; i++) await expect(verify(forged(i))).rejects.toMatchObject({ status: 401 });
      expect(setRequests(issuer.requests)).toBe(4 + round);
    }
    expect(await verify(issuer.token())).toEqual(ok);
  });

  it('are renewed in the background, so that a key that was withdrawn goes without any token', async () => {
    const issuer = await started();
    const { verify } = await verifierOf(issuer, {}, { renewMs: { least: 5, usual: 5, longest: 5 } });
    const old = issuer.token();
    await verify(old);
    issuer.rotate();
    await until(async () => (await verify(old).catch((error) => error.code)) === 'token-key');
  });

  it.each([
    ['max-age=0', 20],
    ['public, max-age=1, must-revalidate', 1000],
    ['no-store', 20],
    ['max-age=999999', 1500],
    ['max-age=-5', 1200],
    ['nonsense', 1200],
  ])('are renewed as %s says, within bounds', async (control, wanted) => {
    const issuer = await started();
    issuer.headers = { 'cache-control': control };
    const waits: number[] = [];
    const original = globalThis.setTimeout;
    // What the source asks its timer for is the whole behavior: a test of the waits would take their time.
    globalThis.setTimeout = ((run: () => void, ms?: number, ...rest: unknown[]) => {
      if (ms !== undefined) waits.push(ms);
      return original(run, ms, ...(rest as []));
    }) as typeof setTimeout;
    try {
      const { verify } = await verifierOf(issuer, {}, { renewMs: { least: 20, usual: 1200, longest: 1500 } });
      await verify(issuer.token());
      expect(waits).toContain(wanted);
    } finally {
      globalThis.setTimeout = original;
    }
  });

  it('serve while the issuer is away, for a bounded time, and come back with it', async () => {
    const issuer = await started();
    const { clock, verify, verifier } = await verifierOf(issuer, { keepKeys: 3_600_000 });
    const token = issuer.token();
    await verify(token);
    await issuer.stop();
    clock.ms += 3_600_000;
    expect(await verify(token)).toEqual(ok);
    // A new key cannot be told from an unknown one now.
    const unknown = issuer.token({}, { header: { kid: 'new' } });
    await expect(verify(unknown)).rejects.toMatchObject({ code: 'identity-unavailable', status: 503 });
    expect(verifier.problems).toEqual([expect.stringContaining(issuer.url)]);
    clock.ms += 1;
    await expect(verify(token)).rejects.toEqual(refused('identity-unavailable'));
    await issuer.start();
    clock.ms += 10_000;
    expect(await verify(token)).toEqual(ok);
    expect(verifier.problems).toEqual([]);
  });

  it('are all withdrawn by an empty set', async () => {
    const issuer = await started();
    const { clock, verify } = await verifierOf(issuer);
    const token = issuer.token();
    await verify(token);
    issuer.keys.splice(0);
    clock.ms += 10_000;
    await expect(verify(signToken(newIssuerKey(), { alg: 'ES256', kid: 'x' }, { iss: issuer.url }))).rejects.toEqual(
      refused('token-key'),
    );
    await expect(verify(token)).rejects.toEqual(refused('token-key'));
  });

  it('are not asked for by each token where the issuer is in trouble', async () => {
    const issuer = await started();
    let asked = 0;
    issuer.answer = () => {
      asked += 1;
      return { status: 503 };
    };
    const { clock, verify } = await verifierOf(issuer);
    const token = issuer.token();
    for (let i = 0; i < 20; i++) await expect(verify(token)).rejects.toEqual(refused('identity-unavailable'));
    expect(asked).toBeLessThanOrEqual(4);
    issuer.answer = undefined;
    clock.ms += 10_000;
    expect(await verify(token)).toEqual(ok);
  });

  it('come over HTTPS by the authority that the settings name, and by no other', async () => {
    const by = newAuthority('an issuer');
    const issuer = await started({ by });
    const ca = join(folder(), 'ca.pem');
    writeFileSync(ca, pemOf(by));
    expect(issuer.url).toMatch(/^https:/);
    expect(await (await verifierOf(issuer, { ca })).verify(issuer.token())).toEqual(ok);
    const { verify } = await verifierOf(issuer);
    await expect(verify(issuer.token())).rejects.toEqual(refused('identity-unavailable'));
    await expect(verifierOf(issuer, { ca: `${ca}.gone` })).rejects.toMatchObject({ code: 'file' });
  });

  it('come from a URL that the settings name, without discovery', async () => {
    const issuer = await started();
    const { verify } = await verifierOf(issuer, { keysUrl: issuer.jwksUrl });
    expect(await verify(issuer.token())).toEqual(ok);
    expect(issuer.requests).toEqual(['/keys']);
  });

  it('come from a file, which is read again', async () => {
    const file = join(folder(), 'keys.json');
    const issuer = await started();
    const write = () => writeFileSync(file, JSON.stringify({ keys: issuer.keys.map(({ jwk }) => jwk) }));
    write();
    const { clock, verify } = await verifierOf(issuer, { keysFile: file });
    const old = issuer.token();
    expect(await verify(old)).toEqual(ok);
    issuer.rotate();
    write();
    clock.ms += 1000;
    expect(await verify(issuer.token())).toEqual(ok);
    await expect(verify(old)).rejects.toEqual(refused('token-key'));
    expect(issuer.requests).toEqual([]);
  });

  it.each([
    ['is missing', undefined],
    ['is no JSON', 'keys'],
    ['is no JWK set', '[]'],
    ['names a member twice', '{"keys":[],"keys":[]}'],
    ['is too long', JSON.stringify({ keys: [], padding: 'x'.repeat(600_000) })],
  ])('do not open from a file that %s', async (_, text) => {
    const file = join(folder(), 'keys.json');
    if (text !== undefined) writeFileSync(file, text);
    await expect(verifierOf({ url: 'https://a.example.com' }, { keysFile: file })).rejects.toMatchObject({
      name: 'RuntimeError',
      code: 'file',
      message: expect.stringContaining('https://a.example.com'),
    });
  });
});

describe('an answer of an issuer', () => {
  const big = JSON.stringify({ keys: [], padding: 'x'.repeat(600_000) });
  const many = JSON.stringify({ keys: Array.from({ length: 300 }, () => ({})) });
  it.each<[string, string, IssuerAnswer]>([
    ['with an error', '/keys', { status: 500, body: '{}' }],
    ['with a redirect', '/keys', { status: 302, headers: { location: 'http://127.0.0.1:9/keys' } }],
    ['that moved for good', '/.well-known/openid-configuration', { status: 301, headers: { location: '/other' } }],
    ['that is too long', '/keys', { body: big }],
    ['that is too long without a length', '/keys', { body: big, headers: { 'transfer-encoding': 'chunked' } }],
    ['that ends in the middle', '/keys', { body: '{"keys":[]}', headers: { 'content-length': '11' }, how: 'cut' }],
    ['that does not come', '/keys', { how: 'destroy' }],
    ['that is no JSON', '/keys', { body: '<html>' }],
    ['that is empty', '/keys', { body: '' }],
    ['that is a list', '/keys', { body: '[]' }],
    ['with a member twice', '/keys', { body: '{"keys":[],"keys":[]}' }],
    ['with too many keys', '/keys', { body: many }],
    ['that nests without an end', '/keys', { body: `{"keys":${'['.repeat(5000)}` }],
    ['whose document is no object', '/.well-known/openid-configuration', { body: '7' }],
    ['whose document is too long', '/.well-known/openid-configuration', { body: big }],
  ])('%s changes no key, and is a problem', async (_, path, answer) => {
    const issuer = await started();
    const { clock, verifier, verify } = await verifierOf(issuer);
    const token = issuer.token();
    await verify(token);
    issuer.answer = (asked) => (asked === path ? answer : undefined);
    clock.ms += 10_000;
    const unknown = issuer.token({}, { header: { kid: 'new' } });
    await expect(verify(unknown)).rejects.toEqual(refused('identity-unavailable'));
    expect(verifier.problems).toHaveLength(1);
    expect(await verify(token)).toEqual(ok);
  });

  it('that never comes is given up', { timeout: 30_000 }, async () => {
    const issuer = await started();
    issuer.answer = () => ({ how: 'hang' });
    const { verify } = await verifierOf(issuer);
    await expect(verify(issuer.token())).rejects.toEqual(refused('identity-unavailable'));
  });

  it.each<[string, (url: string) => Record<string, unknown>]>([
    ['of another issuer', () => ({ issuer: 'https://other.example.com' })],
    ['of the issuer with a slash at its end', (url) => ({ issuer: `${url}/` })],
    ['without an issuer', () => ({ issuer: undefined })],
    ['without a place of keys', () => ({ jwks_uri: undefined })],
    ['with keys in a file', () => ({ jwks_uri: 'file:///etc/passwd' })],
    ['with keys that are no URL', () => ({ jwks_uri: 'keys' })],
    ['with a list of places', (url) => ({ jwks_uri: [`${url}/keys`] })],
    ['with a password in the place', (url) => ({ jwks_uri: url.replace('//', '//a:b@') })],
  ])('with a discovery document %s is not used', async (_, discovery) => {
    const issuer = await started();
    issuer.discovery = discovery(issuer.url);
    const { verify } = await verifierOf(issuer);
    await expect(verify(issuer.token())).rejects.toEqual(refused('identity-unavailable'));
    expect(setRequests(issuer.requests)).toBe(0);
  });

  it('by https does not lead to http', async () => {
    const by = newAuthority('an issuer');
    const issuer = await started({ by });
    const plain = await started();
    const ca = join(folder(), 'ca.pem');
    writeFileSync(ca, pemOf(by));
    issuer.discovery = { jwks_uri: plain.jwksUrl };
    const { verify } = await verifierOf(issuer, { ca });
    await expect(verify(issuer.token())).rejects.toEqual(refused('identity-unavailable'));
    expect(plain.requests).toEqual([]);
  });
});

describe('a key of a set', () => {
  const weak = newIssuerKey('RS256', { bits: 1024 });
  const strong = newIssuerKey('RS256');
  const privateKey = newIssuerKey();
  const ed = newIssuerKey('EdDSA');
  const cases: [string, ReturnType<typeof newIssuerKey>, object, string][] = [
    ['of 1024 bits', weak, {}, 'token-key'],
    ['for encryption', strong, { use: 'enc' }, 'token-key'],
    ['for X.509-SVIDs', strong, { use: 'x509-svid' }, 'token-key'],
    ['for other operations', strong, { key_ops: ['encrypt'] }, 'token-key'],
    ['of another algorithm', strong, { alg: 'RS512' }, 'token-algorithm'],
    ['with a number as its ID', strong, { kid: 7 }, 'token-key'],
    ['with its private part', privateKey, privateKey.privateKey.export({ format: 'jwk' }), 'token-key'],
    ['with an exponent of 1', strong, { e: 'AQ' }, 'token-key'],
    ['that is symmetric', strong, { kty: 'oct', k: 'c2VjcmV0' }, 'token-key'],
    ['of an unknown type', strong, { kty: 'AKP' }, 'token-key'],
    ['of small order', ed, { x: Buffer.alloc(32).toString('base64url') }, 'token-key'],
    ['off its curve', privateKey, { y: privateKey.jwk.x }, 'token-key'],
  ];
  it.each(cases)('%s verifies nothing, and leaves the others', async (_, key, members, code) => {
    const issuer = await started();
    const good = issuer.keys[0]!;
    issuer.keys.unshift({ ...key, jwk: { ...key.jwk, ...members } });
    const { verify } = await verifierOf(issuer);
    await expect(verify(issuer.token({}, { key }))).rejects.toEqual(refused(code));
    expect(await verify(issuer.token({}, { key: good }))).toEqual(ok);
  });

  it('that shares its ID with another of its kind is not chosen', async () => {
    const issuer = await started();
    issuer.keys.push(
      newIssuerKey('ES256', { kid: issuer.keys[0]!.kid }),
      newIssuerKey('RS256', { kid: issuer.keys[0]!.kid }),
    );
    const { verify } = await verifierOf(issuer);
    await expect(verify(issuer.token({}, { key: issuer.keys[0]! }))).rejects.toEqual(refused('token-key'));
    // One of another kind can be told by the algorithm.
    expect(await verify(issuer.token({}, { key: issuer.keys[2]! }))).toEqual(ok);
  });
});

describe('the bundle of a trust domain', () => {
  const key = newIssuerKey('ES384', { jwk: { use: 'jwt-svid' } });
  const seconds = Math.floor(Date.now() / 1000);
  const token = signToken(
    key,
    { alg: 'ES384', kid: key.kid },
    { sub: 'spiffe://ci.example.com/w', aud: AUDIENCE, iat: seconds, exp: seconds + 300 },
  );
  const bundle = (...keys: object[]) => parseTrustBundle(Buffer.from(JSON.stringify({ keys })), 'ci.example.com');

  it('counts as it is at each token', async () => {
    let current = bundleOf(bundle(key.jwk)).bundles!.current();
    const verifier = await openTokenVerifier({ issuers: [] }, { bundles: { current: () => current } });
    await expect(verifier.verify(token, WISH)).resolves.toMatchObject({ kind: 'jwt-svid' });
    current = bundleOf(bundle()).bundles!.current();
    await expect(verifier.verify(token, WISH)).rejects.toEqual(refused('token-key'));
    current = new Map();
    await expect(verifier.verify(token, WISH)).rejects.toMatchObject({ code: 'trust-domain', status: 401 });
  });

  it('may have a weak key of Ed25519, which verifies nothing, beside others', async () => {
    const weak = {
      kty: 'OKP',
      crv: 'Ed25519',
      x: Buffer.alloc(32).toString('base64url'),
      kid: 'weak',
      use: 'jwt-svid',
    };
    const verifier = await openTokenVerifier({ issuers: [] }, bundleOf(bundle(weak, key.jwk)));
    await expect(verifier.verify(token, WISH)).resolves.toMatchObject({ kind: 'jwt-svid' });
  });

  it('that is not there yet is a reason to come again', async () => {
    const trustDomains = [{ name: 'ci.example.com', bundle: 'https://ci.example.com/bundle' }];
    const bundles = { current: () => new Map() };
    const verifier = await openTokenVerifier({ issuers: [], trustDomains }, { bundles });
    await expect(verifier.verify(token, WISH)).rejects.toMatchObject({ code: 'identity-unavailable', status: 503 });
  });
});

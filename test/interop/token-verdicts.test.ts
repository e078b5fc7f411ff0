/**
 * What go-spiffe, the library of the SPIFFE project, makes of JWT-SVIDs that ours takes and refuses: it takes all that ours takes but
 * Ed25519, as the same ID, and each kind of token where ours is stricter is named here.
 */
import { spawnSync } from 'node:child_process';
import { afterAll, describe, expect, it } from 'vitest';
import type { TokenVerifier } from '../../merkle/runtime/identity/tokens/token-verifier.ts';
import { IdentityError } from '../../merkle/runtime/identity/types.ts';
import { parseTrustBundle } from '../../merkle/spiffe/trust-bundle.ts';
import { badTokens } from '../merkle/runtime/identity/tokens/bad-tokens.ts';
import { AUDIENCE, bundleOf, open, WISH } from '../merkle/runtime/identity/tokens/opened.ts';
import { newIssuerKey, signToken, startIssuer, type TokenAlgorithm } from '../support/issuer.ts';
import { skips } from '../support/skip.ts';
import { buildJudge } from './go-judge.ts';

const built = buildJudge('spiffe-client');
const DOMAIN = 'ci.example.com';
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
];

/**
 * Where go-spiffe takes a token that ours refuses. It allows a minute of leeway for all times, asks for no `iat`, bounds no lifetime, and
 * takes an `aud` of several.
 */
const STRICTER = new Set([
  'two audiences',
  'expired',
  'not yet valid',
  'times that are none',
  'valid for too long',
  'a JWT-SVID against its standard',
  'a subject that is no SPIFFE ID of a workload',
]);

describe.skipIf(skips('go-spiffe', typeof built === 'string' ? built : undefined))('beside go-spiffe', () => {
  const program = typeof built === 'string' ? '' : built.program;
  afterAll(() => {
    if (typeof built !== 'string') built.remove();
  });

  const now = Date.now();
  const svidKey = newIssuerKey('ES256', { jwk: { use: 'jwt-svid' } });
  const otherSvidKey = newIssuerKey('ES256', { jwk: { use: 'jwt-svid' } });
  const keys = ALGORITHMS.map((algorithm) => newIssuerKey(algorithm, { jwk: { use: 'jwt-svid', alg: undefined } }));
  const set = Buffer.from(JSON.stringify({ keys: [svidKey, ...keys].map(({ jwk }) => jwk) }));
  const bundles = bundleOf(parseTrustBundle(set, DOMAIN));

  function ask(tokens: readonly string[]) {
    const common = { kind: 'token', domain: DOMAIN, bytes: set.toString('base64'), audience: AUDIENCE };
    const input = tokens.map((text) => JSON.stringify({ ...common, text })).join('\n');
    const { status, stdout, stderr } = spawnSync(program, ['judge'], { input, encoding: 'utf8', maxBuffer: 2 ** 28 });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const answers = stdout.trimEnd().split('\n');
    expect(answers).toHaveLength(tokens.length);
    return answers.map((line) => JSON.parse(line) as { error?: string; domain?: string; path?: string });
  }
  const mine = async (verifier: TokenVerifier, token: string) => {
    try {
      return (await verifier.verify(token, WISH)).spiffeId;
    } catch (error) {
      expect(error).toBeInstanceOf(IdentityError);
      return undefined;
    }
  };

  it('a JWT-SVID of each algorithm of the standard proves the same ID', async () => {
    const verifier = await open([], { ...bundles, now: () => now });
    const seconds = Math.floor(now / 1000);
    const tokens = keys.flatMap((key) =>
      ['/a', '/a/b', '/A_b-c.d/1', `/${'x'.repeat(1000)}`].map((path) =>
        signToken(
          key,
          { alg: key.algorithm, kid: key.kid, typ: path === '/a' ? 'JOSE' : undefined },
          { sub: `spiffe://${DOMAIN}${path}`, aud: [AUDIENCE], iat: seconds, exp: seconds + 300 },
        ),
      ),
    );
    const theirs = ask(tokens);
    for (const [i, token] of tokens.entries()) {
      const id = await mine(verifier, token);
      expect(id).toBeDefined();
      expect(theirs[i]).toMatchObject({ domain: id?.trustDomain, path: id?.path });
    }
    await verifier.close();
  });

  it('refuses a JWT-SVID of Ed25519, which its standard does not list and ours takes', async () => {
    const key = newIssuerKey('EdDSA', { jwk: { use: 'jwt-svid' } });
    const seconds = Math.floor(now / 1000);
    const claims = { sub: `spiffe://${DOMAIN}/a`, aud: [AUDIENCE], iat: seconds, exp: seconds + 300 };
    const token = signToken(key, { alg: 'EdDSA', kid: key.kid }, claims);
    expect(ask([token])[0]!.error).toBeDefined();
    const own = parseTrustBundle(Buffer.from(JSON.stringify({ keys: [key.jwk] })), DOMAIN);
    const verifier = await open([], { ...bundleOf(own), now: () => now });
    expect(await mine(verifier, token)).toMatchObject({ path: '/a' });
    await verifier.close();
  });

  it('takes no token that ours refuses, but of the kinds where ours is stricter', async () => {
    const issuer = await startIssuer({ algorithms: ['RS256', 'ES256', 'EdDSA'], now: () => now });
    const verifier = await open([issuer], { ...bundles, now: () => now });
    const stricter = new Set<string>();
    try {
      for (const { kind, tokens } of badTokens({ issuer, svidKey, otherSvidKey, now })) {
        const theirs = ask(tokens);
        for (const [i, token] of tokens.entries()) {
          expect(await mine(verifier, token)).toBeUndefined();
          if (theirs[i]!.error === undefined) stricter.add(kind);
        }
      }
    } finally {
      await verifier.close();
      await issuer.close();
    }
    expect([...stricter].sort()).toEqual([...STRICTER].sort());
  });
});

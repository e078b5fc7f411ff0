/** Every kind of bad token ends in an error with a code, and nothing of the token comes out. */
import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TokenVerifier } from '../../../../../merkle/runtime/identity/tokens/token-verifier.ts';
import { IdentityError } from '../../../../../merkle/runtime/identity/types.ts';
import { parseTrustBundle } from '../../../../../merkle/spiffe/trust-bundle.ts';
import { newIssuerKey, signToken, startIssuer, type TestIssuer } from '../../../../support/issuer.ts';
import { type BadKind, badTokens } from './bad-tokens.ts';
import { AUDIENCE, bundleOf, open, WISH } from './opened.ts';

const now = Date.now();
const svidKey = newIssuerKey('ES256', { jwk: { use: 'jwt-svid' } });
const otherSvidKey = newIssuerKey('ES256', { jwk: { use: 'jwt-svid' } });
const bundles = [
  parseTrustBundle(Buffer.from(JSON.stringify({ keys: [svidKey.jwk] })), 'ci.example.com'),
  parseTrustBundle(Buffer.from(JSON.stringify({ keys: [otherSvidKey.jwk] })), 'other.example.com'),
];
let issuer: TestIssuer;
let verifier: TokenVerifier;
let kinds: readonly BadKind[];
beforeAll(async () => {
  issuer = await startIssuer({ algorithms: ['RS256', 'ES256', 'EdDSA'], now: () => now });
  verifier = await open([issuer], { ...bundleOf(...bundles), now: () => now });
  kinds = badTokens({ issuer, svidKey, otherSvidKey, now });
});
afterAll(async () => {
  await verifier.close();
  await issuer.close();
});

const refusalOf = async (token: string): Promise<unknown> => {
  try {
    return await verifier.verify(token, WISH);
  } catch (error) {
    return error;
  }
};

/** What the verifier knows without any token may stand in a message. */
const own = () => [AUDIENCE, issuer.url, 'ci.example.com', 'other.example.com', 'JWT-SVID', 'spiffe://'];
/** Eight characters in a row of the token, as it is sent or as it reads, that stand in what the error shows. */
function leakOf(token: string, error: Error): string | undefined {
  const decoded = token.split('.', 3).map((part) => Buffer.from(part, 'base64url').toString());
  const { message } = error;
  const { stack: _, ...fields } = { ...error, message, cause: error.cause };
  // The paths in a stack are those of our sources, and its first line repeats the message.
  for (const text of [message, inspect(fields, { depth: 10 })]) {
    for (let at = 0; at + 8 <= text.length; at++) {
      const part = text.slice(at, at + 8);
      if (own().some((name) => name.includes(part) || overlaps(text, at, name))) continue;
      if (token.includes(part) || decoded.some((one) => one.includes(part))) return part;
    }
  }
  return undefined;
}

/** Whether the eight characters at `at` lie across the beginning or the end of `name` in `text`. */
function overlaps(text: string, at: number, name: string): boolean {
  for (let found = text.indexOf(name); found !== -1; found = text.indexOf(name, found + 1)) {
    if (at < found + name.length && found < at + 8) return true;
  }
  return false;
}

describe('what is wrong with a token', () => {
  it('is one of these kinds, with 20 variants or more of each', () => {
    expect(kinds.length).toBeGreaterThan(20);
    for (const { kind, tokens } of kinds) {
      expect(new Set(tokens).size, kind).toBeGreaterThanOrEqual(20);
    }
  });

  it('is found, whatever it is, and ends in 401 with a code for programs and a reason for people', async () => {
    for (const { kind, codes, tokens } of kinds) {
      for (const [i, token] of tokens.entries()) {
        const error = await refusalOf(token);
        const name = `${kind}, variant ${i}: ${token.slice(0, 300)}`;
        expect(error, name).toBeInstanceOf(IdentityError);
        const { code, status, message } = error as IdentityError;
        expect(codes, name).toContain(code);
        expect(status, name).toBe(401);
        expect(message, name).toMatch(/^(?:the (?:token|JWT-SVID|subject|issuer|trust domain)|a JWT-SVID) ?.{15,}/);
      }
    }
  }, 120_000);

  it('is told without any eight characters of the token, in no field of the error and no cause', async () => {
    for (const { kind, tokens } of kinds) {
      for (const [i, token] of tokens.entries()) {
        const error = (await refusalOf(token)) as Error;
        expect(leakOf(token, error), `${kind}, variant ${i}: ${error.message}`).toBeUndefined();
        expect(error.cause, kind).toBeUndefined();
      }
    }
  }, 120_000);

  it('would be seen, if it were told', () => {
    const token = issuer.token({ sub: 'a-very-secret-subject' });
    expect(leakOf(token, new Error(`no: ${token.slice(5, 13)}`))).toBeDefined();
    expect(leakOf(token, new Error('the subject a-very-secret-subject is unknown'))).toBeDefined();
    expect(leakOf(token, new Error('no', { cause: new Error(token) }))).toBeDefined();
    expect(leakOf(token, new Error(`it must be ${AUDIENCE}, the issuer is ${issuer.url}`))).toBeUndefined();
  });

  it('would not be found by a verifier of signatures alone: what is signed is signed well', async () => {
    const fresh = issuer.token();
    expect(await refusalOf(fresh)).toMatchObject({ kind: 'id-token' });
    const seconds = Math.floor(now / 1000);
    const claims = { sub: 'spiffe://ci.example.com/build', aud: [AUDIENCE], iat: seconds, exp: seconds + 600 };
    for (const typ of ['JWT', 'JOSE', undefined]) {
      const svid = signToken(svidKey, { alg: 'ES256', kid: svidKey.kid, typ }, claims);
      expect(await refusalOf(svid)).toMatchObject({ kind: 'jwt-svid' });
    }
    for (const typ of ['JWT', 'jwt', 'application/jwt', undefined]) {
      expect(await refusalOf(issuer.token({}, { header: { typ } }))).toMatchObject({ kind: 'id-token' });
    }
    for (const wish of [
      { exp: seconds + 1 },
      { exp: seconds + 600 },
      { iat: seconds + 10, nbf: seconds + 10, exp: seconds + 20 },
      { nbf: undefined },
      { nbf: 0 },
      { exp: seconds + 300.5 },
      { aud: [AUDIENCE] },
      { sub: 'repo:example/app:ref:refs/heads/main' },
      { sub: 'Ærlig Øst' },
      { sub: 'x'.repeat(2048) },
    ]) {
      expect(await refusalOf(issuer.token(wish)), JSON.stringify(wish)).toMatchObject({ kind: 'id-token' });
    }
  });
});

describe('a token that was changed anywhere', () => {
  it('is refused: 3,000 changes of single characters, parts that are cut, doubled and swapped', async () => {
    const tokens = [
      issuer.token(),
      issuer.token({}, { key: issuer.keys[0]! }),
      issuer.token({}, { key: issuer.keys[1]! }),
    ];
    const random = seeded(7);
    for (let i = 0; i < 3000; i++) {
      const token = tokens[i % tokens.length]!;
      const changed = change(token, random);
      if (tokens.includes(changed)) continue;
      const error = await refusalOf(changed);
      expect(error, `change ${i}: ${changed}`).toBeInstanceOf(IdentityError);
      expect(leakOf(changed, error as Error)).toBeUndefined();
    }
  }, 120_000);
});

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

function change(token: string, random: (below: number) => number): string {
  const at = random(token.length);
  const digit = DIGITS[random(64)]!;
  switch (random(6)) {
    case 0:
      return `${token.slice(0, at)}${digit}${token.slice(at + 1)}`;
    case 1:
      return `${token.slice(0, at)}${digit}${token.slice(at)}`;
    case 2:
      return `${token.slice(0, at)}${token.slice(at + 1 + random(8))}`;
    case 3:
      return token.slice(0, at);
    case 4:
      return token.slice(0, at) + token.slice(at, at + 40) + token.slice(at);
    default: {
      const parts = token.split('.');
      const [one, other] = [random(3), random(3)];
      [parts[one], parts[other]] = [parts[other]!, parts[one]!];
      return parts.join('.');
    }
  }
}

/** The same numbers in each run: mulberry32. */
function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

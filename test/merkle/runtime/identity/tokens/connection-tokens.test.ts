import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConnectionTokens } from '../../../../../merkle/runtime/identity/tokens/connection-tokens.ts';
import type { TokenVerifier } from '../../../../../merkle/runtime/identity/tokens/token-verifier.ts';
import { openUsedTokens, type UsedTokens } from '../../../../../merkle/runtime/identity/tokens/used-tokens.ts';
import { RuntimeError } from '../../../../../merkle/runtime/runtime-errors.ts';
import { startIssuer, type TestIssuer } from '../../../../support/issuer.ts';
import { AUDIENCE, open } from './opened.ts';

describe('a bearer token', () => {
  let dir: string;
  let issuer: TestIssuer;
  let verifier: TokenVerifier;
  let used: UsedTokens;
  let now: number;
  /** Tokens that were verified in full. */
  let verified: number;
  const connections = (take: Pick<UsedTokens, 'take'> = used) => {
    const counted: Pick<TokenVerifier, 'verify'> = {
      verify: (...args) => {
        verified += 1;
        return verifier.verify(...args);
      },
    };
    return new ConnectionTokens(counted, take, { audience: AUDIENCE, maxLifetimeMs: 600_000, now: () => now });
  };
  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), 'tokens-'));
    now = Date.now();
    verified = 0;
    issuer = await startIssuer({ now: () => now });
    verifier = await open([issuer], { now: () => now });
    used = await openUsedTokens(dir, { now: () => now });
  });
  afterEach(async () => {
    await used.close();
    await verifier.close();
    await issuer.close();
    rmSync(dir, { recursive: true });
  });
  const refused = (code: string) => expect.objectContaining({ name: 'IdentityError', code });

  it('works again on the connection that first showed it, and on no other', async () => {
    const tokens = connections();
    const [one, other] = [{}, {}];
    const token = issuer.token();
    for (let i = 0; i < 3; i++) expect((await tokens.verify(token, one)).subject).toBe('release@example.com');
    await expect(tokens.verify(token, other)).rejects.toEqual(refused('token-connection'));
    await expect(tokens.verify(token, other)).rejects.toEqual(refused('token-connection'));
    await expect(tokens.verify(token, one)).resolves.toMatchObject({ kind: 'id-token' });
    await expect(tokens.verify(issuer.token({ jti: '2' }), other)).resolves.toMatchObject({ kind: 'id-token' });
  });

  it('is of one connection where many show it at one moment', async () => {
    const tokens = connections();
    const token = issuer.token();
    const all = Array.from({ length: 50 }, () => ({}));
    const got = await Promise.allSettled(all.map((connection) => tokens.verify(token, connection)));
    const won = got.findIndex(({ status }) => status === 'fulfilled');
    expect(got.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    // Requests of one connection may be under way together.
    await Promise.all(Array.from({ length: 20 }, () => tokens.verify(token, all[won]!)));
    const next = issuer.token({ jti: '2' });
    await Promise.all(Array.from({ length: 20 }, () => tokens.verify(next, all[won]!)));
  });

  it('does not work on another connection after a restart', async () => {
    const token = issuer.token();
    await connections().verify(token, {});
    await used.close();
    used = await openUsedTokens(dir, { now: () => now });
    await expect(connections().verify(token, {})).rejects.toEqual(refused('token-connection'));
  });

  it('ends at its expiry on an open connection too', async () => {
    const tokens = connections();
    const connection = {};
    const token = issuer.token();
    await tokens.verify(token, connection);
    now += 299_000;
    await tokens.verify(token, connection);
    now += 2000;
    await expect(tokens.verify(token, connection)).rejects.toEqual(refused('token-expired'));
  });

  it('is verified once in 10 seconds, and then with the keys of that time', async () => {
    const tokens = connections();
    const connection = {};
    const token = issuer.token();
    for (let i = 0; i < 5; i++) await tokens.verify(token, connection);
    expect(verified).toBe(1);
    now += 10_001;
    await tokens.verify(token, connection);
    expect(verified).toBe(2);
    // A clock that was set back proves nothing about the time since.
    now -= 60_000;
    await expect(tokens.verify(token, connection)).rejects.toEqual(refused('token-not-yet-valid'));
  });

  it('with another signature is not the one that was verified', async () => {
    const tokens = connections();
    const connection = {};
    const token = issuer.token();
    await tokens.verify(token, connection);
    const forged = `${token.slice(0, token.lastIndexOf('.'))}.${'A'.repeat(86)}`;
    await expect(tokens.verify(forged, connection)).rejects.toEqual(refused('token-signature'));
  });

  it('is one of 64 on a connection, of those that have not expired', async () => {
    const tokens = connections();
    const connection = {};
    for (let i = 0; i < 64; i++) await tokens.verify(issuer.token({ jti: String(i) }), connection);
    await expect(tokens.verify(issuer.token({ jti: 'more' }), connection)).rejects.toEqual(refused('token-connection'));
    now += 400_000;
    await tokens.verify(issuer.token({ jti: 'later' }), connection);
  });

  it('is not taken where it cannot be remembered', async () => {
    const tokens = connections({ take: () => Promise.reject(new RuntimeError('store', 'the store failed')) });
    const token = issuer.token();
    const connection = {};
    await expect(tokens.verify(token, connection)).rejects.toEqual(refused('identity-unavailable'));
    await expect(tokens.verify(token, connection)).rejects.toEqual(refused('identity-unavailable'));
  });
});

/** Every kind of bad token as a bearer token at the real port of a log: 401 with a reason and a code, and nothing is logged. */
import { writeFile } from 'node:fs/promises';
import https from 'node:https';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { badTokens } from '../../merkle/runtime/identity/tokens/bad-tokens.ts';
import { startIdentityLog } from '../../support/identity-log.ts';
import { newIssuerKey, startIssuer } from '../../support/issuer.ts';
import { tempDir } from '../../support/log.ts';
import { hashedRekordRequest, toJson } from '../../support/requests.ts';

it('writes nothing, whatever is wrong with it', { timeout: 120_000 }, async () => {
  const dir = await tempDir();
  const issuer = await startIssuer({ algorithms: ['RS256', 'ES256', 'EdDSA'] });
  const svidKey = newIssuerKey('ES256', { jwk: { use: 'jwt-svid' } });
  const otherSvidKey = newIssuerKey('ES256', { jwk: { use: 'jwt-svid' } });
  const bundleFile = async (name: string, key: typeof svidKey) => {
    const file = join(dir.path, name);
    await writeFile(file, JSON.stringify({ keys: [key.jwk] }));
    return file;
  };
  const ci = await bundleFile('ci.json', svidKey);
  const other = await bundleFile('other.json', otherSvidKey);
  const log = await startIdentityLog({
    // All that these tokens could say is allowed, so that only the proof stands in the way.
    policy: `version: 1
name: everybody
callers:
  workloads: { spiffeId: 'spiffe://ci.example.com/**' }
  others: { spiffeId: 'spiffe://other.example.com/**' }
  people: { issuer: '${issuer.url}', subject: { pattern: '.*' } }
allow:
  - { name: everybody, callers: [workloads, others, people], calls: [write] }
`,
    identity: `issuers:\n  - { issuer: '${issuer.url}' }\n`,
    trustDomains: [`{ name: ci.example.com, bundle: ${ci} }`, `{ name: other.example.com, bundle: ${other} }`],
    settings: '  tokens: true\n',
  });
  const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
  const write = (token: string) =>
    log.post('/api/v2/log/entries', toJson(hashedRekordRequest()), undefined, {
      agent,
      headers: { authorization: `Bearer ${token}` },
    });
  try {
    expect((await write(issuer.token({ sub: 'builder-1' }))).status).toBe(201);
    const before = await log.size();
    const known = { issuer, svidKey, otherSvidKey };
    // On the clock of this test, a token that begins in 11 seconds would begin before its turn.
    const ahead = badTokens({ ...known, now: Date.now() + 120_000 }).find(({ kind }) => kind === 'not yet valid')!;
    let sent = 0;
    for (const one of badTokens({ ...known, now: Date.now() })) {
      const { kind, codes, tokens } = one.kind === ahead.kind ? ahead : one;
      for (const [i, token] of tokens.entries()) {
        // No HTTP header can hold the others, and spaces around it are not a part of it.
        if (token.length > 12_000 || token !== token.trim() || !/^[\x20-\xff]*$/.test(token)) continue;
        const reply = await write(token);
        const name = `${kind}, variant ${i}: ${reply.body.toString()}`;
        expect(reply.status, name).toBe(401);
        expect([...codes, 'no-identity'], name).toContain(reply.json().error);
        expect(reply.headers['www-authenticate'], name).toMatch(/^Bearer/);
        sent += 1;
      }
    }
    expect(sent).toBeGreaterThan(1000);
    expect(await log.size()).toBe(before);
    expect(await log.metrics()).not.toContain('MARKER');
  } finally {
    agent.destroy();
    await log.close();
    await issuer.close();
    await dir.remove();
  }
});

/** The condition of docs/identity.md for people with a second factor, over real tokens. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { AccessRates, judgeAccess } from '../../../../merkle/runtime/policy/access/judge-access.ts';
import { loadAccessPolicy } from '../../../../merkle/runtime/policy/access/load-access.ts';
import { startIssuer } from '../../../support/issuer.ts';
import { open, WISH } from './tokens/opened.ts';

it('allows a session with a security key, and none that does not say so', async () => {
  const condition = `"hwk" in caller.claims.amr`;
  expect(readFileSync('docs/identity.md', 'utf8')).toContain(condition);
  const issuer = await startIssuer();
  const verifier = await open([issuer]);
  const text = `version: 1
name: people
callers:
  people: { issuer: '${issuer.url}', subject: release@example.com }
allow:
  - name: with a security key
    callers: [people]
    calls: [write]
    conditions: [{ cel: '${condition}', message: sign in with a security key }]
`;
  const policy = await loadAccessPolicy(Buffer.from(text), { file: 'access.yaml', actions: ['write'] });
  const allowed = async (claims: object) => {
    const caller = await verifier.verify(issuer.token({ ...claims }), WISH);
    const entries = [{ kind: 'hashedrekord', key: 'PKIX_ECDSA_P256_SHA_256' }] as const;
    return judgeAccess(policy, caller, { action: 'write', entries }, Date.now(), new AccessRates()).allowed;
  };
  try {
    expect(await allowed({ amr: ['pwd', 'hwk'] })).toBe(true);
    for (const amr of [['pwd'], [], 'hwk', 'pwd hwk', ['HWK'], ['hwk '], [['hwk']], null, 1, undefined]) {
      expect(await allowed({ amr }), JSON.stringify(amr)).toBe(false);
    }
  } finally {
    await verifier.close();
    await issuer.close();
  }
});

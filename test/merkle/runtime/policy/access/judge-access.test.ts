/** What an access policy allows, and with which reasons it refuses. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ACCESS_REASONS } from '../../../../../merkle/runtime/policy/access/access-reasons.ts';
import { AccessRates, judgeAccess } from '../../../../../merkle/runtime/policy/access/judge-access.ts';
import type { AccessEntry, AccessPolicy } from '../../../../../merkle/runtime/policy/access/types.ts';
import { accessPolicyOf, JUDGED_AT, oneAccessRule, tokenCaller, workload } from '../../../../support/access-policy.ts';

const LINUX = workload('/build/linux');
const P256: AccessEntry = { kind: 'hashedrekord', key: 'PKIX_ECDSA_P256_SHA_256' };
const CERTIFIED: AccessEntry = { ...P256, issuer: 'https://accounts.example.com' };

const writes = (policy: AccessPolicy, entries?: readonly AccessEntry[], caller = LINUX, rates?: AccessRates) =>
  judgeAccess(policy, caller, { action: 'write', ...(entries && { entries }) }, JUDGED_AT, rates);
const codes = (verdict: ReturnType<typeof judgeAccess>) =>
  verdict.allowed ? [`allowed by ${verdict.rule}`] : verdict.reasons.map(({ code }) => code);

describe('docs/identity.md', () => {
  const docs = readFileSync('docs/identity.md', 'utf8');

  it('has each reason of a refusal, and no other', () => {
    const section = docs.slice(docs.indexOf('### The access policy'), docs.indexOf('### Who wrote'));
    const rows = [...section.matchAll(/^\| `([a-z-]+)` \| ([^|]+) \|$/gm)].map(([, code, what]) => [code, what]);
    expect(rows.slice(-Object.keys(ACCESS_REASONS).length)).toEqual(Object.entries(ACCESS_REASONS));
  });

  it('has a policy that is read', async () => {
    const [, text] = /### The access policy\n\n```yaml\n([^`]+)```/.exec(docs)!;
    expect((await accessPolicyOf(text!)).allow).toHaveLength(2);
  });
});

describe('judgeAccess', () => {
  it('allows what a rule allows, and names the rule', async () => {
    expect(writes(await accessPolicyOf(oneAccessRule()), [P256])).toEqual({ allowed: true, rule: 'builders' });
  });

  it('allows nothing by default', async () => {
    const policy = await accessPolicyOf(oneAccessRule());
    expect(codes(writes(policy, [P256], workload('/deploy')))).toEqual(['caller']);
    expect(codes(judgeAccess(policy, LINUX, { action: 'admin' }, JUDGED_AT))).toEqual(['caller']);
  });

  it.each<[string, AccessEntry, string[]]>([
    ['kinds: [dsse]', { ...P256, kind: 'dsse' }, ['allowed by builders']],
    ['kinds: [dsse]', P256, ['kind']],
    ['keys: [PKIX_ECDSA_P256_SHA_256]', P256, ['allowed by builders']],
    ['keys: [PKIX_ED25519_PH]', P256, ['key']],
    ['keys: [PKIX_ED25519_PH]', { kind: 'raw' }, ['key']],
    ['issuers: [https://accounts.example.com]', CERTIFIED, ['allowed by builders']],
    ['issuers: [https://accounts.example.org]', CERTIFIED, ['issuer']],
    ['issuers: [https://accounts.example.com]', P256, ['issuer']],
    ['issuers: [{ pattern: "https://accounts[.]example[.](com|org)" }]', CERTIFIED, ['allowed by builders']],
    ['issuers: [{ pattern: "accounts" }]', CERTIFIED, ['issuer']],
    [
      'conditions: [\'caller.path.startsWith("/build/") && call.entries.all(e, e.kind == "hashedrekord")\']',
      P256,
      ['allowed by builders'],
    ],
    ['conditions: [\'caller.spiffeId == "spiffe://example.org/build/arm"\']', P256, ['condition']],
    ['conditions: [\'caller.claims.repository == "app"\']', P256, ['condition-error']],
    ['conditions: [\'call.entries[1].kind == "raw"\']', P256, ['condition-error']],
    ['conditions: [\'now < timestamp("2026-01-01T00:00:00Z")\']', P256, ['condition']],
    ['conditions: [\'caller.expires - now < duration("2h")\']', P256, ['allowed by builders']],
  ])('judges %s', async (lines, entry, expected) => {
    expect(codes(writes(await accessPolicyOf(oneAccessRule(lines)), [entry]))).toEqual(expected);
  });

  it.each<[string | undefined, string[]]>([
    ['log.example.com', ['allowed by logs']],
    ['log.example.org', ['log']],
    ['LOG.example.com', ['log']],
    [undefined, ['log']],
  ])('lets a witness be asked about the log %s', async (origin, expected) => {
    const policy = await accessPolicyOf(`version: 1
name: test
callers: { log: { spiffeId: spiffe://example.org/build/linux } }
allow: [ { name: logs, callers: [log], calls: [cosign], logs: [log.example.com, go.sum database tree] } ]
`);
    const call = { action: 'cosign', ...(origin !== undefined && { origin }) } as const;
    expect(codes(judgeAccess(policy, LINUX, call, JUDGED_AT))).toEqual(expected);
  });

  it('takes logs in no rule that is also for another action', async () => {
    const text = `version: 1
name: test
callers: { log: { spiffeId: spiffe://example.org/log } }
allow: [ { name: logs, callers: [log], calls: [cosign, read], logs: [log.example.com] } ]
`;
    await expect(accessPolicyOf(text)).rejects.toThrow('is about tree heads, and the rule is also for read');
    await expect(accessPolicyOf(text.replace(', read', '').replace('[log.example.com]', '[]'))).rejects.toThrow(
      'must be a list of 1 to 64 origins of logs',
    );
  });

  it('reads the claims of a token in a condition', async () => {
    const policy = await accessPolicyOf(`version: 1
name: test
callers:
  app: { issuer: https://ci.example.com, subject: { pattern: ".*" } }
allow:
  - name: app
    callers: [app]
    calls: [write]
    conditions: [ { cel: 'caller.claims.run > 6 && caller.claims.ref == "main"', message: only main } ]
`);
    const caller = (claims: Record<string, string | bigint>) => tokenCaller('https://ci.example.com', 'a', { claims });
    expect(codes(writes(policy, [P256], caller({ run: 7n, ref: 'main' })))).toEqual(['allowed by app']);
    expect(writes(policy, [P256], caller({ run: 7n, ref: 'dev' }))).toEqual({
      allowed: false,
      reasons: [{ code: 'condition', message: 'only main', rule: 'app' }],
    });
    expect(codes(writes(policy, [P256], caller({ run: 'many', ref: 'main' })))).toEqual(['condition-error']);
  });

  it('needs one rule that allows every entry of a call', async () => {
    const policy = await accessPolicyOf(`${oneAccessRule('kinds: [dsse]')}  - name: plain
    callers: [ci]
    calls: [write]
    kinds: [hashedrekord]
`);
    expect(codes(writes(policy, [P256]))).toEqual(['allowed by plain']);
    expect(codes(writes(policy, [P256, { ...P256, kind: 'dsse' }]))).toEqual(['kind', 'kind']);
  });

  it('says before the entries are known whether the caller may write anything at all', async () => {
    const policy = await accessPolicyOf(oneAccessRule("kinds: [raw]\nconditions: ['false']"));
    expect(writes(policy)).toEqual({ allowed: true, rule: 'builders' });
    expect(codes(writes(policy, undefined, workload('/deploy')))).toEqual(['caller']);
  });

  it('counts entries of each caller and each rule in a minute, and not requests', async () => {
    let now = 0;
    const rates = new AccessRates(() => now);
    const policy = await accessPolicyOf(oneAccessRule('perMinute: 5'));
    const three = [P256, P256, P256];
    expect(codes(writes(policy, three, LINUX, rates))).toEqual(['allowed by builders']);
    now = 20_000;
    expect(writes(policy, three, LINUX, rates)).toMatchObject({ allowed: false, retryAfter: 40 });
    expect(codes(writes(policy, [P256, P256], LINUX, rates))).toEqual(['allowed by builders']);
    expect(codes(writes(policy, [P256], LINUX, rates))).toEqual(['rate']);
    expect(writes(policy, undefined, LINUX, rates)).toMatchObject({ allowed: false, retryAfter: 40 });
    expect(codes(writes(policy, [P256], workload('/build/arm'), rates))).toEqual(['allowed by builders']);
    now = 60_000;
    expect(codes(writes(policy, three, LINUX, rates))).toEqual(['allowed by builders']);
  });

  it('counts nothing for a call that is refused, nor for the look before the entries are known', async () => {
    const rates = new AccessRates(() => 0);
    const policy = await accessPolicyOf(oneAccessRule('perMinute: 1\nkinds: [dsse]'));
    for (let i = 0; i < 5; i++) {
      expect(codes(writes(policy, [P256], LINUX, rates))).toEqual(['kind']);
      expect(codes(writes(policy, undefined, LINUX, rates))).toEqual(['allowed by builders']);
    }
    expect(codes(writes(policy, [{ ...P256, kind: 'dsse' }], LINUX, rates))).toEqual(['allowed by builders']);
  });

  it('does not ask for a retry of more entries than a minute allows', async () => {
    const policy = await accessPolicyOf(oneAccessRule('perMinute: 1'));
    const verdict = writes(policy, [P256, P256]);
    expect(verdict).not.toHaveProperty('retryAfter');
    expect(codes(verdict)).toEqual(['rate']);
  });

  it('asks for a retry where only the rate of one of the rules stands in the way', async () => {
    const policy =
      await accessPolicyOf(`${oneAccessRule('kinds: [dsse]')}  - { name: few, callers: [ci], calls: [write], perMinute: 1 }
`);
    const rates = new AccessRates(() => 0);
    expect(codes(writes(policy, [P256], LINUX, rates))).toEqual(['allowed by few']);
    expect(writes(policy, [P256], LINUX, rates)).toMatchObject({
      reasons: [
        { code: 'kind', rule: 'builders' },
        { code: 'rate', rule: 'few' },
      ],
      retryAfter: 60,
    });
  });

  it('refuses a caller whose proof has ended, and one without an end', async () => {
    const policy = await accessPolicyOf(oneAccessRule());
    expect(codes(writes(policy, [P256], { ...LINUX, expires: JUDGED_AT }))).toEqual(['expired']);
    expect(codes(writes(policy, [P256], { ...LINUX, expires: Number.NaN }))).toEqual(['expired']);
  });

  it.each<[string, unknown]>([
    [
      'throws',
      () => {
        throw new Error('broken');
      },
    ],
    ['answers with something truthy', () => 'yes'],
  ])('refuses where the check of a caller %s', async (_what, matches) => {
    const policy = await accessPolicyOf(oneAccessRule());
    const [rule] = policy.allow;
    const broken = { ...policy, allow: [{ ...rule!, callers: [{ name: 'ci', matches: matches as never }] }] };
    expect(writes(broken, [P256]).allowed).toBe(false);
  });

  it('prints an identity of other characters so that a terminal can show it', async () => {
    const policy = await accessPolicyOf(oneAccessRule());
    const verdict = writes(policy, [P256], tokenCaller('https://a.example', 'a\u001b[31m\n'));
    expect(JSON.stringify(verdict)).not.toMatch(/\\u001b|\\n/);
  });
});

/** Access policies: what is read, and every mistake with its line. */
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { Caller } from '../../../../../merkle/runtime/identity/types.ts';
import { loadAccessPolicy } from '../../../../../merkle/runtime/policy/access/load-access.ts';
import { MAX_POLICY_FILE } from '../../../../../merkle/runtime/policy/policy-values.ts';
import {
  accessPolicyOf,
  certificateCaller,
  oneAccessRule,
  tokenCaller,
  workload,
} from '../../../../support/access-policy.ts';

const mistake = async (text: string): Promise<Error & { code?: string }> =>
  await accessPolicyOf(text).then(
    () => new Error('the policy was taken'),
    (error: unknown) => error as Error,
  );

const withCaller = (caller: string) => `version: 1
name: test
callers:
  one: ${caller}
allow:
  - { name: all, callers: [one], calls: [write] }
`;

const takes = async (caller: string, who: Caller) =>
  (await accessPolicyOf(withCaller(caller))).allow[0]!.callers[0]!.matches(who);

describe('loadAccessPolicy', () => {
  it('reads a policy, and names it by the digest of its bytes', async () => {
    const text = oneAccessRule('kinds: [dsse]\nkeys: [PKIX_ED25519_PH]\nperMinute: 60');
    const policy = await accessPolicyOf(text);
    expect(policy).toMatchObject({
      name: 'test',
      digest: `sha256:${createHash('sha256').update(text).digest('hex')}`,
      allow: [{ name: 'builders', calls: ['write'], kinds: ['dsse'], keys: ['PKIX_ED25519_PH'], perMinute: 60 }],
    });
    expect(policy.allow[0]!.callers.map(({ name }) => name)).toEqual(['ci']);
  });

  const dns = certificateCaller([{ type: 'dns', value: 'builder-1.example.com' }], { fingerprint: 'ab'.repeat(32) });
  const token = tokenCaller('https://accounts.example.com', 'repo:team/app', { email: 'release@example.com' });

  it.each<[string, Caller]>([
    ["{ spiffeId: 'spiffe://example.org/build/**' }", workload('/build/linux')],
    ["{ spiffeId: 'spiffe://example.org/build/**' }", { ...workload('/build/linux'), kind: 'jwt-svid' }],
    ['{ issuer: https://accounts.example.com, subject: repo:team/app }', token],
    ['{ issuer: https://accounts.example.com, subject: { pattern: "repo:team/.*" } }', token],
    ['{ issuer: https://accounts.example.com, email: release@example.com }', token],
    ['{ certificate: builder-1.example.com }', dns],
    ['{ certificate: { pattern: "builder-[0-9]+[.]example[.]com" } }', dns],
    [`{ fingerprint: ${'ab'.repeat(32)} }`, dns],
  ])('%s is its caller', async (caller, who) => {
    expect(await takes(caller, who)).toBe(true);
  });

  it.each<[string, string, Caller]>([
    ['another path', "{ spiffeId: 'spiffe://example.org/build/**' }", workload('/deploy/linux')],
    ['another trust domain', "{ spiffeId: 'spiffe://example.org/**' }", workload('/build/linux', 'example.net')],
    [
      'a SPIFFE ID in a certificate that is no SVID',
      "{ spiffeId: 'spiffe://example.org/**' }",
      certificateCaller([{ type: 'uri', value: 'spiffe://example.org/build/linux' }]),
    ],
    [
      'a SPIFFE ID in a certificate that is no SVID, by a pattern of names',
      '{ certificate: { pattern: ".*" } }',
      certificateCaller([{ type: 'uri', value: 'spiffe://example.org/build/linux' }]),
    ],
    ['an SVID by the name of a certificate', '{ certificate: { pattern: ".*" } }', workload('/build/linux')],
    [
      'another name',
      '{ certificate: builder-1.example.com }',
      certificateCaller([{ type: 'dns', value: 'builder-11.example.com' }]),
    ],
    ['a name with more around it', '{ certificate: { pattern: "builder-1" } }', dns],
    ['an IP address', '{ certificate: { pattern: ".*" } }', certificateCaller([{ type: 'ip', value: '192.0.2.1' }])],
    [
      'another issuer',
      '{ issuer: https://accounts.example.com, subject: repo:team/app }',
      tokenCaller('https://accounts.example.com/', 'repo:team/app'),
    ],
    [
      'another subject',
      '{ issuer: https://accounts.example.com, subject: repo:team/app }',
      tokenCaller('https://accounts.example.com', 'repo:team/app2'),
    ],
    [
      'an email that is not verified',
      '{ issuer: https://accounts.example.com, email: release@example.com }',
      tokenCaller('https://accounts.example.com', 'release@example.com'),
    ],
    [
      'the email alone of two',
      '{ issuer: https://accounts.example.com, subject: other, email: release@example.com }',
      token,
    ],
    [
      'a JWT-SVID as an ID token',
      '{ issuer: https://accounts.example.com, subject: repo:team/app }',
      { ...token, kind: 'jwt-svid' },
    ],
    ['another key', `{ fingerprint: ${'ac'.repeat(32)} }`, dns],
    ['a caller without a key', `{ fingerprint: ${'ab'.repeat(32)} }`, token],
  ])('does not take %s', async (_what, caller, who) => {
    expect(await takes(caller, who)).toBe(false);
  });

  it('names each mistake with its line, all at once', async () => {
    const error = await mistake(`version: 2
name: "a\\u0007"
colour: red
callers:
  ci: { spiffeId: 'spiffe://*/build' }
  other: { issuer: https://accounts.example.com }
  deploy: { spiffeId: 'spiffe://example.org/deploy/**' }
allow:
  - name: builders
    callers: [cj]
    calls: [wrote]
    perMinute: 0
  - name: builders
    callers: [ci, other]
    calls: [write, admin]
    kinds: [hashedrecord]
    keys: [ed25519]
    conditions: [ 'caller.id ==', 'now > 1' ]
`);
    expect(error.code).toBe('access-policy');
    for (const part of [
      '"version" (line 1) is 2',
      '"name" (line 2)',
      '"colour" (line 3) is unknown',
      '"callers.ci.spiffeId" (line 5)',
      '"callers.other" (line 6) names nobody',
      '"callers.deploy" (line 7) is in no rule',
      '"allow[0].callers[0]" (line 10) names "cj", which is no caller of this policy; did you mean "ci"?',
      '"allow[0].calls[0]" (line 11) is "wrote"; did you mean "write"?',
      '"allow[0].perMinute" (line 12)',
      '"allow[1].name" (line 13) "builders" is the name of another rule already',
      '"allow[1].kinds[0]" (line 16) is "hashedrecord"; did you mean "hashedrekord"?',
      '"allow[1].keys[0]" (line 17)',
      '"allow[1].conditions[0]" (line 18)',
      '"allow[1].conditions[1]" (line 18)',
    ]) {
      expect(error.message).toContain(part);
    }
  });

  it.each([
    ['{}', 'is empty: give one of'],
    ['everybody', 'must be a mapping'],
    ["{ spiffeId: 'spiffe://example.org' }", 'write spiffe://example.org/** for all'],
    ['{ spiffeId: 7 }', 'allowed: a SPIFFE ID'],
    ["{ spiffeId: 'spiffe://example.org/a', issuer: https://a.example }", 'a caller is named in one way'],
    ['{ subject: repo:team/app }', 'the issuer (`iss`) of the tokens'],
    ['{ issuer: { pattern: ".*" }, subject: a }', 'allowed: text'],
    ["{ issuer: '', subject: a }", 'allowed: text'],
    ["{ issuer: https://a.example, subject: '' }", 'allowed: text'],
    ['{ issuer: https://a.example, subject: { pattern: "(" } }', 'is not RE2'],
    ['{ issuer: https://a.example, subject: { pattern: "a", flags: i } }', 'allowed: text'],
    ['{ certificate: spiffe://example.org/build }', 'name the caller by spiffeId'],
    ['{ certificate: }', 'is empty'],
    ['{ fingerprint: ABCD }', '64 lower-case hex digits'],
    ['{ spiffeid: a }', 'did you mean "spiffeId"'],
  ])('refuses the caller %s', async (caller, why) => {
    const error = await mistake(withCaller(caller));
    expect(error.code).toBe('access-policy');
    expect(error.message).toContain('(line 4)');
    expect(error.message).toContain(why);
  });

  it.each([
    ['kinds: [raw]\nkeys: [PKIX_ED25519_PH]', 'the rule could never hold'],
    ['kinds: []', 'allowed: a list of hashedrekord, dsse, raw'],
    ['issuers: []', 'must be a list of 1 to 64 issuers'],
    ['issuers: [7]', 'allowed: text'],
    ['issuers: [null]', 'is empty'],
    ['perMinute: 1.5', 'a whole number'],
    ["conditions: ['entries.size() > 0']", 'entries'],
    ["conditions: ['caller.id.size()']", 'must give a bool'],
  ])('refuses a rule with %s', async (lines, why) => {
    const error = await mistake(oneAccessRule(lines));
    expect(error).toMatchObject({ code: 'access-policy', message: expect.stringContaining(why) });
  });

  it.each(['kinds: [dsse]', 'keys: [PKIX_ED25519_PH]', 'issuers: [https://a.example]'])(
    'refuses %s in a rule that is also for calls without entries',
    async (lines) => {
      const error = await mistake(oneAccessRule(lines, '[write, admin]'));
      expect(error.message).toContain('the rule is also for admin');
    },
  );

  it('refuses an action that the service does not have', async () => {
    const bytes = Buffer.from(oneAccessRule('', '[cosign]'));
    await expect(loadAccessPolicy(bytes, { file: 'a.yaml', actions: ['write', 'admin'] })).rejects.toThrow(
      'is "cosign"; allowed: write, admin',
    );
    expect((await loadAccessPolicy(bytes, { file: 'a.yaml', actions: ['cosign'] })).allow).toHaveLength(1);
  });

  it.each<[string, Uint8Array, string]>([
    ['no YAML', Buffer.from('a: ['), 'not valid YAML'],
    ['no UTF-8', Buffer.from([0xff]), 'not UTF-8'],
    ['no mapping', Buffer.from('[]'), 'must be a mapping'],
    ['nothing', Buffer.from(''), 'must be a mapping'],
    [
      'no rule',
      Buffer.from("version: 1\nname: a\ncallers: { a: { spiffeId: 'spiffe://a/b' } }\nallow: []\n"),
      'a list of 1 to 1000 rules',
    ],
    ['a rule that is no mapping', Buffer.from(`${oneAccessRule()}  - all\n`), 'must be a mapping'],
    ['too much', Buffer.alloc(MAX_POLICY_FILE + 1, 0x20), 'more than'],
    ['a key twice', Buffer.from(`${oneAccessRule()}    calls: [admin]\n`), 'unique'],
  ])('refuses a file with %s', async (_what, bytes, why) => {
    await expect(loadAccessPolicy(bytes, { file: 'a.yaml' })).rejects.toMatchObject({
      code: 'access-policy',
      message: expect.stringContaining(why),
    });
  });
});

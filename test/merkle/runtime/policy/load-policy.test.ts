/** Decision policies: what is read, and every mistake with its line. */
import { createHash, generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadDecisionPolicy } from '../../../../merkle/runtime/policy/load-policy.ts';
import { MAX_POLICY_FILE } from '../../../../merkle/runtime/policy/policy-values.ts';
import { KEY_A, KEY_B, oneRule, policyOf } from '../../../support/decision-policy.ts';

const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const PEM = publicKey.export({ type: 'spki', format: 'pem' }).toString();
const SPKI = publicKey.export({ type: 'spki', format: 'der' });
const FINGERPRINT = createHash('sha256').update(SPKI).digest('hex');

/** A policy whose one signer is `signer`, in flow style. */
const signedBy = (signer: string) => `version: 1
name: test
signers:
  one: ${signer}
rules:
  - { name: signed, type: signature, signers: [one] }
`;

const mistakesOf = async (text: string) => (await policyOf(text).catch((error: unknown) => error as Error)) as Error;

describe('loadDecisionPolicy', () => {
  it('reads a policy, and names it by the digest of its bytes', async () => {
    const text = oneRule('threshold: 2\nlogs: [log.example.com]\nwitnesses: quorum\nmaxAge: 90d');
    const policy = await policyOf(text);
    expect(policy).toMatchObject({
      name: 'test',
      digest: `sha256:${createHash('sha256').update(text).digest('hex')}`,
      fingerprints: [KEY_A, KEY_B],
      keys: [],
      identities: false,
      rules: [
        {
          name: 'reviewed',
          types: ['https://example.com/review/v1'],
          threshold: 2,
          logs: ['log.example.com'],
          quorum: true,
          maxAge: 90 * 86_400_000,
        },
      ],
    });
    expect(policy.rules[0]!.signers.map(({ name }) => name)).toEqual(['a', 'b']);
  });

  it('takes one signer and no condition by default, and no bound of age', async () => {
    const [rule] = (await policyOf(oneRule(''))).rules;
    expect(rule).toMatchObject({ threshold: 1, quorum: false, checks: [] });
    expect(rule).not.toHaveProperty('maxAge');
  });

  it.each([
    ['slsaprovenance1', ['https://slsa.dev/provenance/v1']],
    ['[spdxjson, cyclonedx]', ['https://spdx.dev/Document', 'https://cyclonedx.org/bom']],
    ['[spdx, spdxjson]', ['https://spdx.dev/Document']],
    ['signature', ['signature']],
    ['commit', ['commit']],
  ])('reads the type %s', async (type, types) => {
    expect((await policyOf(oneRule('', type))).rules[0]!.types).toEqual(types);
  });

  it('reads keys inline, from a file beside the policy, and of SSH', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'stele-'));
    writeFileSync(join(dir, 'key.pem'), PEM);
    const file = join(dir, 'policy.yaml');
    const load = (signer: string) => loadDecisionPolicy(Buffer.from(signedBy(signer)), { file });
    for (const signer of [`{ key: ${JSON.stringify(PEM)} }`, '{ keyFile: key.pem }']) {
      const policy = await load(signer);
      expect(policy.fingerprints).toEqual([FINGERPRINT]);
      expect(policy.keys.map((key) => Buffer.from(key).equals(SPKI))).toEqual([true]);
    }
    const ssh = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIZ+p1mxO2LXnnHrNNr0gSmBcGPCKIj2JCLuMY1hXj/u';
    const policy = await load(`{ ssh: ${ssh} release@example.com }`);
    const spki = Buffer.concat([
      Buffer.from('302a300506032b6570032100', 'hex'),
      Buffer.from(ssh.split(' ')[1]!, 'base64').subarray(-32),
    ]);
    expect(policy.fingerprints).toEqual([createHash('sha256').update(spki).digest('hex')]);
  });

  it('reads identities, also with a pattern', async () => {
    const policy = await policyOf(
      signedBy('{ identity: { pattern: ".*@example[.]com" }, issuer: https://accounts.example.com }'),
    );
    const [signer] = policy.signers;
    const test = signer !== undefined && 'identity' in signer ? signer.identity : undefined;
    const identity = (value: string, issuer = 'https://accounts.example.com') => ({
      names: [{ type: 'email' as const, value }],
      issuer,
      extensions: new Map<string, string>(),
    });
    expect(policy.identities).toBe(true);
    expect(test!(identity('release@example.com'))).toBeDefined();
    expect(test!(identity('release@example.com.evil.example'))).toBeUndefined();
    expect(test!(identity('release@example.com', 'https://other.example.com'))).toBeUndefined();
  });

  it('tells every mistake at once, each with its line and the nearest known name', async () => {
    const { message, ...error } = (await mistakesOf(`version: 2
name: test
artefacts: [ 'a' ]
signers:
  release: { identity: release@example.com }
  builder: { fingerprint: abc }
  idle: { fingerprint: ${KEY_A} }
rules:
  - name: one
    type: slsaprovenence1
    signers: [ relase ]
    treshold: 1
  - name: one
    type: vsa
    signers: [ builder ]
    threshold: 2
`)) as Error & { code: string };
    expect(error.code).toBe('decision-policy');
    const mistakes = message.split('\n  - ');
    const has = (line: number, ...parts: string[]) =>
      expect(
        mistakes.some((one) => one.includes(`(line ${line})`) && parts.every((part) => one.includes(part))),
        parts.join(),
      ).toBe(true);
    has(1, '"version"', 'is 2');
    has(3, '"artefacts"', 'did you mean "artifacts"');
    has(5, '"signers.release"', 'names no issuer');
    has(6, '"signers.builder.fingerprint"', '64 lower-case hex digits');
    has(7, '"signers.idle"', 'is in no rule');
    has(10, '"rules[0].type"', 'did you mean "slsaprovenance1"');
    has(11, '"rules[0].signers[0]"', 'did you mean "release"');
    has(12, '"rules[0].treshold"', 'did you mean "threshold"');
    has(13, '"rules[1].name"', 'another rule already');
    has(16, '"rules[1].threshold"', 'it could never hold');
    expect(mistakes).toHaveLength(11);
  });

  const MISTAKES: readonly (readonly [string, string, RegExp])[] = [
    ['no rule', 'version: 1\nname: a\nsigners: {}\nrules: []', /"rules" \(line 4\) must be a list of 1 to 100 rules/],
    ['no version', signedBy(`{ fingerprint: ${KEY_A} }`).replace('version: 1\n', ''), /"version" .*is missing/],
    [
      'a version that is text',
      signedBy(`{ fingerprint: ${KEY_A} }`).replace('version: 1', 'version: "1"'),
      /"version"/,
    ],
    ['no name', signedBy(`{ fingerprint: ${KEY_A} }`).replace('name: test\n', ''), /"name" .*is missing/],
    ['a list', '- 1', /must be a mapping/],
    ['nothing', '', /must be a mapping/],
    ['two documents', 'version: 1\n---\nversion: 1\n', /one document/],
    ['an alias', 'version: &v 1\nname: *v\n', /aliases/],
    ['a key twice', 'version: 1\nversion: 1\n', /unique/],
    [
      'a rule that is a text',
      'version: 1\nname: a\nsigners: { a: { fingerprint: x } }\nrules: [ signed ]',
      /"rules\[0\]" \(line 4\) must be a mapping/,
    ],
    [
      'a rule that is only a name',
      `version: 1\nname: a\nsigners: { a: { fingerprint: ${KEY_A} } }\nrules: [ { name: x } ]`,
      /"rules\[0\].type" .*is missing/,
    ],
    [
      'a rule without signers',
      `version: 1\nname: a\nsigners: { a: { fingerprint: ${KEY_A} } }\nrules: [ { name: x, type: vsa } ]`,
      /"rules\[0\].signers" .*is missing/,
    ],
    ['no signers of a rule', oneRule('').replace('signers: [a, b]', 'signers: []'), /"rules\[0\].signers"/],
    ['a signer twice in a rule', oneRule('').replace('signers: [a, b]', 'signers: [a, a]'), /"rules\[0\].signers"/],
    ['an empty list of artifacts', oneRule('artifacts: []'), /"rules\[0\].artifacts"/],
    ['an empty list of logs', oneRule('logs: []'), /"rules\[0\].logs"/],
    ['an empty list of conditions', oneRule('conditions: []'), /"rules\[0\].conditions"/],
    ['an empty condition', oneRule("conditions: ['']"), /"rules\[0\].conditions\[0\]"/],
    [
      'an unknown member of a condition',
      oneRule("conditions: [ { cel: 'true', mesage: x } ]"),
      /did you mean "message"/,
    ],
    [
      'an expression that is none',
      oneRule("conditions: [ 'predicate.x ==' ]"),
      /"rules\[0\].conditions\[0\]" \(line 10\)/,
    ],
    ['a threshold of none', oneRule('threshold: 0'), /"rules\[0\].threshold"/],
    ['a threshold that is text', oneRule('threshold: "1"'), /"rules\[0\].threshold"/],
    ['another quorum', oneRule('witnesses: any'), /"rules\[0\].witnesses"/],
    ['an age without a unit', oneRule('maxAge: 90'), /"rules\[0\].maxAge".*90d/],
    ['an endless age', oneRule('maxAge: 36501d'), /"rules\[0\].maxAge"/],
    ['an unknown type', oneRule('', 'provenance'), /"rules\[0\].type"/],
    ['an empty list of types', oneRule('', '[]'), /"rules\[0\].type"/],
    ['a pattern that is too long', oneRule(`artifacts: [ '${'a'.repeat(256)}' ]`), /"rules\[0\].artifacts/],
    [
      'a key of two signers',
      signedBy(`{ fingerprint: ${KEY_A} }\n  two: { fingerprint: ${KEY_A} }`),
      /"signers.two" .*has the key of the signer "one"/,
    ],
    ['an empty signer', signedBy('{}'), /"signers.one" .*is empty/],
    ['a signer named twice over', signedBy(`{ fingerprint: ${KEY_A}, keyFile: a.pem }`), /keyFile and fingerprint/],
    ['an unknown way to name a signer', signedBy('{ kee: x }'), /did you mean "key"/],
    ['an issuer alone', signedBy('{ issuer: https://accounts.example.com }'), /names nobody/],
    ['an identity of any issuer in silence', signedBy('{ identity: a@example.com }'), /names no issuer/],
    ['an issuer beside any issuer', signedBy('{ identity: a, issuer: b, anyIssuer: true }'), /keep one/],
    [
      'an extension that is unknown',
      signedBy('{ extensions: { sourceRepositoryUri: x }, issuer: y }'),
      /did you mean "sourceRepositoryURI"/,
    ],
    ['a pattern that is no RE2', signedBy('{ identity: { pattern: "(?=a)" }, issuer: b }'), /"signers.one" .*not RE2/],
    [
      'a pattern that repeats too much',
      signedBy('{ identity: { pattern: "a{1000}{1000}" }, issuer: b }'),
      /repeats too much/,
    ],
    ['a file that is not there', signedBy('{ keyFile: none.pem }'), /"signers.one.keyFile" .*no such file/],
    [
      'a private key',
      signedBy('{ key: "-----BEGIN PRIVATE KEY-----\\nAAAA\\n-----END PRIVATE KEY-----" }'),
      /one PEM block "PUBLIC KEY"/,
    ],
    [
      'an SSH key of another type than it says',
      signedBy('{ ssh: ecdsa-sha2-nistp256 AAAAC3NzaC1lZDI1NTE5AAAAIIZ+p1mxO2LXnnHrNNr0gSmBcGPCKIj2JCLuMY1hXj/u }'),
      /"signers.one.ssh"/,
    ],
  ];

  it.each(MISTAKES)('refuses %s', async (_, text, message) => {
    const error = await mistakesOf(text);
    expect(error).toMatchObject({ name: 'RuntimeError', code: 'decision-policy' });
    expect(error.message).toMatch(message);
    expect(error.message).toMatch(/^policy\.yaml: /);
  });

  it('never repeats a private key', async () => {
    const { message } = await mistakesOf(
      signedBy('{ key: "-----BEGIN PRIVATE KEY-----\\nc2VjcmV0\\n-----END PRIVATE KEY-----" }'),
    );
    expect(message).not.toContain('c2VjcmV0');
  });

  it('refuses a file over its limit, and one that is not UTF-8', async () => {
    const load = (bytes: Uint8Array) => loadDecisionPolicy(bytes, { file: 'p' });
    await expect(load(new Uint8Array(MAX_POLICY_FILE + 1).fill(0x20))).rejects.toThrow(/more than 1048576/);
    await expect(load(Uint8Array.of(0xff))).rejects.toThrow(/not UTF-8/);
  });
});

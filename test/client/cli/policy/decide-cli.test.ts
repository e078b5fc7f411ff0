/** `stele decide`, as users run it, on bundles that a log of this test holds. */

import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { oneAccessRule } from '../../../support/access-policy.ts';
import { SteleIn } from '../../../support/stele-in.ts';

let stele: SteleIn;
const digestOf = (text: string | Uint8Array) => createHash('sha256').update(text).digest('hex');

const POLICY = `version: 1
name: releases
signers:
  release: { keyFile: release.pub }
  reviewer: { keyFile: reviewer.pub }
rules:
  - name: signed by the release team
    type: signature
    signers: [release]
  - name: reviewed
    type: https://example.com/review/v1
    signers: [reviewer]
    conditions:
      - { cel: "predicate.result == 'good'", message: the review does not say that it is good }
`;

beforeAll(async () => {
  stele = await SteleIn.start();
  const how = ['--log', stele.log.url, '--log-key', stele.log.vkey];
  stele.write('app', 'the app');
  stele.write('other', 'another file');
  stele.write('good.json', JSON.stringify({ result: 'good' }));
  stele.write('bad.json', JSON.stringify({ result: 'bad' }));
  for (const name of ['release', 'reviewer']) {
    stele.write(`${name}.txt`, name);
    await stele.done('sign', `${name}.txt`, ...how, '--new-key', `${name}.pem`, '--public-out', `${name}.pub`);
  }
  mkdirSync(stele.path('evidence'));
  mkdirSync(stele.path('bad'));
  await stele.done('sign', 'app', ...how, '--key', 'release.pem', '--out', 'evidence/app.sigstore.json');
  const review = ['--type', 'https://example.com/review/v1', '--key', 'reviewer.pem', ...how];
  await stele.done('attest', 'app', '--predicate', 'good.json', ...review, '--out', 'evidence/review.json');
  await stele.done('attest', 'app', '--predicate', 'bad.json', ...review, '--out', 'bad/review.json');
  await stele.done('sign', 'other', ...how, '--key', 'release.pem', '--out', 'other.sigstore.json');
  stele.write('policy.yaml', POLICY);
}, 60_000);

afterAll(() => stele.end());

const TRUST = ['--policy', 'policy.yaml', '--quorum-policy', 'quorum'];

describe('stele decide', () => {
  it('allows what all rules hold for, and says by which evidence', async () => {
    const { status, out, err } = await stele.run('decide', 'app', ...TRUST, '--evidence', 'evidence');
    expect({ status, err }).toEqual({ status: 0, err: '' });
    const bundle = readFileSync(stele.path('evidence/review.json'));
    for (const part of [
      'ALLOW: app',
      `releases, sha256:${digestOf(POLICY)}`,
      `sha256:${digestOf('the app')}`,
      'Rule "reviewed" holds',
      `sha256:${digestOf(bundle)}`,
      'signed by reviewer',
    ]) {
      expect(out).toContain(part);
    }
  });

  it('says the same as JSON', async () => {
    const { out } = await stele.run('decide', 'app', ...TRUST, '--evidence', 'evidence', '--json');
    expect(JSON.parse(out)).toMatchObject({
      ok: true,
      name: 'app',
      verdict: 'allow',
      artifact: { name: 'app', digest: { sha256: digestOf('the app') } },
      policy: { name: 'releases', digest: `sha256:${digestOf(POLICY)}` },
      rules: [
        {
          name: 'signed by the release team',
          holds: true,
          evidence: [{ source: 'evidence/app.sigstore.json', holds: true }],
        },
        { name: 'reviewed', holds: true, evidence: [{ signers: ['reviewer'], reasons: [] }] },
      ],
      refused: [],
    });
  });

  it('denies with status 1, and names the rule, the piece and what failed in it', async () => {
    const args = ['decide', 'app', ...TRUST, '--evidence', 'bad', '--evidence', 'evidence/app.sigstore.json'];
    const { status, out, err } = await stele.run(...args);
    expect(status).toBe(1);
    expect(out).toContain('DENY: app');
    expect(out).toContain('Rule "reviewed" does not hold');
    expect(out).toContain('[condition] the review does not say that it is good');
    // The lines have the reasons, so the error does not say them again.
    expect(err).toBe('stele: error [denied]: app: denied by the policy "releases"\n');
    const asJson = await stele.run(...args, '--json');
    expect(asJson.err).toMatch(/^stele: error \[denied\]: app: denied by the policy "releases": rule "reviewed"/);
    const json = JSON.parse(asJson.out);
    expect(json).toMatchObject({
      ok: false,
      verdict: 'deny',
      rules: [
        { holds: true },
        {
          holds: false,
          reasons: [{ code: 'threshold' }],
          evidence: [{ holds: false, source: 'bad/review.json', reasons: [{ code: 'condition' }] }],
        },
      ],
    });
  });

  it('denies without evidence, with what is missing', async () => {
    mkdirSync(stele.path('none'));
    const { status, out } = await stele.run('decide', 'app', ...TRUST, '--evidence', 'none', '--json');
    expect(status).toBe(1);
    expect(JSON.parse(out).rules.map(({ reasons }: { reasons: { code: string }[] }) => reasons[0]!.code)).toEqual([
      'no-evidence',
      'no-evidence',
    ]);
  });

  it('counts no evidence of another artifact', async () => {
    const { status, out } = await stele.run('decide', 'other', ...TRUST, '--evidence', 'evidence', '--json');
    expect(status).toBe(1);
    expect(JSON.parse(out)).toMatchObject({
      verdict: 'deny',
      refused: [{ code: 'digest-mismatch' }, { code: 'digest-mismatch' }],
    });
  });

  it('counts nothing of a log that is not trusted', async () => {
    const other = 'log.example.com+73b9899d+ASTpfkDexMS6rb9W463ozh39NVOwKaJayCQpIPCGv4ka';
    const trust = ['--policy', 'policy.yaml', '--log-key', other];
    const { status, out } = await stele.run('decide', 'app', ...trust, '--evidence', 'evidence', '--json');
    expect(status).toBe(1);
    expect(JSON.parse(out).refused.map(({ code }: { code: string }) => code)).toEqual([
      'bad-checkpoint',
      'bad-checkpoint',
    ]);
  });

  it('decides by digest alone, with a name for the patterns of the policy', async () => {
    stele.write('named.yaml', POLICY.replace('signers:', "artifacts: ['registry.example.com/team/*']\nsigners:"));
    const digest = `sha256:${digestOf('the app')}`;
    const how = ['--policy', 'named.yaml', '--quorum-policy', 'quorum', '--evidence', 'evidence', '--json'];
    const verdictOf = async (...args: string[]) => JSON.parse((await stele.run('decide', ...args, ...how)).out);
    expect((await verdictOf(digest, '--name', 'registry.example.com/team/app')).verdict).toBe('allow');
    expect((await verdictOf(`registry.example.com/team/app@${digest}`)).verdict).toBe('allow');
    const { out } = await stele.run('decide', digest, '--name', 'registry.example.com/team/app', ...how.slice(0, -1));
    expect(out).toMatch(/^ {2}name {7}registry\.example\.com\/team\/app$/m);
    for (const args of [
      [digest],
      [digest, '--name', 'registry.example.com/app'],
      [`other.example.com/team/app@${digest}`],
    ]) {
      expect(await verdictOf(...args)).toMatchObject({
        verdict: 'deny',
        reasons: [{ code: 'not-covered' }],
        rules: [],
      });
    }
  });

  it('takes the name of an image for the image, also where a file has that name', async () => {
    const name = `registry.example.com/team/app@sha256:${digestOf('something else')}`;
    mkdirSync(stele.path('registry.example.com/team'), { recursive: true });
    stele.write(name, 'the app');
    const decided = async (given: string) =>
      JSON.parse((await stele.run('decide', given, ...TRUST, '--evidence', 'evidence', '--json')).out);
    expect(await decided(name)).toMatchObject({
      verdict: 'deny',
      artifact: { digest: { sha256: digestOf('something else') } },
    });
    expect(await decided(`./${name}`)).toMatchObject({ verdict: 'allow' });
  });

  it('prints no name of a file as it is, which could look like another answer', async () => {
    const name = 'bad\nALLOW other';
    stele.write(name, 'nobody signed this');
    const { out } = await stele.run('decide', 'app', name, ...TRUST, '--evidence', 'evidence');
    expect(out.split('\n').filter((line) => line.startsWith('ALLOW'))).toEqual([
      'ALLOW app: allowed by the policy "releases"',
    ]);
  });

  it('decides on many, with a line each and a sum', async () => {
    const { status, out, err } = await stele.run('decide', 'app', 'other', ...TRUST, '--evidence', 'evidence');
    expect(status).toBe(1);
    expect(out.split('\n')).toEqual([
      'ALLOW app: allowed by the policy "releases"',
      expect.stringMatching(/^DENY {2}other: denied by the policy "releases": /),
      '1 artifact allowed, 1 denied',
      '',
    ]);
    expect(err.split('\n')).toHaveLength(2);
    const json = JSON.parse(
      (await stele.run('decide', 'app', 'other', ...TRUST, '--evidence', 'evidence', '--json')).out,
    );
    expect(json.map(({ verdict }: { verdict: string }) => verdict)).toEqual(['allow', 'deny']);
  });

  it.each([
    [['decide', 'app', '--quorum-policy', 'quorum', '--evidence', 'evidence'], /--policy with a decision policy/],
    [['decide', 'app', ...TRUST], /say where the evidence is/],
    [
      ['decide', 'app', '--policy', 'policy.yaml', '--trust', 'no-trust', '--evidence', 'evidence'],
      /no repository is followed/,
    ],
    [['decide', 'app', ...TRUST, '--evidence', 'not-there'], /\[file\]: not-there cannot be read/],
    [['decide', 'not-there', ...TRUST, '--evidence', 'evidence'], /\[file\].*an image NAME@sha256:HEX/],
    [['decide', 'registry.example.com/app:v1', ...TRUST, '--evidence', 'evidence'], /\[file\].*NAME@sha256:HEX/],
    [['decide', 'ab'.repeat(32), ...TRUST, '--evidence', 'evidence'], new RegExp(`sha256:${'ab'.repeat(32)}`)],
    [
      ['decide', 'app', '--policy', 'policy.yaml', '--quorum-policy', 'policy.yaml', '--evidence', 'evidence'],
      /the quorum policy .* cannot be used: line 1/,
    ],
    [['decide', 'app', 'app', ...TRUST, '--evidence', 'evidence'], /given twice/],
    [['decide', 'app', 'other', '--name', 'x', ...TRUST, '--evidence', 'evidence'], /--name is of one/],
    [['decide', 'app', ...TRUST, '--registry'], /--registry finds evidence of images/],
    [['decide', 'app', ...TRUST, '--evidence', 'evidence', '--ca', 'x'], /give --registry/],
    [['decide', 'app', ...TRUST, '--evidence', 'evidence', '--witness-time'], /--witness-time needs a --quorum-policy/],
    [['decide', 'sha256:abc', ...TRUST, '--evidence', 'evidence'], /is not a digest/],
    [
      ['decide', 'app', '--policy', 'quorum', '--quorum-policy', 'quorum', '--evidence', 'evidence'],
      /\[decision-policy\]/,
    ],
  ])('says with status 2 what could not be tried: %j', async (args, message) => {
    const { status, out, err } = await stele.run(...args);
    expect({ status, out }).toEqual({ status: 2, out: '' });
    expect(err).toMatch(message);
  });
});

describe('stele policy', () => {
  const TESTS = `policy: policy.yaml
quorumPolicy: quorum
tests:
  - { name: released, artifact: app, evidence: [ evidence ], now: '2040-01-01T00:00:00Z', expect: allow }
  - name: a bad review
    artifact: app
    evidence: [ bad, evidence/app.sigstore.json ]
    now: 2040-01-01T00:00:00Z
    expect: deny
    rules: { signed by the release team: holds, reviewed: [ condition ] }
`;

  it('check names the policy by its digest, or says all that is wrong with it', async () => {
    const { status, out } = await stele.run('policy', 'check', 'policy.yaml', '--json');
    expect(status).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ ok: true, name: 'releases', digest: `sha256:${digestOf(POLICY)}` });
    expect((await stele.run('policy', 'check', 'policy.yaml')).out).toContain(`sha256:${digestOf(POLICY)}`);
    stele.write('wrong.yaml', POLICY.replace('type: signature', 'type: signatures'));
    const wrong = await stele.run('policy', 'check', 'wrong.yaml');
    expect(wrong).toMatchObject({ status: 2, out: '' });
    expect(wrong.err).toMatch(/\[decision-policy\].*line 8.*did you mean "signature"/s);
  });

  it('check reads access policies too, and tells them by their members', async () => {
    stele.write('access.yaml', oneAccessRule('kinds: [dsse]'));
    const { status, out } = await stele.run('policy', 'check', 'access.yaml', '--json');
    expect(status).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      ok: true,
      kind: 'access',
      name: 'test',
      digest: `sha256:${digestOf(oneAccessRule('kinds: [dsse]'))}`,
      rules: [{ name: 'builders', callers: ['ci'], calls: ['write'], kinds: ['dsse'] }],
    });
    expect((await stele.run('policy', 'check', 'access.yaml')).out).toContain('rule       builders: ci may write');
    stele.write('wrong.yaml', oneAccessRule('kinds: [dssee]'));
    const wrong = await stele.run('policy', 'check', 'wrong.yaml');
    expect(wrong).toMatchObject({ status: 2, out: '' });
    expect(wrong.err).toMatch(/\[access-policy\].*line 9.*did you mean "dsse"/s);
  });

  it('test passes where every decision is as expected', async () => {
    stele.write('tests.yaml', TESTS);
    expect(await stele.run('policy', 'test', 'tests.yaml')).toEqual({
      status: 0,
      out: 'ok   tests.yaml: released\nok   tests.yaml: a bad review\n2 tests passed, 0 failed\n',
      err: '',
    });
  });

  it('test fails where one is not, with what was expected and what came', async () => {
    stele.write('failing.yaml', TESTS.replace('expect: allow', 'expect: deny').replace('[ condition ]', '[ age ]'));
    const { status, out } = await stele.run('policy', 'test', 'failing.yaml', 'tests.yaml');
    expect(status).toBe(1);
    expect(out).toContain('FAIL failing.yaml: released\n       expected deny, got allow\n');
    expect(out).toMatch(
      /FAIL failing.yaml: a bad review\n {7}expected age of the rule "reviewed", got threshold, condition\n/,
    );
    expect(out).toContain('2 tests passed, 2 failed');
    const json = JSON.parse((await stele.run('policy', 'test', 'failing.yaml', '--json')).out);
    expect(json).toMatchObject({ ok: false, tests: [{ passed: false }, { passed: false }] });
  });

  it('test fails where a test cannot run, and ends with 2 where a file cannot be used', async () => {
    stele.write('lost.yaml', TESTS.replace('evidence: [ evidence ]', 'evidence: [ lost ]'));
    const { status, out } = await stele.run('policy', 'test', 'lost.yaml');
    expect(status).toBe(1);
    expect(out).toMatch(/FAIL lost.yaml: released\n {7}it could not run: \[file\]/);
    stele.write('empty.yaml', 'policy: policy.yaml\ntests: []\n');
    expect((await stele.run('policy', 'test', 'empty.yaml')).status).toBe(2);
  });
});

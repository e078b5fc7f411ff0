/**
 * `stele decide` from a signed commit over provenance to a verification summary, and on to who relies on the summary: as users
 * run it, on a log of this test.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { commit, idOf, SshKey, tag, withHeader } from '../../../support/git-objects.ts';
import { SteleIn } from '../../../support/stele-in.ts';

let stele: SteleIn;
const digestOf = (text: string | Uint8Array) => createHash('sha256').update(text).digest('hex');
const maintainer = new SshKey('ed25519');
const stranger = new SshKey('ed25519');
const REPOSITORY = 'https://git.example.com/team/app';
const BUILDER = 'https://ci.example.com/builder';
const VERIFIER = 'https://example.com/verifier';
const RESOURCE = 'https://example.com/app';

const signedCommit = (key: SshKey) => withHeader(commit(), key.sign(commit()));
const COMMIT = signedCommit(maintainer);
const COMMIT_ID = idOf('commit', COMMIT);
const signedTag = (key: SshKey, name: string, object = COMMIT_ID) =>
  `${tag(object, name)}${key.sign(tag(object, name))}`;

const provenance = (commitId: string, ref = 'refs/tags/v1.0') => ({
  buildDefinition: {
    buildType: 'https://ci.example.com/workflow/v1',
    externalParameters: { workflow: { repository: REPOSITORY, ref, path: 'release.yml' } },
    resolvedDependencies: [{ uri: `git+${REPOSITORY}@${ref}`, digest: { gitCommit: commitId } }],
  },
  runDetails: { builder: { id: BUILDER } },
});

const policy = (source = '') => `version: 1
name: releases
signers:
  ci: { keyFile: ci.pub }
  maintainer: { ssh: ${maintainer.line} }
rules:
  - name: built by our CI from a signed commit
    type: slsaprovenance1
    signers: [ci]
    provenance:
      builders: [ { id: ${BUILDER}, signer: ci, level: 3 } ]
      source: { uri: ${REPOSITORY}, ref: refs/tags/* }
      parameters: { workflow: { members: { path: release.yml } } }
    source:
      signers: [maintainer]
${source}
`;

const consumer = (vsa = '') => `version: 1
name: consumer
signers:
  verifier: { keyFile: verifier.pub }
  ci: { keyFile: ci.pub }
rules:
  - name: verified
    type: https://slsa.dev/verification_summary/v1
    signers: [verifier, ci]
    vsa:
      verifiers: [ { id: ${VERIFIER}, signer: verifier } ]
      resourceUri: ${RESOURCE}
      levels: [SLSA_BUILD_LEVEL_2]
${vsa}
`;

const TRUST = ['--quorum-policy', 'quorum'];
let HOW: string[];

async function attested(name: string, predicate: object, key = 'ci', type = 'slsaprovenance1', out = `${name}.json`) {
  stele.write(`${name}.predicate`, JSON.stringify(predicate));
  const args = ['--predicate', `${name}.predicate`, '--type', type, '--key', `${key}.pem`, '--out', out];
  await stele.done('attest', 'app', ...args, '--log', stele.log.url, '--log-key', stele.log.vkey);
  return out;
}

beforeAll(async () => {
  stele = await SteleIn.start();
  stele.write('app', 'the app');
  for (const name of ['ci', 'verifier']) {
    stele.write(`${name}.txt`, name);
    const made = ['--new-key', `${name}.pem`, '--public-out', `${name}.pub`];
    await stele.done('sign', `${name}.txt`, '--log', stele.log.url, '--log-key', stele.log.vkey, ...made);
  }
  mkdirSync(stele.path('evidence'));
  await attested('provenance', provenance(COMMIT_ID), 'ci', 'slsaprovenance1', 'evidence/provenance.json');
  stele.write('commit.txt', COMMIT);
  stele.write('policy.yaml', policy());
  stele.write('consumer.yaml', consumer());
  HOW = ['--policy', 'policy.yaml', ...TRUST, '--evidence', 'evidence'];
}, 60_000);

afterAll(() => stele.end());

const json = async (...args: string[]) => {
  const { status, out, err } = await stele.run('decide', ...args, '--json');
  if (out === '') throw new Error(err);
  return { status, ...JSON.parse(out) };
};
const reasonsOf = (decision: { rules: { evidence: { reasons: { code: string }[] }[] }[] }) =>
  decision.rules.flatMap(({ evidence }) => evidence.flatMap(({ reasons }) => reasons.map(({ code }) => code)));

describe('the source of a build', () => {
  it('is a commit that a maintainer signed', async () => {
    const decision = await json('app', ...HOW, '--evidence', 'commit.txt');
    expect(decision).toMatchObject({ status: 0, verdict: 'allow', levels: ['SLSA_BUILD_LEVEL_3'] });
  });

  it('is a commit with a tag that a maintainer signed', async () => {
    stele.write('tag.txt', signedTag(maintainer, 'v1.0'));
    expect(await json('app', ...HOW, '--evidence', 'tag.txt')).toMatchObject({ verdict: 'allow' });
    stele.write('tags.yaml', policy('      tags: [v*]'));
    const tags = ['--policy', 'tags.yaml', ...TRUST, '--evidence', 'evidence'];
    expect(await json('app', ...tags, '--evidence', 'tag.txt')).toMatchObject({ verdict: 'allow' });
    expect(reasonsOf(await json('app', ...tags, '--evidence', 'commit.txt'))).toEqual(['tag']);
  });

  it.each<[string, () => string, string]>([
    ['nothing', () => '', 'source'],
    ['a commit of a stranger', () => withHeader(commit(), stranger.sign(commit())), 'source'],
    ['another commit', () => withHeader(commit({ message: 'x' }), maintainer.sign(commit({ message: 'x' }))), 'source'],
    ['a tag of another name', () => signedTag(maintainer, 'v1.1'), 'tag'],
    ['a tag of a stranger', () => signedTag(stranger, 'v1.0'), 'source'],
    ['a tag of another commit', () => signedTag(maintainer, 'v1.0', '1'.repeat(40)), 'source'],
    ['the commit without its signature', () => commit(), 'source'],
  ])('is not shown by %s', async (_, object, code) => {
    stele.write('other.txt', object() || '{}');
    const decision = await json('app', ...HOW, '--evidence', 'other.txt');
    expect(decision).toMatchObject({ status: 1, verdict: 'deny', levels: [] });
    expect(reasonsOf(decision)).toEqual([code]);
  });

  it('must be in a log where the policy wants that', async () => {
    stele.write('logged.yaml', policy('      logged: true'));
    const logged = ['--policy', 'logged.yaml', ...TRUST, '--evidence', 'evidence'];
    expect(reasonsOf(await json('app', ...logged, '--evidence', 'commit.txt'))).toEqual(['log']);
  });
});

describe('a commit as the artifact', () => {
  const GIT = () => `version: 1
name: source
signers:
  maintainer: { ssh: ${maintainer.line} }
rules:
  - { name: signed, type: [commit, tag], signers: [maintainer] }
`;
  const decide = (artifact: string, evidence: string) =>
    json(artifact, '--policy', 'source.yaml', ...TRUST, '--evidence', evidence);

  it('is allowed by its signature, and by that of a tag', async () => {
    stele.write('source.yaml', GIT());
    stele.write('tag.txt', signedTag(maintainer, 'v1.0'));
    expect(await decide(`gitCommit:${COMMIT_ID}`, 'commit.txt')).toMatchObject({
      verdict: 'allow',
      artifact: { digest: { gitCommit: COMMIT_ID } },
    });
    expect(await decide(`gitCommit:${COMMIT_ID}`, 'tag.txt')).toMatchObject({ verdict: 'allow' });
    expect(await decide(`gitTag:${idOf('tag', signedTag(maintainer, 'v1.0'))}`, 'tag.txt')).toMatchObject({
      verdict: 'allow',
    });
  });

  it('is denied under the id of another, and by a stranger', async () => {
    stele.write('source.yaml', GIT());
    expect(await decide(`gitCommit:${'1'.repeat(40)}`, 'commit.txt')).toMatchObject({ status: 1, verdict: 'deny' });
    expect(await decide(`gitTag:${COMMIT_ID}`, 'commit.txt')).toMatchObject({ verdict: 'deny' });
    // The id that the same object would have in a repository of SHA-256.
    expect(await decide(`gitCommit:${idOf('commit', COMMIT, 'sha256')}`, 'commit.txt')).toMatchObject({
      verdict: 'deny',
    });
    const other = signedCommit(stranger);
    stele.write('stranger.txt', other);
    expect(await decide(`gitCommit:${idOf('commit', other)}`, 'stranger.txt')).toMatchObject({ verdict: 'deny' });
  });

  it('is no evidence about a file, whatever its rule is', async () => {
    stele.write('any.yaml', GIT().replace('[commit, tag]', 'signature'));
    const decision = await json('app', '--policy', 'any.yaml', ...TRUST, '--evidence', 'commit.txt');
    expect(decision).toMatchObject({ verdict: 'deny', rules: [{ reasons: [{ code: 'no-evidence' }], evidence: [] }] });
  });

  it('needs the quorum and the log that its rule names', async () => {
    for (const wish of ['witnesses: quorum', 'logs: [localhost]']) {
      stele.write('source.yaml', GIT().replace('[maintainer] }', `[maintainer], ${wish} }`));
      expect(await decide(`gitCommit:${COMMIT_ID}`, 'commit.txt')).toMatchObject({ verdict: 'deny' });
    }
  });

  it.each(['gitCommit:1234', 'gitcommit:a', `gitCommit:${'A'.repeat(40)}`, 'gitTag:'])(
    'is not named by %s',
    async (name) => {
      const { status, err } = await stele.run(
        'decide',
        name,
        '--policy',
        'policy.yaml',
        ...TRUST,
        '--evidence',
        'commit.txt',
      );
      expect(status).toBe(2);
      expect(err).toContain('no commit or tag');
    },
  );
});

describe('a verification summary', () => {
  const SIGN = (out: string) => [
    ...['--vsa', out, '--resource-uri', RESOURCE, '--verifier-id', VERIFIER, '--key', 'verifier.pem'],
    ...['--log', stele.log.url],
  ];
  const statementIn = (out: string) => {
    const { dsseEnvelope } = JSON.parse(readFileSync(stele.path(out), 'utf8'));
    return JSON.parse(Buffer.from(dsseEnvelope.payload, 'base64').toString());
  };
  const relying = (out: string, file = 'consumer.yaml') => json('app', '--policy', file, ...TRUST, '--evidence', out);

  beforeAll(async () => {
    const { status, summary } = await json('app', ...HOW, '--evidence', 'commit.txt', ...SIGN('passed.json'));
    expect({ status, bundle: summary.bundle }).toEqual({ status: 0, bundle: 'passed.json' });
  });

  it('has all fields, and each input by its digest', () => {
    const { subject, predicateType, predicate } = statementIn('passed.json');
    const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
    expect(subject).toEqual([{ name: 'app', digest: { sha256: digestOf('the app') } }]);
    expect(predicateType).toBe('https://slsa.dev/verification_summary/v1');
    const hash = createHash('sha256').update(policy()).digest();
    expect(predicate).toEqual({
      verifier: { id: VERIFIER, version: { stele: version } },
      timeVerified: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
      resourceUri: RESOURCE,
      policy: {
        uri: `ni:///sha-256;${hash.toString('base64url')}`,
        name: 'releases',
        digest: { sha256: hash.toString('hex') },
      },
      inputAttestations: [
        { name: 'provenance.json', digest: { sha256: digestOf(readFileSync(stele.path('evidence/provenance.json'))) } },
        { name: 'commit.txt', digest: { sha256: digestOf(COMMIT) } },
      ],
      verificationResult: 'PASSED',
      verifiedLevels: ['SLSA_BUILD_LEVEL_3'],
      slsaVersion: '1.2',
    });
  });

  it('is what its consumer relies on', async () => {
    expect(await relying('passed.json')).toMatchObject({ status: 0, verdict: 'allow', levels: ['SLSA_BUILD_LEVEL_3'] });
    const hash = digestOf(policy());
    stele.write(
      'strict.yaml',
      consumer(
        `      policyDigest: sha256:${hash}\n      policyUri: "${statementIn('passed.json').predicate.policy.uri}"\n      inputs: true\n      maxAge: 1h`,
      ),
    );
    expect(await relying('passed.json', 'strict.yaml')).toMatchObject({ verdict: 'allow' });
  });

  it.each([
    [
      'another resource',
      (text: string) => text.replace(`resourceUri: ${RESOURCE}`, 'resourceUri: https://example.com/other'),
      'summary',
    ],
    ['a higher level', (text: string) => text.replace('LEVEL_2', 'LEVEL_4'), 'level'],
    ['a level of another track', (text: string) => text.replace('BUILD', 'SOURCE'), 'level'],
    ['another policy', (text: string) => `${text}      policyDigest: sha256:${'0'.repeat(64)}\n`, 'summary'],
    ['another policy by its URI', (text: string) => `${text}      policyUri: https://example.com/policy\n`, 'summary'],
    ['another verifier', (text: string) => text.replace(VERIFIER, 'https://example.com/other'), 'verifier'],
    [
      'the verifier from another signer',
      (text: string) => text.replace('signer: verifier }', 'signer: ci }'),
      'verifier',
    ],
    ['dependencies of a level', (text: string) => `${text}      minDependencyLevel: 1\n`, 'level'],
  ])('is refused by a consumer who wants %s', async (_, change, code) => {
    stele.write('other.yaml', change(consumer()));
    const decision = await relying('passed.json', 'other.yaml');
    expect(decision).toMatchObject({ status: 1, verdict: 'deny', levels: [] });
    expect(reasonsOf(decision)).toEqual([code]);
  });

  it('of a deny says FAILED and has no level, and its exit status stays 1', async () => {
    const { status, verdict } = await json('app', ...HOW, ...SIGN('failed.json'));
    expect({ status, verdict }).toEqual({ status: 1, verdict: 'deny' });
    const { predicate } = statementIn('failed.json');
    expect(predicate).toMatchObject({ verificationResult: 'FAILED', verifiedLevels: ['FAILED'] });
    expect(predicate.inputAttestations).toHaveLength(1);
    expect(reasonsOf(await relying('failed.json'))).toEqual(['summary']);
  });

  it.each<[string, (predicate: Record<string, unknown>) => object, string[]]>([
    [
      'is from tomorrow',
      (one) => ({ ...one, timeVerified: new Date(Date.now() + 86_400_000).toISOString() }),
      ['future-time'],
    ],
    ['failed and has a level', (one) => ({ ...one, verificationResult: 'FAILED' }), ['predicate']],
    ['passed and says FAILED', (one) => ({ ...one, verifiedLevels: ['FAILED'] }), ['predicate']],
    [
      'has two levels of one track',
      (one) => ({ ...one, verifiedLevels: ['SLSA_BUILD_LEVEL_3', 'SLSA_BUILD_LEVEL_1'] }),
      ['predicate'],
    ],
    ['has a level of its own that begins as one', (one) => ({ ...one, verifiedLevels: ['SLSA_BEST'] }), ['predicate']],
    ['has no policy', ({ policy: _, ...one }) => one, ['predicate']],
    ['has a result of its own', (one) => ({ ...one, verificationResult: 'passed' }), ['predicate']],
    ['has no resource', ({ resourceUri: _, ...one }) => one, ['predicate']],
    ['has no level', (one) => ({ ...one, verifiedLevels: [] }), ['level']],
    ['was not evaluated', (one) => ({ ...one, verifiedLevels: ['SLSA_BUILD_LEVEL_UNEVALUATED'] }), ['level']],
    ['has a time that does not exist', (one) => ({ ...one, timeVerified: '2026-02-30T00:00:00Z' }), ['predicate']],
  ])('is refused where it %s', async (_, change, codes) => {
    const { predicate } = statementIn('passed.json');
    const out = await attested('odd', change(predicate), 'verifier', 'https://slsa.dev/verification_summary/v1');
    expect(reasonsOf(await relying(out))).toEqual(codes);
  });

  it('is refused where it is old, and where it does not say how old', async () => {
    stele.write('fresh.yaml', consumer('      maxAge: 1h'));
    const { predicate } = statementIn('passed.json');
    const old = await attested(
      'old',
      { ...predicate, timeVerified: '2026-01-01T00:00:00Z' },
      'verifier',
      'https://slsa.dev/verification_summary/v1',
    );
    expect(reasonsOf(await relying(old, 'fresh.yaml'))).toEqual(['age']);
    const { timeVerified: _, ...undated } = predicate;
    const none = await attested('undated', undated, 'verifier', 'https://slsa.dev/verification_summary/v1');
    expect(reasonsOf(await relying(none, 'fresh.yaml'))).toEqual(['age']);
  });

  it('is not made where nothing was judged', async () => {
    stele.write('elsewhere.yaml', policy().replace('signers:', 'artifacts: [elsewhere]\nsigners:'));
    const args = ['--policy', 'elsewhere.yaml', ...TRUST, '--evidence', 'evidence', ...SIGN('none.json')];
    const { status, out, err } = await stele.run('decide', 'app', ...args);
    expect({ status, out }).toEqual({ status: 2, out: '' });
    expect(err).toContain('nothing was verified');
  });

  it.each<[string[], RegExp]>([
    [['--vsa', 'x.json'], /--resource-uri/],
    [['--vsa', 'x.json', '--resource-uri', RESOURCE], /--verifier-id/],
    [['--vsa', 'x.json', '--resource-uri', 'app', '--verifier-id', VERIFIER], /no URI/],
    [
      ['--vsa', 'x.json', '--resource-uri', RESOURCE, '--verifier-id', VERIFIER, '--key', 'verifier.pem'],
      /name the log with --log or --signing-config, or follow/,
    ],
    [
      ['--vsa', 'x.json', '--resource-uri', RESOURCE, '--verifier-id', VERIFIER, '--at', '2026-01-01T00:00:00Z'],
      /--at/,
    ],
    [['--key', 'verifier.pem'], /--key is about a verification summary/],
    [['--resource-uri', RESOURCE], /--resource-uri is about/],
  ])('needs its options: %j', async (more, message) => {
    const { status, out, err } = await stele.run('decide', 'app', ...HOW, ...more);
    expect({ status, out }).toEqual({ status: 2, out: '' });
    expect(err).toMatch(message);
  });

  it('is about one artifact', async () => {
    const { status, err } = await stele.run('decide', 'app', 'ci.txt', ...HOW, ...SIGN('two.json'));
    expect(status).toBe(2);
    expect(err).toContain('one artifact');
  });
});

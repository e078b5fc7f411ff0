/**
 * The risks of a software supply chain, as docs/policy.md lists them. Each attack is made with real signatures in a real log, all but the
 * one thing that the attacker cannot do; the rule that the document names denies it. The same policy allows the honest artifact.
 */
import { createHash, generateKeyPairSync } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { commit, idOf, SshKey, withHeader } from '../../support/git-objects.ts';
import { OciServer } from '../../support/oci-server.ts';
import { SteleIn } from '../../support/stele-in.ts';

const maintainer = new SshKey('ed25519');
const stranger = new SshKey('ed25519');
const signedBy = (key: SshKey, message: string) => withHeader(commit({ message }), key.sign(commit({ message })));

const SOURCE = 'git+https://git.example.com/team/app';
const HONEST = signedBy(maintainer, 'Add the thing');
const UNREVIEWED = signedBy(maintainer, 'Add a back door');
const REWRITTEN = signedBy(stranger, 'Add a back door');
const APP = 'the app';

const POLICY = `version: 1
name: production
artifacts: [ 'app-*.tgz', '127.0.0.1:*/team/app' ]
signers:
  builder-1: { keyFile: builder-1.pub }
  builder-2: { keyFile: builder-2.pub }
  reviewer: { keyFile: reviewer.pub }
  maintainer: { ssh: ${maintainer.line} }
rules:
  - name: built twice from our source
    type: slsaprovenance1
    signers: [ builder-1, builder-2 ]
    threshold: 2
    maxAge: 30d
    provenance:
      builders:
        - { id: https://ci-1.example.com, signer: builder-1, level: 3 }
        - { id: https://ci-2.example.com, signer: builder-2, level: 2 }
      minLevel: 2
      buildTypes: [ https://ci.example.com/build/v1 ]
      source: { uri: '${SOURCE}', ref: refs/heads/main }
      dependencies: { allow: [ { uri: 'pkg:npm/@team/*' } ] }
    source: { signers: [ maintainer ] }
  - name: reviewed
    type: https://example.com/review/v1
    signers: [ reviewer ]
    conditions:
      - { cel: "predicate.result == 'accepted'", message: the review did not accept the change }
      - "subject.digest.sha256 == artifact.digest.sha256"
  - name: nothing known bad inside
    type: cyclonedx
    signers: [ builder-1 ]
    sbom:
      forbid: [ { purl: pkg:npm/left-pad, range: 'vers:npm/<1.3.0', reason: it deletes files } ]
`;

const CONSUMER = `version: 1
name: consumer
signers:
  verifier: { keyFile: verifier.pub }
rules:
  - name: verified as what was ordered
    type: vsa
    signers: [ verifier ]
    vsa:
      verifiers: [ { id: https://verifier.example.com, signer: verifier } ]
      resourceUri: https://packages.example.com/app-*.tgz
      levels: [ SLSA_BUILD_LEVEL_2 ]
`;

interface Reason {
  readonly code: string;
  readonly message: string;
}

interface Judged {
  readonly name: string;
  readonly holds: boolean;
  readonly reasons: readonly Reason[];
  readonly evidence: readonly { readonly reasons: readonly Reason[] }[];
}

interface Build {
  readonly id?: string;
  readonly uri?: string;
  readonly ref?: string;
  readonly commit?: string;
  readonly dependencies?: readonly object[];
}

function provenance({
  id = 'https://ci-1.example.com',
  uri = SOURCE,
  ref = 'refs/heads/main',
  commit = HONEST,
  dependencies = [],
}: Build) {
  const source = `${uri}@${ref}`;
  return {
    buildDefinition: {
      buildType: 'https://ci.example.com/build/v1',
      externalParameters: { source },
      resolvedDependencies: [{ uri: source, digest: { gitCommit: idOf('commit', commit) } }, ...dependencies],
    },
    runDetails: { builder: { id } },
  };
}

function sbom(text: string, version: string) {
  const purl = `pkg:npm/left-pad@${version}`;
  const hashes = [{ alg: 'SHA-256', content: createHash('sha256').update(text).digest('hex') }];
  const main = { type: 'application', name: 'app', version: '1', 'bom-ref': 'app', hashes, purl: 'pkg:generic/app@1' };
  return {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: { component: main },
    components: [{ type: 'library', name: 'left-pad', version, purl, 'bom-ref': 'left-pad' }],
    dependencies: [{ ref: 'app', dependsOn: ['left-pad'] }, { ref: 'left-pad' }],
  };
}

describe('risks of a software supply chain', () => {
  let stele: SteleIn;
  let made = 0;

  beforeAll(async () => {
    stele = await SteleIn.start('localhost', true);
    for (const name of ['builder-1', 'builder-2', 'reviewer', 'verifier', 'developer']) {
      const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      stele.write(`${name}.pub`, publicKey.export({ format: 'pem', type: 'spki' }));
      writeFileSync(stele.path(`${name}.pem`), privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 });
    }
    stele.write('policy.yaml', POLICY);
    stele.write('consumer.yaml', CONSUMER);
    stele.write('app-1.tgz', APP);
  }, 60_000);
  afterAll(() => stele.end());

  const log = () => ['--log', stele.log.url, '--log-key', stele.log.vkey];

  const bundles = new Map<string, Promise<Buffer>>();

  /** Signs and logs a statement once, however often it is wanted. */
  async function attest(
    folder: string,
    file: string,
    type: string,
    predicate: object,
    signer: string,
    how = log(),
  ): Promise<void> {
    const key = JSON.stringify([file, type, predicate, signer, how]);
    made += 1;
    const name = `statement-${made}`;
    const bundle = bundles.get(key) ?? signed(name, file, type, predicate, [`${signer}.pem`, ...how]);
    bundles.set(key, bundle);
    stele.write(`${folder}/${name}.sigstore.json`, await bundle);
  }

  async function signed(
    name: string,
    file: string,
    type: string,
    predicate: object,
    how: readonly string[],
  ): Promise<Buffer> {
    stele.write(`${name}.predicate.json`, JSON.stringify(predicate));
    const what = ['--type', type, '--predicate', `${name}.predicate.json`];
    await stele.done('attest', file, ...what, '--key', ...how, '--out', `${name}.json`);
    return await readFile(stele.path(`${name}.json`));
  }

  interface Made {
    readonly file?: string;
    readonly build?: Build;
    readonly second?: Build;
    readonly commit?: string;
    readonly reviewed?: boolean;
    readonly leftPad?: string;
    /** Who signs in the place of the builders. */
    readonly by?: string;
  }

  /** All evidence of an artifact, honest but for what the attacker changes. */
  async function evidenceOf({
    file = 'app-1.tgz',
    build,
    second,
    commit = HONEST,
    reviewed = true,
    leftPad = '1.3.0',
    by,
  }: Made = {}): Promise<string> {
    made += 1;
    const folder = `evidence-${made}`;
    mkdirSync(stele.path(folder));
    const text = file === 'app-1.tgz' ? APP : file;
    const add = (type: string, predicate: object, signer: string) => attest(folder, file, type, predicate, signer);
    await Promise.all([
      add('slsaprovenance1', provenance({ commit, ...build }), by ?? 'builder-1'),
      add('slsaprovenance1', provenance({ commit, id: 'https://ci-2.example.com', ...second }), by ?? 'builder-2'),
      ...(reviewed ? [add('https://example.com/review/v1', { result: 'accepted' }, 'reviewer')] : []),
      add('cyclonedx', sbom(text, leftPad), by ?? 'builder-1'),
    ]);
    stele.write(`${folder}/commit`, commit);
    return folder;
  }

  async function decide(artifact: string, evidence: readonly string[], policy = 'policy.yaml') {
    const { status, out, err } = await stele.run(
      'decide',
      artifact,
      '--policy',
      policy,
      '--quorum-policy',
      'quorum',
      ...evidence,
      '--json',
    );
    expect([0, 1], err).toContain(status);
    const decision = JSON.parse(out);
    expect(decision.verdict).toBe(status === 0 ? 'allow' : 'deny');
    const failed = (decision.rules as Judged[]).filter(({ holds }) => !holds);
    const reasons = failed.flatMap((rule) => [...rule.reasons, ...rule.evidence.flatMap((one) => one.reasons)]);
    const all = [...decision.reasons, ...reasons] as Reason[];
    return {
      verdict: decision.verdict as string,
      rules: failed.map(({ name }) => name),
      codes: [...new Set(all.map(({ code }) => code))],
      messages: all.map(({ message }) => message).join('\n'),
      refused: (decision.refused as { code: string }[]).map(({ code }) => code),
    };
  }

  const from = (folder: string) => ['--evidence', folder];

  it('are none in an honest artifact: it is allowed', async () => {
    expect(await decide('app-1.tgz', from(await evidenceOf()))).toMatchObject({ verdict: 'allow', rules: [] });
  });

  it('a bad source: a change that nobody reviewed', async () => {
    const folder = await evidenceOf({ commit: UNREVIEWED, reviewed: false });
    expect(await decide('app-1.tgz', from(folder))).toMatchObject({
      verdict: 'deny',
      rules: ['reviewed'],
      codes: ['no-evidence'],
    });
  });

  it('a source platform: a commit that no maintainer signed', async () => {
    const folder = await evidenceOf({ commit: REWRITTEN });
    const { verdict, rules, codes } = await decide('app-1.tgz', from(folder));
    expect({ verdict, rules }).toEqual({ verdict: 'deny', rules: ['built twice from our source'] });
    expect(codes).toContain('source');
  });

  it.each<[string, Build]>([
    ['another branch', { ref: 'refs/heads/feature' }],
    ['a fork', { uri: 'git+https://git.example.com/stranger/app' }],
    ['a commit that is not in the evidence', { commit: UNREVIEWED }],
  ])('a build that is not from the source: %s', async (_, build) => {
    const folder = await evidenceOf();
    const other = await evidenceOf({ build, second: build });
    const { verdict, rules, codes } = await decide('app-1.tgz', [...from(`${other}`), ...from(`${folder}/commit`)]);
    expect({ verdict, rules }).toEqual({ verdict: 'deny', rules: ['built twice from our source'] });
    expect(codes).toContain('source');
  });

  it('a build platform: one of two builders makes other bytes', async () => {
    stele.write('app-2.tgz', 'app-2.tgz');
    // The second builder, and everybody else, has only seen the honest bytes.
    const honest = await evidenceOf();
    const folder = `alone-${honest}`;
    mkdirSync(stele.path(folder));
    await attest(folder, 'app-2.tgz', 'slsaprovenance1', provenance({}), 'builder-1');
    stele.write(`${folder}/commit`, HONEST);
    const { verdict, codes } = await decide('app-2.tgz', [...from(folder), ...from(honest)]);
    expect(verdict).toBe('deny');
    expect(codes).toContain('threshold');
  });

  it('a build platform: one builder speaks for the other', async () => {
    const folder = await evidenceOf({ second: { id: 'https://ci-1.example.com' } });
    const { verdict, rules, codes } = await decide('app-1.tgz', from(folder));
    expect({ verdict, rules }).toEqual({ verdict: 'deny', rules: ['built twice from our source'] });
    expect(codes).toContain('builder');
  });

  it('a bad dependency: a version that is known to be bad', async () => {
    const folder = await evidenceOf({ leftPad: '1.2.9' });
    const { verdict, rules, messages } = await decide('app-1.tgz', from(folder));
    expect({ verdict, rules }).toEqual({ verdict: 'deny', rules: ['nothing known bad inside'] });
    expect(messages).toContain('it deletes files');
  });

  it('a bad dependency: one that the build may not have', async () => {
    const dependencies = [{ uri: 'pkg:npm/leftpad@9', digest: { sha256: 'ab'.repeat(32) } }];
    const folder = await evidenceOf({ build: { dependencies }, second: { dependencies } });
    const { verdict, rules, codes } = await decide('app-1.tgz', from(folder));
    expect({ verdict, rules }).toEqual({ verdict: 'deny', rules: ['built twice from our source'] });
    expect(codes).toContain('dependency');
  });

  it('an upload past the build system: signed by a developer, and in the log', async () => {
    const folder = await evidenceOf({ by: 'developer' });
    const { verdict, codes, refused } = await decide('app-1.tgz', from(folder));
    expect({ verdict, codes }).toEqual({ verdict: 'deny', codes: ['no-evidence'] });
    expect(refused).toEqual(Array(3).fill('bad-signature'));
  });

  it('an upload past the build system: signed with a stolen key, and in no log', async () => {
    const folder = await evidenceOf();
    const quiet = `quiet-${folder}`;
    mkdirSync(stele.path(quiet));
    await attest(quiet, 'app-1.tgz', 'slsaprovenance1', provenance({}), 'builder-1', ['--no-log']);
    stele.write(`${quiet}/commit`, HONEST);
    const { verdict, codes, refused } = await decide('app-1.tgz', from(quiet));
    expect(verdict).toBe('deny');
    expect(codes).toContain('no-evidence');
    expect(refused).toEqual(['bad-proof']);
  });

  it('a package repository: other bytes under the same name', async () => {
    const folder = await evidenceOf();
    mkdirSync(stele.path('download'), { recursive: true });
    stele.write('download/app-1.tgz', 'the app, changed');
    const { verdict, codes, refused } = await decide('download/app-1.tgz', from(folder));
    expect({ verdict, codes }).toEqual({ verdict: 'deny', codes: ['no-evidence'] });
    expect(refused).toEqual(Array(4).fill('digest-mismatch'));
  });

  it('a package repository: a version of long ago', async () => {
    const folder = await evidenceOf();
    const later = new Date(Date.now() + 31 * 86_400_000).toISOString();
    const { verdict, codes } = await decide('app-1.tgz', [...from(folder), '--at', later]);
    expect(verdict).toBe('deny');
    expect(codes).toContain('age');
  });

  it('a package repository: a registry that withholds the evidence, or is away', async () => {
    const registry = await new OciServer().start();
    const image = registry.image('v1');
    const name = `${registry.host}/team/app@${image.digest}`;
    const ask = ['--registry', '--insecure-registry', registry.host];
    expect(await decide(name, ask)).toMatchObject({ verdict: 'deny', codes: ['no-evidence'] });
    await registry.close();
    const { status, err } = await stele.run(
      'decide',
      name,
      '--policy',
      'policy.yaml',
      '--quorum-policy',
      'quorum',
      ...ask,
    );
    expect(status).toBe(2);
    expect(err).toContain('stele: error [network]');
  });

  it('a consumer who is tricked: a name that looks alike', async () => {
    const folder = await evidenceOf();
    stele.write('aap-1.tgz', APP);
    expect(await decide('aap-1.tgz', from(folder))).toMatchObject({ verdict: 'deny', codes: ['not-covered'] });
  });

  it.each<[string, string, object, string]>([
    ['another package', 'summary', { resourceUri: 'https://packages.example.com/aap-1.tgz' }, 'verifier'],
    ['a package of another place', 'summary', { resourceUri: 'https://mirror.example.com/app-1.tgz' }, 'verifier'],
    ['a package that failed', 'summary', { verificationResult: 'FAILED', verifiedLevels: [] }, 'verifier'],
    ['a package of a lower level', 'level', { verifiedLevels: ['SLSA_BUILD_LEVEL_1'] }, 'verifier'],
    ['the right one, by another verifier', 'verifier', { verifier: { id: 'https://other.example.com' } }, 'verifier'],
    ['the right one, by the developer', 'no-evidence', {}, 'developer'],
  ])('a consumer who is tricked: a summary of %s', async (_, code, change, by) => {
    made += 1;
    const folder = `summary-${made}`;
    mkdirSync(stele.path(folder));
    const honest = {
      verifier: { id: 'https://verifier.example.com' },
      timeVerified: new Date().toISOString(),
      resourceUri: 'https://packages.example.com/app-1.tgz',
      policy: { uri: 'https://example.com/policy', digest: { sha256: 'ab'.repeat(32) } },
      verificationResult: 'PASSED',
      verifiedLevels: ['SLSA_BUILD_LEVEL_2'],
    };
    await attest(folder, 'app-1.tgz', 'vsa', { ...honest, ...change }, by);
    const { verdict, codes } = await decide('app-1.tgz', from(folder), 'consumer.yaml');
    expect(verdict).toBe('deny');
    expect(codes).toContain(code);
    await attest(folder, 'app-1.tgz', 'vsa', honest, 'verifier');
    expect(await decide('app-1.tgz', from(folder), 'consumer.yaml')).toMatchObject({ verdict: 'allow' });
  });
});

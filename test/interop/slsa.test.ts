/**
 * From a commit that git signs with ssh-keygen to a verification summary in a log with a witness, which cosign takes. The objects
 * are those that git itself writes, in repositories of SHA-1 and of SHA-256.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkGit, readGit } from '../../client/policy/git-evidence.ts';
import { nodePrimitives } from '../../merkle/runtime/crypto/node-primitives.ts';
import { parseGitObject } from '../../merkle/runtime/policy/git/git-object.ts';
import { parseSshPublicKey } from '../../merkle/runtime/policy/git/ssh-public-key.ts';
import { tempDir } from '../support/log.ts';
import { run, type ServeProcess, startServer, steleJson } from '../support/serve.ts';
import { lacking, skips } from '../support/skip.ts';
import { startWitness, type WitnessProcess } from '../support/witness-process.ts';
import { type Cosign, ok, refused, tellCosign } from './tools.ts';

const noGit = skips('commits signed by git and ssh-keygen', lacking('git', 'ssh-keygen'));
const noCosign = skips('cosign on a verification summary', lacking('cosign', 'git', 'ssh-keygen'));

const PERSON = {
  GIT_AUTHOR_NAME: 'A Maintainer',
  GIT_AUTHOR_EMAIL: 'maintainer@example.com',
  GIT_COMMITTER_NAME: 'A Maintainer',
  GIT_COMMITTER_EMAIL: 'maintainer@example.com',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_SYSTEM: '/dev/null',
};

class Repository {
  readonly dir: string;
  constructor(dir: string) {
    this.dir = dir;
  }

  static async make(dir: string, format: 'sha1' | 'sha256', key: string): Promise<Repository> {
    await mkdir(dir);
    const made = new Repository(dir);
    await made.git('init', '-q', '-b', 'main', `--object-format=${format}`);
    for (const [name, value] of [
      ['gpg.format', 'ssh'],
      ['user.signingKey', `${key}.pub`],
      ['commit.gpgSign', 'true'],
      ['tag.gpgSign', 'true'],
    ] as const) {
      await made.git('config', name, value);
    }
    return made;
  }

  async git(...args: string[]): Promise<string> {
    return await ok('git', ['-C', this.dir, ...args], { ...process.env, ...PERSON });
  }

  async object(kind: string, name: string): Promise<Buffer> {
    // The text of git is UTF-8 here, so nothing is lost.
    return Buffer.from(await this.git('cat-file', kind, name));
  }
}

async function sshKey(path: string, type: string, ...more: string[]): Promise<string> {
  await ok('ssh-keygen', ['-q', '-t', type, ...more, '-N', '', '-C', 'maintainer@example.com', '-f', path]);
  return (await readFile(`${path}.pub`, 'utf8')).trim();
}

const check = (object: Uint8Array) => checkGit(readGit(object)!, {}, Date.now(), nodePrimitives());

describe.skipIf(noGit)('git with ssh-keygen', () => {
  let dir: Awaited<ReturnType<typeof tempDir>>;
  beforeAll(async () => {
    dir = await tempDir();
  });
  afterAll(() => dir.remove());

  describe.each([
    ['sha1', 'ed25519', []],
    ['sha256', 'ed25519', []],
    ['sha1', 'ecdsa', ['-b', '256']],
    ['sha1', 'ecdsa', ['-b', '384']],
    ['sha1', 'ecdsa', ['-b', '521']],
    ['sha1', 'rsa', ['-b', '2048']],
    ['sha256', 'rsa', ['-b', '3072']],
  ] as const)('a repository of %s, with a key of %s %j', (format, type, more) => {
    let repository: Repository;
    let line: string;
    beforeAll(async () => {
      const name = [format, type, ...more].join('-');
      line = await sshKey(join(dir.path, `${name}.key`), type, ...more);
      repository = await Repository.make(join(dir.path, name), format, join(dir.path, `${name}.key`));
      await repository.git('commit', '-q', '--allow-empty', '-m', 'First');
    });

    it('gives a commit with the id that git gives it, signed by the key', async () => {
      const id = (await repository.git('rev-parse', 'HEAD')).trim();
      expect(check(await repository.object('commit', 'HEAD'))).toEqual({
        git: { kind: 'commit', id },
        signer: { kind: 'key', fingerprint: parseSshPublicKey(line).fingerprint },
      });
    });

    it('gives a tag, and a merge that keeps one', async () => {
      const id = (await repository.git('rev-parse', 'HEAD')).trim();
      await repository.git('tag', '-m', 'Release', 'v1.0');
      expect(check(await repository.object('tag', 'v1.0'))).toMatchObject({
        git: { kind: 'tag', tag: { name: 'v1.0', type: 'commit', object: id } },
      });
      await repository.git('checkout', '-q', '-b', 'side', 'v1.0');
      await repository.git('commit', '-q', '--allow-empty', '-m', 'Side');
      await repository.git('tag', '-m', 'Side', 'side-1');
      await repository.git('checkout', '-q', 'main');
      await repository.git('commit', '-q', '--allow-empty', '-m', 'Main');
      await repository.git('merge', '-q', '--no-ff', '-m', 'Merge', 'side-1');
      const merge = await repository.object('commit', 'HEAD');
      expect(merge.toString()).toContain('\nmergetag object ');
      expect(check(merge)).toMatchObject({ git: { id: (await repository.git('rev-parse', 'HEAD')).trim() } });
    });

    it('says what git says of a commit that was changed', async () => {
      const allowed = join(dir.path, 'allowed');
      await writeFile(allowed, `maintainer@example.com namespaces="git" ${line}\n`);
      await repository.git('config', 'gpg.ssh.allowedSignersFile', allowed);
      await repository.git('verify-commit', 'HEAD');
      const text = (await repository.object('commit', 'HEAD')).toString();
      const forms = {
        'another message': text.replace('Merge', 'Merged').replace('First', 'Other'),
        'a header more': text.replace('\ngpgsig', '\nx-note hello\ngpgsig'),
        'another committer': text.replace('committer A', 'committer B'),
      };
      for (const [what, changed] of Object.entries(forms)) {
        expect(changed, what).not.toBe(text);
        await writeFile(join(dir.path, 'object'), changed);
        const id = (await repository.git('hash-object', '-t', 'commit', '-w', join(dir.path, 'object'))).trim();
        expect((await run('git', ['-C', repository.dir, 'verify-commit', id])).code, what).not.toBe(0);
        expect(parseGitObject(Buffer.from(changed)).id).toBe(id);
        expect(() => check(Buffer.from(changed)), what).toThrow(/over another object/);
      }
    });
  });
});

const REPOSITORY = 'https://git.example.com/team/app';
const VERIFIER = 'https://example.com/verifier';
const RESOURCE = 'https://example.com/app.tgz';

describe.skipIf(noCosign)('a verification summary', () => {
  let dir: Awaited<ReturnType<typeof tempDir>>;
  let server: ServeProcess;
  let witness: WitnessProcess;
  let cosign: Cosign;
  const at = (name: string) => join(dir.path, name);
  const TYPE = ['--type', 'https://slsa.dev/verification_summary/v1'];

  beforeAll(async () => {
    dir = await tempDir();
    const { verifierKey } = await steleJson(['keygen', '--origin', 'localhost', '--out', at('log.pem')]);
    witness = await startWitness(at('witness'), 'witness.test', [String(verifierKey)]);
    await writeFile(at('witnesses'), `${witness.policyLine('w')}quorum w\n`);
    server = await startServer(at('data'), { args: ['--key-file', at('log.pem'), '--policy', at('witnesses')] });
    await writeFile(at('quorum'), `log ${server.verifierKeys[0]}\n${await readFile(at('witnesses'), 'utf8')}`);
    cosign = await tellCosign(server, dir.path);
    await writeFile(at('app.tgz'), 'the release');
    await writeFile(at('other.tgz'), 'another release');
  }, 60_000);
  afterAll(async () => {
    await server?.kill();
    await witness?.kill();
    await dir?.remove();
  });

  it('is made from a commit of git and provenance of cosign, and taken by cosign', async () => {
    const line = await sshKey(at('maintainer'), 'ed25519');
    const repository = await Repository.make(at('source'), 'sha1', at('maintainer'));
    await repository.git('commit', '-q', '--allow-empty', '-m', 'First');
    await repository.git('tag', '-m', 'Release', 'v1.0');
    const commit = (await repository.git('rev-parse', 'HEAD')).trim();
    await mkdir(at('evidence'));
    await writeFile(at('evidence/tag.txt'), await repository.object('tag', 'v1.0'));
    const provenance = {
      buildDefinition: {
        buildType: 'https://ci.example.com/workflow/v1',
        externalParameters: { repository: REPOSITORY, ref: 'refs/tags/v1.0' },
        resolvedDependencies: [{ uri: `git+${REPOSITORY}@refs/tags/v1.0`, digest: { gitCommit: commit } }],
      },
      runDetails: { builder: { id: 'https://ci.example.com/builder' } },
    };
    await writeFile(at('provenance.json'), JSON.stringify(provenance));
    const { key, pub, signingConfig, trustedRoot, env } = cosign;
    const where = ['--signing-config', signingConfig, '--trusted-root', trustedRoot];
    const what = ['--predicate', at('provenance.json'), '--type', 'slsaprovenance1'];
    const bundle = ['--bundle', at('evidence/provenance.sigstore.json')];
    await ok('cosign', ['attest-blob', '-y', '--key', key, ...where, ...bundle, ...what, at('app.tgz')], env);
    await writeFile(
      at('policy.yaml'),
      `version: 1
name: releases
signers:
  ci: { keyFile: cosign.pub }
  maintainer: { ssh: ${line} }
rules:
  - name: built from a signed tag
    type: slsaprovenance1
    signers: [ci]
    witnesses: quorum
    provenance:
      builders: [ { id: https://ci.example.com/builder, signer: ci, level: 2 } ]
      source: { uri: ${REPOSITORY}, ref: refs/tags/* }
    source: { signers: [maintainer], tags: [v*] }
`,
    );
    expect(pub).toBe(at('cosign.pub'));
    await steleJson(['keygen', '--algorithm', 'ecdsa-p256', '--out', at('verifier.pem')]);
    const decided = await steleJson([
      ...['decide', at('app.tgz'), '--policy', at('policy.yaml'), '--evidence', at('evidence')],
      ...['--quorum-policy', at('quorum'), '--vsa', at('app.vsa.json'), '--resource-uri', RESOURCE],
      ...['--verifier-id', VERIFIER, '--key', at('verifier.pem'), '--log', server.url],
    ]);
    expect(decided).toMatchObject({
      verdict: 'allow',
      levels: ['SLSA_BUILD_LEVEL_2'],
      summary: { cosignatures: [{ witness: 'w' }] },
    });
    await ok('openssl', ['pkey', '-in', at('verifier.pem'), '-pubout', '-out', at('verifier.pub')]);
    const how = ['--trusted-root', trustedRoot, '--key', at('verifier.pub'), '--bundle', at('app.vsa.json')];
    await ok('cosign', ['verify-blob-attestation', ...how, ...TYPE, at('app.tgz')]);
    await refused('cosign', ['verify-blob-attestation', ...how, ...TYPE, at('other.tgz')]);
    await refused('cosign', ['verify-blob-attestation', ...how, '--type', 'slsaprovenance1', at('app.tgz')]);
  });

  it('of cosign is taken by a consumer, and only from the verifier of the policy', async () => {
    const payload = JSON.parse(await readFile(at('app.vsa.json'), 'utf8')).dsseEnvelope.payload;
    const { predicate } = JSON.parse(Buffer.from(payload, 'base64').toString());
    await writeFile(at('vsa.json'), JSON.stringify(predicate));
    const { key, signingConfig, trustedRoot, env } = cosign;
    const where = ['--signing-config', signingConfig, '--trusted-root', trustedRoot, '--bundle', at('cosign.vsa.json')];
    const what = ['--predicate', at('vsa.json'), ...TYPE];
    await ok('cosign', ['attest-blob', '-y', '--key', key, ...where, ...what, at('app.tgz')], env);
    const consumer = (signer: string) => `version: 1
name: consumer
signers: { ours: { keyFile: verifier.pub }, theirs: { keyFile: cosign.pub } }
rules:
  - name: verified
    type: https://slsa.dev/verification_summary/v1
    signers: [ours, theirs]
    vsa: { verifiers: [ { id: ${VERIFIER}, signer: ${signer} } ], resourceUri: ${RESOURCE}, levels: [SLSA_BUILD_LEVEL_2] }
`;
    for (const [signer, file, verdict] of [
      ['theirs', 'cosign.vsa.json', 'allow'],
      ['ours', 'cosign.vsa.json', 'deny'],
      ['ours', 'app.vsa.json', 'allow'],
      ['theirs', 'app.vsa.json', 'deny'],
    ] as const) {
      await writeFile(at('consumer.yaml'), consumer(signer));
      const args = ['decide', at('app.tgz'), '--policy', at('consumer.yaml'), '--evidence', at(file)];
      const { stdout } = await run('node', [
        join(import.meta.dirname, '../../dist/client/cli/main.js'),
        ...args,
        '--quorum-policy',
        at('quorum'),
        '--json',
      ]);
      expect(JSON.parse(stdout).verdict, `${signer} ${file}`).toBe(verdict);
    }
  });
});

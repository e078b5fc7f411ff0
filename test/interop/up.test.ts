/** What `stele up` writes to trust/, given to cosign and to sigstore-js as it is; and its TUF repository, over a rotation. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bundleFromJSON } from '@sigstore/bundle';
import { toSignedEntity, Verifier } from '@sigstore/verify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tempDir } from '../support/log.ts';
import { CLI, run, stele, steleJson } from '../support/serve.ts';
import { lacking, skips } from '../support/skip.ts';
import { ok, refused } from './tools.ts';
import { trustMaterial } from './trust.ts';

const noCosign = skips('cosign against stele up', lacking('cosign'));

interface Up {
  readonly url: string;
  readonly publicUrl?: string;
  readonly verifierKeys: readonly string[];
  readonly trustRepository: { readonly url: string; readonly root: string };
  stop(): Promise<void>;
}

async function up(data: string): Promise<Up> {
  const free = ['--listen-port', '0', '--admin-port', '0', '--witness-port', '0'];
  const child = spawn(process.execPath, [CLI, 'up', '--json', '--data', data, ...free], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let out = '';
  for await (const part of child.stdout!.setEncoding('utf8')) {
    out += part;
    if (out.endsWith('\n}\n')) break;
  }
  const stop = async () => {
    const ended = once(child, 'close');
    child.kill('SIGTERM');
    await ended;
  };
  return { ...(JSON.parse(out) as Omit<Up, 'stop'>), stop };
}

describe('the files in trust/', () => {
  let dir: Awaited<ReturnType<typeof tempDir>>;
  let started: Up;
  let url: string;
  let vkey: string;
  const at = (name: string) => join(dir.path, name);
  const trust = (name: string) => join(dir.path, 'data', 'trust', name);

  beforeAll(async () => {
    dir = await tempDir();
    started = await up(at('data'));
    url = started.url;
    vkey = started.verifierKeys[0]!;
    await writeFile(at('artifact'), 'an artifact');
    await writeFile(at('changed'), 'another artifact');
  });

  afterAll(async () => {
    await started.stop();
    await dir.remove();
  });

  it.skipIf(noCosign)('let cosign sign and verify', async () => {
    const env = { COSIGN_PASSWORD: '', HOME: dir.path };
    await ok('cosign', ['generate-key-pair', '--output-key-prefix', at('cosign')], env);
    const root = ['--trusted-root', trust('trusted_root.json'), '--bundle', at('cosign.json')];
    const sign = ['sign-blob', '-y', '--key', at('cosign.key'), '--signing-config', trust('signing_config.v0.2.json')];
    await ok('cosign', [...sign, ...root, at('artifact')], env);
    await ok('cosign', ['verify-blob', '--key', at('cosign.pub'), ...root, at('artifact')]);
    await refused('cosign', ['verify-blob', '--key', at('cosign.pub'), ...root, at('changed')]);
  });

  it('let sigstore-js verify', async () => {
    await steleJson(['sign', at('artifact'), '--log', url, '--log-key', vkey, '--out', at('stele.json')]);
    const bundle = bundleFromJSON(JSON.parse(await readFile(at('stele.json'), 'utf8')));
    const pem = await readFile(at('artifact.pub.pem'), 'utf8');
    const key = Buffer.from(pem.replace(/-----[A-Z ]+-----|\s/g, ''), 'base64');
    const { content } = bundle.verificationMaterial;
    const hint = content.$case === 'publicKey' ? content.publicKey.hint : '';
    for (const name of ['trusted_root.json', 'trusted_root.v0.2.json']) {
      const root = JSON.parse(await readFile(trust(name), 'utf8')) as object;
      const verifier = new Verifier(trustMaterial(root, { [hint]: key }), {
        timestampThreshold: 0,
        tlogThreshold: 1,
      });
      verifier.verify(toSignedEntity(bundle, Buffer.from('an artifact')));
      expect(() => verifier.verify(toSignedEntity(bundle, Buffer.from('another')))).toThrow();
    }
  });
});

describe.skipIf(noCosign)('the TUF repository', () => {
  let dir: Awaited<ReturnType<typeof tempDir>>;
  let started: Up;
  let env: NodeJS.ProcessEnv;
  const at = (name: string) => join(dir.path, name);

  beforeAll(async () => {
    dir = await tempDir();
    // Nothing of these clients comes from the home of the person who runs the test.
    env = { COSIGN_PASSWORD: '', HOME: dir.path, TUF_ROOT: at('tuf'), STELE_TRUST: at('followed') };
    for (const name of ['old', 'new', 'later']) await writeFile(at(name), name);
    await ok('cosign', ['generate-key-pair', '--output-key-prefix', at('cosign')], env);
    started = await up(at('data'));
  });
  afterAll(async () => {
    await started?.stop();
    await dir.remove();
  });

  /** Signs with cosign and with Stele, which are told no trust file and no log. */
  async function sign(name: string): Promise<void> {
    const args = ['sign-blob', '-y', '--key', at('cosign.key'), '--bundle', at(`${name}.cosign.json`), at(name)];
    await ok('cosign', args, env);
    await steleJson(['sign', at(name), '--key', at('cosign.key'), '--passphrase-env', 'COSIGN_PASSWORD'], { env });
  }

  /** Each verifies the bundles of both. */
  async function verify(name: string): Promise<void> {
    for (const bundle of [at(`${name}.cosign.json`), at(`${name}.sigstore.json`)]) {
      await ok('cosign', ['verify-blob', '--key', at('cosign.pub'), '--bundle', bundle, at(name)], env);
      expect(
        await stele(['verify', at(name), '--bundle', bundle, '--key', at('cosign.pub')], { env }),
        bundle,
      ).toMatchObject({ code: 0 });
    }
  }

  it('is followed by cosign and by Stele, also over a rotation of the log and its next start', async () => {
    const { trustRepository, url } = started;
    const mirror = ['--mirror', trustRepository.url.replace(/\/$/, ''), '--root', trustRepository.root];
    const initialized = await run('cosign', ['initialize', ...mirror], { env });
    expect(initialized).toMatchObject({ code: 0, stderr: expect.not.stringContaining('WARNING') });
    await steleJson(['trust', 'use', trustRepository.url, '--root', trustRepository.root], { env });
    await sign('old');
    await verify('old');

    const next = url.replace('localhost', '127.0.0.1');
    const rotated = await steleJson(['log', 'rotate', next, '--data', at('data'), '--yes'], { env });
    expect(rotated).toMatchObject({ from: 'localhost', to: '127.0.0.1', step: 'done' });
    await sign('new');
    for (const name of ['old', 'new']) await verify(name);
    expect(await (await fetch(`${next}/checkpoint`)).text()).toMatch(/^127\.0\.0\.1\n2\n/);
    expect(await (await fetch(`${url}/checkpoint`)).text()).toMatch(/^localhost\n2\n/);
    expect(await (await fetch(`${next}/trust/timestamp.json`)).text()).toBe(
      await (await fetch(`${url}/trust/timestamp.json`)).text(),
    );

    await started.stop();
    started = await up(at('data'));
    // Its ports are others now, and so is the mirror's address: the clients begin with the root that they know.
    const moved = started.trustRepository;
    await ok('cosign', ['initialize', '--mirror', moved.url.replace(/\/$/, ''), '--root', moved.root], env);
    await steleJson(['trust', 'use', moved.url, '--root', moved.root, '--force'], { env });
    expect(started.publicUrl).toBe(started.url.replace('localhost', '127.0.0.1'));
    await sign('later');
    for (const name of ['old', 'new', 'later']) await verify(name);
  });
});

/** What `stele up` writes to trust/, given to cosign and to sigstore-js as it is. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bundleFromJSON } from '@sigstore/bundle';
import { toSignedEntity, Verifier } from '@sigstore/verify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tempDir } from '../support/log.ts';
import { CLI, steleJson } from '../support/serve.ts';
import { lacking, skips } from '../support/skip.ts';
import { ok, refused } from './tools.ts';
import { trustMaterial } from './trust.ts';

const noCosign = skips('cosign against stele up', lacking('cosign'));

describe('the files in trust/', () => {
  let dir: Awaited<ReturnType<typeof tempDir>>;
  let child: ReturnType<typeof spawn>;
  let url: string;
  let vkey: string;
  const at = (name: string) => join(dir.path, name);
  const trust = (name: string) => join(dir.path, 'data', 'trust', name);

  beforeAll(async () => {
    dir = await tempDir();
    const free = ['--listen-port', '0', '--admin-port', '0', '--witness-port', '0'];
    child = spawn(process.execPath, [CLI, 'up', '--json', '--data', at('data'), ...free], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    let out = '';
    for await (const part of child.stdout!.setEncoding('utf8')) {
      out += part;
      if (out.endsWith('\n}\n')) break;
    }
    const started = JSON.parse(out) as { url: string; verifierKeys: string[] };
    url = started.url;
    vkey = started.verifierKeys[0]!;
    await writeFile(at('artifact'), 'an artifact');
    await writeFile(at('changed'), 'another artifact');
  });

  afterAll(async () => {
    const ended = once(child, 'close');
    child.kill('SIGTERM');
    await ended;
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

/** What `stele trust files` writes for a log with an ECDSA key and an Ed25519 key beside it, given to cosign as it is. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { tempDir } from '../support/log.ts';
import { startServer, stele, steleJson } from '../support/serve.ts';
import { lacking, skips } from '../support/skip.ts';
import { ok, refused } from './tools.ts';

const noCosign = skips('cosign with the files of stele trust', lacking('cosign'));

it.skipIf(noCosign)('lets cosign sign and verify', async () => {
  const dir = await tempDir();
  const at = (...names: string[]) => join(dir.path, ...names);
  await steleJson(['keygen', '--out', at('own.pem'), '--algorithm', 'ecdsa-p256', '--origin', 'localhost']);
  await steleJson(['keygen', '--out', at('second.pem'), '--origin', 'localhost']);
  const args = ['--key-file', at('own.pem'), '--ed25519-key-file', at('second.pem')];
  const server = await startServer(at('data'), { args });
  try {
    await steleJson(['trust', 'files', at('trust'), '--log', server.url, '--log-key', ...server.verifierKeys]);
    await writeFile(at('artifact'), 'an artifact');
    await writeFile(at('changed'), 'another artifact');
    const env = { COSIGN_PASSWORD: '', HOME: dir.path };
    await ok('cosign', ['generate-key-pair', '--output-key-prefix', at('cosign')], env);
    const root = ['--trusted-root', at('trust', 'trusted_root.json'), '--bundle', at('cosign.json')];
    const sign = [
      'sign-blob',
      '-y',
      '--key',
      at('cosign.key'),
      '--signing-config',
      at('trust', 'signing_config.v0.2.json'),
    ];
    await ok('cosign', [...sign, ...root, at('artifact')], env);
    await ok('cosign', ['verify-blob', '--key', at('cosign.pub'), ...root, at('artifact')]);
    await refused('cosign', ['verify-blob', '--key', at('cosign.pub'), ...root, at('changed')]);
    const verify = ['verify', at('artifact'), '--bundle', at('cosign.json'), '--key', at('cosign.pub')];
    expect(await stele([...verify, '--policy', at('trust', 'policy')])).toMatchObject({ code: 0 });
  } finally {
    await server.stop();
    await dir.remove();
  }
});

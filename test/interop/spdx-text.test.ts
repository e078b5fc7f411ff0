/** SPDX as cosign writes it with `--type spdx`: a predicate that is a text, which may or may not hold JSON. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tempDir } from '../support/log.ts';
import { type ServeProcess, startServer, stele } from '../support/serve.ts';
import { lacking, skips } from '../support/skip.ts';
import { ok } from './tools.ts';

const missing = skips('SPDX texts of cosign', lacking('cosign'));

const SPDX = {
  spdxVersion: 'SPDX-2.3',
  SPDXID: 'SPDXRef-DOCUMENT',
  name: 'app',
  packages: [{ SPDXID: 'SPDXRef-1', name: 'left-pad', versionInfo: '1.0.0' }],
};

describe.skipIf(missing)('an SPDX document that cosign attests as text', () => {
  let dir: Awaited<ReturnType<typeof tempDir>>;
  let server: ServeProcess;
  const at = (name: string) => join(dir.path, name);
  const env = () => ({ COSIGN_PASSWORD: '', HOME: dir.path });

  beforeAll(async () => {
    dir = await tempDir();
    server = await startServer(at('data'));
    await ok('cosign', ['generate-key-pair', '--output-key-prefix', at('cosign')], env());
    await writeFile(at('app'), 'the app');
    await writeFile(at('quorum'), `log ${server.verifierKeys[0]}\nquorum none\n`);
    await writeFile(
      at('policy.yaml'),
      `version: 1
name: left-pad
signers:
  maker: { keyFile: cosign.pub }
rules:
  - name: an SBOM with left-pad
    type: spdx
    signers: [maker]
    conditions: ["predicate.packages.exists(p, p.name == 'left-pad')"]
`,
    );
  });
  afterAll(async () => {
    await server?.kill();
    await dir.remove();
  });

  /** The statement is cosign's. cosign 3 puts no such text into a bundle, so that Stele signs and logs it, with cosign's key. */
  async function decided(text: string, type: string) {
    await writeFile(at('sbom'), text);
    const old = ['--new-bundle-format=false', '--tlog-upload=false', '--use-signing-config=false'];
    const what = ['--predicate', at('sbom'), '--type', type, '--output-attestation', at('statement.json')];
    await ok('cosign', ['attest-blob', '-y', '--key', at('cosign.key'), ...old, ...what, at('app')], env());
    const { predicate } = JSON.parse(await readFile(at('statement.json'), 'utf8'));
    const log = ['--log', server.url, '--log-key', server.verifierKeys[0]!];
    const key = ['--key', at('cosign.key'), '--passphrase-env', 'COSIGN_PASSWORD'];
    const attest = [
      'attest',
      at('app'),
      '--statement',
      at('statement.json'),
      '--out',
      at('bundle.json'),
      ...key,
      ...log,
    ];
    const attested = await stele(attest, { env: env() });
    expect(attested.code, attested.stderr).toBe(0);
    const verify = [
      '--bundle',
      at('bundle.json'),
      '--key',
      at('cosign.pub'),
      '--policy',
      at('quorum'),
      '--type',
      'spdx',
    ];
    const verified = await stele(['verify', at('app'), ...verify]);
    expect(verified.code, verified.stderr).toBe(0);
    const by = ['--policy', at('policy.yaml'), '--quorum-policy', at('quorum'), '--evidence', at('bundle.json')];
    return { predicate, ...(await stele(['decide', at('app'), ...by])) };
  }

  it('is read where the text is JSON', async () => {
    const { predicate, code, stdout } = await decided(JSON.stringify(SPDX), 'spdx');
    expect(typeof predicate).toBe('string');
    expect(code, stdout).toBe(0);
    const object = await decided(JSON.stringify(SPDX), 'spdxjson');
    expect(typeof object.predicate).toBe('object');
    expect(object.code, object.stdout).toBe(0);
  });

  it('denies in tag-value form, with the reason', async () => {
    const { code, stdout } = await decided(
      'SPDXVersion: SPDX-2.3\nSPDXID: SPDXRef-DOCUMENT\nPackageName: left-pad\n',
      'spdx',
    );
    expect(code).toBe(1);
    expect(stdout).toContain('tag-value form, which is not read');
  });
});

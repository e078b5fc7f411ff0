/** What `stele submit` makes of signatures that others made, through a queue: cosign takes it. */
import { sign } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { tempDir } from '../support/log.ts';
import { makeSigner, PAYLOAD_TYPE, pae } from '../support/requests.ts';
import { type ServeProcess, startServer, steleJson } from '../support/serve.ts';
import { lacking, skips } from '../support/skip.ts';
import { type Cosign, ok, refused, tellCosign } from './tools.ts';

describe.skipIf(skips('cosign on submitted files', lacking('cosign')))('stele submit, and cosign', () => {
  const signer = makeSigner();
  const artifact = Buffer.from('what was released');
  let dir: Awaited<ReturnType<typeof tempDir>>;
  let server: ServeProcess;
  let cosign: Cosign;
  const at = (name: string) => join(dir.path, name);

  beforeAll(async () => {
    dir = await tempDir();
    server = await startServer(at('data'));
    cosign = await tellCosign(server, dir.path);
    await writeFile(at('f'), artifact);
    await writeFile(at('changed'), 'what was not');
    await writeFile(
      at('pub.pem'),
      `-----BEGIN PUBLIC KEY-----\n${signer.spki.toString('base64')}\n-----END PUBLIC KEY-----\n`,
    );
  });
  afterAll(async () => {
    await server?.kill();
    await dir.remove();
  });

  /** Into the queue, and out of it. */
  async function submit(...what: readonly string[]): Promise<void> {
    const where = ['--log', server.url, '--log-key', server.verifierKeys[0]!, '--queue', at('queue')];
    await steleJson(['submit', ...what, '--key', at('pub.pem'), ...where]);
    await steleJson(['submit', '--flush', '--queue', at('queue')]);
  }
  const verify = (bundle: string) => [
    '--key',
    at('pub.pem'),
    '--trusted-root',
    cosign.trustedRoot,
    '--bundle',
    at(bundle),
  ];

  it('a digest and its signature', async () => {
    await writeFile(at('f.sig'), signer.sign(artifact));
    await submit('--digest', signer.digest(artifact).toString('hex'), '--signature', at('f.sig'));
    await ok('cosign', ['verify-blob', ...verify('f.sig.sigstore.json'), at('f')]);
    await refused('cosign', ['verify-blob', ...verify('f.sig.sigstore.json'), at('changed')]);
  });

  it('a DSSE envelope', async () => {
    const statement = {
      _type: 'https://in-toto.io/Statement/v1',
      subject: [{ name: 'f', digest: { sha256: signer.digest(artifact).toString('hex') } }],
      predicateType: 'https://example.com/p',
      predicate: { a: 1 },
    };
    const payload = Buffer.from(JSON.stringify(statement));
    const sig = sign('sha256', pae(PAYLOAD_TYPE, payload), signer.privateKey).toString('base64');
    const envelope = { payload: payload.toString('base64'), payloadType: PAYLOAD_TYPE, signatures: [{ sig }] };
    await writeFile(at('e.json'), JSON.stringify(envelope));
    await submit(at('e.json'));
    const how = [...verify('e.json.sigstore.json'), '--type', 'https://example.com/p'];
    await ok('cosign', ['verify-blob-attestation', ...how, at('f')]);
    await refused('cosign', ['verify-blob-attestation', ...how, at('changed')]);
  });
});

/** cosign and sigstore-go, told about the log as docs/client.md says, against logs with a key of each algorithm. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tempDir } from '../support/log.ts';
import { type ServeProcess, startServer, steleJson } from '../support/serve.ts';
import { lacking, skips } from '../support/skip.ts';
import { type Authority, startAuthority } from './authority.ts';
import { type Cosign, ok, refused, tellCosign } from './tools.ts';

const noCosign = skips('cosign against a log', lacking('cosign'));
const noSigstoreGo = skips('sigstore-go on bundles of cosign', lacking('sigstore-go-verification', 'openssl'));

describe.each(['ed25519', 'ecdsa-p256'])('a log with an %s key', (algorithm) => {
  describe.skipIf(noCosign)('and cosign', () => {
    let dir: Awaited<ReturnType<typeof tempDir>>;
    let server: ServeProcess;
    let cosign: Cosign;
    let file: string;
    let changed: string;
    const at = (name: string) => join(dir.path, name);
    const verify = (...args: string[]) => ['--trusted-root', cosign.trustedRoot, ...args];

    beforeAll(async () => {
      dir = await tempDir();
      await steleJson(['keygen', '--algorithm', algorithm, '--out', at('log.pem')]);
      server = await startServer(at('data'), { args: ['--key-file', at('log.pem')] });
      cosign = await tellCosign(server, dir.path);
      file = at('artifact');
      changed = at('changed');
      await writeFile(file, `artifact for ${algorithm}`);
      await writeFile(changed, `artefact for ${algorithm}`);
    });
    afterAll(async () => {
      await server?.kill();
      await dir.remove();
    });

    async function signBlob(bundle: string): Promise<void> {
      const { key, signingConfig, trustedRoot, env } = cosign;
      const where = ['--signing-config', signingConfig, '--trusted-root', trustedRoot, '--bundle', bundle];
      await ok('cosign', ['sign-blob', '-y', '--key', key, ...where, file], env);
    }

    async function attestBlob(bundle: string): Promise<void> {
      const { key, signingConfig, trustedRoot, env } = cosign;
      await writeFile(at('predicate.json'), '{"builder":{"id":"https://builder.test"}}');
      const where = ['--signing-config', signingConfig, '--trusted-root', trustedRoot, '--bundle', bundle];
      const what = ['--predicate', at('predicate.json'), '--type', 'custom'];
      await ok('cosign', ['attest-blob', '-y', '--key', key, ...where, ...what, file], env);
    }

    /** Signs with a key made on the spot; the path of its public key. */
    async function steleSign(bundle: string): Promise<string> {
      const log = ['--log', server.url, '--log-key', server.verifierKeys[0]!];
      return String((await steleJson(['sign', file, ...log, '--out', bundle])).publicKey);
    }

    it('sign-blob, then verify-blob; a changed byte is refused', async () => {
      const bundle = at('blob.json');
      await signBlob(bundle);
      const how = verify('--key', cosign.pub, '--bundle', bundle);
      await ok('cosign', ['verify-blob', ...how, file]);
      await refused('cosign', ['verify-blob', ...how, changed]);
      const [{ kindVersion, logIndex }] = JSON.parse(await readFile(bundle, 'utf8')).verificationMaterial.tlogEntries;
      expect(kindVersion).toEqual({ kind: 'hashedrekord', version: '0.0.2' });
      expect(logIndex ?? '0').toBe('0');
    });

    it('attest-blob, then verify-blob-attestation; a changed byte is refused', async () => {
      const bundle = at('attestation.json');
      await attestBlob(bundle);
      const how = verify('--key', cosign.pub, '--bundle', bundle, '--type', 'custom');
      await ok('cosign', ['verify-blob-attestation', ...how, file]);
      await refused('cosign', ['verify-blob-attestation', ...how, changed]);
    });

    it('a bundle of `stele sign` passes verify-blob', async () => {
      const bundle = at('stele.json');
      const how = verify('--key', await steleSign(bundle), '--bundle', bundle);
      await ok('cosign', ['verify-blob', ...how, file]);
      await refused('cosign', ['verify-blob', ...how, changed]);
    });

    it('a bundle of cosign passes `stele verify`', async () => {
      const bundle = at('for-stele.json');
      await signBlob(bundle);
      const log = server.verifierKeys[0]!;
      const how = ['--bundle', bundle, '--key', cosign.pub, '--log-key', log];
      expect(await steleJson(['verify', file, ...how])).toMatchObject({ ok: true });
      await expect(steleJson(['verify', changed, ...how])).rejects.toThrow('ended with 1');
    });

    it('an attestation of cosign passes `stele verify`, by the trusted root that cosign made', async () => {
      const bundle = at('attestation-for-stele.json');
      await attestBlob(bundle);
      const how = ['--bundle', bundle, '--key', cosign.pub, ...verify()];
      expect(await steleJson(['verify', file, ...how])).toMatchObject({ ok: true, kind: 'hashedrekord 0.0.2' });
      await expect(steleJson(['verify', changed, ...how])).rejects.toThrow('ended with 1');
    });

    it.skipIf(noSigstoreGo)('sigstore-go verifies them all', async () => {
      // It asks for a time stamp in any case, so there is an authority, and cosign is told of it.
      await mkdir(at('go'));
      const authority = await startAuthority(at('go'));
      try {
        cosign = await tellCosign(server, at('go'), authority);
        await signBlob(at('blob-go.json'));
        await attestBlob(at('attestation-go.json'));
        const signed = await steleSign(at('stele-go.json'));
        await addTimestamp(at('stele-go.json'), authority);
        for (const [bundle, key] of [
          ['blob-go.json', cosign.pub],
          ['attestation-go.json', cosign.pub],
          ['stele-go.json', signed],
        ] as const) {
          const args = (artifact: string) => [
            ...['-trustedrootJSONpath', cosign.trustedRoot, '-publicKey', key, '-artifact', artifact],
            ...['-requireCTlog=false', at(bundle)],
          ];
          await ok('sigstore-go-verification', args(file));
          await refused('sigstore-go-verification', args(changed));
        }
      } finally {
        await authority.close();
      }
    });
  });
});

/** A bundle of `stele sign` has no time stamp; whoever wants one adds it. */
async function addTimestamp(path: string, authority: Authority): Promise<void> {
  const bundle = JSON.parse(await readFile(path, 'utf8'));
  const stamp = await authority.timestamp(Buffer.from(bundle.messageSignature.signature, 'base64'));
  bundle.verificationMaterial.timestampVerificationData = {
    rfc3161Timestamps: [{ signedTimestamp: stamp.toString('base64') }],
  };
  await writeFile(path, JSON.stringify(bundle));
}

/** A log that replaces its key, before the tools of Sigstore: old and new proofs, and what a stolen old key can still do. */
import { createPrivateKey, createPublicKey, sign } from 'node:crypto';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bundleFromJSON } from '@sigstore/bundle';
import { toSignedEntity, Verifier } from '@sigstore/verify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { twoNames } from '../client/cli/rotate/rotating.ts';
import { tempDir } from '../support/log.ts';
import { type ServeProcess, startServer, stele, steleJson } from '../support/serve.ts';
import { lacking, skips } from '../support/skip.ts';
import { ok, refused } from './tools.ts';
import { trustMaterial } from './trust.ts';

const noCosign = skips('cosign and sigstore-js through a rotation', lacking('cosign'));

describe.skipIf(noCosign)('a rotation', () => {
  let temp: Awaited<ReturnType<typeof tempDir>>;
  let dir: string;
  let server: ServeProcess;
  let thief: ServeProcess;
  const at = (...names: string[]) => join(dir, ...names);
  const env = () => ({ COSIGN_PASSWORD: '', HOME: dir });
  const json = async (...names: string[]) => JSON.parse(await readFile(at(...names), 'utf8'));

  async function cosign(name: string, trust: string): Promise<void> {
    await writeFile(at(name), name);
    const config = ['--signing-config', at(trust, 'signing_config.v0.2.json')];
    const root = ['--trusted-root', at(trust, 'trusted_root.json'), '--bundle', at(`${name}.json`)];
    await ok('cosign', ['sign-blob', '-y', '--key', at('cosign.key'), ...config, ...root, at(name)], env());
  }
  const verifyBlob = (name: string, bundle = `${name}.json`): string[] => {
    const root = ['--trusted-root', at('after', 'trusted_root.json')];
    return ['verify-blob', '--key', at('cosign.pub'), ...root, '--bundle', at(bundle), at(name)];
  };
  const byStele = (name: string, bundle: string, ...more: string[]) => {
    const root = ['--trusted-root', at('after', 'trusted_root.json'), ...more];
    return stele(['verify', at(name), '--bundle', at(bundle), '--key', at('cosign.pub'), ...root]);
  };
  async function bySigstoreJs(name: string): Promise<void> {
    const bundle = await json(`${name}.json`);
    const { hint } = bundle.verificationMaterial.publicKey;
    const key = createPublicKey(await readFile(at('cosign.pub'), 'utf8')).export({ format: 'der', type: 'spki' });
    const trust = trustMaterial(await json('after', 'trusted_root.json'), { [hint]: key });
    const verifier = new Verifier(trust, { tlogThreshold: 1, timestampThreshold: 0, ctlogThreshold: 0 });
    verifier.verify(toSignedEntity(bundleFromJSON(bundle), await readFile(at(name))));
  }
  const lastCheckpoint = () => ['--last-checkpoint', at('after', 'localhost.last-checkpoint')];

  beforeAll(async () => {
    temp = await tempDir();
    dir = temp.path;
    const log = await twoNames(at('data'));
    server = await log.start();
    await ok('cosign', ['generate-key-pair', '--output-key-prefix', at('cosign')], env());
    await steleJson(['trust', 'files', at('before'), ...log.settings]);
    await cosign('old', 'before');
    // The thief has the key, and the log as it was.
    await server.stop();
    await cp(at('data'), at('stolen'), { recursive: true });
    server = await log.start();
    await steleJson(['log', 'rotate', log.next, ...log.settings, '--trust-dir', at('after'), '--yes']);
    await cosign('new', 'after');
    thief = await startServer(at('stolen'));
    await steleJson(['trust', 'files', at('thief'), '--log', thief.url, '--log-key', thief.verifierKeys[0]!]);
    await cosign('forged', 'thief');
  });
  afterAll(async () => {
    await thief?.kill();
    await server?.kill();
    await temp.remove();
  });

  it('leads cosign to the next shard, and cosign, sigstore-js and Stele verify old and new', async () => {
    const origin = async (name: string) =>
      (await json(`${name}.json`)).verificationMaterial.tlogEntries[0].inclusionProof.checkpoint.envelope.split(
        '\n',
      )[0];
    expect([await origin('old'), await origin('new')]).toEqual(['localhost', '127.0.0.1']);
    for (const name of ['old', 'new']) {
      await ok('cosign', verifyBlob(name));
      await bySigstoreJs(name);
      const found = await byStele(name, `${name}.json`, ...lastCheckpoint());
      expect(found, found.stderr).toMatchObject({ code: 0 });
    }
    await refused('cosign', verifyBlob('new', 'old.json'));
  });

  it('leaves clients of before with what they knew: they take no entry of a key that they do not know', async () => {
    const root = ['--trusted-root', at('before', 'trusted_root.json')];
    await ok('cosign', ['verify-blob', '--key', at('cosign.pub'), ...root, '--bundle', at('old.json'), at('old')]);
    await refused('cosign', ['verify-blob', '--key', at('cosign.pub'), ...root, '--bundle', at('new.json'), at('new')]);
  });

  it('lets Stele refuse an entry that the old key signed after its end, by the last checkpoint', async () => {
    const found = await byStele('forged', 'forged.json', ...lastCheckpoint());
    expect(found).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/\[bad-checkpoint\].*frozen with 1 entries/),
    });
    const before = await byStele('old', 'old.json', ...lastCheckpoint());
    expect(before).toMatchObject({ code: 0 });
  });

  it('lets Stele refuse a promise of the old key of after its end, without the last checkpoint too', async () => {
    const { tlogs } = await json('after', 'trusted_root.json');
    const end = Math.floor(Date.parse(tlogs[0].publicKey.validFor.end) / 1000);
    const key = createPrivateKey(await readFile(at('data', 'key.pem')));
    const promised = async (name: string, integratedTime: number) => {
      const bundle = await json(`${name}.json`);
      const [entry] = bundle.verificationMaterial.tlogEntries;
      const logID = Buffer.from(entry.logId.keyId, 'base64').toString('hex');
      const logIndex = Number(entry.logIndex ?? 0);
      const message = JSON.stringify({ body: entry.canonicalizedBody, integratedTime, logID, logIndex });
      const signedEntryTimestamp = sign(null, Buffer.from(message), key).toString('base64');
      Object.assign(entry, { integratedTime: String(integratedTime), inclusionPromise: { signedEntryTimestamp } });
      await writeFile(at(`${name}-promised.json`), JSON.stringify(bundle));
      return await byStele(name, `${name}-promised.json`);
    };
    expect(await promised('old', end - 1)).toMatchObject({ code: 0 });
    for (const name of ['old', 'forged']) {
      const late = { code: 1, stderr: expect.stringContaining('[bad-promise]') };
      expect(await promised(name, end + 1)).toMatchObject(late);
      // cosign takes no promise for an entry of API v2, whatever its time is.
      await refused('cosign', verifyBlob(name, `${name}-promised.json`));
    }
  });

  it('does not let cosign and sigstore-js refuse it: they compare the end of a key with promises of API v1 alone', async () => {
    // Where one of them fails here, it has learned to look at the end: then docs/trust.md can say so.
    await ok('cosign', verifyBlob('forged'));
    await bySigstoreJs('forged');
    // Clients are safe once the trusted root has the old key no more, and then old proofs are lost to them.
    const root = await json('after', 'trusted_root.json');
    await writeFile(at('dropped.json'), JSON.stringify({ ...root, tlogs: root.tlogs.slice(1) }));
    for (const name of ['forged', 'old']) {
      const dropped = ['--trusted-root', at('dropped.json'), '--bundle', at(`${name}.json`)];
      await refused('cosign', ['verify-blob', '--key', at('cosign.pub'), ...dropped, at(name)]);
    }
  });
});

/** A log that litewitness cosigns beside a witness of our own; and cosign and sigstore-go with bundles of that log. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkpointVerifier } from '../../merkle/cosignature.ts';
import { openNote, parseNote, parseVerifierKey } from '../../merkle/note.ts';
import { nodeNotePrimitives } from '../../merkle/runtime/crypto/verify.ts';
import { tempDir } from '../support/log.ts';
import { type ServeProcess, startServer, stele, steleJson } from '../support/serve.ts';
import { lacking, skips } from '../support/skip.ts';
import { until } from '../support/until.ts';
import { startWitness, type WitnessProcess } from '../support/witness-process.ts';
import { startAuthority } from './authority.ts';
import { ok, refused, tellCosign } from './tools.ts';

const noLitewitness = skips(
  'a log and litewitness',
  lacking('litewitness', 'witnessctl', 'ssh-agent', 'ssh-add', 'ssh-keygen'),
);
const noCosign = skips('cosign on witnessed bundles', lacking('cosign'));
const noSigstoreGo = skips(
  'sigstore-go on witnessed bundles',
  lacking('sigstore-go-verification', 'cosign', 'openssl'),
);

describe.skipIf(noLitewitness)('a log and litewitness', () => {
  let dir: Awaited<ReturnType<typeof tempDir>>;
  let server: ServeProcess;
  let own: WitnessProcess;
  let litewitness: { readonly vkey: string; readonly url: string };
  const children: ChildProcess[] = [];
  const at = (name: string) => join(dir.path, name);

  beforeAll(async () => {
    dir = await tempDir();
    await steleJson(['keygen', '--out', at('log.pem'), '--origin', 'localhost']);
    // The key is known before the log runs; a first start without a policy tells its form.
    const first = await startServer(at('data'), { args: ['--key-file', at('log.pem')] });
    const [vkey] = first.verifierKeys as [string];
    await first.stop();
    litewitness = await startLitewitness(vkey);
    own = await startWitness(at('own'), 'own.test/w', [vkey]);
    const both = [`witness lite ${litewitness.vkey} ${litewitness.url}`, own.policyLine('own').trim()];
    await writeFile(at('policy'), `${both.join('\n')}\ngroup both all lite own\nquorum both\n`);
    server = await startServer(at('data'), { args: ['--key-file', at('log.pem'), '--policy', at('policy')] });
  });

  afterAll(async () => {
    await server?.stop();
    await own?.kill();
    for (const child of children.reverse()) {
      const ended = once(child, 'close');
      if (child.kill()) await ended;
    }
    await dir.remove();
  });

  async function startLitewitness(vkey: string): Promise<typeof litewitness> {
    await ok('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', at('witness')]);
    const sock = at('agent.sock');
    children.push(spawn('ssh-agent', ['-D', '-a', sock], { stdio: 'ignore' }));
    await until(async () => (await run('ssh-add', [at('witness')], { SSH_AUTH_SOCK: sock })) === 0);
    const [, fingerprint = ''] = (await ok('ssh-keygen', ['-lf', at('witness.pub')])).split(' ');
    await ok('witnessctl', ['add-log', '-db', at('lite.db'), '-origin', 'localhost']);
    await ok('witnessctl', ['add-key', '-db', at('lite.db'), '-origin', 'localhost', '-key', vkey]);
    const listen = `127.0.0.1:${await freePort()}`;
    const where = ['-db', at('lite.db'), '-listen', listen, '-ssh-agent', sock];
    const child = spawn('litewitness', [...where, '-key', fingerprint, '-name', 'litewitness.test'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    children.push(child);
    let said = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        said += text;
      });
    }
    await until(async () => said.includes('msg=listening'));
    return { vkey: /vkey=(\S+)/.exec(said)![1]!, url: `http://${listen}` };
  }

  async function sign(name: string): Promise<{ file: string; bundle: string; note: string }> {
    const file = at(name);
    await writeFile(file, name);
    const bundle = `${file}.sigstore.json`;
    await steleJson(['sign', file, '--log', server.url, '--log-key', server.verifierKeys[0]!, '--out', bundle]);
    const entry = JSON.parse(await readFile(bundle, 'utf8')).verificationMaterial.tlogEntries[0];
    return { file, bundle, note: entry.inclusionProof.checkpoint.envelope };
  }

  it('gets its cosignatures, entry after entry', async () => {
    const keys = [server.verifierKeys[0]!, litewitness.vkey, own.verifierKeys[0]!].map(parseVerifierKey);
    for (const name of ['one', 'two', 'three']) {
      const { note } = await sign(name);
      const { verified } = openNote(
        parseNote(note),
        keys.map((key) => checkpointVerifier(key, nodeNotePrimitives)),
      );
      expect(verified.map((signature) => signature.name)).toEqual(['localhost', 'litewitness.test', 'own.test/w']);
    }
  });

  it('goes on after a restart from the size that litewitness names', async () => {
    await server.stop();
    server = await startServer(at('data'), { args: ['--key-file', at('log.pem'), '--policy', at('policy')] });
    const { note } = await sign('after the restart');
    expect(note).toContain('— litewitness.test ');
  });

  it('gives bundles that `stele verify` takes', async () => {
    const { file, bundle } = await sign('for stele');
    const how = ['--bundle', bundle, '--key', `${file}.pub.pem`, '--log-key', server.verifierKeys[0]!];
    expect((await stele(['verify', file, ...how])).code).toBe(0);
  });

  it.skipIf(noCosign)('gives bundles that cosign takes, and refuses for another file', async () => {
    const { trustedRoot } = await tellCosign(server, dir.path);
    const { file, bundle } = await sign('for cosign');
    const how = ['--trusted-root', trustedRoot, '--key', `${file}.pub.pem`, '--bundle', bundle];
    await ok('cosign', ['verify-blob', ...how, file]);
    await refused('cosign', ['verify-blob', ...how, at('policy')]);
  });

  it.skipIf(noSigstoreGo)('gives bundles that sigstore-go takes', async () => {
    await mkdir(at('go'));
    const authority = await startAuthority(at('go'));
    try {
      const { trustedRoot } = await tellCosign(server, at('go'), authority);
      const { file, bundle } = await sign('for go');
      // It asks for a time stamp in any case.
      const json = JSON.parse(await readFile(bundle, 'utf8'));
      const stamp = await authority.timestamp(Buffer.from(json.messageSignature.signature, 'base64'));
      const rfc3161Timestamps = [{ signedTimestamp: stamp.toString('base64') }];
      json.verificationMaterial.timestampVerificationData = { rfc3161Timestamps };
      await writeFile(bundle, JSON.stringify(json));
      const how = ['-trustedrootJSONpath', trustedRoot, '-publicKey', `${file}.pub.pem`, '-requireCTlog=false'];
      await ok('sigstore-go-verification', [...how, '-artifact', file, bundle]);
      await refused('sigstore-go-verification', [...how, '-artifact', at('policy'), bundle]);
    } finally {
      await authority.close();
    }
  });
});

async function run(program: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<number | null> {
  const child = spawn(program, [...args], { stdio: 'ignore', env: { ...process.env, ...env } });
  const [code] = (await once(child, 'close')) as [number | null];
  return code;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

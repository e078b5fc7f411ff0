/**
 * Signing again for somebody else's log that answers a duplicate with 409: rekor-tiles on files, and in front of it a server
 * that serves those files where Rekor's API v2 has them, as each deployment has one.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server, request as send } from 'node:http';
import { type AddressInfo, createServer as listenAnywhere } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ed25519VerifierKey, formatVerifierKey } from '../../merkle/note.ts';
import { tempDir } from '../support/log.ts';
import { stele, steleJson } from '../support/serve.ts';
import { skips } from '../support/skip.ts';
import { until } from '../support/until.ts';

const SERVER = join(process.env.PEERS_BIN ?? '', 'rekor-server-posix');
const none = skips(
  'signing again with rekor-server-posix',
  existsSync(SERVER) ? undefined : 'not in the folder that PEERS_BIN names',
);

describe.skipIf(none)('signing again with rekor-server-posix', () => {
  let dir: Awaited<ReturnType<typeof tempDir>>;
  let rekor: ChildProcess;
  let front: Server;
  let url: string;
  const at = (...names: string[]) => join(dir.path, ...names);
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const key = formatVerifierKey(
    ed25519VerifierKey('rekor.test', publicKey.export({ format: 'der', type: 'spki' }).subarray(-32)),
  );
  const statuses: number[] = [];

  beforeAll(async () => {
    dir = await tempDir();
    await mkdir(at('storage'));
    await writeFile(at('key.pem'), privateKey.export({ format: 'pem', type: 'pkcs8' }));
    await writeFile(at('app'), 'the release');
    await writeFile(at('other'), 'another release');
    await steleJson(['keygen', '--algorithm', 'ecdsa-p256', '--out', at('signer.pem')]);
    const [http, grpc, metrics] = await freePorts(3);
    const flags = {
      hostname: 'rekor.test',
      'storage-dir': at('storage'),
      'signer-filepath': at('key.pem'),
      'http-port': http,
      'grpc-port': grpc,
      'http-metrics-port': metrics,
      'checkpoint-interval': '100ms',
      'batch-max-age': '50ms',
    };
    const args = Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`);
    rekor = spawn(SERVER, ['serve', ...args], { stdio: 'ignore' });
    front = createServer(async (request, reply) => {
      const file = /^\/api\/v2\/((?:checkpoint|tile\/)[^?]*)/.exec(request.url ?? '')?.[1];
      if (request.method === 'GET') {
        const bytes = file === undefined ? undefined : await readFile(at('storage', file)).catch(() => undefined);
        return void (bytes === undefined ? reply.writeHead(404).end() : reply.end(bytes));
      }
      const { method, url: path, headers } = request;
      const passed = send({ port: http, method, path, headers }, (answer) => {
        statuses.push(answer.statusCode!);
        reply.writeHead(answer.statusCode!, answer.headers);
        answer.pipe(reply);
      });
      passed.on('error', () => reply.destroy());
      request.pipe(passed);
    }).listen(0, '127.0.0.1');
    await once(front, 'listening');
    url = `http://127.0.0.1:${(front.address() as AddressInfo).port}`;
    await until(
      async () => existsSync(at('storage', 'checkpoint')),
      () => 'rekor-server-posix made no checkpoint',
    );
  });

  afterAll(async () => {
    front?.closeAllConnections();
    front?.close();
    if (rekor !== undefined && rekor.exitCode === null) {
      const ended = once(rekor, 'close');
      rekor.kill('SIGKILL');
      await ended;
    }
    await dir.remove();
  });

  const sign = (...more: string[]) => ['sign', at('app'), '--key', at('signer.pem'), '--log', url, ...more];

  it('finds the entry by its index and the tiles', async () => {
    const first = await steleJson(sign('--log-key', key));
    await steleJson(['sign', at('other'), '--key', at('signer.pem'), '--log', url, '--log-key', key]);
    await rm(at('app.sigstore.json'));
    const again = await steleJson(sign('--log-key', key));
    expect(statuses).toContain(409);
    expect(again).toMatchObject({ index: first.index, treeSize: 2 });
    const verify = ['verify', at('app'), '--key', at('signer.pub.pem'), '--log-key', key];
    expect(await stele(verify)).toMatchObject({ code: 0 });
  });

  it('by no other key, and not where the tiles are wrong', async () => {
    const other = await steleJson(['keygen', '--out', at('other.pem'), '--origin', 'rekor.test']);
    await rm(at('app.sigstore.json'));
    const wrong = await stele(sign('--log-key', String(other.verifierKey)));
    expect(wrong).toMatchObject({ code: 1, stderr: expect.stringContaining('not signed by the trusted key') });
    const bundle = at('storage', 'tile', 'entries', '000.p', '2');
    const bytes = await readFile(bundle);
    bytes.writeUInt8(bytes.readUInt8(40) ^ 1, 40);
    await writeFile(bundle, bytes);
    const damaged = await stele(sign('--log-key', key));
    expect(damaged).toMatchObject({ code: 1, stderr: expect.stringMatching(/do not show entry|entry-mismatch/) });
    expect(existsSync(at('app.sigstore.json'))).toBe(false);
  });
});

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => listenAnywhere().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}

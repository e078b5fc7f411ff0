/** Our witness for somebody else's log: rekor-tiles on files, which asks for cosignatures by a policy. */
import { type ChildProcess, spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkpointVerifier } from '../../merkle/cosignature.ts';
import { ed25519VerifierKey, formatVerifierKey, openNote, parseNote, parseVerifierKey } from '../../merkle/note.ts';
import { nodeNotePrimitives } from '../../merkle/runtime/crypto/verify.ts';
import { bodyOf, tempDir } from '../support/log.ts';
import { skips } from '../support/skip.ts';
import { startWitness, type WitnessProcess } from '../support/witness-process.ts';

const PEERS = process.env.PEERS_BIN ?? '';
const SERVER = join(PEERS, 'rekor-server-posix');
const none = skips(
  'a witness and rekor-server-posix',
  existsSync(SERVER) ? undefined : 'not in the folder that PEERS_BIN names',
);

describe.skipIf(none)('a witness and rekor-server-posix', () => {
  let dir: Awaited<ReturnType<typeof tempDir>>;
  let witness: WitnessProcess;
  let rekor: ChildProcess;
  let said = '';
  let port: number;
  const at = (name: string) => join(dir.path, name);
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const logKey = ed25519VerifierKey('rekor.test', publicKey.export({ format: 'der', type: 'spki' }).subarray(-32));

  beforeAll(async () => {
    dir = await tempDir();
    await mkdir(at('storage'));
    await writeFile(at('key.pem'), privateKey.export({ format: 'pem', type: 'pkcs8' }));
    witness = await startWitness(at('witness'), 'own.test/w', [formatVerifierKey(logKey)]);
    await writeFile(at('policy'), `${witness.policyLine('own')}quorum own\n`);
    const ports = await freePorts(3);
    port = ports[0]!;
    const flags = {
      hostname: 'rekor.test',
      'storage-dir': at('storage'),
      'signer-filepath': at('key.pem'),
      'http-port': port,
      'grpc-port': ports[1]!,
      'http-metrics-port': ports[2]!,
      'checkpoint-interval': '100ms',
      'batch-max-age': '50ms',
      'witness-policy-path': at('policy'),
    };
    const args = Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`);
    rekor = spawn(SERVER, ['serve', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [rekor.stdout!, rekor.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        said += text;
      });
    }
  });

  afterAll(async () => {
    if (rekor !== undefined && rekor.exitCode === null) {
      const ended = once(rekor, 'close');
      rekor.kill('SIGKILL');
      await ended;
    }
    await witness?.kill();
    await dir.remove();
  });

  it('cosigns what it publishes', async () => {
    for (const name of ['one', 'two', 'three']) {
      const reply = await post(name);
      const { envelope } = reply.inclusionProof.checkpoint;
      const keys = [logKey, parseVerifierKey(witness.verifierKeys[0]!)];
      const { verified } = openNote(
        parseNote(envelope),
        keys.map((key) => checkpointVerifier(key, nodeNotePrimitives)),
      );
      expect(verified.map((signature) => signature.name)).toEqual(['rekor.test', 'own.test/w']);
    }
  });

  async function post(name: string): Promise<{ inclusionProof: { checkpoint: { envelope: string } } }> {
    const body = Buffer.from(bodyOf(name));
    for (const end = Date.now() + 60_000; ; ) {
      try {
        const headers = { 'content-type': 'application/json' };
        const reply = await fetch(`http://127.0.0.1:${port}/api/v2/log/entries`, { method: 'POST', headers, body });
        if (reply.status === 200 || reply.status === 201)
          return (await reply.json()) as Awaited<ReturnType<typeof post>>;
        if (reply.status < 500) throw new Error(`${reply.status}: ${await reply.text()}`);
      } catch (error) {
        // It is not up yet.
        if (!(error instanceof TypeError)) throw error;
      }
      if (Date.now() > end) throw new Error(`no answer of rekor-server-posix: ${said}`);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
});

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}

/** What stops a start, and the operator's commands on a log that runs and on one that does not. */
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createKeyFile } from '../../merkle/runtime/keys/keyfile.ts';
import { loadConfig } from '../../server/config/load.ts';
import { readIdentity } from '../../server/dir/identity.ts';
import { backupLog, checkLog, exportLog, freezeLog, restoreLog, type Server, serve } from '../../server/main.ts';
import { bodyOf, tempDir } from '../support/log.ts';
import { makeSigner as makeRequestSigner, sharedSigner } from '../support/requests.ts';
import { silent } from '../support/silent.ts';

let root: Awaited<ReturnType<typeof tempDir>>;
let data: string;
let server: Server | undefined;

beforeEach(async () => {
  root = await tempDir();
  data = join(root.path, 'data');
});
afterEach(async () => {
  await server?.close();
  server = undefined;
  await root.remove();
});

function config(flags: Record<string, string> = {}) {
  const ports = { 'listen-port': '0', 'admin-port': '0', 'ingest-threads': '1', 'log-level': 'silent' };
  return loadConfig({ flags: { data, origin: 'localhost', ...ports, ...flags } });
}

async function start(flags: Record<string, string> = {}): Promise<Server> {
  server = await serve({ config: config(flags) });
  return server;
}

async function stop(): Promise<void> {
  await server?.close();
  server = undefined;
}

async function post(url: string, name: string): Promise<{ status: number; index: number }> {
  const reply = await fetch(`${url}/api/v2/log/entries`, { method: 'POST', body: bodyOf(name) });
  return { status: reply.status, index: Number(((await reply.json()) as { logIndex: string }).logIndex) };
}

describe('the start', () => {
  it('makes a key that only its owner can read, and keeps it', async () => {
    const first = await start();
    const file = join(data, 'key.pem');
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect((await stat(join(data, 'admin.token'))).mode & 0o777).toBe(0o600);
    await stop();
    expect((await start()).verifierKeys).toEqual(first.verifierKeys);
  });

  it('stops where a log of signed entries is to take opaque ones, and the other way round', async () => {
    await start();
    await stop();
    await expect(start({ entries: 'raw' })).rejects.toMatchObject({ code: 'config' });
    data = join(root.path, 'raw');
    const raw = await start({ entries: 'raw' });
    expect((await fetch(`${raw.url}/add`, { method: 'POST', body: 'bytes' })).status).toBe(200);
    await stop();
    await expect(start()).rejects.toMatchObject({ code: 'config', message: expect.stringContaining('entries: raw') });
    expect((await start({ entries: 'raw' })).verifierKeys).toEqual(raw.verifierKeys);
  });

  it('publishes opaque entries together, as nobody waits for their checkpoint', async () => {
    const { url, adminUrl } = await start({ entries: 'raw' });
    const published = async () => {
      const metrics = await (await fetch(`${adminUrl}/metrics`)).text();
      return Number(/^stele_stage_duration_seconds_count\{stage="publish"\} (\d+)$/m.exec(metrics)![1]);
    };
    const size = async () => Number((await (await fetch(`${url}/checkpoint`)).text()).split('\n')[1]);
    const before = await published();
    const started = performance.now();
    for (let i = 0; i < 60; i++) await fetch(`${url}/add`, { method: 'POST', body: `entry ${i}` });
    await expect.poll(size, { timeout: 10_000 }).toBe(60);
    // However long that took: one at once, and one for each 200 ms.
    expect((await published()) - before).toBeLessThanOrEqual(2 + (performance.now() - started) / 200);
    await fetch(`${url}/add`, { method: 'POST', body: 'the last' });
    await stop();
    // Answered before its checkpoint, which an end does not owe.
    expect((await readFile(join(data, 'public', 'checkpoint'), 'utf8')).split('\n')[1]).toBe('61');
  });

  it('asks for the origin of a new log before it makes anything, and knows that of a log that is there', async () => {
    const nameless = () => {
      const { origin: _, ...rest } = config();
      return serve({ config: rest });
    };
    await expect(nameless()).rejects.toMatchObject({
      code: 'config',
      message: expect.stringMatching(/`origin` is not set.*log\.example\.com.*--origin.*stele up/),
    });
    expect(existsSync(data)).toBe(false);
    await start({ origin: 'log.test' });
    await stop();
    server = await nameless();
    expect(server.origin).toBe('log.test');
  });

  it('freezes, backs up and exports the log that is there, and no other', async () => {
    await start({ origin: 'log.test' });
    for (const running of [true, false]) {
      if (!running) await stop();
      const { origin: _, ...nameless } = config();
      const to = (name: string) => join(root.path, `${name}-${running}`);
      await expect(exportLog(to('wrong'), { config: config(), logger: silent })).rejects.toMatchObject({
        code: 'origin-mismatch',
      });
      await expect(freezeLog({ config: config(), logger: silent })).rejects.toMatchObject({ code: 'origin-mismatch' });
      expect(await backupLog(to('backup'), { config: nameless, logger: silent })).toEqual({ size: 0 });
      expect(await exportLog(to('export'), { config: nameless, logger: silent })).toEqual({ size: 0 });
    }
    const { origin: _, ...nameless } = config();
    expect((await freezeLog({ config: nameless, logger: silent })).checkpoint).toMatch(/^log\.test\n0\n/);
  });

  it('stops at a directory of another origin', async () => {
    await start();
    await stop();
    await expect(start({ origin: 'other.test' })).rejects.toMatchObject({
      code: 'origin-mismatch',
      message: expect.stringContaining('Set `origin` back'),
    });
  });

  it('stops at a copy that was cut off before its stele.json', async () => {
    const { url } = await start();
    await post(url, 'one');
    const key = join(data, 'key.pem');
    const backup = join(root.path, 'backup');
    await backupLog(backup, { config: config(), logger: silent });
    await stop();
    await rm(join(backup, 'stele.json'));
    const refused = { code: 'copy', message: expect.stringContaining('cut off') };
    await expect(start({ data: backup, 'key-file': key })).rejects.toMatchObject(refused);
    // A restore that was cut off earlier has a state and no checkpoint yet, or a part of the state.
    await rm(join(backup, 'public'), { recursive: true });
    await expect(start({ data: backup, 'key-file': key })).rejects.toMatchObject(refused);
    expect(await readIdentity(backup)).toBeUndefined();
  });

  it('begins no second history where the state and the checkpoint are lost', async () => {
    const { url } = await start();
    await post(url, 'one');
    await stop();
    await rm(join(data, 'state'), { recursive: true });
    await rm(join(data, 'public'), { recursive: true });
    const refused = { code: 'corrupt', message: expect.stringMatching(/state is lost: .*leaf-filter shows/) };
    await expect(start()).rejects.toMatchObject(refused);
    expect(existsSync(join(data, 'state'))).toBe(false);
  });

  it('says which of its files is damaged, and does not ask for another key', async () => {
    const { url } = await start();
    await post(url, 'one');
    await stop();
    const damage = async (name: string, from: RegExp, to: string) => {
      const path = join(data, name);
      const text = await readFile(path, 'utf8');
      await writeFile(path, text.replace(from, to));
      expect(await readFile(path, 'utf8')).not.toBe(text);
      return () => writeFile(path, text);
    };
    let undo = await damage('stele.json', /(localhost\+)[0-9a-f]{8}/, '$1u0000000');
    await expect(start()).rejects.toMatchObject({ code: 'corrupt', message: expect.stringContaining('stele.json') });
    await undo();
    undo = await damage('public/checkpoint', /.{6}\n$/, 'AAAA==\n');
    await expect(start()).rejects.toThrow(/or was damaged.*put the file `public\/checkpoint` back/);
    await undo();
    undo = await damage('state/CURRENT', /MANIFEST/, 'MANIFOLD');
    await expect(start()).rejects.toThrow(/cannot open the store.*restore the directory from a backup/);
    await undo();
    await start();
  });

  it('stops at a directory of another format version', async () => {
    await start();
    await stop();
    const file = join(data, 'stele.json');
    const identity = JSON.parse(await readFile(file, 'utf8')) as object;
    await writeFile(file, JSON.stringify({ ...identity, format: 2 }));
    await expect(start()).rejects.toMatchObject({
      code: 'format-version',
      message: expect.stringContaining('version'),
    });
  });

  it('stops with another key, and makes no new one where the old one is lost', async () => {
    await start();
    await stop();
    const other = join(root.path, 'other.pem');
    await createKeyFile(other, 'ed25519');
    await expect(start({ 'key-file': other })).rejects.toMatchObject({ code: 'key-mismatch' });
    await rename(join(data, 'key.pem'), join(root.path, 'away.pem'));
    await expect(start()).rejects.toMatchObject({ code: 'key-mismatch', message: expect.stringContaining('missing') });
  });

  it('says who holds a directory that is in use', async () => {
    await start();
    await expect(serve({ config: config() })).rejects.toMatchObject({
      code: 'locked',
      message: expect.stringContaining(`process ${process.pid}`),
    });
  });

  it('signs with both keys where its own is ECDSA, and takes no second one beside Ed25519', async () => {
    const ecdsa = join(root.path, 'ecdsa.pem');
    const ed25519 = join(root.path, 'ed25519.pem');
    await createKeyFile(ecdsa, 'ecdsa-p256');
    await createKeyFile(ed25519, 'ed25519');
    const { url, verifierKeys } = await start({ 'key-file': ecdsa, 'ed25519-key-file': ed25519 });
    expect(verifierKeys).toHaveLength(2);
    const note = await (await fetch(`${url}/checkpoint`)).text();
    expect(note.match(/^— localhost /gm)).toHaveLength(2);
    await stop();
    await expect(start({ 'key-file': ed25519, 'ed25519-key-file': ed25519 })).rejects.toMatchObject({ code: 'config' });
  });

  it('says which port is taken, and which address is not there', async () => {
    const { url } = await start();
    const { port } = new URL(url);
    data = join(root.path, 'second');
    await expect(serve({ config: config({ 'listen-port': port }) })).rejects.toMatchObject({
      code: 'config',
      message: expect.stringContaining(`127.0.0.1:${port}`),
    });
    // An address of TEST-NET-1, which no machine has.
    await expect(serve({ config: config({ 'listen-host': '192.0.2.1' }) })).rejects.toMatchObject({
      code: 'config',
      message: expect.stringContaining('`listen.host`'),
    });
  });
});

describe('TLS files', () => {
  it('are named where they cannot be used', async () => {
    const signer = sharedSigner('p256');
    const pem = `-----BEGIN CERTIFICATE-----\n${signer.certificate().toString('base64')}\n-----END CERTIFICATE-----\n`;
    const files = {
      cert: pem,
      key: signer.privateKey.export({ format: 'pem', type: 'pkcs8' }) as string,
      other: makeRequestSigner('p256').privateKey.export({ format: 'pem', type: 'pkcs8' }) as string,
      junk: 'x',
    };
    for (const [name, text] of Object.entries(files)) await writeFile(join(root.path, name), text);
    const tls = (cert: string, key: string) =>
      start({ 'tls-cert': join(root.path, cert), 'tls-key': join(root.path, key) });
    for (const [cert, key, named] of [
      ['none', 'key', 'none'],
      ['junk', 'key', 'junk'],
      ['cert', 'junk', 'junk'],
      ['cert', 'other', 'other'],
    ] as const) {
      await expect(tls(cert, key), `${cert} ${key}`).rejects.toMatchObject({
        code: 'config',
        message: expect.stringContaining(join(root.path, named)),
      });
    }
    expect((await tls('cert', 'key')).url).toMatch(/^https:/);
  });
});

describe('the commands of an operator', () => {
  it('work on a running log through its admin port', async () => {
    const { url } = await start();
    await post(url, 'a');
    const options = { config: config(), logger: silent };
    expect(await backupLog(join(root.path, 'backup'), options)).toEqual({ size: 1 });
    expect(await exportLog(join(root.path, 'static'), options)).toEqual({ size: 1 });
    const { checkpoint } = await freezeLog(options);
    expect(checkpoint).toContain('Log frozen — ');
    expect(await (await fetch(`${url}/checkpoint`)).text()).toBe(checkpoint);
    const refused = await fetch(`${url}/api/v2/log/entries`, { method: 'POST', body: bodyOf('b') });
    expect([refused.status, await refused.text()]).toEqual([
      405,
      'This log has been frozen, please switch to the latest log.\n',
    ]);
  });

  it('work on a log that does not run, and a backup comes back only by way of restore', async () => {
    const { url } = await start();
    await post(url, 'a');
    await stop();
    const options = { config: config(), logger: silent };
    const backup = join(root.path, 'backup');
    expect(await backupLog(backup, options)).toEqual({ size: 1 });
    expect(await exportLog(join(root.path, 'static'), options)).toEqual({ size: 1 });
    expect(await checkLog(join(root.path, 'static'))).toMatchObject({ kind: 'static', size: 1 });

    const key = join(root.path, 'key.pem');
    await rename(join(data, 'key.pem'), key);
    const known = join(root.path, 'static', 'checkpoint');
    data = backup;
    await expect(start({ 'key-file': key })).rejects.toMatchObject({ code: 'copy' });
    // Nor does it ask for the key that a backup does not have.
    await expect(start()).rejects.toMatchObject({ code: 'copy' });
    data = join(root.path, 'restored');
    await restoreLog({ from: backup, to: data, atLeast: known });
    const restored = await start({ 'key-file': key });
    expect(await post(restored.url, 'a')).toEqual({ status: 201, index: 0 });
    expect(await post(restored.url, 'b')).toEqual({ status: 201, index: 1 });
    await stop();
    expect((await freezeLog({ config: config({ 'key-file': key }), logger: silent })).checkpoint).toContain(
      'Log frozen',
    );
    expect(await checkLog(data)).toMatchObject({ kind: 'data', size: 2, publishedSize: 2 });
  });

  it('refuse a directory that holds no log, and make none', async () => {
    await expect(freezeLog({ config: config(), logger: silent })).rejects.toMatchObject({ code: 'config' });
    expect(await readIdentity(data)).toBeUndefined();
    await mkdir(data);
    await expect(backupLog(join(root.path, 'x'), { config: config(), logger: silent })).rejects.toMatchObject({
      code: 'config',
    });
  });
});

/** One server with several shards of a log, on its ports. */
import { existsSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { KEY_TYPE, parseNote, parseVerifierKey } from '../../../merkle/note.ts';
import { createKeyFile } from '../../../merkle/runtime/keys/keyfile.ts';
import { createMldsaKeyFile } from '../../../merkle/runtime/keys/mldsa.ts';
import { type Config, loadConfig } from '../../../server/config/load.ts';
import {
  backupLog,
  exportLog,
  freezeLog,
  listShards,
  openShard,
  prepareShard,
  type Server,
  serve,
} from '../../../server/main.ts';
import { bodyOf, tempDir } from '../../support/log.ts';
import { hashedRekordRequest, sharedSigner, toJsonBatch } from '../../support/requests.ts';
import { silent } from '../../support/silent.ts';
import { until } from '../../support/until.ts';
import { callAt } from './support.ts';

const SECOND = '127.0.0.1';
const URL_2 = 'http://127.0.0.1:3000';

let root: Awaited<ReturnType<typeof tempDir>>;
let data: string;
let server: Server | undefined;

beforeEach(async () => {
  root = await tempDir();
  data = join(root.path, 'data');
});
afterEach(async () => {
  await stop();
  await root.remove();
});

function config(flags: Record<string, string> = {}): Config {
  const ports = { 'listen-port': '0', 'admin-port': '0', 'ingest-threads': '1', 'log-level': 'silent' };
  return loadConfig({ flags: { data, origin: 'localhost', ...ports, ...flags } });
}

const options = (flags: Record<string, string> = {}) => ({ config: config(flags), logger: silent });

async function start(flags: Record<string, string> = {}): Promise<Server> {
  server = await serve({ config: config(flags) });
  return server;
}

async function stop(): Promise<void> {
  await server?.close();
  server = undefined;
}

const call = (host: string, path: string, body?: Uint8Array) => callAt(server!.url, host, path, body);
const add = (host: string, name: string) => call(host, '/api/v2/log/entries', bodyOf(name));
/** What the port answers to these bytes. */
async function raw(bytes: string): Promise<string> {
  const { hostname, port } = new URL(server!.url);
  const socket = connect(Number(port), hostname);
  socket.end(bytes);
  return await text(socket);
}
const originAt = async (host: string) => {
  const { origin } = JSON.parse((await call(host, '/stele/v1/log')).body) as { origin: string };
  return origin;
};

describe('several shards of one log', () => {
  it('are chosen by Host, and take entries one after the other', async () => {
    await start();
    expect((await add('localhost', 'first')).status).toBe(201);
    const prepared = await prepareShard(options(), { origin: SECOND, url: URL_2 });
    expect(prepared).toMatchObject({
      origin: SECOND,
      url: URL_2,
      status: 'prepared',
      size: 0,
      predecessor: 'localhost',
    });
    expect(await prepareShard(options(), { origin: SECOND, url: URL_2 })).toEqual(prepared);

    expect((await call(SECOND, '/healthz')).status).toBe(200);
    expect((await call(SECOND, '/')).body).toMatch(/^This is 127\.0\.0\.1,/);
    expect((await call(SECOND, '/stele/v1/entries/0')).status).toBe(404);
    expect((await call(SECOND, '/tile/0/000.p/1')).status).toBe(404);
    expect(JSON.parse((await call(SECOND, '/stele/v1/log')).body)).toMatchObject({
      origin: SECOND,
      status: 'prepared',
      size: 0,
    });
    const early = await add(SECOND, 'too early');
    expect([early.status, early.headers['retry-after']]).toEqual([503, '1']);
    expect((await call(SECOND, '/checkpoint')).status).toBe(404);
    await expect(openShard(options(), SECOND)).rejects.toMatchObject({
      code: 'config',
      message: expect.stringContaining('before "localhost" is frozen'),
    });

    const { checkpoint } = await freezeLog({ ...options(), shard: 'localhost' });
    expect(await readFile(join(data, 'shards', SECOND, 'predecessor.checkpoint'), 'utf8')).toBe(checkpoint);
    expect((await add(SECOND, 'still too early')).status).toBe(503);
    const refused = await add('localhost', 'too late');
    expect(refused.status).toBe(405);
    expect(refused.body).toBe(`This log has been frozen, please switch to the latest log.\nThe next log is ${URL_2}\n`);

    expect(await openShard(options(), SECOND)).toMatchObject({ origin: SECOND, status: 'open', size: 0 });
    expect(await openShard(options(), SECOND)).toMatchObject({ status: 'open' });
    const taken = await add(SECOND, 'first');
    expect(taken.status).toBe(201);
    expect(JSON.parse(taken.body).inclusionProof.checkpoint.envelope).toMatch(/^127\.0\.0\.1\n1\n/);

    for (const host of ['127.0.0.1', '127.0.0.1:3000', '127.0.0.1.', 'other.example', '[::1]:1']) {
      expect(await originAt(host), host).toBe(SECOND);
    }
    for (const host of ['localhost', 'LocalHost:1', 'localhost.', 'LOCALHOST.:65535']) {
      expect(await originAt(host), host).toBe('localhost');
    }
    // Neither a forwarded host nor an absolute target chooses another shard than Host.
    const forwarded = { 'x-forwarded-host': SECOND, forwarded: `host=${SECOND}` };
    expect((await callAt(server!.url, 'localhost', '/checkpoint', undefined, forwarded)).body).toBe(checkpoint);
    expect(await raw('GET /checkpoint HTTP/1.0\r\n\r\n')).toContain('\r\n\r\n127.0.0.1\n1\n');
    expect(await raw('GET /checkpoint HTTP/1.0\r\nHost: localhost\r\n\r\n')).toContain('\r\n\r\nlocalhost\n1\n');
    const target = 'GET http://localhost/checkpoint HTTP/1.1\r\nConnection: close\r\nHost:';
    expect(await raw(`${target} localhost\r\n\r\n`)).toContain('\r\n\r\nlocalhost\n1\n');
    expect(await raw(`${target} 127.0.0.1\r\n\r\n`)).toMatch(/^HTTP\/1\.1 400 /);
    expect((await call('localhost', '/checkpoint')).body).toBe(checkpoint);
    expect(await listShards(options())).toMatchObject([
      { origin: 'localhost', status: 'frozen', size: 1, lastCheckpoint: checkpoint },
      { origin: SECOND, status: 'open', size: 1, predecessor: 'localhost' },
    ]);
    const first = JSON.parse((await call('localhost', '/stele/v1/log')).body);
    expect(first).toMatchObject({
      status: 'frozen',
      successor: { origin: SECOND, url: URL_2, verifierKeys: prepared.verifierKeys, status: 'open' },
      shards: [{ origin: 'localhost' }, { origin: SECOND }],
    });
    const second = JSON.parse((await call(SECOND, '/stele/v1/log')).body);
    expect(second).not.toHaveProperty('successor');
    expect(second.shards).toEqual(first.shards);

    await stop();
    // A log that has ended needs its key no more.
    await rm(join(data, 'key.pem'));
    await start();
    expect(server).toMatchObject({ origin: SECOND, size: 1, status: 'open', publicUrl: URL_2 });
    expect(await originAt('localhost')).toBe('localhost');
    expect((await call('localhost', '/checkpoint')).body).toBe(checkpoint);
    expect((await call('localhost', '/api/v2/checkpoint')).body).toBe(checkpoint);
    expect((await add(SECOND, 'second')).status).toBe(201);
    expect((await add('localhost', 'too late')).status).toBe(405);
  });

  it('take the limits of a reload, all of them, also while one of them opens', async () => {
    let flags: Record<string, string> = {};
    server = await serve({ config: config(), reread: () => config(flags) });
    await prepareShard(options(), { origin: SECOND, url: URL_2 });
    await freezeLog({ ...options(), shard: 'localhost' });
    const batch = Buffer.from(toJsonBatch([1, 2, 3].map(() => hashedRekordRequest(sharedSigner()))));
    const refused = async () => {
      const { status, body } = await call(SECOND, '/api/v2/log/entries:batch', batch);
      return [status, JSON.parse(body).results.filter((one: { error?: unknown }) => one.error !== undefined).length];
    };
    flags = { 'limits-outstanding': '1' };
    const opening = openShard(options(), SECOND);
    // It has begun, with the settings of before, and does not serve yet.
    await until(() => existsSync(join(data, 'shards', SECOND, 'stele.json')));
    await server.reload();
    expect(await opening).toMatchObject({ status: 'open' });
    expect(await refused()).toEqual([200, 2]);
    flags = {};
    await server.reload();
    expect(await refused()).toEqual([200, 0]);
  });

  it('may sign with a key for witnesses and one of ML-DSA beside their own', async () => {
    const at = (name: string) => join(root.path, name);
    await createKeyFile(at('ecdsa.pem'), 'ecdsa-p256');
    await createKeyFile(at('ed25519.pem'), 'ed25519');
    await createMldsaKeyFile(at('mldsa.pem'));
    await start();
    const order = { origin: SECOND, url: URL_2, key: { file: at('ecdsa.pem') } };
    const all = { ...order, ed25519Key: { file: at('ed25519.pem') }, mldsaKey: at('mldsa.pem') };
    const { verifierKeys } = await prepareShard(options(), all);
    const types = verifierKeys.map((key) => parseVerifierKey(key).type);
    expect(types).toEqual([KEY_TYPE.ecdsa, KEY_TYPE.ed25519, KEY_TYPE.mldsa44]);
    // A repeat that names one of them has the others from the record, and none can be another.
    expect(await prepareShard(options(), order)).toMatchObject({ verifierKeys });
    await createMldsaKeyFile(at('other.pem'));
    await expect(prepareShard(options(), { ...all, mldsaKey: at('other.pem') })).rejects.toMatchObject({
      message: expect.stringContaining(`was prepared with the key ${verifierKeys[2]},`),
    });
    await freezeLog({ ...options(), shard: 'localhost' });
    await openShard(options(), SECOND);
    for (const name of ['before the restart', 'after it']) {
      expect((await add(SECOND, name)).status).toBe(201);
      const { signatures } = parseNote((await call(SECOND, '/checkpoint')).body);
      const ids = verifierKeys.map((key) => Buffer.from(parseVerifierKey(key).keyId).toString('hex'));
      expect(signatures.map(({ keyId }) => Buffer.from(keyId).toString('hex'))).toEqual(ids);
      await stop();
      await start();
    }
    expect(server).toMatchObject({ origin: SECOND, verifierKeys, size: 2 });
    await stop();
    await rm(at('mldsa.pem'));
    await expect(start()).rejects.toThrow(/mldsa\.pem/);
  });

  it('are prepared, frozen, opened, listed, copied and exported while no process runs them', async () => {
    await start();
    await add('localhost', 'first');
    await stop();
    await prepareShard(options(), { origin: SECOND, url: URL_2 });
    expect(await listShards(options())).toMatchObject([
      { status: 'open', size: 1 },
      { status: 'prepared', size: 0 },
    ]);
    await expect(openShard(options(), SECOND)).rejects.toMatchObject({ code: 'config' });
    await freezeLog({ ...options(), shard: 'localhost' });
    await openShard(options(), SECOND);
    expect(await listShards(options())).toMatchObject([
      { status: 'frozen', size: 1 },
      { status: 'open', size: 0 },
    ]);
    expect(await backupLog(join(root.path, 'backup'), options())).toEqual({
      size: 0,
      shards: [
        { origin: 'localhost', size: 1 },
        { origin: SECOND, size: 0 },
      ],
    });
    expect(await exportLog(join(root.path, 'export'), options())).toEqual({ size: 0 });
    expect(await exportLog(join(root.path, 'export-1'), { ...options(), shard: 'localhost' })).toEqual({ size: 1 });
  });
});

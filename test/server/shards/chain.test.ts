/** What stands in the directories of shards: read strictly, and never trusted where it does not fit together. */
import { existsSync } from 'node:fs';
import { chmod, cp, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ed25519VerifierKey, formatVerifierKey, parseVerifierKey } from '../../../merkle/note.ts';
import { createKeyFile } from '../../../merkle/runtime/keys/keyfile.ts';
import { loadConfig } from '../../../server/config/load.ts';
import {
  backupLog,
  checkLog,
  freezeLog,
  listShards,
  openShard,
  prepareShard,
  restoreLog,
  type Server,
  serve,
} from '../../../server/main.ts';
import { tempDir } from '../../support/log.ts';
import { silent } from '../../support/silent.ts';
import { addAt, callAt } from './support.ts';

const SECOND = 'two.example';
const order = { origin: SECOND, url: `https://${SECOND}` };

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

function options(flags: Record<string, string> = {}) {
  const ports = { 'listen-port': '0', 'admin-port': '0', 'ingest-threads': '1', 'log-level': 'silent' };
  return { config: loadConfig({ flags: { data, origin: 'localhost', ...ports, ...flags } }), logger: silent };
}

async function start(flags: Record<string, string> = {}, atLeast?: string): Promise<Server> {
  server = await serve({ ...options(flags), atLeast });
  return server;
}

async function stop(): Promise<void> {
  await server?.close();
  server = undefined;
}

const at = (...parts: string[]) => join(root.path, ...parts);
const shard = (...parts: string[]) => join(data, 'shards', SECOND, ...parts);
const record = async () => JSON.parse(await readFile(shard('shard.json'), 'utf8')) as Record<string, unknown>;
const put = (value: unknown) => writeFile(shard('shard.json'), JSON.stringify(value));

/** A log with one entry, and a prepared shard. */
async function prepared(): Promise<void> {
  const { url } = await start();
  await addAt(url, 'localhost', 'first');
  await stop();
  await prepareShard(options(), order);
}

/** The same, rotated, with one entry in the second shard. */
async function rotated(): Promise<void> {
  await prepared();
  await freezeLog({ ...options(), shard: 'localhost' });
  await openShard(options(), SECOND);
  const { url } = await start();
  expect(await addAt(url, SECOND, 'second')).toBe(201);
  await stop();
}

describe('the order of a shard', () => {
  it.each([
    ['Two.example', 'https://two.example'],
    ['../two.example', 'https://two.example'],
    ['..', 'https://two.example'],
    ['two.example/x', 'https://two.example'],
    ['two.example:443', 'https://two.example'],
    ['two_example', 'https://two_example'],
    [SECOND, 'https://other.example'],
    [SECOND, 'https://two.example/'],
    [SECOND, 'ftp://two.example'],
    [SECOND, 'https://user@two.example'],
    [SECOND, 'two.example'],
    ['localhost', 'https://localhost'],
  ])('is refused with the origin %s at %s', async (origin, url) => {
    const { url: own } = await start();
    await addAt(own, 'localhost', 'first');
    for (const running of [true, false]) {
      if (!running) await stop();
      await expect(prepareShard(options(), { origin, url })).rejects.toMatchObject({ code: 'config' });
    }
    expect(await listShards(options())).toHaveLength(1);
  });

  it('is refused for the host of the first shard, for a directory without a log, and beside a shard that waits', async () => {
    await expect(prepareShard(options(), order)).rejects.toMatchObject({ code: 'config' });
    await start({ origin: 'log.example', 'public-url': 'https://two.example' });
    await stop();
    const named = { origin: 'log.example', 'public-url': 'https://two.example' };
    await expect(prepareShard(options(named), order)).rejects.toMatchObject({
      message: expect.stringContaining('publicUrl'),
    });
    const plain = options({ origin: 'log.example' });
    await prepareShard(plain, order);
    await expect(prepareShard(plain, { origin: 'b.example', url: 'https://b.example' })).rejects.toMatchObject({
      code: 'config',
      message: expect.stringContaining('has not begun'),
    });
  });

  it('is refused without a key behind a shard whose key is protected: a plain one would follow it', async () => {
    await start();
    await stop();
    await writeFile(at('passphrase'), 'a passphrase', { mode: 0o600 });
    await createKeyFile(at('encrypted.pem'), 'ed25519', 'a passphrase');
    const key = { file: at('encrypted.pem'), passphrase: { file: at('passphrase') } };
    await prepareShard(options(), { ...order, key });
    await freezeLog({ ...options(), shard: 'localhost' });
    await openShard(options(), SECOND);
    const third = { origin: 'three.example', url: 'https://three.example' };
    await expect(prepareShard(options(), third)).rejects.toMatchObject({
      code: 'config',
      message: expect.stringContaining('the key of "two.example" is in a token, an agent or an encrypted file'),
    });
    expect(existsSync(join(data, 'shards', third.origin))).toBe(false);
    await createKeyFile(at('third.pem'), 'ed25519');
    await prepareShard(options(), { ...third, key: { file: at('third.pem') } });
    // A repeat needs no key: the shard has its own.
    expect(await prepareShard(options(), third)).toMatchObject({ status: 'prepared' });
  });

  it('takes another URL later, and no other key', async () => {
    await prepared();
    const [, before] = await listShards(options());
    const moved = { origin: SECOND, url: `https://${SECOND}:8443` };
    expect(await prepareShard(options(), moved)).toEqual({ ...before, url: moved.url });
    await createKeyFile(at('other.pem'), 'ed25519');
    await expect(prepareShard(options(), { ...moved, key: { file: at('other.pem') } })).rejects.toMatchObject({
      code: 'key-mismatch',
    });
    expect((await listShards(options()))[1]).toMatchObject({ url: moved.url, verifierKeys: before!.verifierKeys });
    await rm(shard('key.pem'));
    await expect(prepareShard(options(), moved)).rejects.toMatchObject({ code: expect.stringMatching(/^key/) });
  });

  it('is refused with the key of an earlier shard', async () => {
    await start();
    for (const running of [true, false]) {
      if (!running) await stop();
      const key = { file: join(data, 'key.pem') };
      await expect(prepareShard(options(), { ...order, key })).rejects.toMatchObject({
        code: 'config',
        message: expect.stringContaining('is one of "localhost"'),
      });
    }
    expect(await listShards(options())).toHaveLength(1);
    expect(existsSync(join(data, 'shards'))).toBe(false);
  });

  it('brings no code of its own into a log that runs', async () => {
    await start();
    const pkcs11 = { module: at('module.so'), token: 't', label: 'l', pin: { env: 'PIN' } };
    await expect(prepareShard(options(), { ...order, key: { pkcs11 } })).rejects.toMatchObject({
      code: 'config',
      message: expect.stringContaining('would run inside the log'),
    });
    await expect(prepareShard(options(), { ...order, ed25519Key: { pkcs11 } })).rejects.toMatchObject({
      message: expect.stringContaining('would run inside the log'),
    });
    expect(await listShards(options())).toHaveLength(1);
  });

  it('may name a key elsewhere', async () => {
    await start();
    const { publicKey } = await createKeyFile(at('other.pem'), 'ed25519');
    const info = await prepareShard(options(), { ...order, key: { file: at('other.pem') } });
    expect(Buffer.from(parseVerifierKey(info.verifierKeys[0]!).key)).toEqual(Buffer.from(publicKey).subarray(-32));
    await stop();
    expect(await record()).toMatchObject({ key: { file: at('other.pem') } });
  });
});

describe('shard.json', () => {
  it.each<[string, (good: Record<string, unknown>) => unknown]>([
    ['an unknown member', (good) => ({ ...good, more: 1 })],
    ['a missing member', ({ predecessor: _, ...rest }) => rest],
    ['another format', (good) => ({ ...good, format: 2 })],
    ['another origin', (good) => ({ ...good, origin: 'three.example' })],
    ['a URL of another host', (good) => ({ ...good, url: 'https://three.example' })],
    ['a key of another log', (good) => ({ ...good, verifierKeys: ['log.test+00000000+AAAA'] })],
    ['no keys', (good) => ({ ...good, verifierKeys: [] })],
    ['a PIN', (good) => ({ ...good, key: { pkcs11: { module: 'm', token: 't', label: 'l', pin: '1234' } } })],
    ['two places of a key', (good) => ({ ...good, key: { file: 'key.pem', agent: { key: 'SHA256:x' } } })],
    ['a predecessor that is no shard', (good) => ({ ...good, predecessor: 'three.example' })],
    ['itself as predecessor', (good) => ({ ...good, predecessor: SECOND })],
    ['a list', () => []],
    ['null', () => null],
  ])('with %s stops the start', async (_, change) => {
    await prepared();
    await put(change(await record()));
    await expect(start()).rejects.toMatchObject({ code: 'corrupt' });
    await expect(listShards(options())).rejects.toMatchObject({ code: 'corrupt' });
  });

  it('that others may write, and what is no shard, stop the start', async () => {
    await prepared();
    await chmod(shard('shard.json'), 0o622);
    await expect(start()).rejects.toMatchObject({ code: 'corrupt', message: expect.stringContaining('chmod 600') });
    await chmod(shard('shard.json'), 0o600);
    await mkdir(join(data, 'shards', 'No_Shard'));
    await expect(start()).rejects.toMatchObject({ code: 'corrupt', message: expect.stringContaining('No_Shard') });
  });

  it('keeps two shards from following the same one', async () => {
    await prepared();
    const good = await record();
    const { key } = parseVerifierKey(String(good.verifierKeys));
    const verifierKeys = [formatVerifierKey(ed25519VerifierKey('three.example', key))];
    const third = { ...good, origin: 'three.example', url: 'https://three.example', verifierKeys };
    await mkdir(join(data, 'shards', 'three.example'), { recursive: true });
    await writeFile(join(data, 'shards', 'three.example', 'shard.json'), JSON.stringify(third));
    await expect(start()).rejects.toMatchObject({
      code: 'corrupt',
      message: expect.stringContaining('as another shard'),
    });
    await writeFile(
      join(data, 'shards', 'three.example', 'shard.json'),
      JSON.stringify({ ...third, predecessor: SECOND }),
    );
    // The second one has not begun, so nothing can have been prepared after it; all the same they are a chain.
    await start();
  });

  it('with another key than that of its file keeps the shard from opening', async () => {
    await prepared();
    await rm(shard('key.pem'));
    await createKeyFile(shard('key.pem'), 'ed25519');
    await freezeLog({ ...options(), shard: 'localhost' });
    await expect(openShard(options(), SECOND)).rejects.toMatchObject({ code: 'key-mismatch' });
    expect((await listShards(options()))[1]).toMatchObject({ status: 'prepared' });
  });
});

describe('the pin', () => {
  it('keeps another end of the earlier shard from opening', async () => {
    await prepared();
    await cp(data, at('before'), { recursive: true });
    await freezeLog({ ...options(), shard: 'localhost' });
    await openShard(options(), SECOND);
    // The same log, frozen a second time: another last checkpoint.
    const own = data;
    data = at('before');
    await freezeLog({ ...options(), shard: 'localhost' });
    data = own;
    for (const part of ['state', 'public']) {
      await rename(join(data, part), at(`${part}-good`));
      await cp(at('before', part), join(data, part), { recursive: true });
    }
    await expect(start()).rejects.toMatchObject({ code: 'rollback', message: /is an old copy/ });
    await expect(checkLog(data)).rejects.toMatchObject({ code: 'rollback' });
    for (const part of ['state', 'public']) {
      await rm(join(data, part), { recursive: true });
      await rename(at(`${part}-good`), join(data, part));
    }
    await start();
    expect(await addAt(server!.url, SECOND, 'goes on')).toBe(201);
  });

  it('keeps a copy from before the freeze from signing anything', async () => {
    await prepared();
    await cp(data, at('before'), { recursive: true });
    await freezeLog({ ...options(), shard: 'localhost' });
    await openShard(options(), SECOND);
    for (const part of ['state', 'public']) {
      await rm(join(data, part), { recursive: true });
      await cp(at('before', part), join(data, part), { recursive: true });
    }
    const checkpoint = await readFile(join(data, 'public', 'checkpoint'), 'utf8');
    await expect(start()).rejects.toMatchObject({ code: 'rollback' });
    await expect(freezeLog({ ...options(), shard: 'localhost' })).rejects.toMatchObject({ code: 'rollback' });
    expect(await readFile(join(data, 'public', 'checkpoint'), 'utf8')).toBe(checkpoint);
  });

  it('must be the last checkpoint of the earlier shard, by its key', async () => {
    await rotated();
    const pin = await readFile(shard('predecessor.checkpoint'), 'utf8');
    const wrong = {
      'a checkpoint that is not frozen': await readFile(shard('public', 'checkpoint'), 'utf8'),
      'another time': pin.replace('Log frozen — 2', 'Log frozen — 1'),
      'no signature': pin.slice(0, pin.indexOf('\n\n') + 2),
      nothing: '',
    };
    for (const [name, text] of Object.entries(wrong)) {
      await writeFile(shard('predecessor.checkpoint'), text);
      await expect(start(), name).rejects.toMatchObject({ code: 'corrupt' });
    }
    await rm(shard('predecessor.checkpoint'));
    await expect(start()).rejects.toMatchObject({ code: 'corrupt', message: /is missing beside it/ });
  });

  it('is not made of a log that goes on', async () => {
    await prepared();
    await expect(openShard(options(), SECOND)).rejects.toMatchObject({ code: 'config' });
    await start();
    await expect(openShard(options(), SECOND)).rejects.toMatchObject({ code: 'config' });
    await expect(freezeLog({ ...options(), shard: SECOND })).rejects.toMatchObject({ code: 'config' });
    await expect(openShard(options(), 'other.example')).rejects.toMatchObject({
      message: expect.stringMatching(/no shard "other\.example".*localhost, two\.example/),
    });
    await stop();
    expect(await listShards(options())).toMatchObject([{ status: 'open' }, { status: 'prepared' }]);
  });
});

describe('a directory of shards', () => {
  it('is not served with the URL of a further shard in the place of the first one', async () => {
    await prepared();
    const { config, logger } = options();
    const moved = serve({ config: { ...config, publicUrl: `https://${SECOND}` } });
    await expect(moved).rejects.toMatchObject({ code: 'config', message: expect.stringContaining('shard.json') });
    expect(await listShards({ config, logger })).toMatchObject([{ status: 'open' }, { status: 'prepared' }]);
  });

  it('is not served in part', async () => {
    await rotated();
    const alone = { data: shard(), origin: SECOND };
    await expect(start(alone)).rejects.toMatchObject({ code: 'config', message: expect.stringContaining(data) });
    await rm(join(data, 'stele.json'));
    await expect(start()).rejects.toMatchObject({ code: expect.stringMatching(/^(?:copy|corrupt)$/) });
  });

  it('is not served where a shard that has begun has lost `stele.json`', async () => {
    await rotated();
    await rm(shard('stele.json'));
    await expect(start()).rejects.toMatchObject({ code: 'corrupt' });
    await expect(openShard(options(), SECOND)).rejects.toMatchObject({ code: 'corrupt' });
  });

  it('may have ended several times: each earlier shard is held to its end, and needs no key', async () => {
    await rotated();
    await cp(shard(), at('two-before'), { recursive: true });
    const third = { origin: 'three.example', url: 'https://three.example' };
    expect(await prepareShard(options(), third)).toMatchObject({ predecessor: SECOND, status: 'prepared' });
    await start();
    await freezeLog({ ...options(), shard: SECOND });
    await openShard(options(), 'three.example');
    expect(await addAt(server!.url, 'three.example', 'third')).toBe(201);
    await stop();
    for (const dir of [data, shard()]) await rm(join(dir, 'key.pem'));
    await start();
    expect(
      await Promise.all(
        ['localhost', SECOND, 'three.example', 'x.example'].map((host) => addAt(server!.url, host, 'more')),
      ),
    ).toEqual([405, 405, 201, 201]);
    expect(await listShards(options())).toMatchObject([
      { status: 'frozen', size: 1 },
      { status: 'frozen', size: 1, predecessor: 'localhost' },
      { status: 'open', predecessor: SECOND },
    ]);
    await stop();
    expect(await checkLog(data)).toMatchObject({ shards: [{ origin: SECOND }, { origin: 'three.example' }] });
    await backupLog(at('backup'), options());
    const newest = join(data, 'shards', 'three.example', 'public', 'checkpoint');
    expect(await restoreLog({ from: at('backup'), to: at('restored'), atLeast: newest })).toMatchObject({ size: 2 });
    // An old copy of the one in the middle.
    for (const part of ['state', 'public']) {
      await rm(shard(part), { recursive: true });
      await cp(at('two-before', part), shard(part), { recursive: true });
    }
    await expect(start()).rejects.toMatchObject({ code: 'rollback', message: expect.stringContaining(SECOND) });
    await expect(checkLog(data)).rejects.toMatchObject({ code: 'rollback' });
  });

  it('is checked, copied and restored whole', async () => {
    await rotated();
    expect(await checkLog(data)).toMatchObject({ origin: 'localhost', size: 1, shards: [{ origin: SECOND, size: 1 }] });
    await backupLog(at('backup'), options());
    expect(await checkLog(at('backup'))).toMatchObject({ kind: 'backup', shards: [{ kind: 'backup', size: 1 }] });
    const newest = join(at('backup'), 'shards', SECOND, 'public', 'checkpoint');
    const first = join(at('backup'), 'public', 'checkpoint');
    const to = at('restored');
    await expect(restoreLog({ from: at('backup'), to, atLeast: first })).rejects.toMatchObject({ code: 'config' });
    expect(await restoreLog({ from: at('backup'), to, atLeast: newest })).toMatchObject({ size: 1, atLeast: 1 });
    // The key of the newest shard alone is needed.
    await cp(shard('key.pem'), join(to, 'shards', SECOND, 'key.pem'));
    data = to;
    const { url } = await start({}, newest);
    expect(await addAt(url, SECOND, 'third')).toBe(201);
    expect((await callAt(url, 'localhost', '/checkpoint')).body).toContain('Log frozen');
  });

  it('is not restored from before its rotation', async () => {
    await prepared();
    await backupLog(at('backup'), options());
    await freezeLog({ ...options(), shard: 'localhost' });
    const last = join(data, 'public', 'checkpoint');
    await expect(restoreLog({ from: at('backup'), to: at('restored'), atLeast: last })).rejects.toMatchObject({
      code: 'rollback',
    });
    await openShard(options(), SECOND);
    await start({}, shard('public', 'checkpoint'));
    await stop();
    // A copy from before the rotation, and a checkpoint from after it.
    await restoreLog({ from: at('backup'), to: at('restored'), atLeast: join(at('backup'), 'public', 'checkpoint') });
    const newest = shard('public', 'checkpoint');
    await cp(join(data, 'key.pem'), at('restored', 'key.pem'));
    data = at('restored');
    await expect(start({}, newest)).rejects.toMatchObject({ code: 'rollback' });
  });
});

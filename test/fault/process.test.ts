/** `stele serve` as an operator has it: a full disk, a limit on file sizes, signals, and clients that go away. */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { readdir, rm, stat } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { tempDir } from '../support/log.ts';
import { type ServeProcess, startServer, stele, steleJson } from '../support/serve.ts';
import { lacking, skips } from '../support/skip.ts';
import { audit } from './audit.ts';
import { Client, each, History, type Item, prepare } from './load.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
let server: ServeProcess;
let client: Client;
let history: History;

beforeEach(async () => {
  dir = await tempDir();
  history = new History();
});
afterEach(async () => {
  await client?.close();
  await server?.kill();
  await dir.remove();
});

async function start(data = join(dir.path, 'data'), ...args: string[]): Promise<void> {
  // The disks of these tests are small.
  server = await startServer(data, { args: ['--readiness-min-free', '0B', ...args] });
  history.verifierKeys = server.verifierKeys;
  client = new Client(server, history);
}

/** Sends new requests one by one; those that were acknowledged, and the statuses of the others. */
async function send(count: number): Promise<{ taken: Item[]; refused: number[] }> {
  const items = prepare(count);
  history.items.push(...items);
  const refused: number[] = [];
  await each(items, 4, async (item) => {
    await client.submit(item).catch((error: Error) => {
      const status = /^POST: (\d+) \{"code":\d+,/.exec(error.message);
      if (status === null) throw error;
      refused.push(Number(status[1]));
    });
  });
  return { taken: items.filter(({ index }) => index !== undefined), refused };
}

/** What was refused is sent again until the log takes it, without a restart. */
async function allTakenSoon(): Promise<void> {
  const open = () => history.items.filter(({ index }) => index === undefined);
  await expect
    .poll(
      async () => {
        await each(open(), 4, (item) => client.submit(item).catch(() => {}));
        return open().length;
      },
      { timeout: 30_000, interval: 200 },
    )
    .toBe(0);
  expect((await fetch(`${server.adminUrl}/readyz`)).status).toBe(200);
}

async function restartAndAudit(data?: string): Promise<void> {
  await server.kill();
  await client.close();
  await start(data);
  await audit(client, history, { items: history.items, heads: [...history.checkpoints.values()] });
  expect(await server.stop()).toBe(0);
  const { size } = [...history.checkpoints.values()].at(-1)!;
  expect(await steleJson(['log', 'check', data ?? join(dir.path, 'data')])).toMatchObject({ publishedSize: size });
}

/** Requests that the log has taken in and not answered yet. */
async function outstanding(): Promise<number> {
  const metrics = await (await fetch(`${server.adminUrl}/metrics`)).text();
  return Number(/^stele_\w*outstanding\w* (\d+)$/m.exec(metrics)?.[1]);
}

/** The soft limit alone, so that it can be lifted again without privilege. */
function limitFiles(bytes: number | 'unlimited'): void {
  const { status, stderr } = spawnSync('prlimit', ['--pid', String(server.pid), `--fsize=${bytes}:`]);
  if (status !== 0) throw new Error(String(stderr));
}

async function journalBytes(): Promise<number> {
  const state = join(dir.path, 'data', 'state');
  const journals = (await readdir(state)).filter((name) => name.endsWith('.log'));
  return Math.max(0, ...(await Promise.all(journals.map(async (name) => (await stat(join(state, name))).size))));
}

describe.skipIf(skips('a log whose writes fail', lacking('prlimit')))(
  'a log whose writes fail (file-size limit)',
  () => {
    it('refuses with 503, goes on when it can write again, and loses nothing', async () => {
      await start();
      expect((await send(50)).refused).toEqual([]);
      // Nothing at all can be written; a commit is cut in its middle; a commit passes and its tile is cut.
      for (const room of [0, (await journalBytes()) + 3000, (await journalBytes()) + 400, 7000, 100]) {
        limitFiles(room);
        const { refused } = await send(300);
        expect(refused.length).toBeGreaterThan(0);
        expect(new Set(refused)).toEqual(new Set([503]));
        // What is published stays readable meanwhile.
        expect((await client.checkpoint()).size).toBeGreaterThanOrEqual(50);
        limitFiles('unlimited');
        await allTakenSoon();
      }
      await restartAndAudit();
    });
  },
);

/** A file system of its own with little room; undefined where this user may not mount one. */
function smallDisk(at: string, megabytes: number): boolean {
  mkdirSync(at);
  return spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', at]).status === 0;
}

describe('a full disk', () => {
  it('refuses with 503, goes on when there is room, and loses nothing', async ({ skip }) => {
    const disk = join(dir.path, 'disk');
    const why = smallDisk(disk, 24) ? undefined : 'this user may not mount a file system';
    skip(skips('a log on a full disk', why), why);
    try {
      const data = join(disk, 'data');
      await start(data);
      expect((await send(300)).refused).toEqual([]);
      // Twice: the journal that the first recovery began must not be the one that breaks in the second.
      for (let round = 0; round < 2; round++) {
        const filler = join(disk, 'filler');
        spawnSync('dd', ['if=/dev/zero', `of=${filler}`, 'bs=4096']);
        const { refused } = await send(600);
        expect(refused.length).toBeGreaterThan(0);
        expect(new Set(refused)).toEqual(new Set([503]));
        expect((await client.checkpoint()).size).toBeGreaterThanOrEqual(300);
        await rm(filler);
        await allTakenSoon();
      }
      await restartAndAudit(data);
    } finally {
      await server?.kill();
      spawnSync('umount', [disk]);
    }
  });
});

describe('a start on a full disk', () => {
  it('serves what is public, takes no entries, and goes on when there is room', async ({ skip }) => {
    const disk = join(dir.path, 'disk');
    const why = smallDisk(disk, 24) ? undefined : 'this user may not mount a file system';
    skip(skips('a log on a full disk', why), why);
    try {
      const data = join(disk, 'data');
      await start(data);
      expect((await send(300)).refused).toEqual([]);
      await server.kill();
      await client.close();
      const filler = join(disk, 'filler');
      spawnSync('dd', ['if=/dev/zero', `of=${filler}`, 'bs=4096']);
      spawnSync('dd', ['if=/dev/zero', `of=${filler}2`, 'bs=1']);
      await start(data);
      expect((await client.checkpoint()).size).toBe(300);
      for (const path of ['tile/0/000', 'tile/0/001.p/44', 'tile/entries/001.p/44', 'api/v2/tile/entries/000']) {
        expect((await fetch(`${server.url}/${path}`)).status, path).toBe(200);
      }
      const ready = await fetch(`${server.adminUrl}/readyz`);
      expect([ready.status, await ready.text()]).toEqual([503, expect.stringContaining('is being opened again')]);
      const { taken, refused } = await send(20);
      expect([taken.length, new Set(refused)]).toEqual([0, new Set([503])]);
      await rm(filler);
      await rm(`${filler}2`, { force: true });
      await allTakenSoon();
      await restartAndAudit(data);
    } finally {
      await server?.kill();
      spawnSync('umount', [disk]);
    }
  });
});

describe('signals', () => {
  it('SIGTERM: requests under way are answered, new ones are refused, and it ends with 0', async () => {
    // The second checkpoint waits long enough for the signal to fall between request and reply.
    await start(undefined, '--publish-min-interval', '3s', '--log-level', 'info');
    expect((await send(1)).refused).toEqual([]);
    const items = prepare(20);
    history.items.push(...items);
    const underWay = each(items, 20, (item) => client.submit(item));
    await expect.poll(outstanding, { timeout: 10_000 }).toBe(20);
    const ended = server.stop();
    await expect.poll(() => server.log(), { timeout: 10_000 }).toContain('answering the requests under way');
    const late = await fetch(`${server.url}/api/v2/log/entries`, { method: 'POST', body: prepare(1)[0]!.body }).then(
      ({ status }) => status,
      () => 'no connection',
    );
    expect([503, 'no connection']).toContain(late);
    await underWay;
    expect(await ended).toBe(0);
    expect(items.every(({ index }) => index !== undefined)).toBe(true);
    await restartAndAudit();
  });

  it('SIGKILL: it starts again at once, with all that it acknowledged', async () => {
    await start();
    for (let round = 0; round < 2; round++) {
      expect((await send(40)).refused).toEqual([]);
      await server.kill();
      await client.close();
      await start();
      expect(server.size).toBe(40 * (round + 1));
    }
    await restartAndAudit();
  });

  it('a second start on the same directory ends with an error that says who holds it', async () => {
    await start();
    const data = join(dir.path, 'data');
    const second = await stele(['serve', '--data', data, '--listen-port', '0', '--admin-port', '0']);
    expect(second.code).not.toBe(0);
    expect(second.stderr).toContain('[locked]');
    expect(second.stderr).toContain(`process ${server.pid}`);
    expect(second.stderr).toContain(server.adminUrl);
    expect((await send(1)).refused).toEqual([]);
  });
});

describe('a client that goes away before its reply', () => {
  it('leaves its entry in the log, and its retry finds it', async () => {
    await start(undefined, '--publish-min-interval', '3s', '--log-level', 'info');
    expect((await send(1)).refused).toEqual([]);
    const [item] = prepare(1);
    history.items.push(item!);
    const socket = connect(Number(new URL(server.url).port), 'localhost');
    const head = `POST /api/v2/log/entries HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${item!.body.length}\r\n\r\n`;
    socket.write(Buffer.concat([Buffer.from(head), item!.body]));
    await expect.poll(outstanding, { timeout: 10_000 }).toBe(1);
    socket.destroy();
    await expect.poll(async () => (await client.checkpoint()).size, { timeout: 10_000 }).toBe(2);
    expect(await client.submit(item!)).toBe(true);
    expect(item!.index).toBe(1);
    await restartAndAudit();
  });

  it('takes no entry from a body that stops half-way', async () => {
    await start();
    const [item] = prepare(1);
    const socket = connect(Number(new URL(server.url).port), 'localhost');
    const head = `POST /api/v2/log/entries HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${item!.body.length}\r\nExpect: 100-continue\r\n\r\n`;
    socket.write(head);
    // The server has read the head and waits for the body.
    expect(String((await once(socket, 'data'))[0])).toContain('100 Continue');
    await new Promise((sent) => socket.write(item!.body.subarray(0, 200), sent));
    socket.destroy();
    expect((await send(1)).taken.map(({ index }) => index)).toEqual([0]);
  });
});

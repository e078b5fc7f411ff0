/** Full tiles and bundles in memory: the same replies, over real HTTP and real files. `read` says whether the store was read. */
import { rename, unlink, utimes, writeFile } from 'node:fs/promises';
import { Agent, type RequestOptions } from 'node:http';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Log } from '../../../server/log/log.ts';
import { openTestLog, tempDir } from '../../support/log.ts';
import { hashedRekordRequest, toJson } from '../../support/requests.ts';
import { tickAfter, until } from '../../support/until.ts';
import {
  appOver,
  dial,
  ENTRIES,
  exchange,
  fill,
  type HttpReply,
  listen,
  makeApp,
  requestsOf,
  type TestApp,
} from './support.ts';

const SIZE = 300;
const MIB = 1024 * 1024;
const PATHS = ['/tile/0/000', '/tile/entries/000', '/api/v2/tile/0/000', '/api/v2/tile/entries/000'];

interface Reply extends HttpReply {
  /** The log read a tile or a bundle for it. */
  readonly read: boolean;
}

let dir: Awaited<ReturnType<typeof tempDir>>;
let log: Log;
let made: TestApp<Log>;
let port: number;
/** Tiles and bundles that the log has read. */
let reads: number;
let agent: Agent;

beforeEach(async () => {
  dir = await tempDir();
  log = await openTestLog(dir.path, { tree: { cachedBytes: MIB } });
  await fill(log, SIZE);
  const { tile, entryBundle } = log;
  log.tile = (...args) => {
    reads++;
    return tile.apply(log, args);
  };
  log.entryBundle = (...args) => {
    reads++;
    return entryBundle.apply(log, args);
  };
  agent = new Agent({ keepAlive: true, maxSockets: 1 });
  // A file that was written lately is not kept.
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 60_000 });
});

afterEach(async () => {
  vi.useRealTimers();
  agent.destroy();
  await made.app.close();
  await log.close();
  await dir.remove();
});

async function start(options: Parameters<typeof appOver>[1] = {}): Promise<void> {
  made = appOver(log, options);
  reads = 0;
  ({ port } = await listen(made.app));
}

async function ask(path: string, options: RequestOptions = {}, payload?: string): Promise<Reply> {
  const before = reads;
  const reply = await exchange({ port, path, agent, ...options }, payload);
  return { ...reply, read: reads > before };
}

/** The second reply, after which nothing needs to be read. */
async function askTwice(path: string, options: RequestOptions = {}): Promise<Reply> {
  await ask(path, options);
  return ask(path, options);
}

const fileOf = (path: string) => join(dir.path, 'public', path.replace('/api/v2', ''));
const gzip = { headers: { 'accept-encoding': 'br, GZIP;q=0.8' } };

describe('a full tile or bundle that is in memory', () => {
  beforeEach(() => start());

  it.each(PATHS)('is the same reply as the one before: %s', async (path) => {
    const first = await ask(path);
    const second = await ask(path);
    expect([first.read, second.read]).toEqual([true, false]);
    expect(second).toEqual({ ...first, read: false });
    expect(second.status).toBe(200);
    expect(second.body.length).toBeGreaterThan(8000);
    expect((await ask(path)).read).toBe(false);
  });

  it.each(['', '/api/v2'])('is compressed where the client takes it, at "%s/"', async (prefix) => {
    const path = `${prefix}/tile/entries/000`;
    const plain = await askTwice(path);
    const first = await ask(path, gzip);
    const second = await ask(path, gzip);
    expect([first.read, second.read]).toEqual([true, false]);
    expect(second).toEqual({ ...first, read: false });
    expect(second.headers).toMatchObject({ 'content-encoding': 'gzip', vary: 'Accept-Encoding' });
    expect(gunzipSync(second.body)).toEqual(plain.body);
    // A tile does not shrink.
    const tile = await askTwice(`${prefix}/tile/0/000`, gzip);
    expect([tile.read, tile.headers['content-encoding']]).toEqual([false, undefined]);
  });

  const changes: [string, (file: string, bytes: Buffer) => Promise<unknown>][] = [
    ['written over', (file, bytes) => writeFile(file, bytes)],
    ['written over with its time put back', (file, bytes) => writeFile(file, bytes).then(() => utimes(file, 1, 1))],
    ['replaced', (file, bytes) => writeFile(`${file}.new`, bytes).then(() => rename(`${file}.new`, file))],
  ];
  it.each(changes)('is not sent from the next request on when its file is %s', async (_name, change) => {
    for (const [path, options] of [['/tile/0/000'], ['/tile/entries/000'], ['/tile/entries/000', gzip]] as const) {
      await tickAfter(fileOf(path));
      const before = await askTwice(path, options);
      const content = options === undefined ? before.body : gunzipSync(before.body);
      const flipped = Buffer.from(content);
      flipped[content.length - 1]! ^= 1;
      await change(fileOf(path), flipped);
      const after = await ask(path, options);
      expect([after.read, after.status, after.headers['cache-control']]).toEqual([true, 503, 'no-store']);
      expect(after.body.toString()).toContain('a stored file that this reply needs is damaged');
      await tickAfter(fileOf(path));
      await change(fileOf(path), content);
      expect((await ask(path, options)).body).toEqual(before.body);
    }
  });

  it('is not sent any more when its file is gone', async () => {
    expect((await askTwice('/tile/0/000')).read).toBe(false);
    await unlink(fileOf('/tile/0/000'));
    const reply = await ask('/tile/0/000');
    expect([reply.read, reply.status, reply.headers['cache-control']]).toEqual([true, 503, 'no-store']);
  });

  it('is counted by its route, as one that was read', async () => {
    for (const path of PATHS) for (let time = 0; time < 3; time++) await ask(path);
    expect(reads).toBe(2);
    const text = await made.metrics.registry.metrics();
    for (const path of PATHS) {
      const route = path.replace('000', '*').replace('tile/0/', 'tile/');
      expect(text).toContain(`stele_http_request_duration_seconds_count{route="${route}",method="GET",status="200"} 3`);
    }
  });

  it('takes a body that came with the request off the connection', async () => {
    await askTwice('/tile/0/000');
    const with9 = await ask('/tile/0/000', { headers: { 'content-length': 9 } }, 'GET /a b\n');
    expect([with9.status, with9.read]).toEqual([200, false]);
    const next = await ask('/tile/0/000');
    expect([next.status, next.read]).toEqual([200, false]);
  });

  it('waits its turn behind a request that takes longer', async () => {
    const { body } = await askTwice('/tile/0/000');
    const { socket, closed } = await dial(port);
    socket.write('GET /stele/v1/entries/299 HTTP/1.1\r\nHost: a\r\n\r\nGET /tile/0/000 HTTP/1.1\r\nHost: a\r\n\r\n');
    socket.write('GET /tile/9/000 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    const text = await closed;
    expect(text.match(/HTTP\/1.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 200', 'HTTP/1.1 404']);
    expect(text.indexOf('"logIndex":"299"')).toBeLessThan(text.indexOf(body.toString('latin1')));
  });

  it('is kept alive or not as the client asks', async () => {
    await askTwice('/tile/0/000');
    for (const head of [
      'GET /tile/0/000 HTTP/1.0\r\n\r\n',
      'GET /tile/0/000 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
    ]) {
      const { socket, closed } = await dial(port);
      socket.write(head);
      expect((await closed).toLowerCase()).toMatch(/^http\/1.1 200 ok\r\n(?:.+\r\n)*connection: close\r\n/);
    }
  });
});

describe('what is not a full tile or bundle by its one name', () => {
  it.each<[string, string, number, number]>([
    ['a partial width of a full tile', '/tile/0/000.p/7', 200, 7 * 32],
    ['a partial tile', '/tile/0/001.p/44', 200, 44 * 32],
    ['a query', '/tile/0/000?x', 200, 8192],
    ['leading zeroes', '/tile/00/000', 404, 45],
    ['more leading zeroes', '/tile/0/x000/000', 404, 45],
    ['another spelling', '/tile/0/00%30', 404, 45],
    ['another root', '/api/v1/tile/0/000', 404, 45],
    ['a doubled slash', '//tile/0/000', 404, 45],
    ['a doubled slash below the API', '/api/v2//tile/0/000', 404, 45],
    ['no slash below the API', '/api/v2tile/0/000', 404, 45],
    ['a bundle beyond the tree', '/tile/entries/001', 404, 45],
  ])('%s', async (_name, path, status, length) => {
    await start();
    for (const known of PATHS) await askTwice(known);
    const reply = await askTwice(path);
    expect([reply.status, reply.body.length]).toEqual([status, length]);
    expect(reply.headers['access-control-allow-origin']).toBe('*');
    expect(reply.headers['cache-control']).toBe(status === 200 ? 'public, max-age=31536000, immutable' : 'no-store');
  });

  it('HEAD, with the same head as GET', async () => {
    await start();
    for (const path of PATHS) {
      const get = await askTwice(path);
      const head = await ask(path, { method: 'HEAD' });
      expect([get.read, head.body.length]).toEqual([false, 0]);
      expect(head.headers).toEqual(get.headers);
    }
  });

  it('other methods', async () => {
    await start();
    await askTwice('/tile/0/000');
    const reply = await ask('/tile/0/000', { method: 'DELETE' });
    expect([reply.status, reply.headers.allow]).toEqual([405, 'GET, HEAD']);
  });

  it('is limited and logged as every other request', async () => {
    await start({ rateLimit: { max: 3, window: 60_000 } });
    const statuses = [];
    for (let time = 0; time < 4; time++) statuses.push((await ask('/tile/0/000')).status);
    expect(statuses).toEqual([200, 200, 200, 429]);
    await made.app.close();
    made = appOver(log, { log: { requests: true } });
    ({ port } = await listen(made.app));
    for (let time = 0; time < 3; time++) await ask('/tile/0/000');
    expect(made.logger.requests).toHaveLength(3);
  });
});

describe('a client', () => {
  // The log in memory has nothing at hand by itself.
  const large = Buffer.alloc(32 * MIB);
  const GET = 'GET /tile/0/000 HTTP/1.1\r\nHost: localhost\r\n';

  it('that does not take such a reply is cut; one that takes it is not', async () => {
    const { app, log: memory } = makeApp({ limits: { replyTimeout: 1500 }, replyRate: 1024 * MIB });
    memory.atHand = () => large;
    made = { app } as TestApp<Log>;
    const { port: at } = await listen(app);
    const stalled = await dial(at);
    stalled.socket.pause();
    stalled.socket.write(`${GET}\r\n`);
    const quick = await dial(at);
    quick.socket.write(`${GET}Connection: close\r\n\r\n`);
    expect((await quick.closed).length).toBeGreaterThan(32 * MIB);
    const open = () => new Promise<number>((resolve) => app.server.getConnections((_, count) => resolve(count)));
    await expect.poll(open, { timeout: 20_000, interval: 100 }).toBe(0);
  });

  it('is told while the server closes that this reply is the last', async () => {
    const { app, log: memory } = makeApp();
    memory.atHand = () => Buffer.from('at hand');
    made = { app } as TestApp<Log>;
    await fill(memory, 256);
    const { port: at } = await listen(app);
    let go = () => {};
    const held = new Promise<void>((resolve) => {
      go = resolve;
    });
    let reached = 0;
    memory.fault = () => {
      reached++;
      return held;
    };
    const requests = requestsOf(app);
    const payload = toJson(hashedRekordRequest());
    const { socket, closed } = await dial(at);
    socket.write(`POST ${ENTRIES} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${payload.length}\r\n\r\n${payload}`);
    await until(() => reached > 0);
    const stopped = app.close();
    await until(() => !app.server.listening);
    socket.write(`${GET}\r\n`);
    await until(() => requests() > 1);
    memory.fault = () => {};
    go();
    const text = await closed;
    expect(text.match(/HTTP\/1.1 \d+/g)).toEqual(['HTTP/1.1 201', 'HTTP/1.1 200']);
    expect(text.toLowerCase().lastIndexOf('connection: close')).toBeGreaterThan(text.lastIndexOf('HTTP/1.1 200'));
    await stopped;
  });
});

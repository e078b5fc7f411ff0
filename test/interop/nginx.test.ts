/**
 * deploy/nginx before a log: clients see the same answers as from Stele, and no file that is not a full tile or bundle. And as the server of
 * an explorer: the page runs under the headers that `stele explorer` wrote.
 */

import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Nginx, startNginxBefore, startNginxExplorer } from '../../bench/peers/nginx.ts';
import { formatExplorerConfig, writeExplorer } from '../../client/explorer/write-explorer.ts';
import { encodeUtf8 } from '../../merkle/bytes.ts';
import { explorerCaching, explorerHeaders } from '../../merkle/explorer-headers.ts';
import { type Bed, claims, noChromium, startBed } from '../support/explorer-bed.ts';
import { tempDir } from '../support/log.ts';
import { type ServeProcess, startServer } from '../support/serve.ts';
import { lacking, skips } from '../support/skip.ts';
import { until } from '../support/until.ts';

/** What belongs to a connection or a moment, and what nginx says of itself. */
const OWN = new Set(['connection', 'keep-alive', 'date', 'server', 'transfer-encoding']);

const TARGET = `targets/${'ab'.repeat(32)}.policy`;

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

interface Asked {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string | Buffer;
}

/** Sends the path as it is, which `fetch` does not. */
async function ask(url: string, path: string, { method = 'GET', headers = {}, body }: Asked = {}): Promise<Answer> {
  const { hostname, port } = new URL(url);
  const sent = request({ hostname, port, path, method, headers, agent: false });
  sent.end(body);
  const [reply] = await once(sent, 'response');
  const parts: Buffer[] = [];
  for await (const part of reply) parts.push(part as Buffer);
  const own = Object.entries(reply.headers as Record<string, string>).filter(([name]) => !OWN.has(name));
  return {
    status: reply.statusCode,
    headers: Object.fromEntries(own.sort()),
    body: Buffer.concat(parts).toString('latin1'),
  };
}

describe.skipIf(skips('nginx before a log', lacking('nginx')))('nginx before a log', () => {
  let dir: Awaited<ReturnType<typeof tempDir>>;
  let log: ServeProcess;
  let nginx: Nginx;
  const at = (...names: string[]) => join(dir.path, ...names);
  /** The answer of nginx, which must be that of Stele. */
  const same = async (path: string, asked?: Asked): Promise<Answer> => {
    const own = await ask(log.url, path, asked);
    const before = await ask(nginx.url, path, asked);
    expect(before, path).toEqual(own);
    return before;
  };

  beforeAll(async () => {
    dir = await tempDir();
    mkdirSync(at('repository', 'public', 'targets'), { recursive: true });
    for (const name of ['timestamp.json', '1.root.json', TARGET]) writeFileSync(at('repository', 'public', name), name);
    log = await startServer(at('data'), {
      args: ['--entries', 'raw', '--trust-proxy', '127.0.0.1', '--trust-directory', at('repository')],
    });
    const add = (i: number) => fetch(`${log.url}/add`, { method: 'POST', body: `entry ${i}`.padEnd(300, 'x') });
    await Promise.all(Array.from({ length: 800 }, (_, i) => add(i)));
    await until(async () => (await (await fetch(`${log.url}/checkpoint`)).text()).split('\n')[1] === '800');
    nginx = await startNginxBefore(at('nginx'), log.url, at('data'));
  });
  afterAll(async () => {
    nginx?.child.kill('SIGKILL');
    await log?.kill();
    await dir.remove();
  });

  it.each(['timestamp.json', '1.root.json', TARGET])('/trust/%s is there', async (name) => {
    expect(await same(`/trust/${name}`)).toMatchObject({ status: 200, body: name });
    await same(`/trust/${name}`, { method: 'HEAD' });
  });

  it.each(['2.root.json', '..%2fplan.yaml', '../plan.yaml', '%74imestamp.json', '', 'targets/policy'])(
    '/trust/%s is not there',
    async (name) => {
      expect((await same(`/trust/${name}`)).status).toBe(404);
    },
  );

  it.each(['/tile/0/000', '/tile/0/001', '/tile/entries/000', '/api/v2/tile/0/001', '/api/v2/tile/entries/001'])(
    '%s has the headers and the bytes of Stele',
    async (path) => {
      const { status, headers } = await same(path);
      expect(status).toBe(200);
      expect(headers['cache-control']).toBe('public, max-age=31536000, immutable');
      await same(path, { method: 'HEAD' });
      for (const accepted of [
        'gzip',
        'gzip, deflate, br',
        'br',
        'identity',
        'gzip;q=0',
        'identity, gzip;q=0.5',
        'GZIP',
      ]) {
        await same(path, { headers: { 'accept-encoding': accepted } });
      }
      // Conditions and ranges are not known to Stele.
      await same(path, { headers: { range: 'bytes=0-9', 'if-modified-since': new Date().toUTCString() } });
    },
  );

  it.each([
    '/',
    '/checkpoint',
    '/api/v2/checkpoint',
    '/tile/0/003.p/32',
    '/tile/1/000.p/3',
    '/tile/entries/003.p/32',
    '/tile/0/000.p/7',
    '/stele/v1/log',
    '/openapi.json',
  ])('%s comes from Stele', async (path) => {
    expect((await same(path)).status).toBe(200);
    await same(path, { method: 'HEAD' });
    await same(path, { headers: { 'accept-encoding': 'gzip' } });
  });

  it.each([
    '/tile/0/003',
    '/tile/0/004',
    '/tile/1/000',
    '/tile/0/x000/000',
    '/tile/00/000',
    '/tile/64/000',
    '/tile/0/000/',
    '/tile/0/000.p/256',
    '/tile/0/0000',
    '/tile/0/%30%30%30',
    '/tile/0//000',
    '//tile/0/000',
    '/tile/./0/000',
    '/tile/entries/../0/000',
    '/tile/entries/000?size=1',
    '/tile/0/000?',
    '/tile/0/',
    '/tile/',
    '/tile',
    '/TILE/0/000',
    '/api/v2/api/v2/tile/0/000',
    '/-/503',
    '/-',
    '/stele.json',
    '/.hidden',
    '/tile/0/.hidden',
  ])('%s is answered as by Stele', async (path) => {
    // Of a path with a query Stele reads the rest.
    expect((await same(path)).status).toBe(path.includes('?') ? 200 : 404);
  });

  it.each(['POST', 'DELETE', 'PUT', 'OPTIONS'])('%s of a tile is refused as by Stele', async (method) => {
    expect((await same('/tile/0/000', { method })).status).toBe(405);
  });

  it('takes entries', async () => {
    const again = { method: 'POST', body: 'entry 7'.padEnd(300, 'x') };
    expect((await same('/add', again)).body).toMatch(/^\d+$/);
    expect((await same('/add', { method: 'POST' })).status).toBe(400);
  });

  it('serves no file outside the grammar of names, and follows no link', async () => {
    const tiles = at('data', 'public', 'tile', '0');
    writeFileSync(at('data', 'public', 'secret'), 'secret');
    writeFileSync(join(tiles, '.0123456789abcdef.tmp'), 'secret');
    writeFileSync(at('outside'), 'secret');
    symlinkSync(at('outside'), join(tiles, '007'));
    mkdirSync(join(tiles, '008'));
    for (const path of ['/secret', '/tile/0/.0123456789abcdef.tmp', '/tile/0/007', '/public/secret']) {
      expect((await same(path)).status, path).toBe(404);
    }
    expect((await ask(nginx.url, '/tile/0/008')).status).toBe(404);
  });

  it('says the address of a client to Stele, whatever the client claims', async () => {
    const limited = await startServer(at('limited'), { args: ['--trust-proxy', '127.0.0.1', '--rate-limit-max', '3'] });
    const front = await startNginxBefore(at('nginx-limited'), limited.url, at('limited'));
    try {
      const statuses = [];
      for (let i = 0; i < 4; i++) {
        const headers = { 'x-forwarded-for': `192.0.2.${i}` };
        statuses.push((await ask(front.url, '/checkpoint', { headers })).status);
      }
      // The first request was that of the start.
      expect(statuses).toEqual([200, 200, 429, 429]);
    } finally {
      front.child.kill('SIGKILL');
      await limited.kill();
    }
  });

  it('writes its own errors as Stele does', async () => {
    const json = (answer: Answer) => [answer.status, JSON.parse(answer.body).code, answer.headers['content-type']];
    const large = { method: 'POST', body: Buffer.alloc(5 << 20) };
    expect(json(await ask(nginx.url, '/add', large))).toEqual([413, 3, 'application/json']);
    expect(json(await ask(nginx.url, `/${'x'.repeat(10_000)}`))).toEqual([414, 3, 'application/json']);
    expect(json(await ask(nginx.url, '/', { headers: { x: 'x'.repeat(10_000) } }))).toEqual([
      431,
      3,
      'application/json',
    ]);
    expect(await raw('GET / HTTP/1.1\r\n\r\n')).toMatch(/^HTTP\/1.1 400 [\s\S]*"code":3,[\s\S]*not valid HTTP/);
    for (const path of ['/../key.pem', '/tile/../../key.pem', '/tile/%2e%2e/%2e%2e/key.pem', '/%zz']) {
      expect(json(await ask(nginx.url, path)), path).toEqual([400, 3, 'application/json']);
    }
    expect(json(await ask(nginx.url, '/tile/0/000', { method: 'TRACE' }))).toEqual([405, 12, 'application/json']);
    expect(await raw('nonsense\r\n\r\n')).toMatch(/^HTTP\/1.1 400 [\s\S]*"code":3,[\s\S]*not valid HTTP/);
    expect(await raw('GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n')).toMatch(/^HTTP\/1.1 400 [\s\S]*"code":3,/);
  });

  async function raw(text: string): Promise<string> {
    const socket = connect(Number(new URL(nginx.url).port), '127.0.0.1');
    socket.end(text);
    let said = '';
    for await (const part of socket.setEncoding('utf8')) said += part;
    return said;
  }

  it('serves the files while Stele is away', async () => {
    const gzip = { headers: { 'accept-encoding': 'gzip' } };
    const pressed = await ask(nginx.url, '/tile/entries/001', gzip);
    const plain = await ask(nginx.url, '/tile/entries/002');
    await log.kill();
    expect((await ask(nginx.url, '/tile/0/000')).status).toBe(200);
    expect(await ask(nginx.url, '/tile/entries/002')).toEqual(plain);
    // Compressed as far as nginx has kept it.
    expect(await ask(nginx.url, '/tile/entries/001', gzip)).toEqual(pressed);
    expect(await ask(nginx.url, '/tile/entries/002', gzip)).toEqual(plain);
    const away = await ask(nginx.url, '/checkpoint');
    expect(away).toMatchObject({
      status: 503,
      headers: { 'access-control-allow-origin': '*', 'cache-control': 'no-store', 'retry-after': '1' },
    });
    expect(JSON.parse(away.body)).toEqual({
      code: 14,
      message: 'the log does not answer; retry',
      details: [],
    });
  });
});

describe.skipIf(noChromium || skips('nginx with an explorer', lacking('nginx')))('nginx with an explorer', () => {
  let bed: Bed;
  let nginx: Nginx;
  let root: string;
  const at = (...names: string[]) => join(root, ...names);

  beforeAll(async () => {
    bed = await startBed();
    root = join(bed.dir, 'static');
    const config = formatExplorerConfig([{ ...bed.log, url: bed.server.url }]);
    await writeExplorer(root, encodeUtf8(config), { policyInPage: true });
    nginx = await startNginxExplorer(join(bed.dir, 'nginx'), root);
  });
  afterAll(async () => {
    nginx?.child.kill('SIGKILL');
    await bed?.stop();
  });

  it('has a page that checks the log in Chromium, under its policy', async () => {
    const page = await bed.browser.newPage();
    const told: string[] = [];
    page.on('console', (message) => told.push(message.text()));
    page.on('pageerror', (error) => told.push(error.message));
    await page.goto(`${nginx.url}/`);
    await page.getByText('The quorum of the witnesses cosigned it').waitFor();
    expect(await claims(page, 'failed')).toEqual([]);
    expect(page.workers()).toHaveLength(1);
    await expect(page.evaluate(`fetch('https://elsewhere.example.com/')`)).rejects.toThrow('Failed to fetch');
    expect(told.filter((text) => !/elsewhere\.example\.com/.test(text))).toEqual([]);
    await page.close();
  });

  it('sends each file with the headers of the policy, and says how long it may be kept', async () => {
    const wanted = explorerHeaders([bed.server.url]);
    const assets = readdirSync(at('assets')).map((name) => `assets/${name}`);
    const types = { js: 'application/javascript', css: 'text/css', json: 'application/json', svg: 'image/svg+xml' };
    let kept = 0;
    for (const path of ['', 'index.html', 'explorer.json', ...assets.filter((name) => !/\.(?:br|gz)$/.test(name))]) {
      const { status, headers } = await ask(nginx.url, `/${path}`);
      expect(status, path).toBe(200);
      expect(headers, path).toMatchObject({ ...wanted, 'cache-control': explorerCaching(path) });
      if (explorerCaching(path) !== 'no-cache') kept++;
      const type = types[path.split('.').at(-1) as keyof typeof types];
      if (type !== undefined) expect(headers['content-type'], path).toContain(type);
    }
    expect(kept).toBeGreaterThan(3);
    const { status, headers } = await ask(nginx.url, '/nothing');
    expect(status).toBe(404);
    expect(headers).toMatchObject(wanted);
  });

  it('sends what was compressed before', async () => {
    for (const path of [
      'index.html',
      ...readdirSync(at('assets')).flatMap((name) => (/\.js$/.test(name) ? [`assets/${name}`] : [])),
    ]) {
      const { headers, body } = await ask(nginx.url, `/${path}`, { headers: { 'accept-encoding': 'gzip' } });
      expect(headers['content-encoding'], path).toBe('gzip');
      expect(gunzipSync(Buffer.from(body, 'latin1')), path).toEqual(readFileSync(at(path)));
    }
  });

  it('shows neither the files about its headers nor anything behind a link', async () => {
    writeFileSync(join(bed.dir, 'outside'), 'secret');
    symlinkSync(join(bed.dir, 'outside'), at('link'));
    for (const path of ['/_headers', '/headers.nginx', '/link', '/../outside', '/%2e%2e/outside']) {
      const { status, body } = await ask(nginx.url, path);
      expect([400, 403, 404], path).toContain(status);
      expect(body).not.toContain('secret');
    }
  });
});

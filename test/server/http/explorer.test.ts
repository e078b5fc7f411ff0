/** `/explorer/` of the public server. What a site serves: test/merkle/runtime/service/explorer-site.test.ts. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ExplorerSite } from '../../../merkle/runtime/service/explorer-site.ts';
import { tempDir } from '../../support/log.ts';
import { makeApp } from './support.ts';

/** What Chromium 151 sends for a page. */
const BROWSER = {
  accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8',
};

let dir: Awaited<ReturnType<typeof tempDir>>;
beforeEach(async () => {
  dir = await tempDir();
  await mkdir(join(dir.path, 'assets'));
  await writeFile(join(dir.path, 'index.html'), 'the page');
  await writeFile(join(dir.path, 'assets/index-AAAAAAAA.js'), 'a script');
  await writeFile(join(dir.path, 'assets/index-AAAAAAAA.js.br'), 'a small script');
});
afterEach(() => dir.remove());

describe('/explorer/', () => {
  it('serves the page to GET and HEAD, compressed for clients that accept it', async () => {
    const { app } = makeApp({ page: new ExplorerSite(dir.path) });
    for (const url of ['/explorer/', '/explorer/?x', '/explorer/index.html']) {
      const get = await app.inject(url);
      expect([get.statusCode, get.body]).toEqual([200, 'the page']);
      expect(get.headers['content-security-policy']).toContain("connect-src 'self';");
      expect(get.headers['access-control-allow-origin']).toBeUndefined();
    }
    const head = await app.inject({ method: 'HEAD', url: '/explorer/' });
    expect([head.statusCode, head.body, head.headers['content-length']]).toEqual([200, '', '8']);
    const headers = { 'accept-encoding': 'gzip, deflate, br, zstd' };
    const script = await app.inject({ url: '/explorer/assets/index-AAAAAAAA.js', headers });
    expect([script.body, script.headers['content-encoding']]).toEqual(['a small script', 'br']);
  });

  it('has nothing else', async () => {
    const { app } = makeApp({ page: new ExplorerSite(dir.path) });
    for (const path of ['x', '../index.html', 'assets/', 'assets/%69ndex-AAAAAAAA.js', 'explorer.json']) {
      const { statusCode, headers } = await app.inject(`/explorer/${path}`);
      expect([path, statusCode, headers['cache-control']]).toEqual([path, 404, 'no-store']);
    }
    const post = await app.inject({ method: 'POST', url: '/explorer/' });
    expect([post.statusCode, post.headers.allow]).toEqual([405, 'GET, HEAD']);
  });

  it('is where a browser is led from /, and nobody else', async () => {
    const { app } = makeApp({ page: new ExplorerSite(dir.path) });
    const browser = await app.inject({ url: '/', headers: BROWSER });
    expect([browser.statusCode, browser.headers.location, browser.headers.vary]).toEqual([302, 'explorer/', 'Accept']);
    expect((await app.inject('/explorer')).headers.location).toBe('explorer/');
    for (const headers of [{}, { accept: '*/*' }, { accept: 'text/plain' }, { accept: 'application/json' }]) {
      const other = await app.inject({ url: '/', headers });
      expect([other.statusCode, other.headers.vary]).toEqual([200, 'Accept']);
      expect(other.body).toContain('GET  /explorer/');
    }
  });

  it('is not there where no page is configured', async () => {
    const { app } = makeApp();
    for (const url of ['/explorer/', '/explorer', '/explorer/index.html']) {
      expect((await app.inject(url)).statusCode).toBe(404);
    }
    const home = await app.inject({ url: '/', headers: BROWSER });
    expect(home.statusCode).toBe(200);
    expect(home.body).not.toContain('explorer');
  });
});

describe('pages of other origins', () => {
  it('may read the log, and when to ask again, but not what a write answers', async () => {
    const { app } = makeApp({ page: new ExplorerSite(dir.path) });
    const origin = { origin: 'https://elsewhere.example.com' };
    for (const url of [
      '/checkpoint',
      '/stele/v1/log',
      '/tile/0/000',
      '/stele/v1/entries/0',
      '/openapi.json',
      '/nothing',
    ]) {
      const { headers } = await app.inject({ url, headers: origin });
      expect([url, headers['access-control-allow-origin']]).toEqual([url, '*']);
      expect(headers['access-control-allow-credentials']).toBeUndefined();
    }
    const missing = await app.inject({ url: '/nothing', headers: origin });
    expect(missing.headers['access-control-expose-headers']).toBe('Retry-After');
    for (const url of ['/api/v2/log/entries', '/api/v2/log/entries:batch']) {
      const preflight = {
        ...origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'content-type',
      };
      const asked = await app.inject({ method: 'OPTIONS', url, headers: preflight });
      expect(asked.statusCode).toBe(405);
      expect(asked.headers['access-control-allow-methods']).toBeUndefined();
      expect(asked.headers['access-control-allow-headers']).toBeUndefined();
      const sent = await app.inject({
        method: 'POST',
        url,
        headers: { ...origin, 'content-type': 'text/plain' },
        payload: '{}',
      });
      expect(sent.statusCode).toBe(400);
      expect(sent.headers['access-control-allow-origin']).toBeUndefined();
    }
  });
});

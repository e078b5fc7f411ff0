/** What a server serves of the directory of an explorer, and under which headers. */
import { mkdir, rename, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ed25519VerifierKey, formatVerifierKey } from '../../../../merkle/note.ts';
import { ExplorerSite } from '../../../../merkle/runtime/service/explorer-site.ts';
import { tempDir } from '../../../support/log.ts';

const POINT = Uint8Array.from(Buffer.from('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a', 'hex'));
const SCRIPT = 'assets/index-DPRRaAAi.js';

let dir: Awaited<ReturnType<typeof tempDir>>;
let site: ExplorerSite;
const at = (path: string) => join(dir.path, path);

beforeEach(async () => {
  dir = await tempDir();
  await mkdir(at('assets'));
  for (const path of [
    'index.html',
    SCRIPT,
    `${SCRIPT}.br`,
    `${SCRIPT}.gz`,
    'assets/LICENSES',
    'assets/x.sh',
    'key.pem',
  ]) {
    await writeFile(at(path), `the bytes of ${path}`);
  }
  await configure('https://log.example.com');
  site = new ExplorerSite(dir.path);
});
afterEach(() => dir.remove());

async function configure(url: string): Promise<void> {
  const keys = [formatVerifierKey(ed25519VerifierKey('log.example.com', POINT))];
  await writeFile(at('new'), JSON.stringify({ version: 1, logs: [{ origin: 'log.example.com', url, keys }] }));
  await rename(at('new'), at('explorer.json'));
}

async function got(path: string, accepted?: string) {
  const found = await site.get(path, accepted);
  if (typeof found === 'string') throw new Error(`${path}: ${found}`);
  return { ...found, text: Buffer.from(found.body).toString() };
}

const connects = async () => /connect-src ([^;]*)/.exec((await got('')).headers['content-security-policy']!)![1];

describe('the site of an explorer', () => {
  it('serves the page, its configuration and its assets, each with all headers', async () => {
    for (const [path, file, type, caching] of [
      ['', 'index.html', 'text/html; charset=utf-8', 'no-cache'],
      ['index.html', 'index.html', 'text/html; charset=utf-8', 'no-cache'],
      [SCRIPT, SCRIPT, 'text/javascript; charset=utf-8', 'public, max-age=31536000, immutable'],
      ['assets/LICENSES', 'assets/LICENSES', 'text/plain; charset=utf-8', 'no-cache'],
    ] as const) {
      const { headers, text } = await got(path);
      expect(text).toBe(`the bytes of ${file}`);
      expect(headers).toMatchObject({
        'content-type': type,
        'cache-control': caching,
        'content-security-policy': expect.stringContaining("default-src 'none'"),
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
        'cross-origin-opener-policy': 'same-origin',
        vary: 'Accept-Encoding',
      });
    }
    expect((await got('explorer.json')).headers['content-type']).toBe('application/json');
    expect(site.problem()).toBeUndefined();
  });

  it.each([
    ['br, gzip', 'br', '.br'],
    ['gzip', 'gzip', '.gz'],
    ['GZIP;q=1, br;q=0', 'gzip', '.gz'],
    ['identity', undefined, ''],
    ['br;q=0', undefined, ''],
    [undefined, undefined, ''],
  ])('sends to a client that accepts "%s" what was compressed so: %s', async (accepted, encoding, end) => {
    const { headers, text } = await got(SCRIPT, accepted);
    expect([headers['content-encoding'], text]).toEqual([encoding, `the bytes of ${SCRIPT}${end}`]);
    expect(headers['content-type']).toBe('text/javascript; charset=utf-8');
    expect((await got('', accepted)).headers['content-encoding']).toBeUndefined();
  });

  it.each([
    'key.pem',
    'assets/x.sh',
    'assets/',
    'assets',
    'assets/../key.pem',
    'assets/..',
    '../x',
    './index.html',
    'index.html/',
    `${SCRIPT}.br`,
    `${SCRIPT}.gz`,
    'assets/nothing-AAAAAAAA.js',
    'assets/.hidden.js',
    'assets/a/b.js',
    'explorer.json.br',
    'assets/%2e%2e/key.pem',
    'assets/constructor',
  ])('serves nothing at %s', (path) => expect(site.get(path, 'br')).toBe('missing'));

  it('serves nothing behind a link', async () => {
    await symlink(at('key.pem'), at('assets/link-AAAAAAAA.js'));
    expect(site.get('assets/link-AAAAAAAA.js', undefined)).toBe('missing');
  });

  it('lets the page connect to the addresses of explorer.json as it is now, and to no others', async () => {
    expect(await connects()).toBe("'self' https://log.example.com");
    await configure('https://other.example.com:8443/x');
    expect(await connects()).toBe("'self' https://other.example.com:8443");
    await configure('/');
    expect(await connects()).toBe("'self'");
  });

  it('lets it connect to its own server alone where explorer.json is wrong or gone, and says so', async () => {
    await configure('https://*');
    expect(await connects()).toBe("'self'");
    expect(site.problem()).toContain('logs[0].url');
    await rename(at('explorer.json'), at('gone'));
    expect(await connects()).toBe("'self'");
    expect(site.problem()).toContain('explorer.json is not there');
    await configure('https://log.example.com');
    expect(site.problem()).toBeUndefined();
    await rename(at('index.html'), at('gone'));
    expect(site.problem()).toContain('index.html is not there');
  });
});

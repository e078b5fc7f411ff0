/** `stele explorer`: the directory that it writes, and what it refuses. */
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ed25519VerifierKey, formatVerifierKey, KEY_TYPE, makeVerifierKey } from '../../../merkle/note.ts';
import { ExplorerSite } from '../../../merkle/runtime/service/explorer-site.ts';
import { tempDir } from '../../support/log.ts';
import { stele, steleJson } from '../../support/serve.ts';

const POINT = Uint8Array.from(Buffer.from('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a', 'hex'));
const vkey = formatVerifierKey(ed25519VerifierKey('log.example.com', POINT));
const witness = formatVerifierKey(makeVerifierKey('w.example.com', KEY_TYPE.cosignature, POINT));
const LOG = ['--log', 'https://log.example.com', '--log-key', vkey];

let dir: Awaited<ReturnType<typeof tempDir>>;
let out: string;
const at = (...path: string[]) => join(dir.path, ...path);
const text = (path: string) => readFile(join(out, path), 'utf8');

beforeEach(async () => {
  dir = await tempDir();
  out = at('site/explorer');
  await writeFile(at('policy'), `witness w ${witness}\nquorum w\n`);
  await writeFile(at('output.policy'), `log ${vkey}\nquorum none\n`);
  await writeFile(at('root.json'), '{"mediaType":"x"}');
});
afterEach(() => dir.remove());

describe('stele explorer', () => {
  it('writes a page that a log serves, with all that its flags name', async () => {
    const more = ['--policy', at('policy'), '--index', 'https://index.example.com', '--trusted-root', at('root.json')];
    const map = ['--output-log', 'https://out.example.com', '--output-policy', at('output.policy')];
    const said = await steleJson(['explorer', '--out', out, ...LOG, ...more, ...map, '--rebuilders', at('policy')]);
    expect(said).toMatchObject({ dir: out, logs: [{ origin: 'log.example.com', url: 'https://log.example.com' }] });
    const policy = await readFile(at('policy'), 'utf8');
    expect(JSON.parse(await text('explorer.json'))).toEqual({
      version: 1,
      logs: [
        {
          origin: 'log.example.com',
          url: 'https://log.example.com',
          keys: [vkey],
          policy,
          index: 'https://index.example.com',
          map: {
            outputLog: 'https://out.example.com',
            policy: await readFile(at('output.policy'), 'utf8'),
            rebuilders: policy,
          },
          trustedRoot: { mediaType: 'x' },
        },
      ],
    });
    expect(new ExplorerSite(out).problem()).toBeUndefined();
    const connect = "connect-src 'self' https://log.example.com https://index.example.com https://out.example.com;";
    const page = await text('index.html');
    for (const file of [page, await text('headers.nginx'), await text('_headers')]) expect(file).toContain(connect);
    expect(page).toContain('<meta http-equiv="Content-Security-Policy"');
    expect(page).not.toMatch(/<script(?![^>]* src=)|<style|\sstyle=|\son[a-z]+=/);
    expect(brotliDecompressSync(await readFile(join(out, 'index.html.br'))).toString()).toBe(page);
    expect(gunzipSync(await readFile(join(out, 'index.html.gz'))).toString()).toBe(page);
    for (const [, asset] of page.matchAll(/(?:src|href)="\.\/(assets\/[^"]+)"/g)) {
      expect((await stat(join(out, asset!))).size).toBeGreaterThan(0);
    }
  });

  it('takes an explorer.json as it is, and changes what is new when it is repeated', async () => {
    const config = (url: string) =>
      `{"version":1, "logs":[{"origin":"log.example.com","url":"${url}","keys":["${vkey}"]}]}`;
    await writeFile(at('explorer.json'), config('/'));
    expect((await stele(['explorer', '--out', out, '--config', at('explorer.json')])).code).toBe(0);
    expect(await text('explorer.json')).toBe(config('/'));
    expect(await text('index.html')).toContain("connect-src 'self';");
    const [asset] = (await readdir(join(out, 'assets'))).filter((name) => name.endsWith('.js'));
    const { mtimeMs } = await stat(join(out, 'assets', asset!));
    for (const old of ['old-AAAAAAAA.js', 'old-AAAAAAAA.js.br', 'mine.txt'])
      await writeFile(join(out, 'assets', old), 'x');
    await writeFile(at('explorer.json'), config('https://elsewhere.example.com'));
    expect((await stele(['explorer', '--out', out, '--config', at('explorer.json')])).code).toBe(0);
    expect(await text('headers.nginx')).toContain("connect-src 'self' https://elsewhere.example.com;");
    expect((await stat(join(out, 'assets', asset!))).mtimeMs).toBe(mtimeMs);
    const names = await readdir(join(out, 'assets'));
    expect(names.filter((name) => name.startsWith('old-'))).toEqual([]);
    expect(names).toContain('mine.txt');
  });

  it.each<[string, () => string[], string]>([
    ['nothing to show', () => [], '--log'],
    ['a log without its key', () => ['--log', '/'], '--log-key'],
    ['both a file and a log', () => [...LOG, '--config', at('policy')], '--config'],
    ['a URL that is none', () => ['--log', 'ftp://x', '--log-key', vkey], 'logs[0].url'],
    [
      'a URL that would change the policy',
      () => ['--log', "https://x;script-src'unsafe-inline'", '--log-key', vkey],
      'logs[0].url',
    ],
    ['a key that is none', () => ['--log', '/', '--log-key', 'log.example.com+00000000+AA=='], 'key'],
    ['a policy that is none', () => [...LOG, '--policy', at('root.json')], 'logs[0].policy'],
    ['a policy that is not there', () => [...LOG, '--policy', at('gone')], 'gone'],
    ['an output log without its policy', () => [...LOG, '--output-log', '/'], '--output-policy'],
    ['rebuilders of nothing', () => [...LOG, '--rebuilders', at('policy')], '--output-log'],
    ['a trusted root that is no JSON', () => [...LOG, '--trusted-root', at('policy')], 'JSON'],
    ['a file that is no configuration', () => ['--config', at('root.json')], 'unknown member'],
  ])('refuses %s, and writes nothing', async (_, args, why) => {
    const { code, stderr } = await stele(['explorer', '--out', out, ...args()]);
    expect([code, stderr]).toEqual([2, expect.stringContaining(why)]);
    await expect(stat(out)).rejects.toThrow('ENOENT');
  });
});

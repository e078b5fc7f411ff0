/** The frame of the explorer, in a browser: its headers, its worker, its routes, its sizes, and what stands in explorer.json. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Bed, claims, noChromium, startBed } from '../../support/explorer-bed.ts';
import { entriesOf, FakeLog, View } from '../../support/fake-log.ts';
import { readSources } from '../../support/sources.ts';

const ROOT = join(import.meta.dirname, '../../..');
const DIST = join(ROOT, 'dist/explorer');

interface Script {
  readonly brotli: number;
  readonly modules: readonly string[];
}

describe('the built explorer', () => {
  const sizes = JSON.parse(readFileSync(join(ROOT, 'dist/explorer-sizes.json'), 'utf8')) as Record<string, Script>;
  const scripts = Object.entries(sizes);
  const withRe2 = scripts.filter(([, { modules }]) => modules.some((module) => module.includes('/re2js/')));

  it('has at most 150 kB of script after brotli, and RE2 in a file of its own', () => {
    expect(withRe2).toHaveLength(1);
    const [[name, { modules }]] = withRe2 as [[string, Script]];
    expect(modules.filter((module) => !module.includes('/re2js/'))).toEqual([]);
    const others = scripts.filter(([other]) => other !== name);
    const total = others.reduce((sum, [, { brotli }]) => sum + brotli, 0);
    expect(total).toBeLessThanOrEqual(150_000);
    const sizesNow = others.map(([, { brotli }]) => brotli);
    expect(Math.max(...sizesNow)).toBeLessThanOrEqual(100_000);
  });

  it('is what a browser gets: each script as it was measured', () => {
    for (const [name, { brotli }] of scripts) expect(readFileSync(join(DIST, `${name}.br`)).length).toBe(brotli);
    expect(scripts.length).toBeGreaterThan(4);
  });

  it('holds nothing of Node, and makes no page out of text', () => {
    for (const [name] of scripts) {
      const code = readFileSync(join(DIST, name), 'utf8');
      expect(/(?:from|import)\s*\(?\s*["'](?:node:|fs|crypto|buffer)/.test(code), name).toBe(false);
      expect(/browser-external|data:text\/javascript/.test(code), name).toBe(false);
    }
    const sources = readSources(ROOT, ['client/explorer']);
    expect(sources.length).toBeGreaterThan(30);
    for (const { path, text } of sources) {
      const html = /innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser|srcdoc/i;
      expect(html.exec(text)?.[0], path).toBeUndefined();
    }
  });

  it('has the licenses of what it holds', () => {
    const licenses = readFileSync(join(DIST, 'assets/LICENSES'), 'utf8');
    const packages = scripts.flatMap(([, { modules }]) =>
      modules.flatMap((module) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(module)?.[1] ?? []),
    );
    expect(packages).toContain('preact');
    for (const name of new Set(packages)) expect(licenses).toContain(`${name}\n\n`);
  });
});

describe.skipIf(noChromium)('the explorer', () => {
  let bed: Bed;
  beforeAll(async () => {
    bed = await startBed();
  });
  afterEach(() => bed.configure([bed.log]));
  afterAll(() => bed?.stop());

  it('checks the log in its worker, under its policy, and asks nobody else', async () => {
    const { page, requests, told } = await bed.open();
    await page.getByText('The quorum of the witnesses cosigned it').waitFor();
    expect(await claims(page, 'failed')).toEqual([]);
    expect((await claims(page, 'checked'))[0]).toContain('3 entries');
    expect(page.workers()).toHaveLength(1);
    expect(requests.filter((url) => !url.startsWith(`${bed.server.url}/`))).toEqual([]);
    expect(requests.filter((url) => url.includes('/re2'))).toEqual([]);
    expect(await told()).toEqual([]);
  });

  it('lets no script of others run, and no worker but its own', async () => {
    const { page, told } = await bed.open();
    await page.getByText('The quorum of the witnesses cosigned it').waitFor();
    const tried = await page.evaluate<string[]>(`(async () => {
      const tried = [];
      const attempt = (name, work) => {
        try { work(); tried.push(name + ' worked'); } catch (error) { tried.push(name + ': ' + error.name); }
      };
      attempt('innerHTML', () => { document.body.innerHTML = '<img src=x>'; });
      attempt('another worker', () => new Worker('assets/other.js'));
      attempt('a policy of the same name', () => trustedTypes.createPolicy('stele-explorer', { createHTML: (x) => x }));
      attempt('another policy', () => trustedTypes.createPolicy('other', { createHTML: (x) => x }));
      attempt('a script of text', () => { document.createElement('script').textContent = '1'; });
      return tried;
    })()`);
    expect(tried.filter((one) => !/: (?:TypeError|EvalError)$/.test(one))).toEqual([]);
    expect(tried.length).toBeGreaterThan(3);
    const violations = await told();
    expect(violations.length).toBeGreaterThan(0);
    await expect(page.evaluate(`fetch('https://elsewhere.example.com/')`)).rejects.toThrow('Failed to fetch');
  });

  it('connects to the addresses of explorer.json as it is now, although the browser keeps its scripts', async () => {
    const log = new FakeLog(new View(entriesOf(20)));
    const { page, context } = await bed.open();
    await page.getByText('The quorum of the witnesses cosigned it').waitFor();
    await bed.configure([{ origin: log.origin, url: await log.listen(), keys: [log.vkey] }]);
    const { page: next, told } = await bed.open('#/', { context });
    await next.getByText('The log signed its newest checkpoint, of 20 entries').waitFor();
    expect(await told()).toEqual([]);
  });

  it('may be framed by nobody', async () => {
    const { page } = await bed.open();
    const policy = (await page.request.get(bed.url)).headers()['content-security-policy'];
    expect(policy).toContain("frame-ancestors 'none'");
  });

  it.each<[string, (bed: Bed) => string, string]>([
    ['is no JSON', () => '{', 'is not JSON'],
    ['has a member that is not known', () => '{"version":1,"logs":[],"x":1}', 'unknown member "x"'],
    ['has a member twice', () => '{"version":1,"version":1,"logs":[]}', 'version'],
    ['has markup', () => '<img src=x onerror=alert(1)>', 'is not JSON'],
    [
      'names a wildcard',
      ({ log }) => JSON.stringify({ version: 1, logs: [{ ...log, url: 'https://*' }] }),
      'logs[0].url',
    ],
    ['is longer than any', () => ' '.repeat(4 * 1024 * 1024 + 1), 'explorer.json'],
  ])('says what is wrong where explorer.json %s', async (_, text, why) => {
    await bed.configure(text(bed));
    const { page, told } = await bed.open();
    await page.getByRole('heading', { name: 'Nothing can be checked' }).waitFor();
    expect(await claims(page, 'failed')).toEqual([expect.stringContaining(why)]);
    expect(await page.getByRole('alert').count()).toBe(1);
    expect(await told()).toEqual([]);
  });

  it('believes a log that explorer.json names falsely no word', async () => {
    const { keys } = bed.log;
    const other = keys[0]!.replace('localhost+', 'other.example.com+');
    await bed.configure(
      JSON.stringify({ version: 1, logs: [{ ...bed.log, origin: 'other.example.com', keys: [other] }] }),
    );
    const { page } = await bed.open();
    await expect.poll(() => claims(page, 'failed')).toHaveLength(1);
    expect(await claims(page, 'checked')).toEqual([]);
  });

  it('moves focus and title with the route, goes by keyboard alone, and knows what is no route', async () => {
    const { page, told } = await bed.open();
    await page.getByRole('heading', { name: 'localhost' }).waitFor();
    await page.keyboard.press('Tab');
    expect(await page.locator(':focus').innerText()).toContain('Skip to the content');
    await page.keyboard.press('Enter');
    expect(await page.locator(':focus').getAttribute('id')).toBe('main');
    await page.getByRole('link', { name: 'Compare checkpoints' }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Compare two checkpoints' }).waitFor();
    expect(await page.title()).toBe('Compare checkpoints – Stele explorer');
    expect(await page.locator(':focus').getAttribute('id')).toBe('main');
    expect(await page.locator('nav [aria-current=page]').innerText()).toBe('Compare checkpoints');
    await page.goBack();
    await page.getByRole('heading', { name: 'localhost' }).waitFor();
    for (const hash of ['#/nothing', '#/constructor', '#/log', '#/%', '#/<b>x</b>']) {
      await page.evaluate(`location.hash = ${JSON.stringify(hash)}`);
      if (hash === '#/log') continue;
      await page.getByRole('heading', { name: 'There is no such page' }).waitFor();
    }
    await page.evaluate(`location.hash = '#/?log=other.example.com'`);
    await page.getByRole('heading', { name: 'There is no such log here' }).waitFor();
    expect(await told()).toEqual([]);
  });

  it('shows any of several logs, each by itself', async () => {
    const second = { ...bed.log, origin: 'second.example.com', keys: [bed.log.keys[0]!] };
    await bed.configure([bed.log, second]);
    const { page } = await bed.open();
    await page.getByText('The quorum of the witnesses cosigned it').waitFor();
    await page.getByLabel('Log').selectOption('second.example.com');
    await page.getByRole('heading', { name: 'second.example.com' }).waitFor();
    await expect.poll(() => claims(page, 'failed')).toHaveLength(1);
    expect(await claims(page, 'checked')).toEqual([]);
    expect(new URL(page.url()).hash).toBe('#/?log=second.example.com');
  });

  it('says so where its worker does not run', async () => {
    const { page } = await bed.open('#/', {
      before: (page) => page.route('**/explorer-worker-*.js', (route) => route.abort()),
    });
    await expect.poll(() => claims(page, 'failed')).toEqual([expect.stringContaining('does not run')]);
  });
});

/** Entries that anybody may have logged, shown on the built page in Chromium: nothing in them runs, hides, or takes over the page. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { encodeUtf8 } from '../../../merkle/bytes.ts';
import { type Bed, claims, noChromium, startBed } from '../../support/explorer-bed.ts';
import { FakeLog, View } from '../../support/fake-log.ts';
import { fulcioCertificate, hashedRekord } from '../../support/fulcio.ts';
import { honest, type LyingProxy, startProxy } from '../../support/lying-proxy.ts';

const MARKUP = '<img src=x onerror="globalThis.pwned=1"><script>globalThis.pwned=1</script>';
const named = (name: string, extensions: Record<number, string> = {}) =>
  hashedRekord({
    certificate: fulcioCertificate({ names: [`user:${name}`], issuer: 'https://issuer.example.com', extensions }),
  });

const ENTRIES: Readonly<Record<string, Uint8Array>> = {
  markup: named(MARKUP, { 12: MARKUP, 4: MARKUP }),
  'right-to-left': named('a\u202egpj.exe\u2066\u200f'),
  'zero-width': named('ad\u200bmin\u2060@example.com'),
  control: named('a\0\x1b[2J\r\nb'),
  long: named('x'.repeat(10_000)),
  lookalike: named('аdmin@example.com'),
  link: named('javascript:alert(1)'),
  marks: named(`e${'\u0301'.repeat(200)}`),
  'kind of markup': encodeUtf8(JSON.stringify({ apiVersion: MARKUP, kind: MARKUP, spec: {} })),
  'kind of a prototype': encodeUtf8('{"apiVersion":"0.0.1","kind":"__proto__","spec":{}}'),
  'deep JSON': encodeUtf8(`${'['.repeat(30_000)}`),
  'wide JSON': encodeUtf8(`{"a":[${'[],'.repeat(16_000)}[]]}`),
  bytes: Uint8Array.from({ length: 60_000 }, (_, i) => i % 256),
  nothing: new Uint8Array(0),
  'no UTF-8': Uint8Array.of(0x7b, 0xff, 0xfe),
};
const names = Object.keys(ENTRIES);

describe.skipIf(noChromium)('a hostile entry', () => {
  let bed: Bed;
  let proxy: LyingProxy;
  // A log of our own, since no log would take such entries.
  const log = new FakeLog(new View(Object.values(ENTRIES)), 'log.test');
  let stopLog: () => void = () => {};

  beforeAll(async () => {
    bed = await startBed({ entries: 0, witnesses: 0 });
    const { createServer } = await import('node:http');
    const server = createServer((request, reply) => {
      const path = request.url!.slice(1).replace(/\?.*$/, '');
      const bytes =
        path === 'checkpoint'
          ? encodeUtf8(log.sign(log.text()))
          : path.startsWith('tile/')
            ? log.view.file(path)
            : undefined;
      if (bytes === undefined) reply.writeHead(404).end();
      else reply.end(bytes);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    stopLog = () => {
      server.closeAllConnections();
      server.close();
    };
    proxy = await startProxy(`http://127.0.0.1:${(server.address() as { port: number }).port}`);
    await bed.configure([{ origin: 'log.test', url: proxy.url, keys: [log.vkey] }]);
  }, 60_000);
  afterEach(() => bed.configure([{ origin: 'log.test', url: proxy.url, keys: [log.vkey] }]));
  afterAll(async () => {
    await proxy?.stop();
    stopLog();
    await bed?.stop();
  });

  const show = async (name: string, width = 360) => {
    const opened = await bed.open(`#/entry/${names.indexOf(name)}`, { width });
    const { page } = opened;
    await page.locator('[data-place]').first().waitFor();
    return { ...opened, text: await page.locator('main').innerText() };
  };

  it.each(names)('with %s is proven, and stays within the page', async (name) => {
    const { page, told, context, text } = await show(name);
    expect((await claims(page, 'checked')).join('\n')).toContain('is in the tree');
    await page.getByText('Show', { exact: true }).click();
    expect(await page.evaluate('globalThis.pwned')).toBeUndefined();
    expect(await page.locator('main img, main script, main iframe, main style').count()).toBe(0);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there
    expect(text).not.toMatch(/[\0-\x08\x0b-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/);
    const hrefs = await page.locator('main a').evaluateAll((links) => links.map((link) => link.getAttribute('href')));
    expect(hrefs.every((href) => /^(?:#\/|blob:)/.test(href ?? ''))).toBe(true);
    expect(await page.evaluate<number>('document.documentElement.scrollWidth')).toBeLessThanOrEqual(360);
    expect(text.length).toBeLessThan(20_000);
    expect(await told()).toEqual([]);
    await context.close();
  });

  it('shows what is hidden, cuts what is long, and points at letters that look alike', async () => {
    const read = async (name: string) => {
      const { text, context } = await show(name);
      await context.close();
      return text;
    };
    expect(await read('right-to-left')).toContain('a\\u{202e}gpj.exe\\u{2066}\\u{200f}');
    expect(await read('zero-width')).toContain('ad\\u{200b}min\\u{2060}@example.com');
    expect(await read('markup')).toContain(MARKUP);
    expect(await read('lookalike')).toContain('letters of several scripts');
    expect(await read('bytes')).toContain('no entry of Rekor');
    const { page, text, context } = await show('long');
    expect(text).toContain('Show all 10000 characters');
    await page.getByRole('button', { name: 'Show all 10000 characters' }).click();
    expect(await page.locator('main').innerText()).toContain('x'.repeat(10_000));
    expect(await page.evaluate<number>('document.documentElement.scrollWidth')).toBeLessThanOrEqual(360);
    await context.close();
  });

  it('and a line under a checkpoint, which anybody can add, are shown with what they hide', async () => {
    const line = `\u2014 \u202ewitness\u2066 ${Buffer.alloc(68, 1).toString('base64')}\n`;
    proxy.lie = (path, answer) =>
      /^\/checkpoint\b/.test(path) ? { ...answer, body: Buffer.concat([answer.body, Buffer.from(line)]) } : answer;
    const { page, told, context } = await bed.open('#/', { width: 360 });
    await page.locator('main pre').first().waitFor();
    expect(await page.locator('main pre').first().innerText()).toContain('\u2014 \\u{202e}witness\\u{2066} ');
    expect(await page.locator('main').innerText()).not.toMatch(/[\u202e\u2066]/);
    expect(await page.evaluate<number>('document.documentElement.scrollWidth')).toBeLessThanOrEqual(360);
    expect(await told()).toEqual([]);
    await context.close();
    proxy.lie = honest;
  });

  it('and a hostile address do nothing either', async () => {
    const { page, told, context } = await bed.open(`#/entry/${encodeURIComponent(MARKUP)}`);
    await page.getByText('The number of an entry').waitFor();
    expect(await page.evaluate('globalThis.pwned')).toBeUndefined();
    expect(await page.locator('main img').count()).toBe(0);
    expect(await told()).toEqual([]);
    await context.close();
  });
});

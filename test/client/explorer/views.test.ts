/**
 * Entries, searches, files and bundles on the built page, under its real headers, in Chromium: in front of a real log and a real index
 * that are honest, and then lie in each way that there is. The file is long because all of it shares these services.
 */
import { execFile } from 'node:child_process';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { encodeBundle, parseBundle } from '../../../merkle/bundle.ts';
import { ed25519VerifierKey, formatVerifierKey } from '../../../merkle/note.ts';
import { type Bed, claims, noChromium, startBed } from '../../support/explorer-bed.ts';
import { type RunningIndex, startIndex } from '../../support/explorer-index.ts';
import { honest, type LyingProxy, startProxy } from '../../support/lying-proxy.ts';
import { CLI } from '../../support/serve.ts';

const execute = promisify(execFile);
const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const ARTIFACT = 'an artifact of a release';
const COUNT = 300;

interface HitJson {
  index: number;
  body: string;
  proof: string[];
}
interface PageJson {
  size: number;
  root: string;
  checkpoint: string;
  hits: HitJson[];
  next?: string;
}

describe.skipIf(noChromium)('on the page', () => {
  let bed: Bed;
  let index: RunningIndex;
  let log: LyingProxy;
  let search: LyingProxy;
  let file: string;
  let digest: string;
  /** Of the signed artifact. */
  let signed: number;

  beforeAll(async () => {
    bed = await startBed({ entries: 0 });
    await Promise.all(Array.from({ length: COUNT }, (_, i) => bed.add(`entry ${i}`)));
    file = join(bed.dir, 'release.bin');
    writeFileSync(file, ARTIFACT);
    digest = createHash('sha256').update(ARTIFACT).digest('hex');
    const own = ['--log', bed.server.url, '--log-key', bed.log.keys[0]!];
    await execute(process.execPath, [CLI, 'sign', file, ...own, '--tlog-proof']);
    signed = COUNT;
    log = await startProxy(bed.server.url);
    index = await startIndex(join(bed.dir, 'index'), { url: bed.server.url, keys: bed.log.keys, policy: bed.policy });
    search = await startProxy(index.url);
    await index.has(COUNT + 1);
    await bed.configure([{ ...bed.log, url: log.url, index: search.url }]);
  }, 120_000);
  afterEach(() => {
    log.lie = honest;
    search.lie = honest;
  });
  afterAll(async () => {
    await search?.stop();
    await log?.stop();
    await index?.stop();
    await bed?.stop();
  });

  /** Everything that waits on the page is over. */
  const settled = async (page: Page) => {
    // The policy of the page forbids what `waitForFunction` does.
    await page.locator('main h1').waitFor();
    await expect.poll(() => page.locator('main [role=status], main progress').count(), { timeout: 30_000 }).toBe(0);
  };
  const open = async (hash: string, width?: number) => {
    const opened = await bed.open(hash, width === undefined ? {} : { width });
    await settled(opened.page);
    return opened;
  };
  /** The view of the log keeps regions for what it will tell. */
  const openLog = async () => {
    const opened = await bed.open('#/');
    await opened.page.locator('main [data-claim]').first().waitFor();
    return opened;
  };
  const failures = async (hash: string) => {
    const { page, context } = await open(hash);
    const failed = await claims(page, 'failed');
    const checked = await claims(page, 'checked');
    await context.close();
    return { failed: failed.join('\n'), checked: checked.join('\n') };
  };
  const axe = async (page: Page) => {
    await page.evaluate(axeSource);
    return await page.evaluate<string[]>(`axe.run().then(({ violations }) =>
      violations.map(({ id, nodes }) => id + ': ' + nodes.map(({ html }) => html.slice(0, 200)).join(' | ')))`);
  };

  describe('an entry', () => {
    it('is shown in words, proven, and drawn up to the root', async () => {
      const { page, told, context } = await open(`#/entry/${signed}`);
      expect(await claims(page, 'failed')).toEqual([]);
      const good = (await claims(page, 'checked')).join('\n');
      for (const what of ['The log signed', 'quorum', 'is in the tree', 'The key in the entry signed'])
        expect(good).toContain(what);
      expect(await page.locator('main').innerText()).toContain(`sha256:${digest}`);
      const places = await page
        .locator('[data-place]')
        .evaluateAll((nodes) => nodes.map((node) => node.getAttribute('data-tone')));
      expect(places.length).toBeGreaterThan(3);
      expect(places[0]).toBe('good');
      expect(places.at(-1)).toBe('good');
      expect(places).not.toContain('bad');
      expect(await axe(page)).toEqual([]);
      expect(await told()).toEqual([]);
      await context.close();
    });

    it('is walked with the keyboard alone, and read as a table', async () => {
      const { page, context } = await open('#/entry/7', 360);
      await page.locator('[data-place="0"]').focus();
      await page.keyboard.press('ArrowUp');
      await page.keyboard.press('ArrowUp');
      expect(await page.evaluate('document.activeElement.getAttribute("data-place")')).toBe('2');
      expect(await page.locator('.chosen h3').innerText()).toBe('Step 2');
      await page.keyboard.press('End');
      expect(await page.locator('.chosen h3').innerText()).toBe('Root');
      await page.getByText('The same as a table').focus();
      await page.keyboard.press('Enter');
      expect(await page.locator('.way tbody tr').count()).toBe(await page.locator('[data-place]').count());
      // A phone shows all of it without a scroll to the side.
      expect(await page.evaluate<number>('document.documentElement.scrollWidth')).toBeLessThanOrEqual(360);
      expect(await axe(page)).toEqual([]);
      await context.close();
    });

    it.each([
      ['300', 'checked', ''],
      ['100000', 'failed', 'there is no entry 100000'],
      ['x', 'failed', 'whole number'],
      ['-1', 'failed', 'whole number'],
      ['99999999999999999999', 'failed', 'whole number'],
    ])('number %s is %s', async (number, state, why) => {
      const found = await failures(`#/entry/${number}`);
      if (state === 'failed') expect(found.failed).toContain(why);
      else expect(found.failed).toBe('');
    });

    it('with another body is red at its leaf', async () => {
      const other = parseBundle(await bytesOf(`${bed.server.url}/api/v2/tile/entries/000`), 256)[3]!;
      log.lie = (path, answer) => {
        if (!path.includes('/tile/entries/000')) return answer;
        const entries = parseBundle(answer.body, 256);
        return { ...answer, body: Buffer.from(encodeBundle(entries.with(7, other))) };
      };
      const { page, context } = await open('#/entry/7');
      expect((await claims(page, 'failed')).join('\n')).toContain('not what its tree has there');
      expect(await page.locator('[data-place="0"]').getAttribute('data-tone')).toBe('bad');
      expect(await page.locator('main').innerText()).toContain('It is not the entry of this tree');
      expect((await claims(page, 'checked')).join('\n')).not.toContain('is in the tree');
      expect(await axe(page)).toEqual([]);
      await context.close();
    });

    it('with a forged proof is red where the way goes wrong', async () => {
      log.lie = (path, answer) => {
        if (!path.includes('/tile/0/000')) return answer;
        const body = Buffer.from(answer.body);
        body[32 * 6] = body[32 * 6]! ^ 1;
        return { ...answer, body };
      };
      const { page, context } = await open('#/entry/7');
      expect((await claims(page, 'failed')).join('\n')).toMatch(/the way goes wrong between .* and step 8/);
      expect(await page.locator('[data-place="8"]').getAttribute('data-tone')).toBe('bad');
      expect(await page.locator('[data-place="0"]').getAttribute('data-tone')).toBe('good');
      await context.close();
    });

    it.each([
      ['is gone', () => ({ status: 404, body: Buffer.from('') }), 'not there'],
      ['is cut', (answer: { body: Buffer }) => ({ status: 200, body: answer.body.subarray(0, 900) }), 'bundle'],
      ['does not end', () => ({ status: 200, body: Buffer.alloc(20_000_000) }), 'more than'],
    ])('whose bundle %s is told', async (_what, change, why) => {
      log.lie = (path, answer) => (path.includes('/tile/entries/000') ? change(answer) : answer);
      expect((await failures('#/entry/7')).failed).toContain(why);
    });

    it('of a log that went back is shown beside that', async () => {
      const old = await bytesOf(`${bed.server.url}/checkpoint`);
      await bed.add('one that is taken back');
      const { page, context } = await openLog();
      await expect
        .poll(async () => (await claims(page, 'checked')).join())
        .toContain('The quorum of the witnesses cosigned it');
      await page.close();
      log.lie = (path, answer) => (/\/checkpoint\b/.test(path) ? { ...answer, body: old } : answer);
      const again = await bed.open('#/entry/7', { context });
      await expect
        .poll(async () => (await claims(again.page, 'failed')).join(), { timeout: 20_000 })
        .toContain('went back');
      await context.close();
    });

    it.each([
      ['an entry', 0, '#/entry/7'],
      ['an entry', 1, '#/entry/7'],
      ['a search', 0, '#/search?kind=kind&value=hashedrekord'],
      ['a search', 1, '#/search?kind=kind&value=hashedrekord'],
    ])('beside %s, a log that went back for one request of two is found out (%i)', async (_what, parity, hash) => {
      const old = await bytesOf(`${bed.server.url}/checkpoint`);
      await bed.add(`taken back before ${hash} ${parity}`);
      const { page, context } = await openLog();
      await expect.poll(async () => (await claims(page, 'checked')).length, { timeout: 20_000 }).toBeGreaterThan(1);
      await page.close();
      let asked = 0;
      log.lie = (path, answer) =>
        /\/checkpoint\b/.test(path) && asked++ % 2 === parity ? { ...answer, body: old } : answer;
      const again = await bed.open(hash, { context });
      await settled(again.page);
      await expect
        .poll(async () => (await claims(again.page, 'failed')).join(), { timeout: 20_000 })
        .toContain('went back');
      expect(asked).toBeGreaterThan(1);
      await context.close();
    });

    it('is compared with what this browser saw before', async () => {
      const { page, context } = await openLog();
      await expect.poll(async () => (await claims(page, 'checked')).length, { timeout: 20_000 }).toBeGreaterThan(1);
      await page.close();
      await bed.add('one more');
      const again = await bed.open('#/entry/7', { context });
      await settled(again.page);
      expect(await claims(again.page, 'failed')).toEqual([]);
      expect((await claims(again.page, 'checked')).join('\n')).toMatch(/The log (?:goes on from|shows the tree)/);
      await context.close();
    });

    it('that another tab sees in a newer tree meanwhile makes no log go back', async () => {
      const { page, context } = await openLog();
      await expect.poll(async () => (await claims(page, 'checked')).length, { timeout: 20_000 }).toBeGreaterThan(1);
      await page.close();
      let [held, release] = [false, () => {}];
      const gate = new Promise<void>((resolve) => {
        release = resolve;
      });
      log.lie = async (path, answer) => {
        if (held || !/\/checkpoint\b/.test(path)) return answer;
        held = true;
        await gate;
        return answer;
      };
      const slow = await bed.open('#/', { context });
      await expect.poll(() => held).toBe(true);
      await bed.add('seen by the other tab first');
      const quick = await bed.open('#/', { context });
      await expect.poll(async () => (await claims(quick.page, 'checked')).join()).toContain('goes on from');
      release();
      await slow.page.locator('main [data-claim="checked"]').first().waitFor();
      const size = await quick.page.locator('[data-size]').innerText();
      await expect.poll(() => slow.page.locator('[data-size]').innerText()).toBe(size);
      expect(await claims(slow.page, 'failed')).toEqual([]);
      expect(await slow.page.locator('[data-lie]').count()).toBe(0);
      await context.close();
    });

    it('of a log with a forged checkpoint is not shown at all', async () => {
      log.lie = (path, answer) =>
        /\/checkpoint\b/.test(path)
          ? { ...answer, body: Buffer.from(answer.body.toString().replace(/^(localhost\n)\d+/, '$1299')) }
          : answer;
      const { failed, checked } = await failures('#/entry/7');
      expect(failed).toContain('Entry 7 can be shown');
      expect(checked).toBe('');
    });
  });

  describe('a search', () => {
    const query = () => `#/search?kind=digest&match=exact&value=${digest}`;

    it('finds what was signed, checks it, and says what nothing proves', async () => {
      const { page, told, context, requests } = await open(query());
      expect(await claims(page, 'failed')).toEqual([]);
      expect(await page.getByTestId('count').innerText()).toBe('1 entry');
      expect((await claims(page, 'checked')).join('\n')).toContain(
        `Entry ${signed} is in the log and is what was searched for`,
      );
      expect(await page.getByTestId('through').innerText()).toMatch(/Complete through size 3\d\d at root/);
      expect((await claims(page, 'not-checked')).join('\n')).toContain('the word of the index alone');
      expect(requests.some((url) => /re2|identity-/.test(url))).toBe(false);
      expect(await axe(page)).toEqual([]);
      expect(await told()).toEqual([]);
      await context.close();
    });

    it('goes on page by page, in the tree of the first', async () => {
      const { page, context } = await open('#/search?kind=kind&match=exact&value=hashedrekord');
      for (let hits = 20; hits <= 60; hits += 20) {
        await settled(page);
        expect(await page.locator('.hits > li').count()).toBe(hits);
        if (hits < 60) await page.getByRole('button', { name: 'More' }).click();
      }
      expect(await claims(page, 'failed')).toEqual([]);
      await context.close();
    });

    it('by a prefix and by a pattern, for which RE2 is loaded only then', async () => {
      const value = `sha256:${digest.slice(0, 12)}`;
      const prefix = await open(`#/search?kind=digest&match=prefix&value=${value}`);
      expect(await prefix.page.getByTestId('count').innerText()).toBe('1 entry');
      const scripts = prefix.requests.length;
      await prefix.context.close();
      const pattern = await open(`#/search?kind=digest&match=re2&value=${encodeURIComponent(`^${value}[0-9a-f]+$`)}`);
      expect(await pattern.page.getByTestId('count').innerText()).toBe('1 entry');
      expect(pattern.requests.length).toBeGreaterThan(scripts);
      expect(await claims(pattern.page, 'failed')).toEqual([]);
      await pattern.context.close();
      expect((await failures('#/search?kind=digest&match=re2&value=(')).failed).toContain('RE2');
    });

    it('is made with the keyboard alone', async () => {
      const { page, context } = await open('#/search');
      await page.getByLabel('Value').focus();
      await page.keyboard.type(digest.toUpperCase());
      await page.keyboard.press('Enter');
      await page.getByTestId('count').waitFor();
      await settled(page);
      expect(await page.getByTestId('count').innerText()).toBe('1 entry');
      await context.close();
    });

    const lying = (change: (json: PageJson) => PageJson | Promise<PageJson>) => {
      search.lie = async (path, answer) => {
        if (!path.startsWith('/stele/v1/search')) return answer;
        const json = await change(JSON.parse(answer.body.toString()) as PageJson);
        return { ...answer, body: Buffer.from(JSON.stringify(json)) };
      };
    };
    const hitOf = async (at: number): Promise<HitJson> => {
      const url = `${index.url}/stele/v1/search?log=localhost&kind=hashedrekord&from=${at}&to=${at + 1}&limit=1`;
      return ((await (await fetch(url)).json()) as PageJson).hits[0]!;
    };

    it('whose index invents a hit shows it red', async () => {
      const other = await hitOf(5);
      lying((json) => ({ ...json, hits: [other, ...json.hits] }));
      const { failed, checked } = await failures(query());
      expect(failed).toContain('entry at index 5 is in the log, and has no digest');
      expect(checked).toContain(`Entry ${signed} is in the log`);
    });

    it.each([
      [
        'changes a body',
        (json: PageJson) => ({ ...json, hits: json.hits.map((hit) => ({ ...hit, body: swapped(hit.body) })) }),
        'does not lead',
      ],
      [
        'changes a proof',
        (json: PageJson) => ({ ...json, hits: json.hits.map((hit) => ({ ...hit, proof: [...hit.proof].reverse() })) }),
        'does not lead',
      ],
      [
        'shows an entry at another place',
        (json: PageJson) => ({ ...json, hits: json.hits.map((hit) => ({ ...hit, index: 4 })) }),
        'does not lead',
      ],
      [
        'claims another root',
        (json: PageJson) => ({ ...json, root: Buffer.alloc(32, 1).toString('base64') }),
        'another tree',
      ],
      ['claims another size', (json: PageJson) => ({ ...json, size: json.size + 1 }), 'another tree'],
      ['has no quorum', (json: PageJson) => ({ ...json, checkpoint: withoutWitnesses(json.checkpoint) }), 'quorum'],
      [
        'has a forged checkpoint',
        (json: PageJson) => ({ ...json, checkpoint: json.checkpoint.replace(/\n\d+\n/, '\n299\n') }),
        'checkpoint',
      ],
      ['repeats a hit', (json: PageJson) => ({ ...json, hits: [...json.hits, ...json.hits] }), 'none comes twice'],
    ])('whose index %s is red', async (_what, change, why) => {
      lying(change);
      const { failed, checked } = await failures(query());
      expect(failed).toContain(why);
      expect(checked).not.toContain(`Entry ${signed} is in the log`);
    });

    it('whose index leaves a hit out is not called complete', async () => {
      lying((json) => ({ ...json, hits: [] }));
      const { page, context } = await open(query());
      expect(await page.getByTestId('count').innerText()).toBe('No entry');
      const open2 = (await claims(page, 'not-checked')).join('\n');
      expect(open2).toContain('Nothing is left out');
      expect((await claims(page, 'checked')).join('\n')).not.toContain('left out');
      await context.close();
    });

    it('whose index shows an old tree says how far it is behind', async () => {
      const first = await bytesOf(`${index.url}/stele/v1/search?log=localhost&digest=sha256:${digest}&limit=20`);
      await bed.add('a later entry');
      search.lie = (path, answer) => (path.startsWith('/stele/v1/search') ? { ...answer, body: first } : answer);
      const { checked } = await failures(query());
      expect(checked).toMatch(/has not looked at the last [12] of \d+ entries/);
    });

    it('whose second page is of another tree ends there, in red', async () => {
      const hash = '#/search?kind=kind&match=exact&value=hashedrekord';
      search.lie = (path, answer) => {
        if (!path.includes('page=')) return answer;
        const json = JSON.parse(answer.body.toString()) as PageJson;
        return { ...answer, body: Buffer.from(JSON.stringify({ ...json, size: json.size - 1 })) };
      };
      const { page, context } = await open(hash);
      await page.getByRole('button', { name: 'More' }).click();
      await page.locator('[data-claim="failed"]').waitFor();
      expect((await claims(page, 'failed')).join('\n')).toContain('another tree');
      expect(await page.locator('.hits > li').count()).toBe(20);
      await context.close();
    });

    it.each([
      ['is away', () => ({ status: 503, body: Buffer.from('{"code":"x","message":"<b>busy</b>"}') }), '503'],
      ['answers no JSON', () => ({ status: 200, body: Buffer.from('<html>') }), 'not JSON'],
      ['refuses', () => ({ status: 400, body: Buffer.from('{"message":"no such log"}') }), 'no such log'],
    ])('whose index %s says so', async (_what, change, why) => {
      search.lie = change;
      expect((await failures(query())).failed).toContain(why);
    });

    it.each([
      ['a digest that is none', '#/search?kind=digest&value=zz', 'a digest is sha256'],
      ['a kind that is none', '#/search?kind=__proto__&value=x', 'no kind of search'],
      ['a range that is none', '#/search?kind=kind&value=x&from=1e3', 'not the number of an entry'],
    ])('for %s is refused before anybody is asked', async (_what, hash, why) => {
      const before = search.asked.length;
      expect((await failures(hash)).failed).toContain(why);
      expect(search.asked.length).toBe(before);
    });

    it('without an index says so, and what still works', async () => {
      await bed.configure([{ ...bed.log, url: log.url }]);
      const { page, context } = await open('#/search');
      expect((await claims(page, 'not-checked')).join('\n')).toContain('names no index');
      await page.getByRole('link', { name: 'an entry by its number' }).click();
      await page.getByRole('heading', { name: 'Entry by number' }).waitFor();
      await context.close();
      await bed.configure([{ ...bed.log, url: log.url, index: search.url }]);
    });
  });

  /** Drops files onto the page, as a person does. */
  const drop = (page: Page, files: readonly { name: string; text: string }[]) =>
    page.evaluate(`{
      const data = new DataTransfer();
      for (const { name, text } of ${JSON.stringify(files)}) data.items.add(new File([text], name));
      document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
    }`);

  describe('a file', () => {
    it('that is dropped anywhere is hashed here, found, verified and drawn, and never sent', async () => {
      const { page, requests, told, context } = await openLog();
      const before = search.asked.length + log.asked.length;
      await drop(page, [{ name: 'release.bin', text: ARTIFACT }]);
      await page.getByRole('heading', { name: 'release.bin' }).waitFor();
      await page.locator('[data-hash="sha256"] [data-testid="count"]').waitFor();
      await settled(page);
      expect(await page.locator('[data-hash="sha256"] [data-testid="count"]').innerText()).toBe('1 entry');
      expect(await page.locator('[data-hash="sha512"] [data-testid="count"]').innerText()).toBe('No entry');
      expect(await claims(page, 'failed')).toEqual([]);
      expect(await axe(page)).toEqual([]);
      await page
        .getByRole('link', { name: `Entry ${signed}` })
        .first()
        .click();
      await page.locator('[data-place]').first().waitFor();
      expect(await page.locator('[data-tone="bad"]').count()).toBe(0);
      const asked = [...search.asked, ...log.asked];
      expect(asked.length).toBeGreaterThan(before);
      expect(asked.every(({ method, bytes }) => method === 'GET' && bytes === 0)).toBe(true);
      expect(requests.join(' ')).not.toContain(encodeURIComponent('release'));
      expect(await told()).toEqual([]);
      await context.close();
    });

    it('that is chosen with the keyboard is the same; so are several, and one of no byte', async () => {
      const { page, context } = await open('#/file');
      await page.getByLabel('Files').setInputFiles([
        { name: 'empty', mimeType: '', buffer: Buffer.from('') },
        { name: '<img src=x onerror=alert(1)>\u202egnp.exe', mimeType: '', buffer: Buffer.from('x') },
      ]);
      await page.locator('[data-testid="file"]').nth(1).waitFor();
      await page.locator('[data-hash="sha512"] [data-testid="count"]').nth(1).waitFor();
      expect(await page.getByText('All empty files have the same digest').count()).toBe(1);
      expect(await page.locator('[data-testid="file"] > h2').nth(1).innerText()).toContain(
        '<img src=x onerror=alert(1)>\\u{202e}gnp.exe',
      );
      expect(await page.locator('main img').count()).toBe(0);
      expect(await page.locator('main').innerText()).toContain(createHash('sha256').digest('hex'));
      await context.close();
    });
  });

  describe('a bundle', () => {
    const text = (path: string) => readFileSync(path, 'utf8');
    const verify = async (files: { name: string; text: string }[], key = text(`${file}.pub.pem`)) => {
      const opened = await openLog();
      const { page } = opened;
      await drop(page, files);
      await page.getByRole('heading', { name: 'What it says' }).waitFor();
      await page.getByLabel('A public key').check();
      await page.getByLabel('Public key (PEM)').fill(key);
      await page.getByRole('button', { name: 'Verify' }).click();
      await page.getByTestId('verdict').waitFor();
      return opened;
    };

    it.each([
      ['a Sigstore bundle', 'sigstore.json'],
      ['a tlog-proof', 'tlog-proof'],
    ])('%s and its file, dropped together, are told apart and verified', async (_what, ending) => {
      const files = [
        { name: 'b', text: ARTIFACT },
        { name: 'a', text: text(`${file}.${ending}`) },
      ];
      const { page, told, context } = await verify(files);
      expect(await page.getByTestId('verdict').innerText()).toBe('It holds');
      expect(await claims(page, 'failed')).toEqual([]);
      expect((await claims(page, 'checked')).join('\n')).toContain(digest);
      expect((await claims(page, 'not-checked')).join('\n')).toContain('who holds the key');
      expect(await axe(page)).toEqual([]);
      expect(await told()).toEqual([]);
      await context.close();
    });

    it('is verified also where the trusted root does not know the log, and never by another log', async () => {
      const trustedRoot = {
        mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1',
        tlogs: [] as object[],
        certificateAuthorities: [],
        ctlogs: [],
        timestampAuthorities: [],
      };
      const files = [
        { name: 'a', text: text(`${file}.sigstore.json`) },
        { name: 'b', text: ARTIFACT },
      ];
      const verdict = async (own: Partial<Bed['log']>) => {
        await bed.configure([{ ...bed.log, url: log.url, index: search.url, trustedRoot, ...own }]);
        const { page, context } = await verify(files);
        const found = { verdict: await page.getByTestId('verdict').innerText(), failed: await claims(page, 'failed') };
        await context.close();
        return found;
      };
      expect(await verdict({})).toEqual({ verdict: 'It holds', failed: [] });
      const other = newLogKey('localhost');
      expect((await verdict({ keys: [other], policy: undefined })).verdict).toBe('It does not hold');
      await bed.configure([{ ...bed.log, url: log.url, index: search.url }]);
    });

    it('with another file, another key, or a change is red, with the reason', async () => {
      const bundle = text(`${file}.sigstore.json`);
      const cases: [string, { name: string; text: string }[], string | undefined][] = [
        [
          'not the one that was signed',
          [
            { name: 'a', text: bundle },
            { name: 'b', text: 'another' },
          ],
          undefined,
        ],
        [
          'signature',
          [
            { name: 'a', text: bundle },
            { name: 'b', text: ARTIFACT },
          ],
          newKey(),
        ],
        [
          '',
          [
            { name: 'a', text: bundle.replace(/"logIndex": "\d+"/, '"logIndex": "3"') },
            { name: 'b', text: ARTIFACT },
          ],
          undefined,
        ],
      ];
      for (const [why, files, key] of cases) {
        const { page, context } = await verify(files, key);
        expect(await page.getByTestId('verdict').innerText()).toBe('It does not hold');
        expect((await claims(page, 'failed')).join('\n')).toContain(why);
        await context.close();
      }
    });

    it('alone says that it shows nothing about a file', async () => {
      const { page, context } = await verify([{ name: 'a', text: text(`${file}.sigstore.json`) }]);
      expect((await claims(page, 'not-checked')).join('\n')).toContain('that a file has this digest');
      await context.close();
    });
  });
});

async function bytesOf(url: string): Promise<Buffer> {
  return Buffer.from(await (await fetch(url)).arrayBuffer());
}

function swapped(base64: string): string {
  return Buffer.from(Buffer.from(base64, 'base64').toString().replace('"0.0.2"', '"0.0.1"')).toString('base64');
}

function withoutWitnesses(note: string): string {
  const [body, signatures] = note.split('\n\n') as [string, string];
  return `${body}\n\n${signatures.split('\n')[0]}\n`;
}

function newLogKey(name: string): string {
  const { publicKey } = generateKeyPairSync('ed25519');
  return formatVerifierKey(ed25519VerifierKey(name, publicKey.export({ format: 'der', type: 'spki' }).subarray(-32)));
}

function newKey(): string {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'pem', type: 'spki' }) as string;
}

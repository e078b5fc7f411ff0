/** Files and folders from the disk on the built page, in Chromium: dropped as a file manager drops them, long ones, and ones that go away. */
import { createHash } from 'node:crypto';
import { createReadStream, mkdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Bed, claims, noChromium, startBed } from '../../support/explorer-bed.ts';

const MIB = 1024 * 1024;

describe.skipIf(noChromium)('what is dropped from the disk', () => {
  let bed: Bed;
  beforeAll(async () => {
    bed = await startBed({ witnesses: 0 });
  });
  afterAll(() => bed?.stop());

  /** Drops paths onto the page as the desktop does: a folder is a folder then. */
  const drop = async (page: Page, ...files: string[]) => {
    const devtools = await page.context().newCDPSession(page);
    const data = { items: [], files, dragOperationsMask: 1 };
    for (const type of ['dragEnter', 'dragOver', 'drop'] as const) {
      await devtools.send('Input.dispatchDragEvent', { type, x: 200, y: 200, data });
    }
    await devtools.detach();
  };
  const sparse = (name: string, bytes: number): string => {
    const path = join(bed.dir, name);
    writeFileSync(path, 'begin');
    truncateSync(path, bytes);
    return path;
  };
  const names = (page: Page) => page.locator('[data-testid="file"] > h2').allInnerTexts();
  const hashed = (page: Page, name: string, content: string) =>
    page
      .locator('[data-testid="file"]', { hasText: name })
      .getByText(createHash('sha256').update(content).digest('hex'))
      .waitFor();

  it('a folder is looked at file by file, with the folders in it', async () => {
    const folder = join(bed.dir, 'release');
    mkdirSync(join(folder, 'inner/most'), { recursive: true });
    writeFileSync(join(folder, 'a.bin'), 'content a');
    writeFileSync(join(folder, 'inner/most/b.bin'), 'content b');
    writeFileSync(join(bed.dir, 'beside.bin'), 'content beside');
    const { page, told, requests, context } = await bed.open('#/');
    await page.locator('main h1').waitFor();
    await drop(page, folder, join(bed.dir, 'beside.bin'));
    await page.getByRole('heading', { name: 'Find a file' }).waitFor();
    for (const [name, content] of [
      ['a.bin', 'content a'],
      ['b.bin', 'content b'],
      ['beside.bin', 'content beside'],
    ] as const) {
      await hashed(page, name, content);
    }
    expect((await names(page)).toSorted()).toEqual(['a.bin', 'b.bin', 'beside.bin']);
    expect(await claims(page, 'failed')).toEqual([]);
    expect(requests.filter((url) => !url.startsWith(`${bed.server.url}/`))).toEqual([]);
    expect(await told()).toEqual([]);
    await context.close();
  });

  it('of a folder with more files than a page shows, the first are looked at, and the page says so', async () => {
    const folder = join(bed.dir, 'many');
    mkdirSync(folder);
    for (let i = 0; i < 130; i++) writeFileSync(join(folder, `f${i}`), `${i}`);
    const { page, context } = await bed.open('#/file');
    await page.locator('main h1').waitFor();
    await drop(page, folder);
    await expect.poll(() => page.locator('[data-testid="file"]').count()).toBe(100);
    expect((await claims(page, 'not-checked')).join('\n')).toContain('only the first 100 files are looked at');
    await context.close();
  });

  it('a folder too deep, an empty one and what is no file are told', async () => {
    const deep = join(bed.dir, 'deep');
    mkdirSync(join(deep, ...'abcdefghijk'), { recursive: true });
    writeFileSync(join(deep, ...'abcdefghijk', 'hidden'), 'x');
    const empty = join(bed.dir, 'empty');
    mkdirSync(empty);
    const { page, context } = await bed.open('#/file');
    await page.locator('main h1').waitFor();
    const open = async () => (await claims(page, 'not-checked')).join('\n');
    await drop(page, deep);
    await expect.poll(open).toContain('folders below 8 others are not looked at');
    await drop(page, empty);
    await expect.poll(open).toContain('there is no file in what was dropped');
    expect(await page.locator('[data-testid="file"]').count()).toBe(0);
    await context.close();
  });

  it('a file of a folder that cannot be read is named, and the others are looked at', async () => {
    const folder = join(bed.dir, 'broken');
    mkdirSync(folder);
    writeFileSync(join(folder, 'well'), 'content');
    writeFileSync(join(folder, 'gone\u202e'), 'content');
    // Chromium leaves links out that lead nowhere.
    symlinkSync(join(bed.dir, 'nowhere'), join(folder, 'link'));
    const { page, context } = await bed.open('#/file');
    await page.locator('main h1').waitFor();
    // What the browser says of a file that its user may not read; tests may run as a user who reads everything.
    await page.evaluate(`{
      const { webkitGetAsEntry } = DataTransferItem.prototype;
      DataTransferItem.prototype.webkitGetAsEntry = function () {
        const folder = webkitGetAsEntry.call(this);
        const reader = folder.createReader();
        const read = reader.readEntries.bind(reader);
        reader.readEntries = (done, failed) => read((part) => {
          const gone = part.find(({ name }) => name.startsWith('gone'));
          if (gone) gone.file = (_, failed) => failed(new DOMException('', 'NotReadableError'));
          done(part);
        }, failed);
        folder.createReader = () => reader;
        return folder;
      };
    }`);
    await drop(page, folder);
    await hashed(page, 'well', 'content');
    expect((await claims(page, 'not-checked')).join('\n')).toMatch(/gone\S* cannot be read/);
    expect(await names(page)).toEqual(['well']);
    await context.close();
  });

  it('a file that goes away or changes while it is looked at is red', async () => {
    const path = sparse('long.bin', 65 * MIB);
    const { page, context } = await bed.open('#/file');
    await page.getByLabel('Files').setInputFiles(path);
    const more = page.getByRole('button', { name: 'Look for SHA-384 and SHA-512 too' });
    await more.waitFor();
    rmSync(path);
    await more.click();
    await expect.poll(async () => (await claims(page, 'failed')).join('\n')).toContain('cannot be read, or changed');
    await context.close();
  });

  it('the hashing of a long file ends where the person stops it, and the next file is hashed', async () => {
    const path = sparse('endless.bin', 20 * 1024 * MIB);
    const { page, context } = await bed.open('#/file');
    await page.getByLabel('Files').setInputFiles(path);
    await page.getByRole('progressbar', { name: 'Hashing in this browser' }).waitFor();
    await page.getByRole('button', { name: 'Stop' }).click();
    expect((await claims(page, 'not-checked')).join('\n')).toContain('you stopped the hashing');
    expect(await page.getByRole('progressbar').count()).toBe(0);
    await page.getByLabel('Files').setInputFiles({ name: 'short', mimeType: '', buffer: Buffer.from('short') });
    await hashed(page, 'short', 'short');
    await context.close();
  });

  it.runIf(process.env.TEST_LONG === '1')('a file past 2 GB has the digest that Node computes', async () => {
    const path = sparse('past.bin', 2200 * MIB + 1);
    const hash = createHash('sha256');
    for await (const part of createReadStream(path, { highWaterMark: MIB })) hash.update(part as Buffer);
    const { page, context } = await bed.open('#/file');
    await page.getByLabel('Files').setInputFiles(path);
    await page.getByText(hash.digest('hex')).waitFor({ timeout: 5 * 60_000 });
    expect(await page.getByText(`${2200 * MIB + 1} bytes`).count()).toBe(1);
    expect(await claims(page, 'failed')).toEqual([]);
    await context.close();
  });
});

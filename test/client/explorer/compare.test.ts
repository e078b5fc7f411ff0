/** Two checkpoints compared in the explorer, in a browser. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Bed, claims, noChromium, startBed } from '../../support/explorer-bed.ts';
import { entriesOf, FakeLog, View } from '../../support/fake-log.ts';
import { stele } from '../../support/serve.ts';

describe.skipIf(noChromium)('comparing two checkpoints', () => {
  let bed: Bed;
  let log: FakeLog;
  beforeAll(async () => {
    bed = await startBed({ entries: 1 });
  });
  beforeEach(async () => {
    log = new FakeLog(new View(entriesOf(600)));
    await bed.configure([{ origin: log.origin, url: await log.listen(), keys: [log.vkey] }, bed.log]);
  });
  afterEach(() => bed.configure([bed.log]));
  afterAll(() => bed?.stop());

  const note = (size: number) => log.sign(log.text(size));

  async function compared(
    first: string,
    second: string,
  ): Promise<{ page: Page; told: () => Promise<readonly string[]> }> {
    const { page, told } = await bed.open('#/compare');
    await page.getByLabel('The first checkpoint: paste').fill(first);
    await page.getByLabel('The second checkpoint: paste').fill(second);
    await page.getByRole('button', { name: 'Compare', exact: true }).click();
    await page.getByRole('heading', { name: 'What was found' }).waitFor();
    return { page, told };
  }

  it.each([
    ['the first is older', 300, 600],
    ['the second is older', 599, 257],
    ['one is empty', 0, 600],
  ])('proves one history from the tiles where %s', async (_, first, second) => {
    const { page, told } = await compared(note(first), note(second));
    expect(await claims(page, 'failed')).toEqual([]);
    expect(await claims(page, 'checked')).toContainEqual(
      expect.stringContaining(
        `${Math.min(first, second)} entries is the beginning of the one of ${Math.max(first, second)}`,
      ),
    );
    expect(await told()).toEqual([]);
  });

  it('knows the same tree, however its text was copied', async () => {
    const { page } = await compared(note(300).trim(), `  \r\n${note(300).replaceAll('\n', '\r\n')}\r\n\r\n`);
    expect(await claims(page, 'failed')).toEqual([]);
    expect(await claims(page, 'checked')).toContainEqual(expect.stringContaining('Both are of the same tree'));
  });

  it.each([
    ['of one size', 600],
    ['of two sizes', 500],
  ])('proves two histories %s, with evidence for others', async (_, size) => {
    const other = new View(entriesOf(600, 'another', 200));
    const { page, told } = await compared(log.sign(log.text(size, other)), note(600));
    expect(await claims(page, 'failed')).toContainEqual(expect.stringContaining('The log signed two histories'));
    const waiting = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Save the evidence' }).click();
    const saved = join(bed.dir, `compared-${size}.json`);
    await (await waiting).saveAs(saved);
    const { code, stdout } = await stele(['verify', '--evidence', saved, '--log-key', log.vkey]);
    expect([code, stdout]).toEqual([0, expect.stringContaining(log.origin)]);
    expect(await page.locator('pre').allInnerTexts()).toEqual([
      expect.stringContaining(`\n${size}\n`),
      expect.stringContaining('\n600\n'),
    ]);
    expect(await told()).toEqual([]);
  });

  it('claims nothing where the tiles do not tell', async () => {
    log.serve = (path, bytes) => (path.startsWith('tile/') ? undefined : bytes);
    const { page } = await compared(note(300), note(600));
    expect(await claims(page, 'not-checked')).toContainEqual(expect.stringContaining('Both are of one history'));
    expect((await claims(page, 'checked')).filter((claim) => claim.includes('beginning'))).toEqual([]);
  });

  it.each<[string, () => string, string]>([
    ['another key', () => new FakeLog(log.view, log.origin).sign(log.text()), 'none of its signatures'],
    [
      'a log that is not known',
      () => new FakeLog(log.view, 'other.test').sign(new FakeLog(log.view, 'other.test').text()),
      'explorer.json does not have',
    ],
    ['no checkpoint', () => '<img src=x onerror=alert(1)>', 'it is no checkpoint'],
    ['a damaged signature', () => note(300).replace(/.{9}\n$/, 'AAAAAAAA\n'), ''],
  ])('says that one is of %s', async (_, forged, why) => {
    const { page, told } = await compared(forged(), note(600));
    expect(await claims(page, 'failed')).toEqual([expect.stringContaining(why)]);
    expect(await claims(page, 'not-checked')).toContainEqual(expect.stringContaining('One of them does not verify'));
    expect(await told()).toEqual([]);
  });

  it('compares no trees of two logs', async () => {
    const other = await (await fetch(`${bed.server.url}/checkpoint`)).text();
    const { page } = await compared(note(300), other);
    expect(await claims(page, 'failed')).toEqual([]);
    expect(await claims(page, 'not-checked')).toContainEqual(expect.stringContaining('They are of two logs'));
  });

  it('reads a file that is chosen, and none that is too large', async () => {
    const { page } = await bed.open('#/compare');
    const [small, large] = [join(bed.dir, 'checkpoint'), join(bed.dir, 'large')];
    await writeFile(small, note(300));
    await writeFile(large, Buffer.alloc(1_048_577));
    const choose = page.getByLabel('Or choose a file').first();
    await choose.setInputFiles(small);
    await expect.poll(() => page.getByLabel('The first checkpoint: paste').inputValue()).toBe(note(300));
    await choose.setInputFiles(large);
    await page.getByText('The file is larger than any checkpoint').waitFor();
  });
});

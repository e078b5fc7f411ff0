/**
 * The pictures in docs/explorer.md. `npm run screenshots` writes them anew; otherwise this test makes them elsewhere, and sees that
 * those in the documents are there, are pictures of this size, and are the ones that the documents show.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Bed, noChromium, startBed } from '../../support/explorer-bed.ts';
import { entriesOf, FakeLog, View } from '../../support/fake-log.ts';
import { policyOf, TestWitness } from '../../support/witness.ts';

const ROOT = join(import.meta.dirname, '../../..');
const KEPT = join(ROOT, 'docs/images');
const WIDTH = 900;
const MAX_BYTES = 200_000;

/** Width in the header of a PNG (PNG section 11.2.2). */
const widthOf = (png: Buffer): number => png.readUInt32BE(16);

describe('the pictures of the explorer', () => {
  const names = ['explorer-fork.png', 'explorer-log.png'];

  it('are in the documents, and small', () => {
    expect(readdirSync(KEPT).filter((name) => name.startsWith('explorer-'))).toEqual(names);
    const text = readFileSync(join(ROOT, 'docs/explorer.md'), 'utf8');
    expect([...text.matchAll(/\(images\/([^)]+)\)/g)].map(([, name]) => name).sort()).toEqual(names);
    for (const name of names) {
      const png = readFileSync(join(KEPT, name));
      expect(png.subarray(1, 4).toString()).toBe('PNG');
      expect(widthOf(png)).toBe(WIDTH);
      expect(png.length).toBeLessThan(MAX_BYTES);
    }
  });

  describe.skipIf(noChromium)('of the page as it is', () => {
    let bed: Bed;
    let out: string;
    beforeAll(async () => {
      bed = await startBed({ witnesses: 3, entries: 5 });
      out = process.env.SCREENSHOTS === undefined ? bed.dir : join(ROOT, process.env.SCREENSHOTS);
      mkdirSync(out, { recursive: true });
    });
    afterAll(() => bed?.stop());

    it('are made by this test', async () => {
      const { page } = await bed.open('#/', { width: WIDTH });
      await page.getByText('The quorum of the witnesses cosigned it').waitFor();
      for (let i = 0; i < 3; i++) await bed.add(`later ${i}`);
      await page.getByRole('button', { name: 'Look again' }).click();
      await page.locator('.plot canvas').waitFor();
      await page.screenshot({ path: join(out, 'explorer-log.png') });

      const log = new FakeLog(new View(entriesOf(300)), 'log.example.com');
      const witness = new TestWitness('w1', log.key);
      const cosign = async () => {
        log.cosignatures = await witness.cosignatures(log.text());
      };
      await cosign();
      await bed.configure([
        { origin: log.origin, url: await log.listen(), keys: [log.vkey], policy: policyOf([witness], 'all') },
      ]);
      const { page: forked } = await bed.open('#/', { width: WIDTH });
      await forked.getByText('The log signed its newest checkpoint').waitFor();
      log.show(entriesOf(320, 'another', 200));
      await cosign();
      await forked.getByRole('button', { name: 'Look again' }).click();
      await forked.locator('[data-lie="fork"]').waitFor();
      await forked.screenshot({ path: join(out, 'explorer-fork.png') });
      for (const name of names) expect(existsSync(join(out, name))).toBe(true);
    });
  });
});

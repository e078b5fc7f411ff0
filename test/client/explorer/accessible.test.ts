/** axe finds nothing on any page of the explorer, in light and dark, on a phone and on a desk, with all that can fail shown. */

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Bed, noChromium, startBed } from '../../support/explorer-bed.ts';
import { entriesOf, FakeLog, View } from '../../support/fake-log.ts';
import { policyOf, TestWitness } from '../../support/witness.ts';

/** It goes in by `evaluate`, which the policy of the page does not see. */
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

interface AxeResults {
  readonly violations: readonly { readonly id: string; readonly nodes: readonly { readonly html: string }[] }[];
  readonly passes: readonly unknown[];
}

async function offences(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  const { violations, passes } = await page.evaluate<AxeResults>('axe.run(document)');
  expect(passes.length).toBeGreaterThan(10);
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' | ')}`);
}

/** What makes the page wider than the screen. */
const TOO_WIDE = `document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll('main *')]
  .filter((element) => element.getBoundingClientRect().right > innerWidth).map((element) => element.outerHTML.slice(0, 120))`;

const LOOKS = (['light', 'dark'] as const).flatMap((scheme) => [360, 1280].map((width) => ({ scheme, width })));

describe.skipIf(noChromium)('the explorer for everybody', () => {
  let bed: Bed;
  beforeAll(async () => {
    bed = await startBed();
  });
  afterEach(() => bed.configure([bed.log]));
  afterAll(() => bed?.stop());

  it.each(LOOKS)('is accessible in $scheme at $width pixels', async (look) => {
    const { page } = await bed.open('#/', look);
    await page.getByText('The quorum of the witnesses cosigned it').waitFor();
    expect(await offences(page)).toEqual([]);
    await bed.add(`${look.scheme} ${look.width}`);
    await page.getByRole('button', { name: 'Look again' }).click();
    await page.locator('.plot canvas').waitFor();
    expect(await offences(page)).toEqual([]);
    for (const hash of ['#/compare', '#/search', '#/file', '#/bundle', '#/entry/0', '#/nothing', '#/?log=x']) {
      await page.evaluate(`location.hash = ${JSON.stringify(hash)}`);
      await page.locator('main h1').waitFor();
      await page.waitForLoadState('networkidle');
      expect(await offences(page), hash).toEqual([]);
      // Nothing is wider than the screen.
      expect(await page.evaluate(TOO_WIDE), hash).toEqual([]);
    }
  });

  it.each(LOOKS)('is accessible with failures in $scheme at $width pixels', async (look) => {
    const log = new FakeLog(new View(entriesOf(300)));
    const witnesses = [new TestWitness('absent', log.key)];
    await bed.configure([{ origin: log.origin, url: await log.listen(), keys: [log.vkey] }]);
    const { page } = await bed.open('#/', look);
    await page.getByText('The log signed its newest checkpoint').waitFor();
    log.show(entriesOf(300, 'another'));
    await page.getByRole('button', { name: 'Look again' }).click();
    await page.locator('[data-lie="fork"]').waitFor();
    expect(await offences(page)).toEqual([]);
    expect(await page.evaluate(TOO_WIDE)).toEqual([]);
    await bed.configure([
      { origin: log.origin, url: await log.listen(), keys: [log.vkey], policy: policyOf(witnesses, 'all') },
    ]);
    await page.reload();
    await page.locator('[data-witness="absent"] .bad').waitFor();
    expect(await offences(page)).toEqual([]);
    await bed.configure('{');
    await page.reload();
    await page.getByRole('heading', { name: 'Nothing can be checked' }).waitFor();
    expect(await offences(page)).toEqual([]);
  });

  it('moves nothing for a person who wants no motion, and prints what was checked', async () => {
    const { page } = await bed.open();
    await page.getByText('The quorum of the witnesses cosigned it').waitFor();
    await page.emulateMedia({ reducedMotion: 'reduce' });
    const moving = `[...document.querySelectorAll('*')].filter((element) => {
      const { transitionDuration, animationName } = getComputedStyle(element);
      return transitionDuration.split(',').some((time) => parseFloat(time) > 0) || animationName !== 'none';
    }).length`;
    expect(await page.evaluate(moving)).toBe(0);
    await page.emulateMedia({ media: 'print' });
    expect(await page.getByRole('navigation').isVisible()).toBe(false);
    expect(await page.getByText('The quorum of the witnesses cosigned it').isVisible()).toBe(true);
  });
});

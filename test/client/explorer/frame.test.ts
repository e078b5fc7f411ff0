/** The frame of the explorer, in a browser: its headers, its worker, its routes, and what stands in explorer.json. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Bed, claims, noChromium, startBed } from '../../support/explorer-bed.ts';

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
    expect(await told()).toEqual([]);
  });
});

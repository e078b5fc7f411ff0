/** When a browser on a processor throttled 4 times paints the explorer first. `npm run bench:explorer` reports it; nothing here is timed. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Bed, noChromium, startBed } from '../../support/explorer-bed.ts';

describe.skipIf(noChromium)('the first paint of the explorer', () => {
  let bed: Bed;
  beforeAll(async () => {
    bed = await startBed();
  });
  afterAll(() => bed?.stop());

  it('comes, also on a slow processor, and is reported', async () => {
    const times: number[] = [];
    for (let round = 0; round < 5; round++) {
      const { page } = await bed.open('#/', {
        before: async (page) => {
          const devtools = await page.context().newCDPSession(page);
          await devtools.send('Emulation.setCPUThrottlingRate', { rate: 4 });
        },
      });
      await page.getByText('The quorum of the witnesses cosigned it').waitFor();
      times.push(await page.evaluate<number>(`performance.getEntriesByName('first-contentful-paint')[0].startTime`));
    }
    times.sort((a, b) => a - b);
    console.log(`first contentful paint, CPU throttled 4 times: ${times.map(Math.round).join(', ')} ms`);
    expect(times.every((time) => time > 0)).toBe(true);
  });
});

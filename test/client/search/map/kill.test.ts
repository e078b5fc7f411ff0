/** An index that ends by SIGKILL before and after each write and each leaf that it sends. */
import { expect, it } from 'vitest';
import { killMap } from './kill-map.ts';

/** test/fault/vitest.config.ts asks for two hundred. */
const KILLS = Number(process.env.STELE_MAP_KILLS ?? 20);

it('an index that is killed at each step has each version once, with the right root', async () => {
  const { versions, between, pending } = await killMap(KILLS);
  expect(versions).toBeGreaterThan(KILLS / 5);
  expect(between).toBeGreaterThan(0);
  expect(pending).toBeGreaterThan(0);
}, 3_600_000);

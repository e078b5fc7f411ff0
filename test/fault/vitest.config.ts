import { defineConfig } from 'vitest/config';
import { reporting } from '../support/report.ts';

/** `npm run test:crash`: a hundred rounds unless STELE_CRASH_ROUNDS says otherwise. */
export default defineConfig({
  test: {
    ...reporting(),
    include: ['test/fault/crash.test.ts'],
    pool: 'forks',
    testTimeout: 60 * 60_000,
    hookTimeout: 60_000,
  },
});

import { defineConfig } from 'vitest/config';
import { reporting } from './support/report.ts';
import { DEADLINE_MS } from './support/until.ts';

/** `npm run test:long`: faults of disk, process and witnesses, and the tests of `npm test` that have a longer form. */
export default defineConfig({
  test: {
    ...reporting(),
    expect: { poll: { timeout: DEADLINE_MS } },
    include: [
      'test/fault/*.test.ts',
      'test/client/cli/audit-cli.test.ts',
      'test/client/search/index/brute-force.test.ts',
      'test/client/cli/verify-cli.test.ts',
      'test/client/explorer/dropped.test.ts',
      'test/client/submit/one-bad-entry.test.ts',
      'test/merkle/proof.test.ts',
    ],
    exclude: ['test/fault/crash.test.ts'],
    env: { TEST_LONG: '1' },
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 10 * 60_000,
    hookTimeout: 60_000,
  },
});

import { defineConfig } from 'vitest/config';
import { reporting } from './test/support/report.ts';
import { DEADLINE_MS } from './test/support/until.ts';

export default defineConfig({
  test: {
    ...reporting(),
    expect: { poll: { timeout: DEADLINE_MS } },
    include: ['test/**/*.test.ts'],
    // Interop needs foreign programs, and faults take minutes: each has a script of its own.
    exclude: ['test/interop/**', 'test/fault/**'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});

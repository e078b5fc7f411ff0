import { defineConfig } from 'vitest/config';
import { reporting } from './test/support/report.ts';

export default defineConfig({
  test: {
    ...reporting(),
    include: ['test/**/*.test.ts'],
    // Interop needs foreign programs, and faults take minutes: each has a script of its own.
    exclude: ['test/interop/**', 'test/fault/**'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});

import { defineConfig } from 'vitest/config';
import { reporting } from './test/support/report.ts';

export default defineConfig({
  test: {
    ...reporting(),
    include: ['test/**/*.test.ts'],
    // Interop needs foreign programs and crash runs for minutes: each has a script of its own.
    exclude: ['test/interop/**', 'test/fault/crash.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});

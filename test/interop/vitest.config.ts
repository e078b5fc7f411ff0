import { defineConfig } from 'vitest/config';
import { reporting } from '../support/report.ts';
import { DEADLINE_MS } from '../support/until.ts';
import { addInteropTools } from './tools.ts';

// Before the workers start, which take over this environment.
addInteropTools();

/** `npm run test:interop`: foreign programs against a real log. What is not installed here is skipped, and says so. */
export default defineConfig({
  test: {
    ...reporting(),
    expect: { poll: { timeout: DEADLINE_MS } },
    include: ['test/interop/**/*.test.ts'],
    globalSetup: 'test/interop/judges-setup.ts',
    pool: 'forks',
    // Each file has a server and foreign programs of its own.
    maxWorkers: 1,
    testTimeout: 180_000,
    hookTimeout: 180_000,
  },
});

import { defineConfig } from 'vitest/config';
import { reporting } from '../support/report.ts';
import { DEADLINE_MS } from '../support/until.ts';

/** `npm run test:crash`: a log is killed a hundred times unless STELE_CRASH_ROUNDS says otherwise, a witness and a monitor fifty times, a plain index a hundred times, a verifiable one two hundred times, a ceremony at each step. */
export default defineConfig({
  test: {
    ...reporting(),
    expect: { poll: { timeout: DEADLINE_MS } },
    include: [
      'test/fault/crash.test.ts',
      'test/fault/hostile-log.test.ts',
      'test/witness/kill.test.ts',
      'test/client/monitor/kill.test.ts',
      'test/client/search/index/kill.test.ts',
      'test/client/search/map/kill.test.ts',
      'test/server/shards/kill.test.ts',
      'test/client/cli/ceremony/kill.test.ts',
      'test/client/search/store/kill-store.test.ts',
    ],
    env: {
      WITNESS_KILLS: process.env.WITNESS_KILLS ?? '50',
      // Every step of a rotation.
      STELE_SHARD_KILLS: process.env.STELE_SHARD_KILLS ?? '1000',
      STELE_CEREMONY_KILLS: process.env.STELE_CEREMONY_KILLS ?? 'all',
      STELE_MONITOR_KILLS: process.env.STELE_MONITOR_KILLS ?? '50',
      STELE_INDEX_KILLS: process.env.STELE_INDEX_KILLS ?? '100',
      STELE_STORE_KILLS: process.env.STELE_STORE_KILLS ?? '50',
      STELE_MAP_KILLS: process.env.STELE_MAP_KILLS ?? '200',
    },
    // One after the other: each loads the machine.
    fileParallelism: false,
    pool: 'forks',
    testTimeout: 60 * 60_000,
    hookTimeout: 60_000,
  },
});

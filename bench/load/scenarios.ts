/** The measured loads, and their aims on 2 cores with the load generator beside the server. */
import type { Keys } from './requests.ts';

export interface Scenario {
  readonly name: string;
  readonly keys: Keys;
  readonly connections: number;
  /** Requests in one call; more than 1 is a bulk call. */
  readonly bulk: number;
  readonly entries: number;
  /** Entries before the measurement, for the compiler and the caches. */
  readonly warmUp: number;
  /** Milliseconds between a reply and the next request of its connection. */
  readonly pauseMs: number;
  readonly aim: string;
}

/** For the first 10,000 entries and more, the optimizing compiler takes as much processor time as the work itself. */
const LOAD = { bulk: 1, entries: 40_000, warmUp: 20_000, pauseMs: 0, aim: '' };

export const SCENARIOS: readonly Scenario[] = [
  { ...LOAD, name: 'shared-64', keys: 'shared', connections: 64, aim: '8,000/s' },
  { ...LOAD, name: 'shared-256', keys: 'shared', connections: 256, aim: '8,000/s, p50 < 60, p99 < 250' },
  { ...LOAD, name: 'shared-1024', keys: 'shared', connections: 1024, aim: '8,000/s' },
  { ...LOAD, name: 'fresh-64', keys: 'fresh', connections: 64, aim: '6,000/s' },
  { ...LOAD, name: 'fresh-256', keys: 'fresh', connections: 256, aim: '6,000/s, p50 < 60, p99 < 250' },
  { ...LOAD, name: 'fresh-1024', keys: 'fresh', connections: 1024, aim: '6,000/s' },
  { ...LOAD, name: 'bulk-shared', keys: 'shared', connections: 16, bulk: 64, aim: '15,000/s' },
  { ...LOAD, name: 'bulk-fresh', keys: 'fresh', connections: 16, bulk: 64, aim: '15,000/s' },
  {
    name: 'quiet',
    keys: 'fresh',
    connections: 1,
    bulk: 1,
    entries: 200,
    warmUp: 100,
    pauseMs: 20,
    aim: 'milliseconds',
  },
];

/** Fewer entries, for a quick look. */
export function quick(scenario: Scenario): Scenario {
  return scenario.pauseMs > 0
    ? { ...scenario, entries: 50, warmUp: 20 }
    : { ...scenario, entries: 10_000, warmUp: 4_000 };
}

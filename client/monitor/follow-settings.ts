/** How the monitor follows its logs. The configuration has the same settings in its own form. */
import type { FeedSettings } from '../follow/types.ts';

/** All times in milliseconds. */
export interface FollowSettings extends FeedSettings {
  /** From the end of a round to the next one. */
  readonly pollMs: number;
  /** The monitor reports a log that it could not follow for so long. */
  readonly staleMs: number;
  /** First pause after a failure. It doubles up to `pollMs`, or up to 60 s where that is longer. */
  readonly retryMs: number;
  /** The monitor reports what may be a fault on the way when so many looks in a row have shown it: 1 or more. */
  readonly confirmations: number;
}

export const FOLLOW_DEFAULTS: FollowSettings = {
  pollMs: 10_000,
  partialMs: 10_000,
  staleMs: 60 * 60_000,
  retryMs: 1000,
  confirmations: 3,
  parallel: 8,
  chunkBytes: 16 * 1024 * 1024,
};

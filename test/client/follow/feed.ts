/** A feed of the fake log, and a consumer whose store can crash in the middle of a commit. */
import { Feed } from '../../../client/follow/follow.ts';
import type { Batch, Cursor, FeedSettings, FollowedLog, Look, ReadOutcome } from '../../../client/follow/types.ts';
import type { OpenSource } from '../../../client/tiles/types.ts';
import type { FakeLog } from '../../support/fake-log.ts';
import { later } from '../../support/log-files.ts';

export const SETTINGS: FeedSettings = { partialMs: 0, parallel: 3, chunkBytes: 4000 };

/** The process ends here. */
export class Crash extends Error {}

/**
 * A consumer that copies the entries into its store, work and cursor in one step or one after the other.
 *
 * Each call of the store is a step where `crash` may throw, before and after.
 */
export class CopyStore {
  /** Bodies by index: what is durable of the consumer's work. */
  readonly copies = new Map<number, string>();
  /** Indexes in the order of their commits. */
  readonly order: number[] = [];
  cursor: Cursor | undefined;
  readonly #atomic: boolean;
  crash: (step: string) => void = () => {};

  constructor(atomic = true) {
    this.#atomic = atomic;
  }

  async load(): Promise<Cursor | undefined> {
    this.crash('before load');
    return this.cursor;
  }

  async commit({ first, entries, cursor }: Batch): Promise<void> {
    this.crash('before the commit');
    for (const [i, { index, body }] of entries.entries()) {
      if (index !== first + i) throw new Error(`entry ${index} stands at ${first + i}`);
      this.copies.set(index, Buffer.from(body).toString());
      this.order.push(index);
    }
    if (!this.#atomic) this.crash('between work and cursor');
    this.cursor = cursor;
    this.crash('after the commit');
  }
}

export interface Followed {
  readonly feed: Feed;
  readonly store: CopyStore;
  clock: number;
  look(): Promise<Look>;
  /** Looks, and reads where the checkpoint is accepted. */
  round(): Promise<Look & ReadOutcome>;
}

export function feedOf(
  log: FakeLog,
  options: {
    readonly store?: CopyStore;
    readonly log?: Partial<FollowedLog>;
    readonly settings?: Partial<FeedSettings>;
    readonly start?: 'start' | 'now';
    readonly open?: OpenSource;
  } = {},
): Followed {
  const { store = new CopyStore(), start = 'start', open = () => log.source() } = options;
  const state = { clock: Date.parse('2026-01-01T00:00:00Z') };
  const feed = new Feed({ origin: log.origin, keys: [log.key], location: 'fake', ...options.log }, store, {
    open,
    settings: { ...SETTINGS, ...options.settings },
    start,
    now: () => state.clock,
  });
  later(() => feed.close());
  const { signal } = new AbortController();
  const look = () => feed.look(signal);
  const round = async () => {
    const seen = await look();
    return { ...seen, ...(seen.accepted ? await feed.read(seen, signal) : {}) };
  };
  return Object.assign(state, { feed, store, look, round });
}

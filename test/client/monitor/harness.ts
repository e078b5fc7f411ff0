/** A monitor's follower of a log in memory, with real state on disk. */
import { join } from 'node:path';
import type { FeedEntry, FollowedLog } from '../../../client/follow/types.ts';
import { type FollowEvent, Follower, type FollowOptions } from '../../../client/monitor/follower.ts';
import { EvidenceFiles } from '../../../client/monitor/store/evidence-files.ts';
import { StateStore } from '../../../client/monitor/store/state-store.ts';
import type { Alert, FollowSettings, Matcher } from '../../../client/monitor/types.ts';
import type { FakeLog } from '../../support/fake-log.ts';
import { later, tempDir } from '../../support/log-files.ts';

/** Alerts about every entry that holds `word`, and keeps what it was shown. */
export class WordMatcher implements Pick<Matcher, 'match'> {
  readonly seen: FeedEntry[] = [];
  readonly word: string;

  constructor(word = 'evil') {
    this.word = word;
  }

  async match(entries: readonly FeedEntry[]): Promise<Alert[]> {
    this.seen.push(...entries);
    return entries.flatMap(({ log, index, leafHash, body }) => {
      if (!Buffer.from(body).includes(this.word)) return [];
      const entry = { index, leafHash: Buffer.from(leafHash).toString('base64'), names: [] };
      const [time, rule] = ['2026-01-01T00:00:00.000Z', 'word'];
      return [
        {
          id: `match ${log} ${index}`,
          kind: 'match',
          severity: 'alert',
          log,
          time,
          summary: 'x',
          rule,
          entry,
          completeThrough: 0,
        },
      ];
    });
  }
}

export const QUICK: FollowSettings = {
  pollMs: 5,
  partialMs: 0,
  staleMs: 60 * 60_000,
  retryMs: 1,
  confirmations: 3,
  parallel: 4,
  chunkBytes: 16 * 1024 * 1024,
};

export interface Harness {
  readonly follower: Follower;
  readonly alerts: Alert[];
  readonly events: FollowEvent[];
  readonly matcher: WordMatcher;
  readonly store: StateStore;
  readonly dir: string;
  clock: number;
  round(): ReturnType<Follower['round']>;
  close(): Promise<void>;
}

/** A follower of `log` with its state in `dir`. */
export async function follow(
  log: FakeLog,
  options: {
    readonly dir?: string;
    readonly start?: 'now' | 'start';
    readonly log?: Partial<FollowedLog>;
    readonly settings?: Partial<FollowSettings>;
    readonly open?: FollowOptions['open'];
    readonly queue?: FollowOptions['queue'];
    readonly matcher?: WordMatcher;
  } = {},
): Promise<Harness> {
  const dir = options.dir ?? (await tempDir());
  const { store } = await StateStore.open(join(dir, 'follow'), options.start !== undefined);
  const alerts: Alert[] = [];
  const events: FollowEvent[] = [];
  const matcher = options.matcher ?? new WordMatcher();
  const harness = { clock: Date.parse('2026-01-01T00:00:00Z') };
  const follower = new Follower(
    { origin: log.origin, keys: [log.key], location: 'fake', ...options.log },
    {
      settings: { ...QUICK, ...options.settings },
      store,
      evidence: new EvidenceFiles(join(dir, 'evidence')),
      matcher,
      queue: options.queue ?? { enqueue: async (more) => void alerts.push(...more) },
      open: options.open ?? (() => log.source()),
      ...(options.start !== undefined && { start: options.start }),
      onEvent: (event) => void events.push(event),
      now: () => harness.clock,
    },
  );
  let closed = false;
  const close = async (): Promise<void> => {
    if (closed) return;
    closed = true;
    await follower.close();
    await store.close();
  };
  later(close);
  const round = () => follower.round(new AbortController().signal);
  return Object.assign(harness, { follower, alerts, events, matcher, store, dir, round, close });
}

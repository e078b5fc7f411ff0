/** Follows one log for the index, and says why its answers stand still. */
import { RuntimeError } from '../../../merkle/runtime/runtime-errors.ts';
import { ClientError, cancelled } from '../../errors.ts';
import { Feed } from '../../follow/follow.ts';
import type { FollowRound, LogFollower } from '../../follow/log-loops.ts';
import { describeHead, sameTree } from '../../follow/open-head.ts';
import type { Fact, FeedConsumer, FeedSettings, FollowedLog, SignedHead } from '../../follow/types.ts';
import type { OpenSource } from '../../tiles/types.ts';
import type { IndexedLogStatus, IndexFault } from '../types.ts';
import type { LogIndex } from './log-index.ts';

interface IndexFollowerOptions {
  readonly index: LogIndex;
  readonly settings: FeedSettings;
  readonly open: OpenSource;
  readonly now: () => number;
  /** The index has looked at the entries below `completeThrough`, `entries` of them in this step. */
  readonly onProgress: (entries: number) => void;
}

export class IndexFollower implements LogFollower {
  readonly #index: LogIndex;
  readonly #feed: Feed;
  readonly #now: () => number;
  #failures = 0;
  #fault: IndexFault | undefined;
  #followed: number | undefined;

  /** @throws ClientError `usage`: a location is neither a URL nor a directory */
  constructor(log: FollowedLog, { index, settings, open, now, onProgress }: IndexFollowerOptions) {
    this.#index = index;
    this.#now = now;
    const consumer: FeedConsumer = {
      load: () => index.load(),
      prepare: (first, entries) => index.prepare(first, entries),
      commit: async (batch) => {
        await index.commit(batch);
        if (batch.entries.length > 0) onProgress(batch.entries.length);
      },
    };
    // An answer needs a checkpoint of exactly what was read, so entries of a bundle that is not full do not wait.
    this.#feed = new Feed(log, consumer, { open, settings: { ...settings, partialMs: 0 }, start: 'start', now });
  }

  get log(): FollowedLog {
    return this.#feed.log;
  }

  get failures(): number {
    return this.#failures;
  }

  get status(): IndexedLogStatus {
    const { origin, location } = this.log;
    const answered = this.#index.answered;
    return {
      origin,
      location,
      answers: answered && { size: answered.size, root: answered.root, checkpoint: answered.note, time: answered.time },
      completeThrough: this.#index.completeThrough,
      accepted: this.#index.accepted,
      followed: this.#followed,
      ...(this.#fault !== undefined && { fault: this.#fault }),
    };
  }

  pin(last: SignedHead): void {
    const known = this.log.last;
    if (known === undefined || !sameTree(known, last)) this.#feed.pin(last);
  }

  async load(): Promise<void> {
    await this.#feed.load();
  }

  /** @throws ClientError `cancelled`, `state`; an error that no later round can mend */
  async round(signal: AbortSignal): Promise<FollowRound> {
    try {
      const look = await this.#feed.look(signal);
      if (!look.accepted) return this.#failed(faultOf(look.facts[0]!));
      const { fact } = await this.#feed.read(look, signal);
      if (fact !== undefined) return this.#failed(faultOf(fact));
      this.#index.refresh(look.head);
      this.#failures = 0;
      this.#fault = undefined;
      this.#followed = this.#now();
      return { ok: true };
    } catch (error) {
      if (signal.aborted) throw cancelled(error);
      // The state in memory may differ from the stored one, so the feed reads it again.
      if (error instanceof RuntimeError) this.#feed.reload();
      else if (!(error instanceof ClientError) || error.code === 'state') throw error;
      if (await this.#isNew(error, signal)) return { ok: true };
      return this.#failed({ type: 'fault', proven: false, message: error.message });
    }
  }

  async close(): Promise<void> {
    await this.#feed.close();
  }

  #failed(fault: Omit<IndexFault, 'since'>): FollowRound {
    this.#failures++;
    this.#fault = { ...fault, since: this.#fault?.since ?? this.#now() };
    return { ok: false };
  }

  /** Whether the error is about the checkpoint that a new log does not have yet. */
  async #isNew(error: unknown, signal: AbortSignal): Promise<boolean> {
    if (!(error instanceof ClientError) || error.code !== 'missing') return false;
    const isNew = await this.#feed.isNew(signal).catch(() => false);
    if (isNew) {
      this.#failures = 0;
      this.#fault = undefined;
    }
    return isNew;
  }
}

function faultOf(fact: Fact): Omit<IndexFault, 'since'> {
  const { type, proven } = fact;
  return { type, proven, message: `${SENTENCES[type]} (${describeHead(fact.head)})` };
}

const SENTENCES: Readonly<Record<Fact['type'], string>> = {
  fork: 'the log signed two trees that are not of one history',
  'split-view': 'the log shows another history to others',
  rollback: 'the log shows a smaller tree than before',
  'empty-root': 'the log signed a wrong root for the empty tree',
  'grew-after-freeze': 'the log signed a larger tree after it was frozen',
  'quorum-missing': 'the quorum of witnesses has not cosigned the checkpoint',
  'old-checkpoint': 'the quorum cosigned the checkpoint too long ago',
  'bad-entry': 'the log serves other bytes for an entry than those in the tree that it signed',
};

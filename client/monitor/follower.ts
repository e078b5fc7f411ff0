/**
 * One log of the monitor: the consumer of its feed, which turns facts and entries into alerts.
 *
 * What a crash leaves behind, in the order of a round:
 *
 * | step                                                    | after a crash behind it                                |
 * |---------------------------------------------------------|--------------------------------------------------------|
 * | the feed looks at the log                               | nothing: the round begins again                        |
 * | the queue stores the alert about a fact                 | the next round queues the alert again, with the same ID |
 * | the store has the checkpoint as the last accepted one   | the feed reads the entries up to it                    |
 * | the rules have compared a batch                         | the feed reads the batch again                         |
 * | the queue has stored the alerts of the batch            | the same; the alerts come again, with the same IDs     |
 * | the store has the cursor behind the batch               | the feed reads the next batch                          |
 *
 * So the cursor never passes an entry whose alerts are not in the queue.
 */
import { formatVerifierKey } from '../../merkle/note.ts';
import { printable } from '../../merkle/printable.ts';
import { RuntimeError } from '../../merkle/runtime/runtime-errors.ts';
import { ClientError } from '../errors.ts';
import { Feed } from '../follow/follow.ts';
import { sameTree } from '../follow/open-head.ts';
import type { Batch, Cursor, FollowedLog, Look, SignedHead } from '../follow/types.ts';
import type { OpenSource } from '../tiles/types.ts';
import {
  alertOf,
  conditionOf,
  type LogCondition,
  OLD,
  staleLog,
  stalePeer,
  stalePeerCondition,
} from './fact-alerts.ts';
import type { MonitoredLog } from './log-state.ts';
import { Reports } from './reports.ts';
import type { EvidenceFiles } from './store/evidence-files.ts';
import type { StateStore } from './store/state-store.ts';
import type { Alert, AlertQueue, FollowSettings, Matcher } from './types.ts';

/** What happens to a log, for people and metrics. */
export type FollowEvent =
  /** The monitor has looked at the entries up to `through` of `size`, `count` of them since the last event. */
  | { readonly type: 'progress'; readonly count: number; readonly through: number; readonly size: number }
  | { readonly type: 'alerts'; readonly alerts: readonly Alert[] }
  /** The round failed, the `attempt`-th one in a row. */
  | { readonly type: 'fault'; readonly message: string; readonly attempt: number }
  | { readonly type: 'peer'; readonly peer: string; readonly message: string }
  /** The log is new, and has no checkpoint yet. */
  | { readonly type: 'new' }
  /** A round without a fault after one or more with one. */
  | { readonly type: 'recovered' };

export interface FollowOptions {
  readonly settings: FollowSettings;
  readonly store: StateStore;
  readonly evidence: EvidenceFiles;
  readonly matcher: Pick<Matcher, 'match'>;
  readonly queue: Pick<AlertQueue, 'enqueue'>;
  readonly open: OpenSource;
  /** Where a log begins that has no state. Without it, a missing state is an error. */
  readonly start?: 'now' | 'start';
  readonly onEvent?: (event: FollowEvent) => void;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

/** How a round ended. */
export interface Round {
  /** All is well, and the monitor has looked at every entry that need not wait. */
  readonly ok: boolean;
  /** How many alerts the round queued. */
  readonly alerts: number;
  /** What is wrong, where neither this round nor an earlier one reported it as an alert. */
  readonly fault?: string;
  /** The log is caught lying, in this round or an earlier one. */
  readonly lying: boolean;
  /** Entries wait until their bundle is full, or for at most so many milliseconds. */
  readonly waiting?: number;
}

/** The store gets the time of the last good round at least so often. */
const NOTE_TIME_MS = 60_000;

export class Follower {
  readonly #options: FollowOptions;
  readonly #feed: Feed;
  readonly #now: () => number;
  readonly #started: number;
  /** The state has a copy of it from the first commit on. */
  #reports = new Reports();
  #shard: MonitoredLog['shard'];
  /** The last good round in the state, and the last one of this process, which may not be worth a write. */
  #stored: number | undefined;
  #followed = 0;
  #failures = 0;
  /** Alerts of the current round. */
  #alerts = 0;

  /** @throws ClientError `usage`: a location is neither a URL nor a directory */
  constructor(log: FollowedLog, options: FollowOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#started = this.#now();
    const { open, settings, start = 'start' } = options;
    const consumer = { load: () => this.#load(), commit: (batch: Batch) => this.#commit(batch) };
    this.#feed = new Feed(log, consumer, { open, settings, start, now: this.#now });
    if (log.shard === true) this.#shard = { location: log.location, keys: log.keys.map(formatVerifierKey) };
  }

  get log(): FollowedLog {
    return this.#feed.log;
  }

  /** Takes up the last checkpoint of the log, which was frozen. */
  pin(last: SignedHead): void {
    const known = this.log.last;
    if (known === undefined || !sameTree(known, last)) this.#feed.pin(last);
  }

  /** Rounds in a row that failed. */
  get failures(): number {
    return this.#failures;
  }

  /** The monitor has looked at every entry below it; undefined before the first good round of a fresh start. */
  get completeThrough(): number | undefined {
    return this.#feed.cursor?.range.size;
  }

  /** The last checkpoint that the feed accepted. */
  get head(): SignedHead | undefined {
    return this.#feed.cursor?.head;
  }

  /** When the monitor last followed the log without a fault, in ms since 1970. */
  get followed(): number {
    return Math.max(this.#stored ?? this.#started, this.#followed);
  }

  /** Reads the state. @throws ClientError `state`; RuntimeError `store` */
  async load(): Promise<void> {
    await this.#feed.load();
  }

  /**
   * One round. What the log does is in the result and throws nothing.
   *
   * @throws ClientError `cancelled`, `state`; an error of the queue or the store of a kind that no later round can mend
   */
  async round(signal: AbortSignal): Promise<Round> {
    this.#alerts = 0;
    let found: LogCondition | undefined;
    let fault: string;
    try {
      const look = await this.#feed.look(signal);
      found = await this.#judge(look);
      if (found === undefined) {
        const { fact, waiting } = await this.#feed.read(look, signal);
        if (fact === undefined) {
          await this.#good();
          return { ok: true, alerts: this.#alerts, lying: false, ...(waiting !== undefined && { waiting }) };
        }
        found = conditionOf(this.log.origin, fact);
      }
      this.#failures++;
      fault = found.summary;
      if (this.#reports.confirms(found, this.#options.settings.confirmations)) {
        await this.#report(found);
        return { ok: false, alerts: this.#alerts, lying: true };
      }
    } catch (error) {
      if (signal.aborted) throw new ClientError('cancelled', 'the monitor was told to stop', { cause: error });
      // The state in memory may differ from the stored one, so the feed reads it again.
      if (error instanceof RuntimeError) this.#feed.reload();
      else if (!(error instanceof ClientError) || error.code === 'state') throw error;
      if (await this.#isNew(error, signal)) {
        this.#failures = 0;
        this.#emit({ type: 'new' });
        return { ok: true, alerts: this.#alerts, lying: false };
      }
      if (found === undefined) this.#failures++;
      fault = error.message;
    }
    this.#emit({ type: 'fault', message: fault, attempt: this.#failures });
    const { followed } = this;
    if (this.#now() - followed >= this.#options.settings.staleMs) {
      await this.#report(staleLog(this.log.origin, followed, fault));
    }
    return { ok: false, alerts: this.#alerts, fault, lying: false };
  }

  async close(): Promise<void> {
    await this.#feed.close();
  }

  /** Whether the error is about the checkpoint that a new log does not have yet. */
  async #isNew(error: unknown, signal: AbortSignal): Promise<boolean> {
    if (!(error instanceof ClientError) || error.code !== 'missing') return false;
    return await this.#feed.isNew(signal).catch(() => false);
  }

  async #load(): Promise<Cursor | undefined> {
    const { store, start } = this.#options;
    const state = await store.load(this.log);
    if (state === undefined) {
      if (start !== undefined) return undefined;
      const why = `there is no state of the log "${printable(this.log.origin)}": it is new in the configuration, or its state is lost`;
      throw new ClientError('state', `${why}. To start fresh, give --from-start or --from-now`);
    }
    this.#reports = new Reports(state.reported);
    this.#shard = state.shard;
    this.#stored = state.followed;
    return state;
  }

  /** Queues the alerts of the batch, then stores the cursor. */
  async #commit({ entries, cursor }: Batch): Promise<void> {
    if (entries.length === 0) return await this.#save(cursor);
    const completeThrough = cursor.range.size;
    const found = await this.#options.matcher.match(entries);
    if (found.length > 0) await this.#enqueue(found.map((alert) => ({ ...alert, completeThrough })));
    await this.#save(cursor);
    this.#emit({ type: 'progress', count: entries.length, through: completeThrough, size: cursor.head.size });
  }

  /** Reports what a look has shown. Returns the condition that ends the round, which may need more looks. */
  async #judge({ accepted, facts, peers }: Look): Promise<LogCondition | undefined> {
    const { origin } = this.log;
    const conditions = facts.map((fact) => conditionOf(origin, fact));
    const ending = accepted ? undefined : conditions.shift();
    for (const { peer, trouble, split } of peers) {
      if (trouble !== undefined) this.#emit({ type: 'peer', peer, message: trouble });
      else if (split === undefined) this.#reports.over(stalePeerCondition(peer));
    }
    if (accepted && conditions.length === 0) this.#reports.over(OLD);
    for (const condition of conditions) await this.#report(condition);
    const now = this.#now();
    for (const look of peers) {
      const isStale = look.trouble !== undefined && now - look.view.agreed >= this.#options.settings.staleMs;
      if (isStale) await this.#report(stalePeer(origin, look));
    }
    return ending;
  }

  async #good(): Promise<void> {
    const now = this.#now();
    if (this.#failures > 0) this.#emit({ type: 'recovered' });
    this.#failures = 0;
    const changed = this.#reports.good(now);
    const stored = this.#stored ?? 0;
    if (changed || now < stored || now - stored >= NOTE_TIME_MS) await this.#save(this.#feed.cursor!, now);
    else this.#followed = now;
  }

  /** Queues an alert about the condition, once for as long as the condition lasts. */
  async #report(found: LogCondition): Promise<void> {
    const { evidence } = this.#options;
    const time = this.#now();
    if (this.#reports.lasts(found.condition, time)) return;
    let file: string | undefined;
    try {
      file = found.evidence && (await evidence.keep(this.log.origin, found.evidence));
    } catch (error) {
      // A full disk must not hold the alert back.
      const message = error instanceof Error ? error.message : String(error);
      this.#emit({ type: 'fault', message: `the evidence could not be kept: ${message}`, attempt: this.#failures });
    }
    const completeThrough = this.completeThrough ?? 0;
    const alert = alertOf(this.log.origin, found, { time, completeThrough, evidence: file });
    await this.#options.queue.enqueue([alert]);
    this.#alerts++;
    this.#reports.add(found.condition, { id: alert.id, seen: time });
    this.#emit({ type: 'alerts', alerts: [alert] });
    const { cursor } = this.#feed;
    if (cursor !== undefined) await this.#save(cursor);
  }

  async #enqueue(alerts: readonly Alert[]): Promise<void> {
    await this.#options.queue.enqueue(alerts);
    this.#alerts += alerts.length;
    this.#emit({ type: 'alerts', alerts });
  }

  async #save(cursor: Cursor, followed = this.#stored ?? this.#now()): Promise<void> {
    const { origin } = this.log;
    const shard = this.#shard;
    const reported = this.#reports.lasting;
    await this.#options.store.save({ ...cursor, origin, followed, reported, ...(shard !== undefined && { shard }) });
    this.#stored = followed;
  }

  #emit(event: FollowEvent): void {
    this.#options.onEvent?.(event);
  }
}

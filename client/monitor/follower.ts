/**
 * One log, a round at a time: its checkpoint, whether that may be believed, and the entries up to it.
 *
 * What a crash leaves behind, in the order of a round:
 *
 * | step                                            | after a crash behind it                                      |
 * |-------------------------------------------------|--------------------------------------------------------------|
 * | the checkpoint is fetched, checked, compared    | nothing: the round begins again                              |
 * | it is stored as the last one that was believed  | the entries up to it are looked at                           |
 * | a chunk is fetched, proven, compared with rules | it is fetched again                                          |
 * | its alerts are queued, durably                  | the same, and they are queued again, with the same IDs       |
 * | the cursor is stored behind it                  | the next chunk                                               |
 *
 * So no entry is passed over whose alerts are not in the queue, and none of a tree that was not proven.
 */
import { formatVerifierKey } from '../../merkle/note.ts';
import { printable } from '../../merkle/printable.ts';
import { CompactRange } from '../../merkle/range.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { RuntimeError } from '../../merkle/runtime/runtime-errors.ts';
import { type FetchTile, TILE_WIDTH } from '../../merkle/tile.ts';
import { ClientError } from '../errors.ts';
import { fetchChunk, type Reading, verifyChunk } from '../follow/chunks.ts';
import { rangeOf, tilesOf } from '../follow/consistency.ts';
import { judge, OLD, tooOld } from '../follow/judge.ts';
import type { OpenSource } from '../follow/peer.ts';
import { Views } from '../follow/peers.ts';
import { type Head, openHead, sameTree } from '../follow/signed-head.ts';
import type { TileSource } from '../tiles/types.ts';
import { alertOf, type Misbehaviour } from './fact-alerts.ts';
import type { FollowedLog, FollowSettings } from './follow-settings.ts';
import type { LogState } from './log-state.ts';
import { Reports } from './reports.ts';
import type { EvidenceFiles } from './store/evidence-files.ts';
import type { StateStore } from './store/state-store.ts';
import type { Alert, AlertQueue, Matcher } from './types.ts';

/** What happens to a log, for people and metrics. */
export type FollowEvent =
  /** Entries up to `through` of `size` were looked at, `count` of them since the last event. */
  | { readonly type: 'progress'; readonly count: number; readonly through: number; readonly size: number }
  | { readonly type: 'alerts'; readonly alerts: readonly Alert[] }
  /** The round failed; `attempt` counts them. */
  | { readonly type: 'fault'; readonly message: string; readonly attempt: number }
  | { readonly type: 'peer'; readonly peer: string; readonly message: string }
  /** A round without a fault after one or more with one. */
  | { readonly type: 'recovered' };

export interface FollowOptions {
  readonly settings: FollowSettings;
  readonly store: StateStore;
  readonly evidence: EvidenceFiles;
  readonly matcher: Matcher;
  readonly queue: Pick<AlertQueue, 'enqueue'>;
  readonly open: OpenSource;
  /** Where a log begins that has no state; without it that is an error. */
  readonly start?: 'now' | 'start';
  readonly onEvent?: (event: FollowEvent) => void;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

/** How a round ended. */
export interface Round {
  /** All is well, and every entry that shall not wait has been looked at. */
  readonly ok: boolean;
  /** Alerts that were queued. */
  readonly alerts: number;
  /** What is wrong, where it was not reported as an alert in this round or an earlier one. */
  readonly fault?: string;
  /** The log was caught lying, now or before. */
  readonly lying: boolean;
  /** Entries wait until their bundle is full, or for at most so many milliseconds. */
  readonly waiting?: number;
}

/** The time of the last good round is written down so often, if nothing else is. */
const NOTE_TIME_MS = 60_000;

export class Follower {
  readonly log: FollowedLog;
  readonly #options: FollowOptions;
  readonly #source: TileSource;
  readonly #views: Views;
  readonly #now: () => number;
  readonly #started: number;
  #state: LogState | undefined;
  #loaded = false;
  /** Of which the state keeps a copy, as soon as there is one. */
  #reports = new Reports();
  #failures = 0;
  #partialSince: { readonly full: number; readonly time: number } | undefined;
  /** The last good round of this process, where it was not worth a write. */
  #followed = 0;

  /** @throws ClientError `usage`: the location is none */
  constructor(log: FollowedLog, options: FollowOptions) {
    this.log = log;
    this.#options = options;
    this.#source = options.open(log.location);
    this.#views = new Views(log, options.open);
    this.#now = options.now ?? Date.now;
    this.#started = this.#now();
  }

  /** Rounds in a row that failed. */
  get failures(): number {
    return this.#failures;
  }

  /** Every entry below this was looked at; undefined before the first good round of a fresh start. */
  get completeThrough(): number | undefined {
    return this.#state?.range.size;
  }

  /** The last checkpoint that was believed. */
  get head(): Head | undefined {
    return this.#state?.head;
  }

  /** When the log was last followed without a fault, in ms since 1970. */
  get followed(): number {
    return Math.max(this.#state?.followed ?? this.#started, this.#followed);
  }

  /** Reads the state, again after a failure of the store. @throws ClientError `state`; RuntimeError `store` */
  async load(): Promise<void> {
    if (this.#loaded) return;
    const { store, start } = this.#options;
    this.#state = await store.load(this.log);
    if (this.#state === undefined && start === undefined) {
      const why = `there is no state of the log "${printable(this.log.origin)}": it is new in the configuration, or its state is lost`;
      throw new ClientError('state', `${why}. To start fresh, give --from-start or --from-now`);
    }
    this.#loaded = true;
    if (this.#state === undefined) return;
    this.#reports = new Reports(this.#state.reported);
    this.#views.restore(this.#state.views);
  }

  /**
   * One round. Never throws for what the log does: that is in its result.
   *
   * @throws ClientError `cancelled`, `state`; RuntimeError `store` where an alert cannot be queued
   */
  async round(signal: AbortSignal): Promise<Round> {
    const alerts = { count: 0 };
    let found: Misbehaviour | undefined;
    let fault: string;
    try {
      await this.load();
      const outcome = await this.#follow(signal, alerts);
      if (!('condition' in outcome)) {
        await this.#good();
        return { ok: true, alerts: alerts.count, lying: false, ...outcome };
      }
      this.#failures++;
      found = outcome;
      fault = found.summary;
      if (found.proven || this.#isConfirmed(found)) {
        if (await this.#report(found)) alerts.count++;
        return { ok: false, alerts: alerts.count, lying: true };
      }
    } catch (error) {
      if (signal.aborted) throw new ClientError('cancelled', 'the monitor was told to stop', { cause: error });
      // What is in memory may not be what is stored: it is read again.
      if (error instanceof RuntimeError) this.#loaded = false;
      else if (!(error instanceof ClientError) || error.code === 'state') throw error;
      if (found === undefined) this.#failures++;
      const elsewhere = error instanceof ClientError && error.code === 'missing' && this.#source.partialsElsewhere;
      fault = elsewhere ? `${error.message}: ${elsewhere}` : error.message;
    }
    this.#options.onEvent?.({ type: 'fault', message: fault, attempt: this.#failures });
    if (this.#now() - this.followed >= this.#options.settings.staleMs && (await this.#report(this.#stale(fault)))) {
      alerts.count++;
    }
    return { ok: false, alerts: alerts.count, fault, lying: false };
  }

  async close(): Promise<void> {
    await Promise.all([this.#source.close(), this.#views.close()]);
  }

  async #follow(signal: AbortSignal, alerts: { count: number }): Promise<Misbehaviour | { readonly waiting?: number }> {
    const head = openHead(this.log, await this.#source.checkpoint(signal));
    const lie = await judge(this.log, this.#state, head, this.#source, signal);
    if (lie !== undefined) return lie;
    const split = await this.#look(head, signal, alerts);
    if (split !== undefined) return split;
    const old = tooOld(this.log, head, this.#now());
    if (old === undefined) this.#reports.over(OLD);
    else if (await this.#report(old)) alerts.count++;
    const tiles = tilesOf(this.#source, signal);
    await this.#believe(head, tiles);
    this.#views.believed();
    const { settings } = this.#options;
    return await this.#read({ source: this.#source, log: this.log.origin, head, tiles, settings, signal }, alerts);
  }

  /** Looks at every other view, and reports every split but the first, which ends the round. */
  async #look(head: Head, signal: AbortSignal, alerts: { count: number }): Promise<Misbehaviour | undefined> {
    const { settings, onEvent } = this.#options;
    const { splits, troubles, stale, over } = await this.#views.look(
      head,
      this.#source,
      this.#now(),
      settings.staleMs,
      signal,
    );
    for (const condition of over) this.#reports.over(condition);
    for (const { peer, message } of troubles) onEvent?.({ type: 'peer', peer, message });
    const [first, ...more] = splits;
    for (const found of [...more, ...stale]) if (await this.#report(found)) alerts.count++;
    return first;
  }

  /** Stores the checkpoint as the last one that was believed. */
  async #believe(head: Head, tiles: FetchTile): Promise<void> {
    const before = this.#state;
    if (before !== undefined && sameTree(before.head, head) && before.head.frozen === head.frozen) return;
    const frozen = this.#frozenBy(head);
    await this.#save({
      ...(before ?? (await this.#begin(head, tiles))),
      // A checkpoint of the same tree without the word that it is the last one is from before.
      head: before !== undefined && sameTree(before.head, head) && before.head.frozen ? before.head : head,
      ...(frozen !== undefined && { frozen }),
    });
  }

  /** The state of a log that is seen for the first time. */
  async #begin(head: Head, tiles: FetchTile): Promise<LogState> {
    const { origin, location, keys, shard } = this.log;
    const range = this.#options.start === 'now' ? await rangeOf(head, tiles) : CompactRange.empty(fastSha256);
    const state = {
      origin,
      range,
      head,
      followed: this.#now(),
      reported: this.#reports.lasting,
      views: this.#views.known,
    };
    return shard === true ? { ...state, shard: { location, keys: keys.map(formatVerifierKey) } } : state;
  }

  #frozenBy(head: Head): LogState['frozen'] {
    if (this.#state?.frozen?.head !== undefined) return this.#state.frozen;
    if (head.frozen) return { size: head.size, head };
    return this.#state?.frozen ?? (this.log.frozen === true ? { size: head.size } : undefined);
  }

  async #read(reading: Reading, alerts: { count: number }): Promise<Misbehaviour | { readonly waiting?: number }> {
    const { matcher, queue, onEvent } = this.#options;
    const { end, waiting } = this.#goal(reading.head.size);
    let { range } = this.#state!;
    let next = range.size < end ? fetchChunk(reading, range, end) : undefined;
    while (next !== undefined) {
      const chunk = await verifyChunk(reading, range, await next);
      if ('condition' in chunk) return chunk;
      // While this chunk is compared with the rules the next one is fetched.
      next = chunk.range.size < end ? fetchChunk(reading, chunk.range, end) : undefined;
      next?.catch(() => {});
      const completeThrough = chunk.range.size;
      const found = (await matcher.match(chunk.entries)).map((alert) => ({ ...alert, completeThrough }));
      if (found.length > 0) {
        await queue.enqueue(found);
        alerts.count += found.length;
        onEvent?.({ type: 'alerts', alerts: found });
      }
      range = chunk.range;
      await this.#save({ ...this.#state!, range });
      onEvent?.({
        type: 'progress',
        count: chunk.entries.length,
        through: completeThrough,
        size: reading.head.size,
      });
    }
    return waiting === undefined ? {} : { waiting };
  }

  /** How far to look now: entries of a bundle that is not full wait a while for others, so that it is fetched once. */
  #goal(size: number): { readonly end: number; readonly waiting?: number } {
    const { partialMs } = this.#options.settings;
    const cursor = this.#state!.range.size;
    const full = Math.max(cursor, size - (size % TILE_WIDTH));
    if (full === size || partialMs === 0) {
      this.#partialSince = undefined;
      return { end: size };
    }
    const now = this.#now();
    // Other entries than those that waited before: their bundle has become full.
    if (this.#partialSince === undefined || this.#partialSince.full !== full) this.#partialSince = { full, time: now };
    const waiting = this.#partialSince.time + partialMs - now;
    if (waiting > 0) return { end: full, waiting };
    this.#partialSince = undefined;
    return { end: size };
  }

  async #good(): Promise<void> {
    const now = this.#now();
    if (this.#failures > 0) this.#options.onEvent?.({ type: 'recovered' });
    this.#failures = 0;
    const changed = this.#reports.good(now);
    const state = this.#state!;
    if (changed || now < state.followed || now - state.followed >= NOTE_TIME_MS)
      await this.#save({ ...state, followed: now });
    else this.#followed = now;
  }

  /** Wrong bytes of an entry must be the same each time: a fault on the way makes others. */
  #isConfirmed({ kind, condition, detail }: Misbehaviour): boolean {
    const times = this.#reports.suspect(kind === 'bad-entry' ? `${condition} ${detail}` : condition);
    return times >= this.#options.settings.confirmations;
  }

  /** Queues the alert, once for as long as the condition lasts; whether it did. */
  async #report(found: Misbehaviour): Promise<boolean> {
    const { queue, evidence, onEvent } = this.#options;
    const time = this.#now();
    if (this.#reports.lasts(found.condition, time)) return false;
    let file: string | undefined;
    try {
      file = found.evidence && (await evidence.keep(this.log.origin, found.evidence));
    } catch (error) {
      // A full disk must not keep the alert back.
      const message = error instanceof Error ? error.message : String(error);
      onEvent?.({ type: 'fault', message: `the evidence could not be kept: ${message}`, attempt: this.#failures });
    }
    const completeThrough = this.completeThrough ?? 0;
    const alert = alertOf(this.log.origin, found, { time, completeThrough, evidence: file });
    await queue.enqueue([alert]);
    this.#reports.add(found.condition, { id: alert.id, seen: time });
    onEvent?.({ type: 'alerts', alerts: [alert] });
    if (this.#state !== undefined) await this.#save(this.#state);
    return true;
  }

  #stale(fault: string): Misbehaviour {
    const since = new Date(this.followed).toISOString();
    const summary = `"${this.log.origin}" could not be followed since ${since}: ${fault}`;
    return { kind: 'stale', condition: 'stale', detail: since, summary, proven: true };
  }

  async #save(state: LogState): Promise<void> {
    const next = { ...state, reported: this.#reports.lasting, views: this.#views.known };
    await this.#options.store.save(next);
    this.#state = next;
  }
}

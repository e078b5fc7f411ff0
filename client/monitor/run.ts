/** The monitor: a loop for each log, the logs of signing configurations as these name them, and the queue of alerts. */
import { SYSTEM_CLOCK } from '../../merkle/runtime/service/back-off.ts';
import { whenAborted } from '../../merkle/runtime/service/ends.ts';
import { ClientError } from '../errors.ts';
import { LogLoops, type NamedBy } from '../follow/log-loops.ts';
import type { ReadLocation } from '../follow/shards.ts';
import type { FollowedLog, ShardSource } from '../follow/types.ts';
import { type FollowEvent, Follower, type FollowOptions, type Round } from './follower.ts';
import type { LookupFollower } from './lookup-follower.ts';
import type { TrustWatch } from './trust-watch.ts';
import type { AlertQueue } from './types.ts';

type LogEvent =
  | FollowEvent
  | { readonly type: 'round'; readonly ok: boolean }
  /** The monitor follows a log of a signing configuration from now on. */
  | { readonly type: 'shard'; readonly location: string };

/** What happens, for people and metrics; `log` is an origin, or the name of a signing configuration. */
export type MonitorEvent = { readonly log: string } & LogEvent;

interface MonitorOptions extends Omit<FollowOptions, 'onEvent' | 'queue'> {
  readonly logs: readonly FollowedLog[];
  readonly shards: readonly ShardSource[];
  readonly trusts: readonly TrustWatch[];
  readonly queue: AlertQueue;
  /** The follower of a log that an index watches; undefined for a log that is scanned. */
  readonly byIndex?: (log: FollowedLog, options: FollowOptions) => LookupFollower | undefined;
  readonly read: ReadLocation;
  readonly onEvent?: (event: MonitorEvent) => void;
}

/** How far the monitor has come with one log. */
export interface LogReport {
  readonly log: string;
  /** The monitor has looked at every entry below this tree size; undefined where it never reached the log. */
  readonly completeThrough: number | undefined;
  /** The size that the log shows. */
  readonly size: number | undefined;
}

export interface OnceReport {
  readonly logs: readonly (LogReport & Pick<Round, 'ok' | 'lying' | 'alerts'> & { readonly fault?: string })[];
  /** How many alerts the look queued. */
  readonly alerts: number;
  /** The sinks have taken every alert, except those that wait for a digest. */
  readonly delivered: boolean;
  /** Why the monitor could not read a signing configuration, or cannot follow one of its logs. */
  readonly problems: readonly string[];
}

/** The time for the deliveries of `--once`. The queue keeps the rest. */
const DRAIN_MS = 60_000;

type AnyFollower = Follower | LookupFollower;

export class Monitor {
  readonly #options: MonitorOptions;
  readonly #loops: LogLoops<AnyFollower>;
  /** The store held no log at the start. */
  #fresh = false;

  /** @throws ClientError `usage`: a location is neither a URL nor a directory */
  constructor(options: MonitorOptions) {
    const { settings, logs, shards } = options;
    // All logs may have a backlog at once, and share the memory.
    const count = Math.max(1, logs.length + 2 * shards.length);
    const chunkBytes = Math.max(1024 * 1024, Math.floor(settings.chunkBytes / count));
    this.#options = { ...options, settings: { ...settings, chunkBytes } };
    const { read, now, store } = options;
    this.#loops = new LogLoops({
      settings,
      shards,
      read,
      ...(now !== undefined && { now }),
      make: (log, named) => this.#make(log, this.#startOf(named)),
      known: () => store.shards(),
      onShard: ({ origin, location }) => this.#emit(origin, { type: 'shard', location }),
      onProblem: (source, message) => this.#emit(source, { type: 'fault', message, attempt: 1 }),
      onRound: ({ log }, { ok }) => this.#emit(log.origin, { type: 'round', ok }),
    });
    for (const log of logs) this.#loops.add(log);
  }

  /**
   * Reads the state of every log of the configuration. Where the monitor may start fresh, it removes a state that is damaged
   * or of another log.
   *
   * @throws ClientError `state`; RuntimeError `store`
   */
  async load(): Promise<void> {
    const { store, start } = this.#options;
    this.#fresh = await store.isEmpty();
    for (const follower of this.#loops.followers) {
      try {
        await follower.load();
      } catch (error) {
        if (start === undefined || !(error instanceof ClientError) || error.code !== 'state') throw error;
        this.#emit(follower.log.origin, { type: 'fault', message: error.message, attempt: 0 });
        if ('forget' in follower) await follower.forget();
        else await store.forget(follower.log.origin);
        await follower.load();
      }
    }
  }

  get reports(): LogReport[] {
    return [...this.#loops.followers].map(reportOf);
  }

  /** Why the monitor does not follow a log right now, a sentence each. */
  get troubles(): string[] {
    const failing = [...this.#loops.followers].filter(({ failures }) => failures > 0);
    const trusts = this.#options.trusts.filter(({ failures }) => failures > 0);
    return [
      ...failing.map(({ log, failures }) => `"${log.origin}": ${failures} rounds in a row failed`),
      ...trusts.map(({ url, failures }) => `${url}: ${failures} rounds in a row failed`),
    ];
  }

  /** Follows all logs until the signal aborts. Call `load` first. @throws ClientError `state` */
  async run(signal: AbortSignal): Promise<void> {
    const stopping = new AbortController();
    const stop = AbortSignal.any([signal, stopping.signal]);
    let failure: { readonly error: unknown } | undefined;
    const fail = (error: unknown): void => {
      failure ??= { error };
      stopping.abort();
    };
    const guarded = async (work: Promise<void>): Promise<void> => {
      try {
        await work;
      } catch (error) {
        if (!stop.aborted) fail(error);
      }
    };
    const following = this.#loops.run(stop, fail);
    const watching = this.#options.trusts.map((watch) => guarded(this.#watch(watch, stop)));
    await Promise.all([guarded(this.#options.queue.run(stop)), whenAborted(stop)]);
    await Promise.all([following, ...watching]);
    if (failure !== undefined) throw failure.error;
  }

  /**
   * One look at every log as far as it goes now, then the delivery of the alerts. Call `load` first.
   *
   * @throws ClientError `state`, `cancelled`; RuntimeError `store`
   */
  async once(signal: AbortSignal): Promise<OnceReport> {
    const problems = await this.#loops.findShards(signal);
    const logs = await Promise.all(
      [...this.#loops.followers].map(async (follower) => {
        const { ok, lying, alerts, fault } = await this.#settle(follower, signal);
        return { ...reportOf(follower), ok, lying, alerts, ...(fault !== undefined && { fault }) };
      }),
    );
    let found = logs.reduce((sum, { alerts }) => sum + alerts, 0);
    for (const watch of this.#options.trusts) {
      const { alerts, fault } = await this.#settleWatch(watch, signal);
      found += alerts;
      if (fault !== undefined) problems.push(fault);
    }
    const delivered = await this.#options.queue.drain(AbortSignal.any([signal, AbortSignal.timeout(DRAIN_MS)]));
    return { logs, alerts: found, delivered, problems };
  }

  async close(): Promise<void> {
    await this.#loops.close();
  }

  /** Where a log begins that has no state; undefined: a missing state is an error. */
  #startOf(named: NamedBy): 'now' | 'start' | undefined {
    const { start } = this.#options;
    if (named === 'settings') return start;
    // A monitor that has run before must see a new log from its first entry on.
    return named === 'shards' && this.#fresh && start === 'now' ? 'now' : 'start';
  }

  #make(log: FollowedLog, start: 'now' | 'start' | undefined): AnyFollower {
    const { onEvent: _onEvent, start: _start, byIndex, ...options } = this.#options;
    const own: FollowOptions = {
      ...options,
      ...(start !== undefined && { start }),
      onEvent: (event) => this.#emit(log.origin, event),
    };
    return byIndex?.(log, own) ?? new Follower(log, own);
  }

  async #watch(watch: TrustWatch, stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      const { ok } = await this.#watchOnce(watch, stop);
      await pause(ok ? this.#options.settings.pollMs : this.#loops.backOff(watch.failures), stop);
    }
  }

  async #watchOnce(watch: TrustWatch, signal: AbortSignal): Promise<Awaited<ReturnType<TrustWatch['round']>>> {
    const round = await watch.round(signal);
    const { alerts, fault } = round;
    if (alerts.length > 0) this.#emit(watch.url, { type: 'alerts', alerts });
    if (fault !== undefined) this.#emit(watch.url, { type: 'fault', message: fault, attempt: watch.failures });
    return round;
  }

  /** As `#settle`, for a repository. */
  async #settleWatch(watch: TrustWatch, signal: AbortSignal): Promise<{ alerts: number; fault?: string }> {
    let alerts = 0;
    for (let attempt = 1; ; attempt++) {
      const { ok, alerts: found, fault } = await this.#watchOnce(watch, signal);
      alerts += found.length;
      if (ok || attempt >= Math.max(3, this.#options.settings.confirmations)) {
        return { alerts, ...(fault !== undefined && { fault }) };
      }
      await pause(this.#loops.backOff(attempt), signal);
    }
  }

  /** Rounds until one is good, or one catches the log, or so many have failed as confirm a suspicion. */
  async #settle(follower: AnyFollower, signal: AbortSignal): Promise<Round> {
    let alerts = 0;
    for (let attempt = 1; ; attempt++) {
      const round = await this.#loops.round(follower, signal);
      alerts += round.alerts;
      if (round.ok || round.lying || attempt >= Math.max(3, this.#options.settings.confirmations)) {
        return { ...round, alerts };
      }
      await pause(this.#loops.backOff(attempt), signal);
    }
  }

  #emit(log: string, event: LogEvent): void {
    this.#options.onEvent?.({ log, ...event });
  }
}

function reportOf(follower: AnyFollower): LogReport {
  return { log: follower.log.origin, completeThrough: follower.completeThrough, size: follower.head?.size };
}

const { sleep: pause } = SYSTEM_CLOCK;

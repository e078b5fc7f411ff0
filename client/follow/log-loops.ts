/** The loops of a service that follows logs: one for each log, and the logs that configurations of shards name over time. */
import { parseVerifierKey } from '../../merkle/note.ts';
import { type BackOff, backOffMs, SYSTEM_CLOCK } from '../../merkle/runtime/service/back-off.ts';
import { ClientError } from '../errors.ts';
import { type ReadLocation, readShards, shardOf } from './shards.ts';
import type { FollowedLog, ShardSource, SignedHead } from './types.ts';

/** The consumer of one log. */
export interface LogFollower {
  readonly log: FollowedLog;
  /** Rounds in a row that failed. */
  readonly failures: number;
  load(): Promise<void>;
  /** One look at the log, and all that it has to read. What the log does is in the result and throws nothing. */
  round(signal: AbortSignal): Promise<FollowRound>;
  /** Takes up the last checkpoint of the log, which was frozen. */
  pin(last: SignedHead): void;
  close(): Promise<void>;
}

export interface FollowRound {
  /** All is well, and every entry that need not wait was read. */
  readonly ok: boolean;
  /** Entries wait until their bundle is full, or for at most so many milliseconds. */
  readonly waiting?: number;
}

/** A log that a configuration of shards once named. */
export interface KnownShard {
  readonly origin: string;
  readonly location: string;
  readonly keys: readonly string[];
}

/** Where a log is named: in the settings, in a configuration of shards at the first look at it, or in one at a later look. */
export type NamedBy = 'settings' | 'shards' | 'later shards';

interface LogLoopsOptions<F extends LogFollower> {
  readonly settings: { readonly pollMs: number; readonly retryMs: number };
  readonly shards: readonly ShardSource[];
  readonly read: ReadLocation;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  readonly make: (log: FollowedLog, named: NamedBy) => F;
  /** Logs of configurations of shards, with those that have left them. */
  readonly known: () => Promise<readonly KnownShard[]>;
  /** A configuration of shards has named another log, which is followed from now on. */
  readonly onShard: (log: FollowedLog) => void;
  /** Why a configuration of shards cannot be read, or one of its logs cannot be followed; each message once. */
  readonly onProblem: (source: string, message: string) => void;
  readonly onRound: (follower: F, round: FollowRound) => void;
}

/** The longest pause after a failure, unless rounds are further apart. */
const LONGEST_PAUSE_MS = 60_000;
const SHARDS_EVERY_MS = 60_000;

export class LogLoops<F extends LogFollower> {
  readonly #options: LogLoopsOptions<F>;
  readonly #followers = new Map<string, F>();
  readonly #reported = new Set<string>();
  #looked = false;

  constructor(options: LogLoopsOptions<F>) {
    this.#options = options;
  }

  get followers(): IterableIterator<F> {
    return this.#followers.values();
  }

  add(log: FollowedLog): void {
    this.#followers.set(log.origin, this.#options.make(log, 'settings'));
  }

  /**
   * Runs a loop for each log until the signal aborts; the first error of a loop that no later round can mend goes to `fail`.
   * Resolves when all loops have ended.
   */
  async run(signal: AbortSignal, fail: (error: unknown) => void): Promise<void> {
    const running = new Map<F, Promise<void>>();
    const guarded = async (work: Promise<void>): Promise<void> => {
      try {
        await work;
      } catch (error) {
        if (!signal.aborted) fail(error);
      }
    };
    const startAll = (): void => {
      for (const follower of this.#followers.values()) {
        if (!running.has(follower)) running.set(follower, guarded(this.#loop(follower, signal)));
      }
    };
    const findAll = async (): Promise<void> => {
      while (!signal.aborted && this.#options.shards.length > 0) {
        await this.findShards(signal);
        startAll();
        await pause(SHARDS_EVERY_MS, signal);
      }
    };
    startAll();
    await guarded(findAll());
    await Promise.all(running.values());
  }

  async round(follower: F, signal: AbortSignal): Promise<Awaited<ReturnType<F['round']>>> {
    const round = (await follower.round(signal)) as Awaited<ReturnType<F['round']>>;
    this.#options.onRound(follower, round);
    return round;
  }

  /** The pause after so many failures in a row, in milliseconds. */
  backOff(failures: number): number {
    const { retryMs, pollMs } = this.#options.settings;
    const pauses: BackOff = { firstMs: retryMs, longestMs: Math.max(pollMs, LONGEST_PAUSE_MS) };
    return backOffMs(pauses, failures);
  }

  /** Takes up the logs that the configurations of shards name or once named. Resolves with the problems. */
  async findShards(signal: AbortSignal): Promise<string[]> {
    const { shards, read, known, now = Date.now } = this.#options;
    const problems: string[] = [];
    const named = this.#looked ? 'later shards' : 'shards';
    this.#looked = true;
    for (const source of shards) {
      try {
        const { logs, unknown } = await readShards(source, read, now(), signal);
        problems.push(...unknown);
        for (const log of logs) await this.#takeUp(log, named);
        for (const message of unknown) this.#reportOnce(source.name, message);
      } catch (error) {
        if (!(error instanceof ClientError) || error.code === 'cancelled' || error.code === 'state') throw error;
        problems.push(`${source.name}: ${error.message}`);
        this.#reportOnce(source.name, error.message);
      }
    }
    const [source] = shards;
    if (source === undefined) return problems;
    for (const { origin, location, keys } of await known()) {
      await this.#takeUp(shardOf(source, { origin, location, keys: keys.map(parseVerifierKey) }), named);
    }
    return problems;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#followers.values()].map((follower) => follower.close()));
  }

  async #loop(follower: F, stop: AbortSignal): Promise<void> {
    const { pollMs } = this.#options.settings;
    while (!stop.aborted) {
      const round = await this.round(follower, stop);
      // The random part keeps many services from coming at once.
      const rest = Math.min(pollMs, round.waiting ?? pollMs) * (0.9 + Math.random() / 10);
      await pause(round.ok ? rest : this.backOff(follower.failures), stop);
    }
  }

  async #takeUp(log: FollowedLog, named: NamedBy): Promise<void> {
    const known = this.#followers.get(log.origin);
    if (known !== undefined) {
      if (log.last !== undefined) known.pin(log.last);
      return;
    }
    const follower = this.#options.make(log, named);
    this.#followers.set(log.origin, follower);
    await follower.load();
    this.#options.onShard(log);
  }

  /** Reports each message once. */
  #reportOnce(source: string, message: string): void {
    if (this.#reported.has(message)) return;
    this.#reported.add(message);
    this.#options.onProblem(source, message);
  }
}

const { sleep: pause } = SYSTEM_CLOCK;

/**
 * Reads the lists of the witness network again and again, and adds the logs that are new. A list is no configuration: it
 * never removes or changes a log that is known here (witness-network.org/participate, "Automate discovery of logs").
 */
import { isAbsolute } from 'node:path';
import { readBounded } from '../merkle/runtime/disk/bounded.ts';
import type { Reopening } from '../merkle/runtime/disk/reopen.ts';
import { RuntimeError } from '../merkle/runtime/runtime-errors.ts';
import { backOffMs, type Clock, SYSTEM_CLOCK } from '../merkle/runtime/service/back-off.ts';
import { fetchBounded } from '../merkle/runtime/service/fetch.ts';
import type { Logger } from '../merkle/runtime/service/logger.ts';
import { WitnessError } from './errors.ts';
import { MAX_LOG_LIST, parseLogList } from './log-list.ts';
import type { Logs } from './logs.ts';
import type { ListFailure, Metrics } from './metrics.ts';
import type { WitnessStore } from './store.ts';

const FETCH_MS = 30_000;
const FIRST_RETRY_MS = 10_000;
/** Names of new logs in one message of the witness's log. */
const SHOWN = 20;

/** What became of a list. */
export interface ListStatus {
  /** Its URL or path. */
  readonly source: string;
  /**
   * `alarm`: the list gives a known log another key, or a known key to another log. `refused`: it breaks the format.
   * `unreachable`: it cannot be read, or its logs cannot be stored. In these three nothing of the update is applied.
   */
  readonly state: 'not read yet' | 'good' | ListFailure;
  /** Number of logs in the list that was applied last. */
  readonly logs?: number;
  /** When that was: RFC 3339, UTC. */
  readonly updated?: string;
  /** Why the last update was not applied. */
  readonly reason?: string;
}

interface UpdateOptions {
  /** `https:` URLs and absolute paths. */
  readonly sources: readonly string[];
  readonly refreshMs: number;
  readonly logs: Logs;
  readonly store: Pick<Reopening<WitnessStore>, 'current'>;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** Default: the ones of Node. */
  readonly fetch?: typeof fetch | undefined;
  readonly clock?: Clock;
}

export class ListUpdates {
  readonly #options: UpdateOptions;
  readonly #clock: Clock;
  readonly #stopping = new AbortController();
  readonly #status: Map<string, ListStatus>;
  #running: Promise<unknown> = Promise.resolve();

  constructor(options: UpdateOptions) {
    this.#options = options;
    this.#clock = options.clock ?? SYSTEM_CLOCK;
    this.#status = new Map(options.sources.map((source) => [source, { source, state: 'not read yet' }]));
  }

  /** Reads each list at once, and again `refreshMs` after each time; sooner while a list is unreachable. */
  start(): void {
    this.#running = Promise.all(this.#options.sources.map((source) => this.#follow(source)));
  }

  /** Reads each list now, besides the regular times. */
  async refresh(): Promise<void> {
    await Promise.all(this.#options.sources.map((source) => this.#update(source)));
  }

  status(): ListStatus[] {
    return [...this.#status.values()];
  }

  /** One sentence for each list that an alarm has stopped. */
  alarms(): string[] {
    const stopped = this.status().filter(({ state }) => state === 'alarm');
    return stopped.map(({ source, reason }) => `the list ${source} was not applied: ${reason}`);
  }

  async close(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #follow(source: string): Promise<void> {
    const { refreshMs } = this.#options;
    const { signal } = this.#stopping;
    for (let failures = 0; !signal.aborted; ) {
      const state = await this.#update(source);
      failures = state === 'unreachable' ? failures + 1 : 0;
      const retryMs = backOffMs({ firstMs: FIRST_RETRY_MS, longestMs: refreshMs }, Math.max(failures, 1));
      await this.#clock.sleep(failures > 0 ? retryMs : refreshMs, signal);
    }
  }

  async #update(source: string): Promise<ListStatus['state']> {
    const { metrics, logger } = this.#options;
    try {
      const { size, added } = await this.#apply(source);
      const updated = new Date(this.#clock.now()).toISOString();
      this.#set(source, { source, state: 'good', logs: size, updated });
      if (added.length > 0) {
        logger.info({ source, count: added.length, added: added.slice(0, SHOWN) }, 'a list has logs that are new here');
      }
      return 'good';
    } catch (error) {
      if (this.#stopping.signal.aborted) return 'unreachable';
      if (!(error instanceof WitnessError) && !(error instanceof RuntimeError)) throw error;
      const state = error.code === 'list' ? 'refused' : error.code === 'list-key' ? 'alarm' : 'unreachable';
      const reason = error.message;
      metrics.listFailures.inc({ reason: state });
      this.#set(source, { ...this.#status.get(source)!, state, reason });
      const message = 'nothing of a list was applied';
      if (state === 'unreachable') logger.warn({ source, reason }, message);
      else logger.error({ source, reason }, message);
      return state;
    }
  }

  async #apply(source: string): Promise<{ readonly size: number; readonly added: readonly string[] }> {
    const { logs, store, metrics } = this.#options;
    const listed = parseLogList(await this.#read(source));
    const opened = store.current;
    // Without it, a log that has left the file of logs would look new.
    if (opened === undefined) throw new WitnessError('poll', 'the store is not open');
    const added = await logs.addNew(listed, (origin) => opened.get(origin)?.note);
    metrics.logs.set(logs.count);
    return { size: listed.length, added };
  }

  async #read(source: string): Promise<Uint8Array> {
    if (isAbsolute(source)) {
      return await readBounded(source, MAX_LOG_LIST).catch((cause: NodeJS.ErrnoException) => {
        const why = cause.code === 'ENOENT' ? 'there is no such file' : cause.message;
        throw new RuntimeError('file', `${source} cannot be read: ${why}`, { cause });
      });
    }
    const { fetch } = this.#options;
    const limits = { limit: MAX_LOG_LIST, timeoutMs: FETCH_MS, signal: this.#stopping.signal };
    // A list that changed must not hide behind a cache for longer than the operator asked for.
    const reply = await fetchBounded(source, { ...limits, fetch, headers: { 'cache-control': 'no-cache' } });
    if (reply.status === 200) return reply.bytes;
    const to = reply.headers.get('location');
    const moved = reply.status >= 300 && reply.status < 400 && to !== null;
    throw new RuntimeError(
      'network',
      `${source} answers with ${reply.status}${moved ? `: it has moved to ${to}, which is not followed` : ''}`,
    );
  }

  #set(source: string, status: ListStatus): void {
    this.#status.set(source, status);
    this.#options.metrics.listAlarms.set(this.alarms().length);
  }
}

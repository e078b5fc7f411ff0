/**
 * Alerts that wait until every sink has taken them.
 *
 * An alert is durable when `enqueue` resolves, in one synced batch with a row for each sink that it goes to. The queue
 * removes the row of a sink when the sink has taken the alert, and the alert with the last row. So:
 *
 * | crash                               | what happens at the next start                                      |
 * |-------------------------------------|---------------------------------------------------------------------|
 * | before the batch of `enqueue`       | the cursor has not moved, so the monitor looks at the entries again |
 * | between that batch and the cursor   | the same; the queue recognizes by their ID alerts that still wait   |
 * | while a sink takes an alert, or just after | the queue delivers it again; the receiver drops it by its ID |
 *
 * Each sink has its own pace. After a failure the queue tries it again with pauses that double from 1 s up to 5 min, each
 * shortened at random by up to half, and no other sink waits for it. Alerts reach a sink in their order, except that critical
 * alerts overtake digests. Memory holds one message for each sink, however many alerts wait.
 */
import type { GuardedLevel } from '../../../merkle/runtime/disk/level.ts';
import { RuntimeError } from '../../../merkle/runtime/runtime-errors.ts';
import { SYSTEM_CLOCK } from '../../../merkle/runtime/service/back-off.ts';
import type { Alert, AlertQueue } from '../types.ts';
import { type Due, dueValue, encode, type Lane, Rows } from './queue-rows.ts';
import { boundedAlert } from './render.ts';
import { type ConfiguredSink, wants } from './sink.ts';
import { Line, MESSAGE_ALERTS, type Pace, type SinkState } from './sink-line.ts';

export interface QueueOptions extends Partial<Pace> {
  readonly sinks: readonly ConfiguredSink[];
}

const DEFAULTS: Pace = {
  firstPauseMs: 1000,
  longestPauseMs: 5 * 60_000,
  // The sinks have shorter limits of their own.
  deliveryMs: 10 * 60_000,
  clock: SYSTEM_CLOCK,
  random: Math.random,
  onEvent: () => {},
};

/** Most alerts in one batch of the store. */
const WRITE_ALERTS = 500;

export class Queue implements AlertQueue {
  readonly #rows: Rows;
  readonly #lines: readonly Line[];
  readonly #pace: Pace;
  #next: number;
  /** Never rejects. */
  #writing: Promise<unknown> = Promise.resolve();

  /**
   * The queue in a store that only it uses, with the alerts of an earlier run. It drops what waits for sinks that no longer
   * exist, with an event.
   *
   * @throws RuntimeError `store`
   */
  static async open(store: GuardedLevel, options: QueueOptions): Promise<Queue> {
    const rows = new Rows(store);
    const { next, counts } = await rows.open();
    const queue = new Queue(rows, options, next, counts);
    await queue.#forget(counts);
    return queue;
  }

  private constructor(rows: Rows, options: QueueOptions, next: number, counts: ReadonlyMap<string, number>) {
    const { sinks, ...pace } = options;
    this.#rows = rows;
    this.#pace = { ...DEFAULTS, ...pace };
    this.#next = next;
    const remove = (line: Line, lane: Lane, due: readonly Due[], alerts: readonly Alert[]) => {
      const others = this.#lines.filter((other) => other !== line).map((other) => other.key);
      return this.#remove(line.key, others, lane, due, alerts);
    };
    this.#lines = sinks.map((sink) => new Line(rows, sink, counts, this.#pace, remove));
  }

  /**
   * Skips alerts that no sink wants, and alerts whose ID is in the queue. Calls run one after the other.
   *
   * @throws RuntimeError `store`: any of the alerts may have become durable
   */
  enqueue(alerts: readonly Alert[]): Promise<void> {
    return this.#inTurn(async () => {
      for (let at = 0; at < alerts.length; at += WRITE_ALERTS) await this.#write(alerts.slice(at, at + WRITE_ALERTS));
    });
  }

  pending(): number {
    return this.#lines.reduce((sum, { pending }) => sum + pending, 0);
  }

  state(): readonly SinkState[] {
    return this.#lines.map(({ sink, pending, failures }) => ({ sink: sink.name, pending, failures }));
  }

  /** An abort breaks off the delivery under way; the next start makes it again. @throws RuntimeError `store` */
  async run(signal: AbortSignal): Promise<void> {
    await this.#serve(signal, false);
  }

  /**
   * May run beside `run`. Digests that are not due stay in the queue and do not count. Does not wait for a receiver that is
   * gone for good.
   *
   * @throws RuntimeError `store`
   */
  async drain(signal: AbortSignal): Promise<boolean> {
    return await this.#serve(signal, true);
  }

  /** Call it when `run` and `drain` have ended. Closes the store, and not the sinks. */
  async close(): Promise<void> {
    await this.#writing;
    await this.#rows.store.close();
  }

  async #forget(counts: ReadonlyMap<string, number>): Promise<void> {
    const known = new Set(this.#lines.map(({ key }) => key.toString('hex')));
    const orphans = new Map([...counts].filter(([hex]) => !known.has(hex)));
    for (const [hex, alerts] of orphans) {
      const key = Buffer.from(hex, 'hex');
      const hexes = [...known, ...orphans.keys()].filter((other) => other !== hex);
      const others = hexes.map((other) => Buffer.from(other, 'hex'));
      for (const lane of [0, 1] as const) {
        for (;;) {
          const due = await this.#rows.first(key, lane, MESSAGE_ALERTS);
          if (due.length === 0) break;
          await this.#remove(key, others, lane, due, await this.#rows.alerts(due.map(({ number }) => number)));
        }
      }
      const name = await this.#rows.store.get(this.#rows.sinkName(key));
      await this.#rows.store.write((batch) => batch.del(this.#rows.sinkName(key)));
      const sink = name === undefined ? 'of an unknown name' : Buffer.from(name).toString('utf8');
      this.#pace.onEvent({ kind: 'forgotten', sink, alerts });
    }
  }

  /** One change of the store at a time: whether the queue still needs an alert depends on the rows of all sinks. */
  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#writing.then(run);
    this.#writing = result.catch(() => {});
    return result;
  }

  async #write(alerts: readonly Alert[]): Promise<void> {
    const rows = this.#rows;
    const bounded = alerts.map(boundedAlert);
    const waiting = await rows.store.getMany(bounded.map(({ id }) => rows.id(id)));
    const fresh = new Map(bounded.filter((_, at) => waiting[at] === undefined).map((alert) => [alert.id, alert]));
    const added = [...fresh.values()].flatMap((alert) => {
      const lines = this.#lines.filter(({ sink }) => wants(sink.settings, alert));
      return lines.length === 0 ? [] : [{ alert, lines, value: Buffer.from(JSON.stringify(alert)) }];
    });
    if (added.length === 0) return;
    const now = this.#pace.clock.now();
    const first = this.#next;
    // Also past the numbers of a failed write, which may be in the store all the same: a number is never used twice.
    this.#next = first + added.length;
    await rows.store.write((batch) => {
      for (const [at, { alert, lines, value }] of added.entries()) {
        const number = first + at;
        batch.put(rows.alert(number), value);
        batch.put(rows.id(alert.id), encode(number));
        for (const line of lines)
          batch.put(rows.due(line.key, line.laneOf(alert), number), dueValue(now, value.length));
      }
      for (const { key, sink } of this.#lines) batch.put(rows.sinkName(key), Buffer.from(sink.name));
      batch.put(rows.next(), encode(this.#next));
    });
    for (const { lines } of added) for (const line of lines) line.added();
  }

  /** Deletes deliveries of one sink, and the alerts that none of the `others` waits for. */
  #remove(
    key: Buffer,
    others: readonly Buffer[],
    lane: Lane,
    due: readonly Due[],
    alerts: readonly Alert[],
  ): Promise<void> {
    return this.#inTurn(async () => {
      const rows = this.#rows;
      const keys = due.flatMap(({ number }) =>
        others.flatMap((other) => both.map((lane) => rows.due(other, lane, number))),
      );
      const found = await rows.store.getMany(keys);
      const each = others.length * both.length;
      await rows.store.write((batch) => {
        for (const [at, { number }] of due.entries()) {
          batch.del(rows.due(key, lane, number));
          if (found.slice(at * each, (at + 1) * each).some((row) => row !== undefined)) continue;
          batch.del(rows.alert(number));
          batch.del(rows.id(alerts[at]!.id));
        }
      });
    });
  }

  async #serve(signal: AbortSignal, once: boolean): Promise<boolean> {
    // Where the store fails for one sink, it fails for all.
    const failed = new AbortController();
    const abort = () => failed.abort();
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
    try {
      const serving = this.#lines.map((line) => line.serve(failed.signal, once));
      for (const one of serving) one.catch(abort);
      const results = await Promise.allSettled(serving);
      for (const result of results) if (result.status === 'rejected') throw asStoreError(result.reason);
      return results.every((result) => result.status === 'fulfilled' && result.value);
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }
}

const both = [0, 1] as const;

function asStoreError(error: unknown): RuntimeError {
  if (error instanceof RuntimeError) return error;
  return new RuntimeError('store', `the queue of alerts failed: ${(error as Error).message}`, { cause: error });
}

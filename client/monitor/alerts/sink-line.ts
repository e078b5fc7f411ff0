/** The deliveries to one sink, at its own pace: no sink waits for another. */
import { backOffMs, type Clock } from '../../../merkle/runtime/service/back-off.ts';
import { whenAborted } from '../../../merkle/runtime/service/ends.ts';
import type { Alert } from '../types.ts';
import { type Due, type Lane, type Rows, sinkKey } from './queue-rows.ts';
import { type ConfiguredSink, DeliveryError } from './sink.ts';

/** What happens to deliveries, for logs and metrics. */
export type QueueEvent =
  | { readonly kind: 'delivered'; readonly sink: string; readonly alerts: number }
  /** The `attempt`-th delivery in a row failed, from 1. The next one comes in `waitMs`. */
  | {
      readonly kind: 'failed';
      readonly sink: string;
      readonly error: DeliveryError;
      readonly attempt: number;
      readonly waitMs: number;
    }
  | { readonly kind: 'recovered'; readonly sink: string; readonly attempts: number }
  /** No sink has this name any more, so the queue dropped what waited for it. */
  | { readonly kind: 'forgotten'; readonly sink: string; readonly alerts: number };

/** What waits for a sink, and how often in a row the sink failed. */
export interface SinkState {
  readonly sink: string;
  readonly pending: number;
  readonly failures: number;
}

export interface Pace {
  /** First and longest pause after a failure, in milliseconds. */
  readonly firstPauseMs: number;
  readonly longestPauseMs: number;
  /** The time that one delivery may take, in milliseconds. After it the delivery has failed. */
  readonly deliveryMs: number;
  readonly clock: Clock;
  /** From 0 up to 1. */
  readonly random: () => number;
  readonly onEvent: (event: QueueEvent) => void;
}

/** Most alerts of one message, and most bytes of their JSON. A message always has one alert. */
export const MESSAGE_ALERTS = 50;
const DIGEST_ALERTS = 500;
const MESSAGE_BYTES = 512 * 1024;
/** The longest pause that a receiver may ask for, in milliseconds. */
const LONGEST_ASKED_MS = 60 * 60_000;
const DAY_MS = 24 * 60 * 60_000;

/** `idle`: nothing to do before `until` at least; `paused`: the pause after a failure is not over. */
type Outcome = { readonly kind: 'delivered' } | { readonly kind: 'idle' | 'paused'; readonly until: number };

type Next = { readonly lane: Lane; readonly due: readonly Due[] } | { readonly idleUntil: number };

export class Line {
  readonly sink: ConfiguredSink;
  readonly key: Buffer;
  pending: number;
  /** Failed attempts in a row. */
  failures = 0;
  readonly #rows: Rows;
  readonly #pace: Pace;
  readonly #remove: (line: Line, lane: Lane, due: readonly Due[], alerts: readonly Alert[]) => Promise<void>;
  #notBefore = 0;
  #gone = false;
  #wake = () => {};
  #woken: Promise<void>;
  #turn: Promise<unknown> = Promise.resolve();

  /** @param remove removes delivered alerts from the queue */
  constructor(
    rows: Rows,
    sink: ConfiguredSink,
    counts: ReadonlyMap<string, number>,
    pace: Pace,
    remove: (line: Line, lane: Lane, due: readonly Due[], alerts: readonly Alert[]) => Promise<void>,
  ) {
    this.sink = sink;
    this.key = sinkKey(sink.name);
    this.pending = counts.get(this.key.toString('hex')) ?? 0;
    this.#rows = rows;
    this.#pace = pace;
    this.#remove = remove;
    this.#woken = this.#rearm();
  }

  laneOf(alert: Alert): Lane {
    return this.sink.settings.digestAt === undefined || alert.severity === 'critical' ? 0 : 1;
  }

  /** The queue has an alert more for this sink. */
  added(): void {
    this.pending++;
    const wake = this.#wake;
    this.#woken = this.#rearm();
    wake();
  }

  /**
   * Delivers until the signal aborts, or with `once` until nothing is due. Resolves with whether nothing is due.
   *
   * @throws RuntimeError `store`
   */
  async serve(signal: AbortSignal, once: boolean): Promise<boolean> {
    while (!signal.aborted) {
      const woken = this.#woken;
      const outcome = await this.#inTurn(() => this.#step(signal));
      if (outcome.kind === 'delivered') continue;
      if (outcome.kind === 'idle') {
        if (once && !signal.aborted) return true;
        await this.#pause(outcome.until, woken, signal);
      } else {
        if (once && this.#gone) return false;
        await this.#pause(outcome.until, undefined, signal);
      }
    }
    return once && 'idleUntil' in (await this.#next(1));
  }

  #rearm(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  /** `run` and `drain` may serve at once, so they take turns. */
  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(run);
    this.#turn = result.catch(() => {});
    return result;
  }

  async #step(signal: AbortSignal): Promise<Outcome> {
    // After a failure one alert alone, as the size of the message may be the reason.
    const next = await this.#next(this.failures > 0 ? 1 : undefined);
    if ('idleUntil' in next) return { kind: 'idle', until: next.idleUntil };
    // A clock that is set back must not hold alerts back.
    this.#notBefore = Math.min(this.#notBefore, this.#pace.clock.now() + LONGEST_ASKED_MS);
    if (this.#pace.clock.now() < this.#notBefore) return { kind: 'paused', until: this.#notBefore };
    const alerts = await this.#rows.alerts(next.due.map(({ number }) => number));
    const failure = await this.#deliver(alerts, signal);
    if (failure !== undefined) return signal.aborted ? { kind: 'idle', until: Infinity } : this.#failed(failure);
    await this.#remove(this, next.lane, next.due, alerts);
    this.pending -= alerts.length;
    const { onEvent } = this.#pace;
    if (this.failures > 0) onEvent({ kind: 'recovered', sink: this.sink.name, attempts: this.failures });
    this.failures = 0;
    this.#gone = false;
    onEvent({ kind: 'delivered', sink: this.sink.name, alerts: alerts.length });
    return { kind: 'delivered' };
  }

  async #next(limit: number | undefined): Promise<Next> {
    if (this.pending === 0) return { idleUntil: Infinity };
    const now = this.#pace.clock.now();
    const direct = await this.#rows.first(this.key, 0, limit ?? MESSAGE_ALERTS);
    if (direct.length > 0) return { lane: 0, due: oneMessage(direct) };
    const gathered = await this.#rows.first(this.key, 1, limit ?? DIGEST_ALERTS);
    const times = gathered.map(({ queuedAt }) => this.#digestTime(queuedAt, now));
    const [first] = times;
    if (first === undefined) return { idleUntil: Infinity };
    if (first > now) return { idleUntil: first };
    return { lane: 1, due: oneMessage(gathered.filter((_, at) => times[at]! <= now)) };
  }

  #digestTime(queuedAt: number, now: number): number {
    const { digestAt } = this.sink.settings;
    // The sink has no digest any more, or the clock was wrong when the alert came.
    if (digestAt === undefined || queuedAt > now + DAY_MS) return now;
    return nextDaily(queuedAt, digestAt);
  }

  #failed(error: DeliveryError): Outcome {
    const { firstPauseMs, longestPauseMs, random, clock } = this.#pace;
    const attempt = ++this.failures;
    this.#gone = error.reason === 'gone';
    const pause = { firstMs: this.#gone ? longestPauseMs : firstPauseMs, longestMs: longestPauseMs, random };
    const waitMs = backOffMs({ ...pause, longestAskedMs: LONGEST_ASKED_MS }, attempt, error.retryAfterMs);
    this.#notBefore = clock.now() + waitMs;
    this.#pace.onEvent({ kind: 'failed', sink: this.sink.name, error, attempt, waitMs });
    return { kind: 'paused', until: this.#notBefore };
  }

  /** The failure, or undefined where the sink took all alerts. Does not wait for a sink that ignores its signal. */
  async #deliver(alerts: readonly Alert[], signal: AbortSignal): Promise<DeliveryError | undefined> {
    const { deliveryMs } = this.#pace;
    const control = new AbortController();
    const abort = () => control.abort();
    let late: ReturnType<typeof setTimeout> | undefined;
    signal.addEventListener('abort', abort, { once: true });
    try {
      const stopped = new Promise<never>((_, reject) => {
        const why = `the sink ${this.sink.name} did not answer in ${deliveryMs} ms`;
        control.signal.addEventListener('abort', () => reject(new DeliveryError('timeout', why)), { once: true });
      });
      late = setTimeout(abort, deliveryMs);
      if (signal.aborted) abort();
      const delivered = this.sink.deliver(alerts, control.signal);
      await Promise.race([delivered, stopped]);
      return undefined;
    } catch (error) {
      if (error instanceof DeliveryError) return error;
      const why = `the sink ${this.sink.name} failed: ${(error as Error).message}`;
      return new DeliveryError('network', why, error);
    } finally {
      clearTimeout(late);
      signal.removeEventListener('abort', abort);
    }
  }

  /** Waits until a moment, until `woken` where it is given, or until the signal aborts. */
  async #pause(until: number, woken: Promise<void> | undefined, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const { clock } = this.#pace;
    const done = new AbortController();
    const abort = () => done.abort();
    signal.addEventListener('abort', abort, { once: true });
    const timer =
      until === Infinity ? whenAborted(done.signal) : clock.sleep(Math.max(0, until - clock.now()), done.signal);
    await Promise.race(woken === undefined ? [timer] : [timer, woken]);
    signal.removeEventListener('abort', abort);
    abort();
  }
}

/** The first moment after `ms` at which the day (UTC) is `at` old. An alert of exactly that moment waits for the next one. */
export function nextDaily(ms: number, at: number): number {
  const midnight = Math.floor(ms / DAY_MS) * DAY_MS;
  return midnight + at > ms ? midnight + at : midnight + at + DAY_MS;
}

function oneMessage(due: readonly Due[]): readonly Due[] {
  let bytes = 0;
  const end = due.findIndex(({ size }, at) => {
    bytes += size;
    return at > 0 && bytes > MESSAGE_BYTES;
  });
  return end < 0 ? due : due.slice(0, end);
}

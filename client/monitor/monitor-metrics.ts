/** The metrics of a monitor for Prometheus. Labels come from the configuration, so no log can make more of them. */
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { QueueEvent, SinkState } from './alerts/sink-line.ts';
import type { AlertKind } from './types.ts';

/** Further values of a label become `other`: a signing configuration names new logs over time. */
const MAX_VALUES = 1000;
const OTHER = 'other';

export class MonitorMetrics {
  readonly registry = new Registry();
  readonly #known = new Map<string, Set<string>>();
  readonly #sizeSeen: Gauge<'log'>;
  readonly #complete: Gauge<'log'>;
  readonly #lag: Gauge<'log'>;
  readonly #checkpointAge: Gauge<'log'>;
  readonly #followed: Gauge<'log'>;
  readonly #entries: Counter<'log'>;
  readonly #failures: Counter<'log'>;
  readonly #matches: Counter<'rule'>;
  readonly #alerts: Counter<'kind'>;
  readonly #delivered: Counter<'sink'>;
  readonly #deliveryFailures: Counter<'sink'>;
  readonly #queue: Gauge<'sink'>;
  readonly #failing: Gauge<'sink'>;
  readonly #checkpoints = new Map<string, number>();
  readonly #sizes = new Map<string, { seen: number; complete: number }>();
  #state: () => readonly SinkState[] = () => [];

  /** `process: false` leaves out the metrics of the Node process, for several monitors in one process. `now` in ms. */
  constructor(options: { readonly process?: boolean; readonly now?: () => number } = {}) {
    const { now = Date.now } = options;
    const registers = [this.registry];
    const gauge = <L extends string>(name: string, help: string, label: L, collect: () => void = () => {}) =>
      new Gauge<L>({ name: `stele_monitor_${name}`, help, labelNames: [label], registers, collect });
    const counter = <L extends string>(name: string, help: string, label: L) =>
      new Counter<L>({ name: `stele_monitor_${name}_total`, help, labelNames: [label], registers });

    this.#sizeSeen = gauge('size_seen_entries', 'Size of the largest checkpoint that was verified', 'log');
    this.#complete = gauge('complete_entries', 'Size through which every entry has been looked at', 'log');
    this.#lag = gauge('lag_entries', 'Entries of the verified checkpoint that have not been looked at', 'log');
    this.#checkpointAge = gauge('checkpoint_age_seconds', 'Time since the last verified checkpoint came', 'log', () => {
      for (const [log, ms] of this.#checkpoints) this.#checkpointAge.set({ log }, Math.max(0, now() - ms) / 1000);
    });
    this.#followed = gauge('following', '1 where the last round of the log went well, else 0', 'log');
    this.#entries = counter('entries', 'Entries that were looked at: rate() of it is entries per second', 'log');
    this.#failures = counter('round_failures', 'Rounds that did not reach the end of the log', 'log');
    this.#matches = counter('matches', 'Alerts of a rule', 'rule');
    this.#alerts = counter('alerts', 'Alerts by kind', 'kind');
    this.#delivered = counter('delivered_alerts', 'Alerts that a sink has taken', 'sink');
    this.#deliveryFailures = counter('delivery_failures', 'Attempts to deliver that failed', 'sink');
    this.#queue = gauge('queue_alerts', 'Alerts that wait for the sink, those for its next digest too', 'sink', () => {
      for (const { sink, pending } of this.#state()) this.#queue.set({ sink }, pending);
    });
    this.#failing = gauge('sink_failures_in_a_row', 'Attempts that failed since the last delivery', 'sink', () => {
      for (const { sink, failures } of this.#state()) this.#failing.set({ sink }, failures);
    });
    if (options.process !== false) collectDefaultMetrics({ register: this.registry });
  }

  /** The feed verified a checkpoint of `size` entries at `ms` since 1970. */
  checkpoint(log: string, size: number, ms: number): void {
    const label = this.#bounded('log', log);
    this.#checkpoints.set(label, ms);
    this.#setSizes(label, { seen: size });
  }

  /** The monitor has looked at every entry below `size`, `entries` of them since the last call. */
  progress(log: string, size: number, entries: number): void {
    const label = this.#bounded('log', log);
    this.#setSizes(label, { complete: size });
    if (entries > 0) this.#entries.inc({ log: label }, entries);
  }

  /** How a round of the log ended. */
  round(log: string, well: boolean): void {
    const label = this.#bounded('log', log);
    this.#followed.set({ log: label }, well ? 1 : 0);
    this.#failures.inc({ log: label }, well ? 0 : 1);
  }

  /** The monitor found an alert. `rule`: the rule that found it. */
  alert(kind: AlertKind, rule?: string): void {
    this.#alerts.inc({ kind });
    if (rule !== undefined) this.#matches.inc({ rule: this.#bounded('rule', rule) });
  }

  /** Shows counters of 0 before the first event. */
  expect(names: { readonly rules?: readonly string[]; readonly sinks?: readonly string[] }): void {
    for (const rule of names.rules ?? []) this.#matches.inc({ rule: this.#bounded('rule', rule) }, 0);
    for (const name of names.sinks ?? []) {
      const sink = this.#bounded('sink', name);
      this.#deliveryFailures.inc({ sink }, 0);
      this.#delivered.inc({ sink }, 0);
    }
  }

  /** For `onEvent` of the queue. */
  delivery(event: QueueEvent): void {
    const sink = this.#bounded('sink', event.sink);
    if (event.kind === 'delivered') this.#delivered.inc({ sink }, event.alerts);
    if (event.kind === 'failed') this.#deliveryFailures.inc({ sink });
  }

  /** Each scrape calls it: `() => queue.state()`. */
  watchQueue(state: () => readonly SinkState[]): void {
    this.#state = state;
  }

  #setSizes(log: string, change: { seen?: number; complete?: number }): void {
    const sizes = { seen: 0, complete: 0, ...this.#sizes.get(log), ...change };
    this.#sizes.set(log, sizes);
    this.#sizeSeen.set({ log }, sizes.seen);
    this.#complete.set({ log }, sizes.complete);
    this.#lag.set({ log }, Math.max(0, sizes.seen - sizes.complete));
  }

  #bounded(label: string, value: string): string {
    const known = this.#known.get(label) ?? new Set();
    this.#known.set(label, known);
    if (known.has(value)) return value;
    if (known.size >= MAX_VALUES) return OTHER;
    known.add(value);
    return value;
  }
}

/** The metrics of a monitor for Prometheus. Labels come from the configuration, so no log can make more of them. */
import type { Counter, Gauge } from 'prom-client';
import { MetricSet } from '../../merkle/runtime/service/metric-set.ts';
import type { QueueEvent, SinkState } from './alerts/sink-line.ts';
import type { AlertKind } from './types.ts';

/** Further values of a label become `other`: a signing configuration names new logs over time. */
const MAX_VALUES = 1000;
const OTHER = 'other';

export class MonitorMetrics extends MetricSet {
  readonly #sizeSeen = this.#gauge('size_seen_entries', 'Size of the largest checkpoint that was verified', 'log');
  readonly #complete = this.#gauge('complete_entries', 'Size through which every entry has been looked at', 'log');
  readonly #lag = this.#gauge('lag_entries', 'Entries of the verified checkpoint that have not been looked at', 'log');
  readonly #followed = this.#gauge('following', '1 where the last round of the log went well, else 0', 'log');
  readonly #entries = this.#counter(
    'entries',
    'Entries that were looked at: rate() of it is entries per second',
    'log',
  );
  readonly #failures = this.#counter('round_failures', 'Rounds that did not reach the end of the log', 'log');
  readonly #matches = this.#counter('matches', 'Alerts of a rule', 'rule');
  readonly #alerts = this.#counter('alerts', 'Alerts by kind', 'kind');
  readonly #delivered = this.#counter('delivered_alerts', 'Alerts that a sink has taken', 'sink');
  readonly #deliveryFailures = this.#counter('delivery_failures', 'Attempts to deliver that failed', 'sink');
  readonly reloads = this.counter<'result'>(
    'stele_monitor_config_reloads_total',
    'Reloads of the configuration (SIGHUP), by result: ok or failed',
    'result',
  );
  /** Whether the last configuration was not taken, read whenever the metrics are read. */
  reloadFailed = (): boolean => false;
  readonly #known = new Map<string, Set<string>>();
  readonly #checkpoints = new Map<string, number>();
  readonly #sizes = new Map<string, { seen: number; complete: number }>();
  #state: () => readonly SinkState[] = () => [];

  /** `process` as for `MetricSet`; `now` in ms. */
  constructor(options: { readonly process?: boolean; readonly now?: () => number } = {}) {
    super(options);
    const { now = Date.now } = options;
    this.gauge(
      'stele_monitor_config_reload_failed',
      '1 while a configuration was not taken and the one before is in use, else 0',
      [],
      (gauge) => gauge.set(this.reloadFailed() ? 1 : 0),
    );
    this.#gauge('checkpoint_age_seconds', 'Time since the last verified checkpoint came', 'log', (age) => {
      for (const [log, ms] of this.#checkpoints) age.set({ log }, Math.max(0, now() - ms) / 1000);
    });
    this.#gauge('queue_alerts', 'Alerts that wait for the sink, those for its next digest too', 'sink', (queue) => {
      for (const { sink, pending } of this.#state()) queue.set({ sink }, pending);
    });
    this.#gauge('sink_failures_in_a_row', 'Attempts that failed since the last delivery', 'sink', (failing) => {
      for (const { sink, failures } of this.#state()) failing.set({ sink }, failures);
    });
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

  #gauge<L extends string>(name: string, help: string, label: L, collect?: (gauge: Gauge<L>) => void): Gauge<L> {
    return this.gauge(`stele_monitor_${name}`, help, [label], collect);
  }

  #counter<L extends string>(name: string, help: string, label: L): Counter<L> {
    return this.counter(`stele_monitor_${name}_total`, help, label);
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

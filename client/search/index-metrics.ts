/** The metrics of `stele index`. Labels are origins of the logs in the configuration and fixed words. */
import type { Observer } from '../../merkle/runtime/service/histogram.ts';
import { MetricSet } from '../../merkle/runtime/service/metric-set.ts';
import { PortMetrics } from '../../merkle/runtime/service/port-metrics.ts';

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** Where the index stands with one log. */
interface LogGauge {
  readonly log: string;
  /** The tree that answers are about. */
  readonly answered: number;
  /** The index has read every entry below it. */
  readonly through: number;
  /** The last checkpoint that the index accepted. */
  readonly size: number;
  /** Seconds since 1970 of the last good round; 0 before the first. */
  readonly followed: number;
  readonly faulty: boolean;
}

export class IndexMetrics extends MetricSet {
  readonly port = new PortMetrics(this, 'stele_index');
  readonly queries = this.histogram(
    'stele_index_query_duration_seconds',
    'Time to answer a query, by how it compares (exact, scan) and how it ended (ok, failed)',
    SECONDS,
    'match',
    'result',
  );
  readonly hits = this.counter('stele_index_hits_total', 'Hits that were answered');
  readonly refused = this.counter<'error'>(
    'stele_index_refused_requests_total',
    'Requests that were refused or failed, by the code of their error',
    'error',
  );
  readonly faults = this.counter<'log'>(
    'stele_index_follow_failures_total',
    'Rounds in which a log could not be followed, by log',
    'log',
  );
  readonly reloads = this.counter<'result'>(
    'stele_index_config_reloads_total',
    'Reloads of the configuration (SIGHUP), by result: ok or failed',
    'result',
  );
  readonly #requests = this.histogram(
    'stele_index_http_request_duration_seconds',
    'Time from the request head to the end of the reply',
    SECONDS,
    'route',
    'status',
  );
  /** Read whenever the metrics are read. */
  logs = (): readonly LogGauge[] => [];
  underWay = (): { readonly queries: number; readonly scans: number } => ({ queries: 0, scans: 0 });
  reloadFailed = (): boolean => false;
  diskFree = (): number | undefined => undefined;
  certificateEnd = (): number => 0;

  constructor(options: { readonly process?: boolean } = {}) {
    super(options);
    const ofLogs = (name: string, help: string, value: (log: LogGauge) => number) =>
      this.gauge(name, help, ['log'], (gauge) => {
        gauge.reset();
        for (const log of this.logs()) gauge.set({ log: log.log }, value(log));
      });
    ofLogs('stele_index_answered_size', 'Size of the tree that answers are about, by log', ({ answered }) => answered);
    ofLogs(
      'stele_index_complete_through',
      'Entries below this index are in the index, by log',
      ({ through }) => through,
    );
    ofLogs('stele_index_log_size', 'Size of the last checkpoint that the index accepted, by log', ({ size }) => size);
    ofLogs(
      'stele_index_followed_timestamp_seconds',
      'Unix time at which the log was last followed without a fault, by log; 0 before the first time',
      ({ followed }) => followed,
    );
    ofLogs('stele_index_log_faulty', '1 while the log cannot be followed, else 0, by log', ({ faulty }) =>
      faulty ? 1 : 0,
    );
    this.gauge('stele_index_queries_under_way', 'Queries that are being answered', [], (gauge) =>
      gauge.set(this.underWay().queries),
    );
    this.gauge('stele_index_scans_under_way', 'Queries among them that compare many keys', [], (gauge) =>
      gauge.set(this.underWay().scans),
    );
    this.gauge(
      'stele_index_config_reload_failed',
      '1 while a configuration or certificate was not taken and the one before is in use, else 0',
      [],
      (gauge) => gauge.set(this.reloadFailed() ? 1 : 0),
    );
    this.gauge(
      'stele_index_certificate_expiry_timestamp_seconds',
      'Unix time at which the TLS certificate ends; 0 without one',
      [],
      (gauge) => gauge.set(this.certificateEnd()),
    );
    this.freeBytes('stele_index_disk_free_bytes', () => this.diskFree());
  }

  request(route: string, status: number): Observer {
    return this.#requests.labels(route, String(status));
  }
}

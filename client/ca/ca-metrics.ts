/** The metrics of `stele ca serve`. Labels are fixed words and the names of teams; no caller and no token is in them. */
import type { Observer } from '../../merkle/runtime/service/histogram.ts';
import { MetricSet } from '../../merkle/runtime/service/metric-set.ts';
import { PortMetrics } from '../../merkle/runtime/service/port-metrics.ts';

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

export class CaMetrics extends MetricSet {
  readonly port = new PortMetrics(this, 'stele_ca');
  readonly issued = this.counter<'team'>('stele_ca_certificates_total', 'Certificates that left, by team', 'team');
  readonly refused = this.counter<'error'>(
    'stele_ca_refused_requests_total',
    'Requests for a certificate that got none, by the code of the error',
    'error',
  );
  readonly reloads = this.counter<'result'>(
    'stele_ca_config_reloads_total',
    'Reloads of the configuration (SIGHUP), by result: ok or failed',
    'result',
  );
  readonly #requests = this.histogram(
    'stele_ca_http_request_duration_seconds',
    'Time from the request head to the end of the reply',
    SECONDS,
    'route',
    'status',
  );
  /** Read whenever the metrics are read. */
  underWay = (): number => 0;
  pending = (): number => 0;
  clockIsWrong = (): boolean => false;
  logIsAway = (): boolean => false;
  reloadFailed = (): boolean => false;
  /** Unix time at which the first certificate of a team ends. */
  authorityEnd = (): number => 0;
  certificateEnd = (): number => 0;

  constructor(options: { readonly process?: boolean } = {}) {
    super(options);
    const flag = (name: string, help: string, of: () => boolean) =>
      this.gauge(name, help, [], (gauge) => gauge.set(of() ? 1 : 0));
    this.gauge('stele_ca_requests_under_way', 'Requests for a certificate that have no answer yet', [], (gauge) =>
      gauge.set(this.underWay()),
    );
    this.gauge('stele_ca_pending_certificates', 'Certificates that are made and not yet in the log', [], (gauge) =>
      gauge.set(this.pending()),
    );
    this.gauge(
      'stele_ca_authority_expiry_timestamp_seconds',
      'Unix time at which the first certificate of a team or of an authority above it ends',
      [],
      (gauge) => gauge.set(this.authorityEnd()),
    );
    this.gauge(
      'stele_ca_certificate_expiry_timestamp_seconds',
      'Unix time at which the TLS certificate ends; 0 without TLS',
      [],
      (gauge) => gauge.set(this.certificateEnd()),
    );
    flag('stele_ca_clock_wrong', '1 while the clock is before the last certificate or cosignature', () =>
      this.clockIsWrong(),
    );
    flag('stele_ca_log_away', '1 while the log takes no certificates', () => this.logIsAway());
    flag('stele_ca_config_reload_failed', '1 while a configuration or a certificate cannot be used', () =>
      this.reloadFailed(),
    );
  }

  request(route: string, status: number): Observer {
    return this.#requests.labels(route, String(status));
  }
}

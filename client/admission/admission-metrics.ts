/** The metrics of `stele admission`. Labels are fixed words; images and names of objects are in the log. */
import type { Observer } from '../../merkle/runtime/service/histogram.ts';
import { MetricSet } from '../../merkle/runtime/service/metric-set.ts';
import { PortMetrics } from '../../merkle/runtime/service/port-metrics.ts';

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

export class AdmissionMetrics extends MetricSet {
  readonly port = new PortMetrics(this, 'stele_admission');
  readonly reviews = this.counter<'webhook' | 'verdict' | 'reason'>(
    'stele_admission_reviews_total',
    'Reviews by webhook (validate, mutate), verdict (allowed, denied) and reason: judged by the policy, deletion, object, name, no-verdict, busy, deadline, review',
    'webhook',
    'verdict',
    'reason',
  );
  readonly repeats = this.counter(
    'stele_admission_repeated_reviews_total',
    'Reviews that came again while the first one was being judged, and got its answer',
  );
  readonly decisions = this.histogram(
    'stele_admission_decision_duration_seconds',
    'Time to look up the evidence about one image and to decide, by verdict',
    SECONDS,
    'verdict',
  );
  readonly reloads = this.counter<'result'>(
    'stele_admission_config_reloads_total',
    'Reloads of the configuration (SIGHUP), by result: ok or failed',
    'result',
  );
  readonly #requests = this.histogram(
    'stele_admission_http_request_duration_seconds',
    'Time from the request head to the end of the reply',
    SECONDS,
    'route',
    'status',
  );
  /** Read whenever the metrics are read. */
  kept = (): { readonly verdicts: number; readonly hits: number } => ({ verdicts: 0, hits: 0 });
  underWay = (): number => 0;
  reloadFailed = (): boolean => false;
  certificateEnd = (): number => 0;

  constructor(options: { readonly process?: boolean } = {}) {
    super(options);
    this.gauge('stele_admission_kept_verdicts', 'Verdicts that are kept', [], (gauge) =>
      gauge.set(this.kept().verdicts),
    );
    this.gauge('stele_admission_kept_verdict_hits', 'Images that a kept verdict answered', [], (gauge) =>
      gauge.set(this.kept().hits),
    );
    this.gauge('stele_admission_reviews_under_way', 'Reviews that are being judged', [], (gauge) =>
      gauge.set(this.underWay()),
    );
    this.gauge(
      'stele_admission_certificate_expiry_timestamp_seconds',
      'Unix time at which the TLS certificate ends',
      [],
      (gauge) => gauge.set(this.certificateEnd()),
    );
    this.gauge(
      'stele_admission_config_reload_failed',
      '1 while a configuration, policy, trust or certificate cannot be used, else 0',
      [],
      (gauge) => gauge.set(this.reloadFailed() ? 1 : 0),
    );
  }

  request(route: string, status: number): Observer {
    return this.#requests.labels(route, String(status));
  }
}

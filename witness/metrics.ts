/** The metrics at the admin port. Label values are bounded, whatever a client sends. */
import type { Observer } from '../merkle/runtime/service/histogram.ts';
import { MetricSet } from '../merkle/runtime/service/metric-set.ts';
import { PortMetrics } from '../merkle/runtime/service/port-metrics.ts';

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Why nothing of an update of a list was applied. */
export type ListFailure = 'unreachable' | 'refused' | 'alarm';

export class Metrics extends MetricSet {
  readonly port = new PortMetrics(this, 'stele_witness');
  readonly cosigned = this.counter('stele_witness_cosigned_total', 'Checkpoints cosigned and stored');
  readonly grown = this.counter(
    'stele_witness_grown_total',
    'Checkpoints cosigned that were larger than the one before',
  );
  /** Most of these prove nothing about the log. */
  readonly proofFailures = this.counter('stele_witness_proof_failures_total', 'Consistency proofs that did not verify');
  readonly evidence = this.counter(
    'stele_witness_evidence_total',
    'Finds of evidence that a log has shown two histories',
  );
  readonly signerErrors = this.counter('stele_witness_signer_errors_total', 'Failures to sign');
  readonly storeFailures = this.counter(
    'stele_witness_store_failures_total',
    'Failures of the store that closed its handle',
  );
  readonly pollFailures = this.counter('stele_witness_poll_failures_total', 'Logs that could not be polled');
  readonly logs = this.gauge('stele_witness_logs', 'Logs that are witnessed');
  readonly stored = this.gauge(
    'stele_witness_stored_logs',
    'Logs with a cosigned checkpoint, those that were disabled too',
  );
  readonly listFailures = this.counter<'reason'>(
    'stele_witness_list_failures_total',
    'Updates of a list of logs of which nothing was applied, by reason',
    'reason',
  );
  readonly listAlarms = this.gauge(
    'stele_witness_list_alarms',
    'Lists that give a known log another key, and are not applied',
  );
  readonly #refusals = this.counter('stele_witness_refusals_total', 'Requests refused, by reason', 'reason');
  readonly #requests = this.histogram(
    'stele_witness_http_request_duration_seconds',
    'Time from the request head to the end of the reply',
    SECONDS,
    'route',
    'status',
  );

  readonly reloads = this.counter<'result'>(
    'stele_witness_config_reloads_total',
    'Reloads of the configuration (SIGHUP), by result: ok or failed',
    'result',
  );
  /** Whether a configuration or list of logs was not taken, read whenever the metrics are read. */
  reloadFailed = (): boolean => false;
  /** The requests to `sign-subtree` that wait, read whenever the metrics are read. */
  subtreesWaiting = (): number => 0;

  diskFree = (): number | undefined => undefined;
  /** When the TLS certificate ends, in seconds since 1970; undefined without TLS. */
  certificateEnd = (): number | undefined => undefined;

  /** The three of the clock, read in the same way: seconds, and seconds since 1970. */
  clockDrift = (): number => 0;
  clockWrong = (): boolean => false;
  newest = (): number | undefined => undefined;

  constructor(options: { readonly process?: boolean } = {}) {
    super(options);
    this.freeBytes('stele_witness_disk_free_bytes', () => this.diskFree());
    this.gauge(
      'stele_witness_clock_drift_seconds',
      'How far the wall clock has gone from the clock that nobody sets since the start',
      [],
      (gauge) => gauge.set(this.clockDrift()),
    );
    this.gauge(
      'stele_witness_clock_wrong',
      '1 while nothing is cosigned because the clock was set by more than 60 s, else 0',
      [],
      (gauge) => gauge.set(this.clockWrong() ? 1 : 0),
    );
    this.gauge(
      'stele_witness_newest_cosignature_timestamp_seconds',
      'The newest time that the witness has given, absent before the first',
      [],
      (gauge) => {
        const newest = this.newest();
        if (newest === undefined) gauge.remove();
        else gauge.set(newest);
      },
    );
    this.gauge(
      'stele_witness_tls_certificate_not_after_timestamp_seconds',
      'Unix time at which the certificate of the public port ends, absent without TLS',
      [],
      (gauge) => {
        const end = this.certificateEnd();
        if (end === undefined) gauge.remove();
        else gauge.set(end);
      },
    );
    this.gauge(
      'stele_witness_config_reload_failed',
      '1 while a configuration or list of logs was not taken and the one before is in use, else 0',
      [],
      (gauge) => gauge.set(this.reloadFailed() ? 1 : 0),
    );
    this.gauge('stele_witness_subtrees_waiting', 'Requests to sign-subtree that wait for their turn', [], (gauge) =>
      gauge.set(this.subtreesWaiting()),
    );
  }

  refused(reason: string): void {
    this.#refusals.inc({ reason });
  }

  request(route: string, status: number): Observer {
    return this.#requests.labels(route, String(status));
  }
}

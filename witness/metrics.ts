/** The metrics at the admin port. Label values are bounded, whatever a client sends. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export class Metrics {
  readonly registry = new Registry();
  /** Checkpoints that were cosigned and stored; among them those that were larger than the last one. */
  readonly cosigned: Counter;
  readonly grown: Counter;
  /** Consistency proofs that did not verify. Most of them prove nothing about the log. */
  readonly proofFailures: Counter;
  /** Pairs of checkpoints that prove two histories of one log. */
  readonly evidence: Counter;
  readonly signerErrors: Counter;
  readonly storeFailures: Counter;
  readonly pollFailures: Counter;
  readonly logs: Gauge;
  readonly stored: Gauge;
  readonly #refusals: Counter<'reason'>;
  readonly #requests: Histogram<'route' | 'status'>;

  /** `process: false` leaves out the metrics of the Node process itself, for many in one process. */
  constructor(options: { readonly process?: boolean } = {}) {
    const registers = [this.registry];
    const counter = (name: string, help: string) => new Counter({ name: `stele_witness_${name}`, help, registers });
    const gauge = (name: string, help: string) => new Gauge({ name: `stele_witness_${name}`, help, registers });
    this.cosigned = counter('cosigned_total', 'Checkpoints cosigned and stored');
    this.grown = counter('grown_total', 'Checkpoints cosigned that were larger than the one before');
    this.proofFailures = counter('proof_failures_total', 'Consistency proofs that did not verify');
    this.evidence = counter('evidence_total', 'Finds of evidence that a log has shown two histories');
    this.signerErrors = counter('signer_errors_total', 'Failures to sign');
    this.storeFailures = counter('store_failures_total', 'Failures of the store that closed its handle');
    this.pollFailures = counter('poll_failures_total', 'Logs that could not be polled');
    this.logs = gauge('logs', 'Logs that are witnessed');
    this.stored = gauge('stored_logs', 'Logs with a cosigned checkpoint, those that were disabled too');
    this.#refusals = new Counter({
      name: 'stele_witness_refusals_total',
      help: 'Requests refused, by reason',
      labelNames: ['reason'],
      registers,
    });
    this.#requests = new Histogram({
      name: 'stele_witness_http_request_duration_seconds',
      help: 'Time from the request head to the end of the reply',
      labelNames: ['route', 'status'],
      buckets: SECONDS,
      registers,
    });
    if (options.process !== false) collectDefaultMetrics({ register: this.registry });
  }

  refused(reason: string): void {
    this.#refusals.inc({ reason });
  }

  request(route: string, status: number): { observe(seconds: number): void } {
    return this.#requests.labels({ route, status });
  }
}

/** The metrics of the witnesses. Their names come from the policy, so the number of labels is bounded. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

const SECONDS = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

export class WitnessMetrics {
  readonly latency: Histogram<'witness'>;
  readonly failures: Counter<'witness' | 'reason'>;
  readonly size: Gauge<'witness'>;
  readonly alarms: Counter<'witness'>;
  readonly withoutQuorum: Counter;

  constructor(registry: Registry) {
    const registers = [registry];
    this.latency = new Histogram({
      name: 'stele_witness_request_duration_seconds',
      help: 'Time that a witness took to cosign, or to fail',
      labelNames: ['witness'],
      buckets: SECONDS,
      registers,
    });
    this.failures = new Counter({
      name: 'stele_witness_failures_total',
      help: 'Requests to a witness that gave no usable cosignature, by reason',
      labelNames: ['witness', 'reason'],
      registers,
    });
    this.size = new Gauge({
      name: 'stele_witness_size_entries',
      help: 'Size of the newest tree that the witness is known to have',
      labelNames: ['witness'],
      registers,
    });
    this.alarms = new Counter({
      name: 'stele_witness_alarms_total',
      help: 'Times that a witness named a larger tree than this log has: look at its data directory',
      labelNames: ['witness'],
      registers,
    });
    this.withoutQuorum = new Counter({
      name: 'stele_published_without_quorum_total',
      help: 'Checkpoints published without the quorum, as publish.failOpen allows',
      registers,
    });
  }
}

/** The metrics of the witnesses. Their names come from the policy, so the number of labels is bounded. */
import type { MetricSet } from '../../merkle/runtime/service/metric-set.ts';

const SECONDS = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

export type WitnessMetrics = ReturnType<typeof witnessMetrics>;

export function witnessMetrics(metrics: MetricSet) {
  return {
    latency: metrics.histogram(
      'stele_witness_request_duration_seconds',
      'Time that a witness took to cosign, or to fail',
      SECONDS,
      'witness',
    ),
    failures: metrics.counter(
      'stele_witness_failures_total',
      'Requests to a witness that gave no usable cosignature, by reason',
      'witness',
      'reason',
    ),
    size: metrics.gauge('stele_witness_size_entries', 'Size of the newest tree that the witness is known to have', [
      'witness',
    ]),
    alarms: metrics.counter(
      'stele_witness_alarms_total',
      'Times that a witness named a larger tree than this log has: look at its data directory',
      'witness',
    ),
    withoutQuorum: metrics.counter(
      'stele_published_without_quorum_total',
      'Checkpoints published without the quorum, as publish.failOpen allows',
    ),
  };
}

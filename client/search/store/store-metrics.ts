/** The metrics of the attestation store. */
import type { MetricSet } from '../../../merkle/runtime/service/metric-set.ts';
import type { Totals } from './store-rows.ts';

export class StoreMetrics {
  readonly kept;
  readonly refused;
  readonly forgotten;
  readonly queries;
  readonly reads;
  totals: () => Totals | undefined = () => undefined;

  constructor(set: MetricSet) {
    this.kept = set.counter('stele_index_store_kept_total', 'Attestations that were kept', 'by');
    this.refused = set.counter(
      'stele_index_store_refused_total',
      'Attestations that were refused, by the code',
      'error',
    );
    this.forgotten = set.counter('stele_index_store_forgotten_total', 'Attestations that were forgotten', 'why');
    this.queries = set.counter('stele_index_store_queries_total', 'Lists of attestations that were answered');
    this.reads = set.counter('stele_index_store_reads_total', 'Attestations that were given out');
    set.gauge('stele_index_store_pieces', 'Attestations that are kept', [], (gauge) => {
      gauge.set(this.totals()?.pieces ?? 0);
    });
    set.gauge('stele_index_store_bytes', 'Bytes of the attestations that are kept', [], (gauge) => {
      gauge.set(this.totals()?.bytes ?? 0);
    });
  }
}

/** Metrics of a public port: what its clients take of it, and what is refused to them. */
import type { ConnectionRefusal } from './connections.ts';
import type { MetricSet } from './metric-set.ts';

export class PortMetrics {
  readonly #refused;
  /** Open connections, read whenever the metrics are read. */
  connections = (): number => 0;
  /** Bytes of request bodies in memory, read whenever the metrics are read. */
  bodyBytes = (): number => 0;

  /** @param prefix of the names of the metrics: `stele`, `stele_witness` */
  constructor(metrics: MetricSet, prefix: string) {
    this.#refused = metrics.counter(
      `${prefix}_refused_connections_total`,
      'Connections closed for the sake of others: `address` past the share of its address, `full` past all connections, `displaced` to make room for another address, `shut-out` of an address that sent a body in tiny pieces, or went on long past its rate limit',
      'reason',
    );
    metrics.gauge(`${prefix}_connections`, 'Open connections to the public port', [], (gauge) =>
      gauge.set(this.connections()),
    );
    metrics.gauge(`${prefix}_body_bytes`, 'Bytes of request bodies in memory', [], (gauge) =>
      gauge.set(this.bodyBytes()),
    );
  }

  connectionRefused(reason: ConnectionRefusal): void {
    this.#refused.inc({ reason });
  }
}

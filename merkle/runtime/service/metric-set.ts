/** The metrics of a service, which Prometheus reads at its admin port. */
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { Histogram } from './histogram.ts';

export class MetricSet {
  readonly registry = new Registry();
  readonly #registers = [this.registry];

  /** `process: false` leaves out the metrics of the Node process, for several registries in one process. */
  constructor(options: { readonly process?: boolean } = {}) {
    if (options.process !== false) collectDefaultMetrics({ register: this.registry });
  }

  /** The metrics as Prometheus reads them. */
  text(): Promise<string> {
    return this.registry.metrics();
  }

  counter<Label extends string = never>(name: string, help: string, ...labelNames: Label[]): Counter<Label> {
    return new Counter({ name, help, labelNames, registers: this.#registers });
  }

  /** `collect`, where it is given, sets the gauge each time that the metrics are read. */
  gauge<Label extends string = never>(
    name: string,
    help: string,
    labelNames: Label[] = [],
    collect?: (gauge: Gauge<Label>) => void,
  ): Gauge<Label> {
    const gauge: Gauge<Label> = new Gauge({
      name,
      help,
      labelNames,
      registers: this.#registers,
      ...(collect && { collect: () => collect(gauge) }),
    });
    return gauge;
  }

  /** The room on the disk of a service's data; nothing is shown while the file system does not say. */
  freeBytes(name: string, free: () => number | undefined): void {
    this.gauge(name, 'Bytes that may still be written to the disk of the data directory', [], (gauge) => {
      const bytes = free();
      if (bytes === undefined) gauge.remove();
      else gauge.set(bytes);
    });
  }

  histogram<Label extends string = never>(
    name: string,
    help: string,
    buckets: number[],
    ...labelNames: Label[]
  ): Histogram<Label> {
    return new Histogram({ name, help, buckets, labelNames }, this.registry);
  }
}

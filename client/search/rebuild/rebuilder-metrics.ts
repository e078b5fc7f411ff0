/** The metrics of a rebuilder, beside those of the witness in it. */
import type { MetricSet } from '../../../merkle/runtime/service/metric-set.ts';
import type { Rebuilder } from './rebuilder.ts';

/** @param rebuilder undefined while it starts */
export function measureRebuilder(metrics: MetricSet, rebuilder: () => Rebuilder | undefined): void {
  const gauge = (name: string, help: string, of: (rebuilder: Rebuilder) => number) =>
    metrics.gauge(name, help, [], (set) => {
      const running = rebuilder();
      if (running !== undefined) set.set(of(running));
    });
  gauge(
    'stele_rebuilder_verified_leaves',
    'Leaves of the output log that were rebuilt and hold',
    ({ status }) => status.verified,
  );
  gauge('stele_rebuilder_known_leaves', 'Leaves that the output log has shown', ({ status }) => status.leaves);
  gauge(
    'stele_rebuilder_input_size',
    'Entries of the input log below the last leaf that holds',
    ({ status }) => status.inputSize,
  );
  gauge('stele_rebuilder_failures', 'Rounds in a row that failed', ({ failures }) => failures);
  gauge('stele_rebuilder_halted', '1 once a leaf of the output log was wrong, else 0', ({ status }) =>
    status.halted === undefined ? 0 : 1,
  );
}

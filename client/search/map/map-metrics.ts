/** The metrics of the verifiable index. */
import type { Observer } from '../../../merkle/runtime/service/histogram.ts';
import type { MetricSet } from '../../../merkle/runtime/service/metric-set.ts';
import type { MapStatus } from './map-types.ts';

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

export class MapMetrics {
  readonly #lookups;

  /** @param states read whenever the metrics are read */
  constructor(metrics: MetricSet, states: () => readonly MapStatus[]) {
    this.#lookups = metrics.histogram(
      'stele_index_lookup_duration_seconds',
      'Time to answer a lookup, with the check of the answer, by how it ended (ok, failed)',
      SECONDS,
      'result',
    );
    const ofMaps = (name: string, help: string, value: (status: MapStatus) => number) =>
      metrics.gauge(name, help, ['log'], (gauge) => {
        gauge.reset();
        for (const status of states()) gauge.set({ log: status.log }, value(status));
      });
    ofMaps(
      'stele_index_map_size',
      'Entries of the log in the published version of its map, by log',
      (status) => status.published?.size ?? 0,
    );
    ofMaps('stele_index_map_taken', 'Entries of the log that its map has taken, by log', ({ taken }) => taken);
    ofMaps('stele_index_map_keys', 'Keys in the published version, by log', ({ published }) => published?.keys ?? 0);
    ofMaps('stele_index_map_leaves', 'Leaves of the output log up to the published version, by log', ({ published }) =>
      published === undefined ? 0 : published.index + 1,
    );
    ofMaps(
      'stele_index_map_followed_timestamp_seconds',
      'Unix time at which both logs were last followed without a fault, by log; 0 before the first time',
      ({ followed }) => followed / 1000,
    );
    ofMaps(
      'stele_index_map_halted',
      '1 where the map goes no further until its operator acts, else 0, by log',
      ({ halted }) => (halted === undefined ? 0 : 1),
    );
    ofMaps(
      'stele_index_map_late',
      '1 while the published version lacks the quorum of its rebuilders, else 0, by log',
      ({ late }) => (late ? 1 : 0),
    );
    ofMaps('stele_index_map_trie_bytes', 'Memory of the trie, by log', ({ memory }) => memory.trie);
  }

  lookup(result: 'ok' | 'failed'): Observer {
    return this.#lookups.labels(result);
  }
}

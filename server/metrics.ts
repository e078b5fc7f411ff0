/**
 * The metrics that Prometheus reads at the admin port.
 *
 * The labels of every metric that the write path uses for each entry are resolved beforehand: prom-client builds and hashes
 * a label object at every `labels()` call. The number of label values is bounded, whatever a client sends.
 */
import type { Observer } from '../merkle/runtime/service/histogram.ts';
import { MetricSet } from '../merkle/runtime/service/metric-set.ts';
import { PortMetrics } from '../merkle/runtime/service/port-metrics.ts';

const STAGES = ['ingest', 'dedup', 'commit', 'tiles', 'sign', 'cosign', 'publish', 'total'] as const;
/** Stages of the write path; `total` is from the body's arrival to the published proof. */
type Stage = (typeof STAGES)[number];

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const ENTRIES = [1, 4, 16, 64, 256, 512, 1024, 2048, 4096, 8192];
/** More than the server has reasons: a reason that is not fixed text must not fill the registry. */
const MAX_REASONS = 100;

export class Metrics extends MetricSet {
  readonly sequenced = this.gauge('stele_sequenced_entries', 'Size of the tree with every entry that has an index');
  readonly committed = this.gauge('stele_committed_entries', 'Size of the tree that is committed to the store');
  readonly outstanding = this.gauge('stele_outstanding_requests', 'Write requests that wait for their reply');
  readonly unpublished = this.gauge('stele_unpublished_entries', 'Entries committed but not yet published');
  readonly batchSize = this.histogram('stele_batch_entries', 'Entries in one commit', ENTRIES);
  readonly duplicates = this.counter('stele_duplicates_total', 'Requests for an entry that was in the log before');
  readonly damagedRecords = this.counter(
    'stele_damaged_index_records_total',
    'Records of the index of duplicates that were damaged and counted as absent',
  );
  readonly scrubbedFiles = this.counter('stele_scrubbed_files_total', 'Tiles and bundles that the scrub has read');
  readonly entriesLogged = this.counter('stele_entries_logged_total', 'Entries committed since the start');
  readonly signerErrors = this.counter('stele_signer_errors_total', 'Failures to sign a checkpoint');
  readonly unconfirmed = this.gauge(
    'stele_unconfirmed',
    '1 while the log takes no entry because its witnesses have not confirmed that no newer tree of it exists',
  );
  readonly secondPlaceFailures = this.counter(
    'stele_second_place_failures_total',
    'Tries to record a tree head in the second place that failed; nothing is signed meanwhile',
  );
  readonly storeFailures = this.counter('stele_store_failures_total', 'Failures of the store that closed its handle');

  readonly reloads = this.counter<'result'>(
    'stele_config_reloads_total',
    'Reloads of the configuration (SIGHUP), by result: ok or failed',
    'result',
  );

  readonly #published = this.gauge('stele_published_entries', 'Size of the tree of the published checkpoint');
  readonly #refusals = this.counter('stele_refusals_total', 'Write requests refused, by reason', 'reason');
  readonly port = new PortMetrics(this, 'stele');
  readonly #reasons = new Map<string, { inc(): void }>();
  readonly #http = this.histogram(
    'stele_http_request_duration_seconds',
    'Time from the request head to the end of the reply, by route',
    SECONDS,
    'route',
    'method',
    'status',
  );
  readonly #stages = new Map<Stage, Observer>();
  readonly #shards: Metrics[] = [];
  #checkpointMs = 0;
  /** The length of the pool's queue of bodies, read whenever the metrics are read. */
  poolQueue = (): number => 0;
  diskFree = (): number | undefined => undefined;
  /** Whether the log is frozen, so that its last checkpoint gets older for ever; read whenever the metrics are read. */
  ended = (): boolean => false;
  /** The files that are known to be damaged, read whenever the metrics are read. */
  rottenFiles = (): number => 0;
  /** Milliseconds since the scrub had read every file, read whenever the metrics are read; undefined without a scrub. */
  scrubAgeMs = (): number | undefined => undefined;
  /** Whether the filter has every leaf hash, read whenever the metrics are read. */
  filterComplete = (): boolean => false;

  /** Whether a configuration, policy or certificate was not taken, read whenever the metrics are read. */
  reloadFailed = (): boolean => false;
  /** When the TLS certificate ends, in seconds since 1970; undefined without TLS. */
  certificateEnd = (): number | undefined => undefined;

  constructor(options: { readonly process?: boolean } = {}) {
    super(options);
    const help = 'Time of one run of a stage of the write path';
    const stages = this.histogram('stele_stage_duration_seconds', help, SECONDS, 'stage');
    for (const stage of STAGES) this.#stages.set(stage, stages.labels(stage));
    this.freeBytes('stele_disk_free_bytes', () => this.diskFree());
    this.gauge('stele_pool_queue_requests', 'Request bodies waiting for an ingest worker', [], (gauge) =>
      gauge.set(this.poolQueue()),
    );
    this.gauge(
      'stele_leaf_filter_complete',
      '1 while the filter in memory finds new entries, 0 while the store looks each entry up',
      [],
      (gauge) => gauge.set(this.filterComplete() ? 1 : 0),
    );
    this.gauge('stele_rotten_files', 'Stored tiles and bundles that do not hold what the tree has', [], (gauge) =>
      gauge.set(this.rottenFiles()),
    );
    this.gauge(
      'stele_scrub_age_seconds',
      'Time since the scrub had read every file, or since its first start; absent without a scrub',
      [],
      (gauge) => {
        const age = this.scrubAgeMs();
        if (age === undefined) gauge.remove();
        else gauge.set(age / 1000);
      },
    );
    this.gauge(
      'stele_config_reload_failed',
      '1 while a configuration, policy or certificate was not taken and the one before is in use, else 0',
      [],
      (gauge) => gauge.set(this.reloadFailed() ? 1 : 0),
    );
    this.gauge(
      'stele_tls_certificate_not_after_timestamp_seconds',
      'Unix time at which the certificate of the public port ends, absent without TLS',
      [],
      (gauge) => {
        const end = this.certificateEnd();
        if (end === undefined) gauge.remove();
        else gauge.set(end);
      },
    );
    this.gauge(
      'stele_checkpoint_timestamp_seconds',
      'Unix time at which the newest checkpoint was published, 0 before the first',
      [],
      (gauge) => gauge.set(this.#checkpointMs / 1000),
    );
    this.gauge(
      'stele_checkpoint_age_seconds',
      'Age of the newest published checkpoint, absent before the first and once the log is frozen',
      [],
      (gauge) => {
        if (this.#checkpointMs === 0 || this.ended()) gauge.remove();
        else gauge.set((Date.now() - this.#checkpointMs) / 1000);
      },
    );
  }

  /**
   * The metrics of a further shard, which stand beside these with its origin in the label `shard`. Those of the first shard have
   * no such label: alerts and boards that know one log go on to work.
   */
  ofShard(origin: string): Metrics {
    const metrics = new Metrics({ process: false });
    metrics.registry.setDefaultLabels({ shard: origin });
    return metrics;
  }

  /** From now on the text has these as well. */
  add(shard: Metrics): void {
    this.#shards.push(shard);
  }

  override async text(): Promise<string> {
    const own = await super.text();
    if (this.#shards.length === 0) return own;
    const others = await Promise.all(this.#shards.map((shard) => shard.text()));
    return joined([own, ...others]);
  }

  stage(stage: Stage): Observer {
    return this.#stages.get(stage)!;
  }

  /** A checkpoint over `size` entries was published now. */
  checkpointPublished(size: number): void {
    this.#published.set(size);
    this.#checkpointMs = Date.now();
  }

  /** `reason` is a short fixed label, never text that came from a client. */
  refused(reason: string): void {
    let child = this.#reasons.get(reason);
    if (child === undefined) {
      const label = this.#reasons.size < MAX_REASONS ? reason : 'other';
      child = this.#refusals.labels(label);
      if (label === reason) this.#reasons.set(reason, child);
    }
    child.inc();
  }

  /** The observer of one route, method and status. Keep it: finding it costs more than observing. */
  httpRequest(route: string, method: string, status: number): Observer {
    return this.#http.labels(route, method, String(status));
  }
}

/** What belongs to the process and its ports, of which a further shard has nothing to say. */
const OF_PROCESS =
  /^stele_(?:connections|body_bytes|refused_connections_total|http_request_duration_seconds|config_reload\w*|tls_\w+|disk_free_bytes|pool_queue_requests)$/;

/** The texts of several registries as one: the lines of a metric must stand together, under one description. */
function joined([own = '', ...others]: readonly string[]): string {
  const blocks = new Map(blocksOf(own));
  for (const other of others) {
    for (const [name, block] of blocksOf(other)) {
      if (OF_PROCESS.test(name)) continue;
      const samples = block.split('\n').filter((line) => !line.startsWith('#'));
      const before = blocks.get(name);
      if (before === undefined) blocks.set(name, block);
      else if (samples.length > 0) blocks.set(name, [before, ...samples].join('\n'));
    }
  }
  return `${[...blocks.values()].join('\n\n')}\n`;
}

/** Each metric's name and lines. */
function blocksOf(text: string): [name: string, block: string][] {
  return text
    .trimEnd()
    .split('\n\n')
    .map((block) => [/^# HELP (\S+)/.exec(block)?.[1] ?? '', block]);
}

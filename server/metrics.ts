/**
 * The metrics that Prometheus reads at the admin port.
 *
 * The labels of every metric that the write path uses for each entry are resolved beforehand: prom-client builds and hashes
 * a label object at every `labels()` call. The number of label values is bounded, whatever a client sends.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** Stages of the write path; `total` is from the body's arrival to the published proof. */
type Stage = 'ingest' | 'dedup' | 'commit' | 'tiles' | 'sign' | 'cosign' | 'publish' | 'total';

export interface Observer {
  /** `value` in the metric's base unit: seconds, or entries. */
  observe(value: number): void;
}

const STAGES: readonly Stage[] = ['ingest', 'dedup', 'commit', 'tiles', 'sign', 'cosign', 'publish', 'total'];
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const ENTRIES = [1, 4, 16, 64, 256, 512, 1024, 2048, 4096, 8192];
/** More than the server has reasons: a reason that is not fixed text must not fill the registry. */
const MAX_REASONS = 100;

export class Metrics {
  readonly registry = new Registry();
  /** Entries that have an index, in memory; committed to the store; covered by the published checkpoint. */
  readonly sequenced: Gauge;
  readonly committed: Gauge;
  readonly published: Gauge;
  /** Requests that wait for their reply, and entries committed but not published. */
  readonly outstanding: Gauge;
  readonly unpublished: Gauge;
  /** Entries in one commit. */
  readonly batchSize: Histogram;
  readonly duplicates: Counter;
  readonly entriesLogged: Counter;
  readonly signerErrors: Counter;
  readonly storeFailures: Counter;

  readonly #stages = new Map<Stage, Observer>();
  readonly #refusals: Counter<'reason'>;
  readonly #reasons = new Map<string, { inc(): void }>();
  readonly #http: Histogram<'route' | 'method' | 'status'>;
  #checkpointMs = 0;
  #poolQueue: () => number = () => 0;
  #filterComplete: () => boolean = () => false;

  /** `process: false` leaves out the metrics of the Node process, for several registries in one process. */
  constructor(options: { readonly process?: boolean } = {}) {
    const registers = [this.registry];
    const gauge = (name: string, help: string) => new Gauge({ name, help, registers });
    const counter = (name: string, help: string) => new Counter({ name, help, registers });

    this.sequenced = gauge('stele_sequenced_entries', 'Size of the tree with every entry that has an index');
    this.committed = gauge('stele_committed_entries', 'Size of the tree that is committed to the store');
    this.published = gauge('stele_published_entries', 'Size of the tree of the published checkpoint');
    this.outstanding = gauge('stele_outstanding_requests', 'Write requests that wait for their reply');
    this.unpublished = gauge('stele_unpublished_entries', 'Entries committed but not yet published');
    this.batchSize = new Histogram({
      name: 'stele_batch_entries',
      help: 'Entries in one commit',
      buckets: ENTRIES,
      registers,
    });
    this.duplicates = counter('stele_duplicates_total', 'Requests for an entry that was in the log before');
    this.entriesLogged = counter('stele_entries_logged_total', 'Entries committed since the start');
    this.signerErrors = counter('stele_signer_errors_total', 'Failures to sign a checkpoint');
    this.storeFailures = counter('stele_store_failures_total', 'Failures of the store that closed its handle');
    this.#refusals = new Counter({
      name: 'stele_refusals_total',
      help: 'Write requests refused, by reason',
      labelNames: ['reason'],
      registers,
    });
    this.#http = new Histogram({
      name: 'stele_http_request_duration_seconds',
      help: 'Time from the request head to the end of the reply, by route',
      labelNames: ['route', 'method', 'status'],
      buckets: SECONDS,
      registers,
    });
    const stages = new Histogram({
      name: 'stele_stage_duration_seconds',
      help: 'Time of one run of a stage of the write path',
      labelNames: ['stage'],
      buckets: SECONDS,
      registers,
    });
    for (const stage of STAGES) this.#stages.set(stage, stages.labels(stage));

    const poolQueue = () => this.#poolQueue();
    new Gauge({
      name: 'stele_pool_queue_requests',
      help: 'Request bodies waiting for an ingest worker',
      registers,
      collect() {
        this.set(poolQueue());
      },
    });
    const filterComplete = () => this.#filterComplete();
    new Gauge({
      name: 'stele_leaf_filter_complete',
      help: '1 while new entries are told from duplicates in memory, 0 while each is looked up in the store',
      registers,
      collect() {
        this.set(filterComplete() ? 1 : 0);
      },
    });
    const checkpointMs = () => this.#checkpointMs;
    new Gauge({
      name: 'stele_checkpoint_timestamp_seconds',
      help: 'Unix time at which the newest checkpoint was published, 0 before the first',
      registers,
      collect() {
        this.set(checkpointMs() / 1000);
      },
    });
    new Gauge({
      name: 'stele_checkpoint_age_seconds',
      help: 'Age of the newest published checkpoint, absent before the first',
      registers,
      collect() {
        this.reset();
        if (checkpointMs() === 0) this.remove();
        else this.set((Date.now() - checkpointMs()) / 1000);
      },
    });
    if (options.process !== false) collectDefaultMetrics({ register: this.registry });
  }

  stage(stage: Stage): Observer {
    return this.#stages.get(stage)!;
  }

  /** `waiting` gives the length of the pool's queue; it is called whenever the metrics are read. */
  watchPoolQueue(waiting: () => number): void {
    this.#poolQueue = waiting;
  }

  /** `complete` says whether the filter has every leaf hash; it is called whenever the metrics are read. */
  watchFilter(complete: () => boolean): void {
    this.#filterComplete = complete;
  }

  /** A checkpoint over `size` entries was published now. */
  checkpointPublished(size: number): void {
    this.published.set(size);
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

  get contentType(): string {
    return this.registry.contentType;
  }

  /** All metrics in Prometheus' text format. */
  text(): Promise<string> {
    return this.registry.metrics();
  }
}

/**
 * The way in: body ─ ingest (pool) ─ dedup ─ sequence ─ integrate ═ COMMIT, and the wait for the publication behind it.
 *
 * It has no say in whether the log takes entries: `IntakeHost` tells it, and is told of commits and of failures.
 */
import { leafHash } from '../../merkle/rfc6962.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { Dedup } from '../dedup/dedup.ts';
import type { KnownLeaves } from '../dedup/known.ts';
import { RequestError, requestError } from '../errors.ts';
import type { NewEntry } from '../store/types.ts';
import type { CommittedTree } from '../tree/committed.ts';
import type { Encoding, Ingested, LoggedEntry, Outcome } from '../types.ts';
import type { LogOptions } from './log.ts';
import type { Publisher } from './publisher.ts';
import { Sequencer } from './sequencer.ts';

/** What the intake asks the log, and tells it. */
export interface IntakeHost {
  /** The tree in service; another one after each recovery. */
  readonly tree: CommittedTree;
  /** Of that tree. */
  readonly known: KnownLeaves;
  /** False while the store is opened anew, and once the log has stopped. */
  readonly running: boolean;
  /** What an entry gets that comes while it is not running. */
  stopped(): RequestError;
  /** From the first step of a freeze on. */
  readonly frozen: boolean;
  readonly draining: boolean;
  /** Entries were committed to the tree in service. */
  committed(): void;
  /** Its files are durable up to another size: it can be signed. */
  filed(): void;
  /** The store of `tree` failed. */
  fail(error: unknown, tree: CommittedTree): void;
}

type IntakeOptions = Pick<LogOptions, 'entries' | 'ingest' | 'batch' | 'limits' | 'metrics' | 'logger'>;

/** Where an entry stands. */
interface Placed {
  readonly index: number;
  /** It was there, or on its way, before. */
  readonly duplicate: boolean;
}

/** An entry on its way from ingest to its commit, and all who wait for it. */
class Pending {
  readonly leafHash: Uint8Array;
  readonly body: Uint8Array;
  /** The tree that was in service when it was looked up. */
  readonly tree: CommittedTree;
  /** It is new, and counts as taken until it is answered. */
  taken = false;
  readonly placed: Promise<Placed>;
  resolve!: (placed: Placed) => void;
  reject!: (error: unknown) => void;

  constructor({ leafHash, body }: NewEntry, tree: CommittedTree) {
    this.leafHash = leafHash;
    this.body = body;
    this.tree = tree;
    this.placed = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }
}

export class Intake {
  readonly #options: IntakeOptions;
  readonly #publisher: Publisher;
  readonly #host: IntakeHost;
  readonly #dedup: Dedup<Pending>;
  readonly #sequencer: Sequencer<Pending>;
  /** Requests under way. */
  #outstanding = 0;
  /** New entries on their way. */
  #taken = 0;
  /** The newest run of files that was begun. */
  #filing: Promise<number> | undefined;

  constructor(options: IntakeOptions, publisher: Publisher, host: IntakeHost) {
    this.#options = options;
    this.#publisher = publisher;
    this.#host = host;
    this.#dedup = new Dedup({
      lookup: async (leafHashes) => {
        const started = performance.now();
        const found = await host.known.lookup(leafHashes);
        options.metrics.stage('dedup').observe((performance.now() - started) / 1000);
        return found;
      },
      found: (pending, index) => this.#found(pending, index),
      failed: (asked, error) => {
        host.fail(error, asked[0]!.tree);
        for (const pending of asked) pending.reject(requestError('store-failed'));
      },
    });
    this.#sequencer = new Sequencer(options.batch, (batch) => this.#integrate(batch));
  }

  /** Requests that are not answered yet. */
  get outstanding(): number {
    return this.#outstanding;
  }

  /** See `LogService.submit`. */
  async submit(body: Uint8Array, encoding: Encoding): Promise<readonly Outcome[]> {
    this.#admit();
    this.#outstanding++;
    const { metrics } = this.#options;
    metrics.outstanding.set(this.#outstanding);
    const started = performance.now();
    try {
      const ingested = await this.#options.ingest.ingest(body, encoding);
      metrics.stage('ingest').observe((performance.now() - started) / 1000);
      if ('refusal' in ingested) {
        metrics.refused(ingested.refusal.reason);
        throw new RequestError(ingested.refusal.code, ingested.refusal.message);
      }
      const { items } = ingested;
      const outcomes =
        items.length === 1
          ? [await this.#logItem(items[0]!)]
          : await Promise.all(items.map((item) => this.#logItem(item)));
      metrics.stage('total').observe((performance.now() - started) / 1000);
      return outcomes;
    } finally {
      this.#outstanding--;
      metrics.outstanding.set(this.#outstanding);
    }
  }

  /** See `LogService.add`. */
  async add(body: Uint8Array): Promise<number> {
    if (this.#options.entries !== 'raw') {
      throw requestError('not-raw');
    }
    this.#admit();
    this.#outstanding++;
    const { metrics } = this.#options;
    metrics.outstanding.set(this.#outstanding);
    const started = performance.now();
    try {
      const { index, duplicate } = await this.#place({ body, leafHash: leafHash(body, fastSha256) });
      if (duplicate) metrics.duplicates.inc();
      else this.#taken--;
      metrics.stage('total').observe((performance.now() - started) / 1000);
      return index;
    } finally {
      this.#outstanding--;
      metrics.outstanding.set(this.#outstanding);
    }
  }

  /** Resolves once all that was sequenced is committed and in files, or failed. */
  async idle(): Promise<void> {
    await this.#sequencer.idle();
    await this.#host.tree.idle();
  }

  /** Rejects everyone who waits for a commit. */
  fail(error: RequestError): void {
    this.#sequencer.clear();
    for (const pending of this.#dedup.clear()) pending.reject(error);
  }

  /** The limits that need no look at the entry. */
  #admit(): void {
    const { limits, metrics } = this.#options;
    if (this.#host.frozen) throw requestError('frozen');
    if (!this.#host.running) {
      metrics.refused('store-failed');
      throw this.#host.stopped();
    }
    if (this.#host.draining) throw requestError('draining');
    // New entries are held to the limit behind the look-up for duplicates; twice of it bounds the look-ups.
    if (this.#outstanding >= 2 * limits.outstanding) {
      metrics.refused('pushback');
      throw requestError('pushback');
    }
  }

  /** One item of a body: its entries, all placed and published, or why not. The first entry is the reply. */
  async #logItem(item: Ingested): Promise<Outcome> {
    if ('refusal' in item) {
      this.#options.metrics.refused(item.refusal.reason);
      return { error: new RequestError(item.refusal.code, item.refusal.message) };
    }
    try {
      const { entries } = item;
      if (entries.length === 1) return { entry: await this.#logEntry(entries[0]!) };
      // All are awaited, so that a failure of the second does not leave the first's promise without a handler.
      const results = await Promise.allSettled(entries.map((entry) => this.#logEntry(entry)));
      for (const result of results) if (result.status === 'rejected') throw result.reason;
      return { entry: (results[0] as PromiseFulfilledResult<LoggedEntry>).value };
    } catch (error) {
      if (error instanceof RequestError) return { error };
      this.#options.logger.error({ err: error }, 'an entry failed');
      return { error: requestError('internal') };
    }
  }

  async #logEntry(entry: NewEntry): Promise<LoggedEntry> {
    const { index, duplicate } = await this.#place(entry);
    if (duplicate) this.#options.metrics.duplicates.inc();
    try {
      const proof = await this.#publisher.wait(index, entry.leafHash);
      return { index, body: entry.body, proof, duplicate };
    } finally {
      if (!duplicate) this.#taken--;
    }
  }

  /** Dedup, then sequence: where the entry stands, once it is committed. */
  async #place(entry: NewEntry): Promise<Placed> {
    const joined = this.#dedup.inFlight(entry.leafHash);
    if (joined !== undefined) return { index: (await joined.placed).index, duplicate: true };
    if (!this.#host.running) throw requestError('store-failed');
    const pending = new Pending(entry, this.#host.tree);
    this.#dedup.reserve(pending);
    try {
      return await pending.placed;
    } catch (error) {
      if (pending.taken) this.#taken--;
      throw error;
    }
  }

  /** The answer to the look-up of an entry. */
  #found(pending: Pending, index: number | undefined): void {
    // All that were in flight were rejected when the store failed.
    if (pending.tree !== this.#host.tree || !this.#host.running) {
      pending.reject(requestError('store-failed'));
    } else if (index !== undefined) {
      this.#dedup.release(pending);
      pending.resolve({ index, duplicate: true });
    } else {
      const refused = this.#refuseNew();
      if (refused === undefined) {
        pending.taken = true;
        this.#taken++;
        this.#sequencer.add(pending);
      } else {
        this.#dedup.release(pending);
        pending.reject(refused);
      }
    }
  }

  /** The limits that only new entries are held to. */
  #refuseNew(): RequestError | undefined {
    const { limits, metrics } = this.#options;
    if (this.#host.frozen) return requestError('frozen');
    // A directory with entries and without a checkpoint looks as if it had lost the one that was shown: it never starts.
    if (this.#publisher.published === undefined) {
      metrics.refused('no-checkpoint');
      return requestError('no-checkpoint');
    }
    const unpublished = this.#host.tree.state.size - this.#publisher.size + this.#sequencer.queued;
    if (this.#taken < limits.outstanding && unpublished < limits.unpublished) return undefined;
    metrics.refused('pushback');
    return requestError('pushback');
  }

  /** Integrate and commit; then the entries are findable, and once their files are written the publisher is asked. */
  async #integrate(batch: Pending[]): Promise<void> {
    const { tree } = this.#host;
    const { metrics } = this.#options;
    metrics.batchSize.observe(batch.length);
    metrics.sequenced.set(tree.state.size + batch.length);
    try {
      // Before it can be committed: whoever asks afterwards must find it.
      this.#host.known.add(batch, tree.state.size);
      const { first, seconds, filed } = await tree.append(batch);
      // Batches that were committed meanwhile share one run of files, which is measured and told of once.
      if (filed !== this.#filing) {
        this.#filing = filed;
        filed.then(
          (wrote) => this.#filed(tree, wrote),
          (error: unknown) => this.#host.fail(error, tree),
        );
      }
      if (tree !== this.#host.tree || !this.#host.running) return;
      metrics.stage('commit').observe(seconds);
      metrics.entriesLogged.inc(batch.length);
      for (const [i, pending] of batch.entries()) {
        this.#dedup.release(pending);
        pending.resolve({ index: first + i, duplicate: false });
      }
      this.#host.committed();
    } catch (error) {
      this.#host.fail(error, tree);
    }
  }

  #filed(tree: CommittedTree, seconds: number): void {
    if (tree !== this.#host.tree || !this.#host.running) return;
    this.#options.metrics.stage('tiles').observe(seconds);
    this.#host.filed();
  }
}

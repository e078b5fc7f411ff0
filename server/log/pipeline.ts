/**
 * The way of an entry, from top to bottom:
 *
 *     body ─ ingest ─ dedup ─ sequence ─ integrate ═ COMMIT ═ tiles ─ sign ─ cosign ═ PUBLISH ═ reply
 *
 * Each step says what a crash there leaves behind. A failure of the store leaves the same, and every waiting caller gets
 * `store-failed`; if the entry was committed all the same, the client's retry finds it as a duplicate.
 *
 * A pipeline works on one open store, and ends with the service of that store.
 */
import { Dedup } from '../dedup/dedup.ts';
import type { KnownLeaves } from '../dedup/known.ts';
import { type RequestError, requestError } from '../errors.ts';
import type { NewEntry } from '../store/types.ts';
import type { Encoding, IngestedBody, LoggedEntry } from '../types.ts';
import type { Backlog } from './backlog.ts';
import type { OpenStore } from './open-store.ts';
import { Publisher } from './publisher.ts';
import { Replies } from './replies.ts';
import { Sequencer } from './sequencer.ts';
import type { LogOptions } from './types.ts';

/** Where an entry stands. */
interface Placed {
  readonly index: number;
  /** The entry was in the log, or on its way there, before. */
  readonly duplicate: boolean;
}

/** An entry on its way from ingest to its commit, and the promise of its place for every caller. */
class Pending {
  readonly leafHash: Uint8Array;
  readonly body: Uint8Array;
  /** The entry is new, and counts against the limit until its caller is answered. */
  taken = false;
  readonly placed: Promise<Placed>;
  resolve!: (placed: Placed) => void;
  reject!: (error: unknown) => void;

  constructor({ leafHash, body }: NewEntry) {
    this.leafHash = leafHash;
    this.body = body;
    this.placed = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }
}

/** What a pipeline needs from its log. */
export interface PipelineHost {
  readonly known: KnownLeaves;
  readonly backlog: Backlog;
  /** True from the first step of a freeze on. */
  frozen(): boolean;
  /** A checkpoint became public: the store works. */
  published(): void;
  /** The store failed, and its service must end. */
  failed(error: unknown): void;
}

export class Pipeline {
  readonly #options: LogOptions;
  readonly #host: PipelineHost;
  readonly #store: OpenStore;
  readonly #dedup: Dedup<Pending>;
  readonly #sequencer: Sequencer<Pending>;
  readonly #publisher: Publisher;
  readonly #replies: Replies;
  /** New entries whose callers have no answer yet. */
  #taken = 0;
  /** The newest run of writing files. */
  #filing: Promise<number> | undefined;

  constructor(options: LogOptions, store: OpenStore, host: PipelineHost) {
    this.#options = options;
    this.#store = store;
    this.#host = host;
    const { signal } = store;
    this.#dedup = new Dedup({
      lookup: async (leafHashes) => {
        const started = performance.now();
        const found = await host.known.lookup(leafHashes);
        options.metrics.stage('dedup').observe((performance.now() - started) / 1000);
        return found;
      },
      found: (pending, index) => this.#found(pending, index),
      failed: (_pending, error) => host.failed(error),
    });
    this.#sequencer = new Sequencer(options.batch, (batch) => this.#integrate(batch));
    this.#replies = new Replies(store, {
      timeoutMs: options.limits.publishTimeout,
      whyLate: () => options.cosigner?.whyLate(),
      onProofError: (error) =>
        options.logger.error({ err: error }, 'an entry was logged, but its proof cannot be made'),
    });
    this.#publisher = new Publisher({
      signal,
      due: () => this.#due(),
      publish: () => this.#publish(),
      answer: () => this.#replies.answer(),
      minIntervalMs: options.minPublishIntervalMs ?? 0,
      witnesses: options.cosigner !== undefined,
      onError: (error) => host.failed(error),
    });
    signal.addEventListener('abort', () => {
      this.#sequencer.clear();
      for (const pending of this.#dedup.clear()) pending.reject(signal.reason);
    });
  }

  get publisher(): Publisher {
    return this.#publisher;
  }

  /**
   * Whether the newest tree that can be signed has no public checkpoint yet. A log with witnesses never publishes the empty
   * tree: some witnesses that have stored it take no later checkpoint of the log.
   */
  #due(): boolean {
    const { published, tree } = this.#store;
    const { size } = tree.snapshot;
    if (published === undefined && size === 0 && this.#options.cosigner !== undefined) return false;
    return published?.reader.snapshot.size !== size;
  }

  /** BODY and INGEST, for all signed entries of a body. A crash here leaves nothing; neither does a refusal. */
  ingest(body: Uint8Array, encoding: Encoding): Promise<IngestedBody> {
    return this.#options.ingest.ingest(body, encoding);
  }

  /** The rest of the way of one signed entry: it gets its place, and waits for its proof. */
  async log(entry: NewEntry): Promise<LoggedEntry> {
    const { index, duplicate } = await this.place(entry);
    if (duplicate) this.#options.metrics.duplicates.inc();
    try {
      const proof = await this.#replies.wait(index, entry.leafHash);
      return { index, body: entry.body, proof, duplicate };
    } finally {
      if (!duplicate) this.answered();
    }
  }

  /** DEDUP: reserves the leaf hash in memory, then looks it up (dedup/dedup.ts). A crash here leaves nothing. */
  async place(entry: NewEntry): Promise<Placed> {
    const joined = this.#dedup.inFlight(entry.leafHash);
    if (joined !== undefined) return { index: (await joined.placed).index, duplicate: true };
    this.#store.signal.throwIfAborted();
    const pending = new Pending(entry);
    this.#dedup.reserve(pending);
    try {
      return await pending.placed;
    } catch (error) {
      if (pending.taken) this.answered();
      throw error;
    }
  }

  /** The answer to the look-up. A new entry goes on, within the limits. */
  #found(pending: Pending, index: number | undefined): void {
    // The end of the service has rejected the entry.
    if (this.#store.signal.aborted) return;
    if (index !== undefined) {
      this.#dedup.release(pending);
      pending.resolve({ index, duplicate: true });
      return;
    }
    const error = this.#overLimit();
    if (error !== undefined) {
      this.#dedup.release(pending);
      pending.reject(error);
      return;
    }
    pending.taken = true;
    this.#taken++;
    this.#sequencer.add(pending);
  }

  /** The caller of a new entry has its answer: the entry no longer counts against the limit. */
  answered(): void {
    this.#taken--;
  }

  /** The limits that hold for new entries alone: duplicates still wait for their proofs. */
  #overLimit(): RequestError | undefined {
    const { limits, metrics } = this.#options;
    if (this.#host.frozen()) return requestError('frozen');
    const { publishedSize, tree } = this.#store;
    const unpublished = tree.state.size - publishedSize + this.#sequencer.queued;
    if (this.#taken < limits.outstanding && unpublished < limits.unpublished) return undefined;
    metrics.refused('pushback');
    return requestError('pushback');
  }

  /**
   * SEQUENCE, INTEGRATE and COMMIT: a batch gets its indexes, and one synced write stores the new tree state, the entries
   * and the index of duplicates. A crash before the write leaves nothing. A crash after it leaves entries that are logged
   * and that no caller knows of: the next start writes their files and publishes them, and a retry finds them.
   */
  async #integrate(batch: Pending[]): Promise<void> {
    const { metrics } = this.#options;
    const { tree, signal } = this.#store;
    metrics.batchSize.observe(batch.length);
    metrics.sequenced.set(tree.state.size + batch.length);
    try {
      // Before the commit: a look-up that comes right after it must find the entries.
      this.#host.known.add(batch, tree.state.size);
      const { first, seconds, filed } = await tree.append(batch);
      // Batches that were committed meanwhile share one run of files.
      if (filed !== this.#filing) {
        this.#filing = filed;
        filed.then(
          (wrote) => this.#filed(wrote),
          (error: unknown) => this.#host.failed(error),
        );
      }
      if (signal.aborted) return;
      metrics.stage('commit').observe(seconds);
      metrics.entriesLogged.inc(batch.length);
      for (const [i, pending] of batch.entries()) {
        this.#dedup.release(pending);
        pending.resolve({ index: first + i, duplicate: false });
      }
      this.#host.backlog.grew(this.#store);
    } catch (error) {
      this.#host.failed(error);
    }
  }

  /**
   * TILES: the full tiles and bundles of the committed tree are durable files, so the tree can be signed. A crash while
   * they are written leaves any of them missing: the next start makes the same files again from the tail.
   */
  #filed(seconds: number): void {
    if (this.#store.signal.aborted) return;
    this.#options.metrics.stage('tiles').observe(seconds);
    this.#publisher.request();
  }

  /**
   * SIGN, COSIGN and PUBLISH: the newest tree whose files are durable gets a checkpoint, the witnesses of the policy add
   * their cosignatures, and once the note is durable it is public. A crash before the note is durable leaves a signed tree
   * head that a witness may hold. Its tree is committed, so every later tree extends it, and the next start publishes that
   * tree or a larger one. A crash after the note is durable leaves a checkpoint that the next start shows.
   */
  async #publish(): Promise<number> {
    const { signer, cosigner, metrics } = this.#options;
    const { tree, signal, publishedSize } = this.#store;
    const { snapshot } = tree;
    const reader = tree.reader(snapshot);
    const started = performance.now();
    const note = await signer.sign(snapshot);
    signal.throwIfAborted();
    const signed = performance.now();
    const checkpoint = cosigner === undefined ? note : await cosigner.quorum(note, reader, signal);
    const cosigned = performance.now();
    await this.#store.show(() => ({ checkpoint, reader }));
    const published = performance.now();
    metrics.stage('sign').observe((signed - started) / 1000);
    if (cosigner !== undefined) metrics.stage('cosign').observe((cosigned - signed) / 1000);
    metrics.stage('publish').observe((published - cosigned) / 1000);
    this.#host.backlog.published(this.#store, published - started);
    this.#host.published();
    // REPLY: the publisher answers every caller whose entry the checkpoint covers, next. A crash here leaves entries that
    // are logged and public; a retry gets their proofs.
    return snapshot.size - publishedSize;
  }

  /** Adds late cosignatures to the public checkpoint; does nothing if another checkpoint is public by then. */
  async addCosignatures(note: string): Promise<void> {
    const text = note.slice(0, note.lastIndexOf('\n\n') + 2);
    try {
      await this.#store.show(() => {
        const { published } = this.#store;
        return published?.checkpoint.startsWith(text) ? { ...published, checkpoint: note } : undefined;
      });
    } catch (error) {
      this.#host.failed(error);
    }
  }

  /** Resolves once every sequenced entry is committed and in files, or failed. */
  async idle(): Promise<void> {
    await this.#sequencer.idle();
    await this.#store.tree.idle();
  }
}

/**
 * The log: the one place that joins the stages, with the way in as a file of its own (intake.ts).
 *
 *     body ─ ingest (pool) ─ dedup ─ sequence ─ integrate ═ COMMIT ═ tiles ─ sign ─ cosign ═ PUBLISH ═ reply
 *
 * This file is its life: start, recovery, freeze and end. After a failure of the store it is opened anew by the code that
 * a start runs.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { encodeUtf8 } from '../../merkle/bytes.ts';
import { leafHash } from '../../merkle/rfc6962.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import type { Logger } from '../../merkle/runtime/service/logger.ts';
import type { Cosigner } from '../cosign/cosign.ts';
import { KnownLeaves } from '../dedup/known.ts';
import { RequestError, requestError, ServerError } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import type { TileStore } from '../store/types.ts';
import { CommittedTree, type Stores } from '../tree/committed.ts';
import { checkExtends, openPublished } from '../tree/published.ts';
import type { TreeReader } from '../tree/reader.ts';
import type { Encoding, EntryKind, IngestedBody, LoggedEntry, LogInfo, LogService, Outcome } from '../types.ts';
import { Intake, type IntakeHost } from './intake.ts';
import { Publisher } from './publisher.ts';
import type { SequencerOptions } from './sequencer.ts';
import type { CheckpointSigner } from './sign.ts';

export interface LogLimits {
  /** New entries that were taken and are not answered yet. */
  readonly outstanding: number;
  /** Entries that are committed, but not published. */
  readonly unpublished: number;
  /** How long a committed entry waits for its publication, in milliseconds. */
  readonly publishTimeoutMs: number;
  /** How long a checkpoint may be due before `notReady` says so, in milliseconds. */
  readonly maxCheckpointDelayMs: number;
}

export interface LogOptions {
  /** Opens both stores; called at the start and after each failure. */
  readonly openStores: () => Promise<Stores>;
  readonly signer: CheckpointSigner;
  /** False while the signing key cannot be reached. */
  readonly signerHealthy: () => boolean;
  /** Asks the witnesses of the policy, where there is one. */
  readonly cosigner?: Cosigner | undefined;
  /** From the start of one publication to that of the next, in milliseconds. */
  readonly minPublishIntervalMs?: number;
  /** A witness proved that this log signed another history: it stops until its operator acts. `evidence` is the note. */
  readonly onConflict?: (error: ServerError, evidence: string) => Promise<void>;
  readonly entries?: EntryKind;
  readonly ingest: { ingest(body: Uint8Array, encoding: Encoding): Promise<IngestedBody> };
  readonly batch: SequencerOptions;
  /** The filter that tells new entries from duplicates: its memory in bytes, 0 for none, and the file where it is stored. */
  readonly filter: { readonly maxBytes: number; readonly path?: string };
  readonly limits: LogLimits;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** The log cannot go on: what is stored contradicts itself. Called once. */
  readonly onFatal: (error: unknown) => void;
  readonly copyTo: {
    backup(dir: string, tree: CommittedTree, checkpoint: string): Promise<number>;
    export(dir: string, reader: TreeReader, store: Pick<TileStore, 'get'>, checkpoint: string): Promise<number>;
  };
}

/** How long a start waits for its first publication before the log serves what it has, in milliseconds. */
const FIRST_PUBLICATION_MS = 2000;

/** How long an end waits for what is committed and not public yet, in milliseconds. */
const LAST_PUBLICATION_MS = 2000;

/** Waits between attempts to open the store again, in milliseconds. */
const REOPEN_MIN_MS = 100;
const REOPEN_MAX_MS = 5000;

/** These say that what is stored is wrong, not that storing failed: opening it again would not help. */
const FATAL = new Set([
  'corrupt',
  'tail-gap',
  'tile-conflict',
  'rollback',
  'conflict',
  'frozen',
  'key-mismatch',
  'origin-mismatch',
]);

export class Log implements LogService {
  readonly #options: LogOptions;
  readonly #intake: Intake;
  readonly #publisher: Publisher;
  readonly #known: KnownLeaves;
  #tree: CommittedTree;
  #mode: 'running' | 'recovering' | 'stopped' = 'running';
  #recovery: Promise<void> | undefined;
  #lastError: unknown;
  /** How long the next recovery waits at first, in milliseconds: 0 where a publication succeeded since the last one. */
  #rest = 0;
  #halted: ServerError | undefined;
  #freezing: Promise<string> | undefined;
  #draining = false;
  #unpublishedSince: number | undefined;

  private constructor(options: LogOptions, tree: CommittedTree, known: KnownLeaves) {
    this.#options = options;
    this.#tree = tree;
    this.#known = known;
    options.metrics.watchFilter(() => known.complete);
    this.#publisher = new Publisher(tree, {
      sign: (head) => options.signer.sign(head),
      cosign: options.cosigner && ((note, reader, signal) => options.cosigner!.quorum(note, reader, signal)),
      minIntervalMs: options.minPublishIntervalMs ?? 0,
      timeoutMs: options.limits.publishTimeoutMs,
      onPublished: ({ sign, cosign, publish }) => {
        options.metrics.stage('sign').observe(sign);
        if (options.cosigner !== undefined) options.metrics.stage('cosign').observe(cosign);
        options.metrics.stage('publish').observe(publish);
        options.metrics.checkpointPublished(this.publishedSize);
        this.#rest = 0;
        this.#measureSizes();
        // What is not covered came after this publication began: on a busy log there is always something.
        if (this.#unpublishedSince !== undefined) {
          this.#unpublishedSince = performance.now() - (sign + cosign + publish) * 1000;
        }
      },
      onProofError: (error) =>
        options.logger.error({ err: error }, 'an entry was logged, but its proof cannot be made'),
      onError: (error, of) => this.#fail(error, of),
    });
    this.#intake = new Intake(options, this.#publisher, this.#host());
    options.cosigner?.start({
      committed: () => this.#tree.reader(),
      late: (note) => void this.#publisher.replace(note),
      conflict: (error, evidence) => this.#halt(error, evidence),
    });
  }

  /**
   * Opens the log, goes on where a crash left it, and publishes what is committed. Resolves once a checkpoint is public;
   * where witnesses are asked, it does not wait for them for long. Throws `ServerError`.
   */
  static async open(options: LogOptions): Promise<Log> {
    const stores = await options.openStores();
    let log: Log | undefined;
    try {
      const { filter, logger } = options;
      const [tree, known] = await Promise.all([
        CommittedTree.open(stores, fastSha256),
        KnownLeaves.open({ ...filter, logger }),
      ]);
      // Before anything is signed: an old copy of the directory must not begin a second history.
      await options.cosigner?.check(tree.reader());
      log = new Log(options, tree, known);
      await log.#adopt(tree);
      // A new log shows its empty tree before it takes the first entry.
      const published = log.#publisher.idle();
      if (options.cosigner === undefined) await published;
      else await Promise.race([published, sleep(FIRST_PUBLICATION_MS, undefined, { ref: false })]);
      if (log.#publisher.published === undefined && (options.cosigner === undefined || log.#lastError !== undefined)) {
        throw new ServerError('store', 'the first checkpoint could not be published', { cause: log.#lastError });
      }
      if (tree.state.status === 'freezing') {
        const frozen = log.freeze();
        if (options.cosigner === undefined) await frozen;
        else frozen.catch(ignore);
      }
      return log;
    } catch (error) {
      if (log !== undefined) {
        log.#mode = 'stopped';
        await log.#recovery;
        await log.#publisher.close();
        await log.#known.end(false);
        // Not always on `stores`: a recovery may have opened others.
        await log.#tree.close();
      }
      await Promise.allSettled([stores.tiles.close(), stores.state.close()]);
      throw error;
    }
  }

  get info(): LogInfo {
    const { origin, verifierKeys, logId } = this.#options.signer;
    return { origin, verifierKeys, logId, status: this.#tree.state.status, entries: this.#options.entries ?? 'signed' };
  }

  get publishedSize(): number {
    return this.#publisher.size;
  }

  get checkpoint(): string {
    return this.#public().checkpoint;
  }

  submit(body: Uint8Array, encoding: Encoding): Promise<readonly Outcome[]> {
    return this.#intake.submit(body, encoding);
  }

  add(body: Uint8Array): Promise<number> {
    return this.#intake.add(body);
  }

  tile(level: number, index: number, width: number): Promise<Uint8Array | undefined> {
    return this.#read((reader) => reader.tile(level, index, width));
  }

  entryBundle(index: number, width: number): Promise<Uint8Array | undefined> {
    return this.#read((reader) => reader.entryBundle(index, width));
  }

  atHand(path: string): Uint8Array | undefined {
    return this.#publisher.published?.reader.atHand(path);
  }

  entry(index: number): Promise<LoggedEntry | undefined> {
    const { checkpoint } = this.#public();
    return this.#read(async (reader) => {
      const { size, root } = reader.snapshot;
      if (index >= size) return undefined;
      const prove = await reader.prover([index]);
      const body = await reader.entry(index);
      const hashes = prove(index, leafHash(body, fastSha256));
      return { index, body, proof: { treeSize: size, root, hashes, checkpoint }, duplicate: false };
    });
  }

  consistencyProof(first: number, second: number): Promise<Uint8Array[]> {
    return this.#read((reader) => {
      const { size } = reader.snapshot;
      if (first > second || second > size) {
        throw requestError(
          'invalid-argument',
          `first and second must satisfy 0 <= first <= second <= ${size}, the published size`,
        );
      }
      return reader.consistencyProof(first, second);
    });
  }

  notReady(): readonly string[] {
    const reasons: string[] = [];
    if (this.#mode === 'recovering') reasons.push('the store failed and is being opened again');
    if (this.#mode === 'stopped') reasons.push(this.#halted?.message ?? 'the log has stopped');
    if (this.#draining) reasons.push('the log is shutting down');
    if (!this.#options.signerHealthy()) reasons.push('the signing key cannot be reached');
    const due = this.#unpublishedSince;
    const delay = due === undefined ? 0 : performance.now() - due;
    if (delay > this.#options.limits.maxCheckpointDelayMs) {
      reasons.push(`the newest checkpoint is ${Math.round(delay / 1000)} s late`);
    }
    if (this.#mode === 'running') reasons.push(...(this.#options.cosigner?.notReady() ?? []));
    return reasons;
  }

  freeze(): Promise<string> {
    this.#freezing ??= this.#freeze().finally(() => {
      this.#freezing = undefined;
    });
    return this.#freezing;
  }

  async backup(dir: string): Promise<number> {
    // The checkpoint first: the state that is copied afterwards is at least as large.
    const { checkpoint } = this.#public();
    return await this.#options.copyTo.backup(dir, this.#tree, checkpoint);
  }

  async export(dir: string): Promise<number> {
    const { checkpoint, reader } = this.#public();
    return await this.#options.copyTo.export(dir, reader, this.#tree.tileStore(), checkpoint);
  }

  async drain(): Promise<void> {
    this.#draining = true;
    while (this.#intake.outstanding > 0) await sleep(10);
  }

  async close(): Promise<void> {
    this.#draining = true;
    await this.#intake.idle();
    // Opaque entries were answered before their checkpoint. A quorum may be out of reach: an end does not wait for one.
    const open = this.#mode === 'running' && this.#tree.state.status === 'open';
    if (open && this.#options.cosigner === undefined) await this.#publisher.finish(LAST_PUBLICATION_MS);
    const good = this.#mode === 'running';
    this.#mode = 'stopped';
    this.#rejectAll(requestError('draining'));
    await this.#known.end(good);
    await this.#recovery;
    this.#options.cosigner?.close();
    await this.#publisher.close();
    await this.#tree.close();
  }

  /** What the intake sees of this log. */
  #host(): IntakeHost {
    const log = this;
    return {
      get tree() {
        return log.#tree;
      },
      known: log.#known,
      get running() {
        return log.#mode === 'running';
      },
      stopped: () =>
        requestError(log.#halted !== undefined ? 'halted' : log.#mode === 'stopped' ? 'broken' : 'store-failed'),
      get frozen() {
        return log.#freezing !== undefined || log.#tree.state.status !== 'open';
      },
      get draining() {
        return log.#draining;
      },
      committed: () => {
        log.#unpublishedSince ??= performance.now();
        log.#measureSizes();
      },
      filed: () => log.#publisher.request(),
      fail: (error, tree) => log.#fail(error, tree),
    };
  }

  /** Takes a tree that was just opened into service, at a start and at the end of a recovery. */
  async #adopt(tree: CommittedTree): Promise<void> {
    const { signer } = this.#options;
    const published = await openPublished(tree, signer);
    // A witness may hold what was signed and not published.
    if (signer.last !== undefined) await checkExtends(tree, signer.last, 'a checkpoint that this process signed');
    await this.#known.adopt(tree);
    // Closed or halted meanwhile: so it stays.
    if (this.#mode === 'stopped') throw new ServerError('store', 'the log has stopped');
    this.#tree = tree;
    this.#mode = 'running';
    this.#publisher.resume(tree, published);
    if (published !== undefined) {
      signer.remember(published.reader.snapshot);
      this.#options.cosigner?.adopt(published.checkpoint, published.reader);
      this.#options.metrics.checkpointPublished(this.publishedSize);
    }
    if (this.publishedSize !== tree.state.size) this.#unpublishedSince ??= performance.now();
    this.#measureSizes();
    this.#options.metrics.sequenced.set(tree.state.size);
    if (tree.state.status === 'frozen') signer.freeze();
    else this.#publisher.request();
  }

  async #freeze(): Promise<string> {
    // Promised to all who wait: what is sequenced is committed and published before the end.
    await this.#intake.idle();
    for (;;) {
      if (this.#mode === 'stopped') throw new ServerError('store', 'the log has stopped');
      const tree = this.#tree;
      try {
        await this.#finish(tree);
        return this.checkpoint;
      } catch (error) {
        if (isFatal(error)) throw error;
        this.#fail(error, tree);
        await this.#recovery;
      }
    }
  }

  /** The steps of a freeze; each can be run again after a crash. */
  async #finish(tree: CommittedTree): Promise<void> {
    if (tree.state.status === 'open') await tree.setStatus('freezing');
    // A crash here: the next start takes no entries, and goes on below.
    if (tree.state.status === 'frozen') return;
    while (this.publishedSize !== tree.state.size) {
      if (tree.snapshot.size !== tree.state.size)
        throw new ServerError('store', 'what is committed is not all in files');
      this.#publisher.request();
      await this.#publisher.idle();
      // Also where it cannot be opened yet: asking again would sign and fail in a circle.
      if (this.#mode !== 'running' || tree !== this.#tree) throw new ServerError('store', 'the store was opened again');
    }
    const { signer } = this.#options;
    const { snapshot } = tree;
    const time = new Date().toISOString();
    const checkpoint = await this.#publisher.cosigned(await signer.sign(snapshot, [`Log frozen — ${time}`]), tree);
    const note = encodeUtf8(checkpoint);
    await tree.setStatus('frozen', note);
    signer.freeze();
    // A crash here: the next start shows the checkpoint that is stored with `frozen`.
    await this.#publisher.show({ checkpoint, at: Date.now(), reader: tree.reader(snapshot) }, tree);
    this.#options.logger.info({ size: snapshot.size }, 'the log is frozen');
  }

  /** Any error of a store ends its handle: nobody is left waiting, and all is opened anew. */
  #fail(error: unknown, tree: CommittedTree): void {
    if (tree !== this.#tree || this.#mode !== 'running') return;
    const { logger, metrics } = this.#options;
    metrics.storeFailures.inc();
    this.#lastError = error;
    if (isFatal(error)) {
      this.#stop(error);
      return;
    }
    logger.error({ err: error }, 'the store failed; opening it again');
    this.#mode = 'recovering';
    this.#rejectAll(requestError('store-failed'));
    this.#recovery = this.#recover();
  }

  #stop(error: unknown): void {
    this.#mode = 'stopped';
    this.#options.logger.error({ err: error }, 'the log stops: what is stored contradicts itself');
    this.#rejectAll(requestError('broken'));
    this.#options.onFatal(error);
  }

  /** A witness holds what this log must have signed and does not extend: nothing is signed until the operator acts. */
  #halt(error: ServerError, evidence: string): void {
    if (this.#mode === 'stopped') return;
    this.#mode = 'stopped';
    this.#halted = error;
    this.#options.logger.error(
      { err: error, evidence },
      'the log stops signing: a witness holds another history of it',
    );
    this.#options.signer.freeze();
    this.#rejectAll(requestError('halted'));
    void this.#publisher.close();
    void this.#options.onConflict?.(error, evidence);
  }

  async #recover(): Promise<void> {
    while (this.#mode === 'recovering') {
      // What is published is read from it for as long as no other can be opened: a full disk does not hide the log.
      const failed = this.#tree;
      await failed.stop();
      // The first failure is met at once; a store that opens and fails again and again is not.
      await sleep(this.#rest);
      if (this.#mode !== 'recovering') break;
      this.#rest = Math.min(Math.max(2 * this.#rest, REOPEN_MIN_MS), REOPEN_MAX_MS);
      let stores: Stores | undefined;
      try {
        stores = await this.#options.openStores();
        const tree = await CommittedTree.open(stores, fastSha256);
        if (this.#mode !== 'recovering') break;
        await this.#adopt(tree);
        stores = undefined;
        this.#options.logger.info({ size: tree.snapshot.size }, 'the store is open again');
        // A freeze that the failure cut off goes on; one that its caller still waits for goes on by itself.
        if (tree.state.status === 'freezing' && this.#freezing === undefined) this.freeze().catch(ignore);
        await failed.close();
        // Not round again: should it have failed anew by now, another recovery is under way.
        return;
      } catch (error) {
        if (isFatal(error)) {
          this.#stop(error);
          return;
        }
        this.#options.logger.warn({ err: error, retryMs: this.#rest }, 'the store cannot be opened yet');
      } finally {
        await Promise.allSettled([stores?.tiles.close(), stores?.state.close()]);
      }
    }
  }

  #rejectAll(error: RequestError): void {
    this.#intake.fail(error);
    this.#publisher.fail(error);
  }

  #public() {
    const published = this.#publisher.published;
    if (published === undefined) throw requestError('no-checkpoint');
    return published;
  }

  async #read<T>(read: (reader: TreeReader) => Promise<T>): Promise<T> {
    const { reader } = this.#public();
    try {
      return await read(reader);
    } catch (error) {
      if (error instanceof RequestError) throw error;
      this.#options.logger.error({ err: error }, 'a read failed');
      throw requestError('read-failed');
    }
  }

  #measureSizes(): void {
    const { metrics } = this.#options;
    const committed = this.#tree.state.size;
    metrics.committed.set(committed);
    metrics.unpublished.set(committed - this.publishedSize);
    if (this.publishedSize === committed) this.#unpublishedSince = undefined;
  }
}

function isFatal(error: unknown): boolean {
  return error instanceof ServerError && FATAL.has(error.code);
}

function ignore(): void {}

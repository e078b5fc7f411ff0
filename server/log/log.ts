/**
 * The life of a log: start, recovery, freeze and end. What an entry goes through is in pipeline.ts; what the log answers in
 * each phase is in phase.ts.
 *
 * After a failure the stores are opened again by the code that a start runs.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { leafHash } from '../../merkle/rfc6962.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { isFull } from '../../merkle/runtime/disk/errno.ts';
import { Reopening } from '../../merkle/runtime/disk/reopen.ts';
import { KnownLeaves } from '../dedup/known.ts';
import { isFatal, RequestError, requestError, ServerError } from '../errors.ts';
import { checkPinned } from '../shards/pin.ts';
import { backupTree, exportTree } from '../tools/backup.ts';
import type { CommittedTree } from '../tree/committed.ts';
import type { TreeReader } from '../tree/reader.ts';
import { emptySnapshot } from '../tree/snapshot.ts';
import { isRotten } from '../tree/verified.ts';
import type { Encoding, LoggedEntry, LogInfo, LogService, Outcome, Writer } from '../types.ts';
import { Backlog } from './backlog.ts';
import { freezeStore } from './freeze.ts';
import { Intake } from './intake.ts';
import { Integrity } from './integrity.ts';
import { checkKnown } from './known-head.ts';
import { OpenStore } from './open-store.ts';
import { Life } from './phase.ts';
import { Pipeline, type PipelineHost } from './pipeline.ts';
import { checkExtends, openPublished } from './published.ts';
import type { LogOptions, Published } from './types.ts';

/** How long a start with witnesses waits for its first publication before the log serves what is public already, in milliseconds. */
const FIRST_PUBLICATION_MS = 2000;

/** How long `close` waits for committed entries to become public, in milliseconds. */
const LAST_PUBLICATION_MS = 2000;

const DRAIN_POLL_MS = 10;

/** Of a start with `--at-least`. */
const OLD_COPY = {
  what: 'the data directory',
  less: 'The directory is an old copy: restore the newest one with `stele log restore`.',
  frozen: 'Restore the newest directory with `stele log restore`.',
};

export class Log implements LogService {
  readonly #options: LogOptions;
  readonly #life: Life;
  readonly #stores: Reopening<OpenStore>;
  readonly #known: KnownLeaves;
  readonly #integrity: Integrity;
  readonly #backlog: Backlog;
  readonly #intake: Intake;
  /** The pipeline of the newest store. */
  #pipeline!: Pipeline;
  #lastError: unknown;
  /** Resolves once the log may sign: at once, or when the witnesses have confirmed its tree, or with the end of the log. */
  #confirmed: Promise<void> = Promise.resolve();
  #confirm: (() => void) | undefined;
  #freezing: Promise<string> | undefined;
  #closing: Promise<void> | undefined;

  private constructor(options: LogOptions, known: KnownLeaves, integrity: Integrity, stores: Reopening<OpenStore>) {
    this.#options = options;
    this.#known = known;
    this.#integrity = integrity;
    this.#stores = stores;
    this.#backlog = new Backlog(options.metrics);
    this.#intake = new Intake(options, this.#backlog, {
      pipeline: () => this.#pipeline,
      admit: (call) => this.#admit(call),
    });
    options.metrics.filterComplete = () => known.complete;
    options.cosigner?.start({
      committed: () => this.#store.tree.reader(),
      head: () => this.#signHead(),
      confirmed: () => this.#wasConfirmed(),
      late: (note) => void this.#pipeline.addCosignatures(note),
      conflict: (error, evidence) => this.#halt(error, evidence),
    });
    // A frozen log signs nothing, and so needs no confirmation.
    const { cosigner, isNew = false } = options;
    const waits = !isNew && stores.latest.tree.state.status !== 'frozen' && cosigner?.awaitConfirmation() === true;
    this.#life = new Life(waits ? 'confirming' : 'running');
    options.metrics.unconfirmed.set(waits ? 1 : 0);
    if (waits) {
      this.#confirmed = new Promise((resolve) => {
        this.#confirm = resolve;
      });
    }
    this.#serve(stores.latest);
  }

  /**
   * Opens the log, goes on where a crash left it, and publishes every committed entry. Resolves once a checkpoint is public.
   * A log with witnesses or a second place does not wait longer than two seconds for them; a new one with witnesses has no
   * checkpoint before its first entries.
   * @throws ServerError
   */
  static async open(options: LogOptions): Promise<Log> {
    const { filter, logger, cosigner } = options;
    const integrity = await Integrity.open(options);
    const opening = KnownLeaves.open({ ...filter, logger });
    let log: Log | undefined;
    let full: unknown;
    const stores = await Reopening.start<OpenStore>({
      open: async () => {
        try {
          return await openStore(options, opening, integrity, log === undefined);
        } catch (error) {
          // A start on a full disk serves reads, and opens the stores again until there is room.
          if (log !== undefined || !isFull(error) || options.openFullDisk === undefined) throw error;
          full = error;
          return await openStore({ ...options, openStores: options.openFullDisk }, opening, integrity, true);
        }
      },
      isFatal,
      onFailure: (error) => log!.#recovers(error),
      onRetry: (error, retryMs) => logger.warn({ err: error, retryMs }, 'the store cannot be opened yet'),
      onReopened: (store) => log!.#recovered(store),
      onFatal: (error) => log!.#break(error),
    }).catch(async (error: unknown) => {
      await (await opening).end(false);
      throw error;
    });
    log = new Log(options, await opening, integrity, stores);
    if (full !== undefined) {
      log.#fail(full, stores.latest);
      return log;
    }
    try {
      // A new log without witnesses shows its empty tree before it takes the first entry.
      const published = log.#confirmed.then(() => log!.#pipeline.publisher.idle());
      const waitsForOthers = cosigner !== undefined || options.secondPlace !== undefined;
      if (waitsForOthers) await within(published, FIRST_PUBLICATION_MS);
      else await published;
      const nothing = log.#store.published === undefined;
      if (nothing && (!waitsForOthers || log.#lastError !== undefined)) {
        throw new ServerError('store', 'the first checkpoint could not be published', { cause: log.#lastError });
      }
      if (log.info.status === 'freezing') {
        const frozen = log.freeze();
        if (waitsForOthers) frozen.catch(ignore);
        else await frozen;
      }
      return log;
    } catch (error) {
      await log.#end(false);
      throw error;
    }
  }

  get info(): LogInfo {
    const { origin, verifierKeys, logId } = this.#options.signer;
    const { status } = this.#store.tree.state;
    return { origin, verifierKeys, logId, status, entries: this.#options.entries ?? 'signed' };
  }

  get publishedSize(): number {
    return this.#store.publishedSize;
  }

  /** Whether a checkpoint is public. */
  get hasCheckpoint(): boolean {
    return this.#store.published !== undefined;
  }

  get checkpoint(): string {
    return this.#public().checkpoint;
  }

  get plainCheckpoint(): string | undefined {
    return this.#public().plain;
  }

  submit(body: Uint8Array, encoding: Encoding, writer?: Writer): Promise<readonly Outcome[]> {
    return this.#intake.submit(body, encoding, writer);
  }

  add(body: Uint8Array, writer?: Writer): Promise<number> {
    return this.#intake.add(body, writer);
  }

  tile(level: number, index: number, width: number): Promise<Uint8Array | undefined> {
    return this.#read((reader) => reader.tile(level, index, width));
  }

  entryBundle(index: number, width: number): Promise<Uint8Array | undefined> {
    return this.#read((reader) => reader.entryBundle(index, width));
  }

  atHand(path: string): Uint8Array | undefined {
    return this.#store.published?.reader.atHand(path);
  }

  entry(index: number): Promise<LoggedEntry | undefined> {
    return this.#read(async (reader, checkpoint) => {
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
        const range = `0 <= first <= second <= ${size}`;
        throw requestError('invalid-argument', `the tree sizes must be ${range}, the published size`);
      }
      return reader.consistencyProof(first, second);
    });
  }

  notReady(): readonly string[] {
    const { signerHealthy, cosigner, limits } = this.#options;
    const phase = this.#life.notReady();
    const reasons = phase === undefined ? [] : [phase];
    if (!signerHealthy()) reasons.push('the signing key cannot be reached');
    const delay = this.#backlog.delayMs;
    if (delay > limits.maxCheckpointDelay) {
      reasons.push(`the newest checkpoint is ${Math.round(delay / 1000)} s late`);
    }
    const { name } = this.#life.phase;
    if (name === 'running' || name === 'confirming') reasons.push(...(cosigner?.notReady() ?? []));
    const unrecorded = this.#options.secondPlace?.notReady;
    if (unrecorded !== undefined) reasons.push(unrecorded);
    reasons.push(...this.#integrity.notReady());
    return reasons;
  }

  alarms(): readonly string[] {
    return [...(this.#options.cosigner?.alarms() ?? []), ...this.#integrity.alarms()];
  }

  freeze(): Promise<string> {
    this.#freezing ??= this.#freeze().finally(() => {
      this.#freezing = undefined;
    });
    return this.#freezing;
  }

  async backup(dir: string, isMade = false): Promise<number> {
    // The checkpoint first: the state that is copied afterwards is at least as large.
    const { checkpoint } = this.#public();
    return await backupTree(dir, this.#store.tree, checkpoint, this.#options.identity, { isMade });
  }

  async export(dir: string): Promise<number> {
    return await exportTree(dir, this.#public(), this.#store.tree.tileStore());
  }

  async drain(): Promise<void> {
    this.#life.enter({ name: 'draining' });
    while (this.#backlog.outstanding > 0) await sleep(DRAIN_POLL_MS);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#life.enter({ name: 'draining' });
    await this.#pipeline.idle();
    const { tree, signal } = this.#store;
    // Opaque entries were answered before their checkpoint. A quorum may be out of reach, so `close` never waits for one.
    if (!signal.aborted && tree.state.status === 'open' && this.#options.cosigner === undefined) {
      await this.#pipeline.publisher.finish(LAST_PUBLICATION_MS);
    }
    await this.#end(!this.#store.signal.aborted);
  }

  /** The last steps of every end. `good`: the store is in service, so the filter of known leaves is worth storing. */
  async #end(good: boolean): Promise<void> {
    this.#life.enter({ name: 'closed' });
    this.#confirm?.();
    this.#store.end(requestError('draining'));
    await this.#integrity.end();
    await this.#known.end(good);
    this.#options.cosigner?.close();
    await this.#stores.close();
  }

  /** The store in service. After a failure it is the failed store, which readers use until another one opens. */
  get #store(): OpenStore {
    return this.#stores.latest;
  }

  /** Takes a store that was just opened into service, at a start and at the end of a recovery. */
  #serve(store: OpenStore): void {
    const { signer, cosigner, metrics } = this.#options;
    const { published, tree } = store;
    this.#pipeline = new Pipeline(this.#options, store, this.#hostOf(store));
    if (published !== undefined) {
      signer.remember(published.reader.snapshot);
      // The last checkpoint of a frozen log stays as it is.
      if (tree.state.status !== 'frozen') cosigner?.adopt(published.checkpoint, published.reader);
      metrics.checkpointPublished(store.publishedSize);
    }
    this.#integrity.adopt(tree);
    this.#backlog.grew(store);
    metrics.sequenced.set(tree.state.size);
    if (tree.state.status === 'frozen') signer.freeze();
    else if (this.#confirm === undefined) this.#pipeline.publisher.request();
    else if (store.publishedSize === 0) cosigner?.askUnpublished().catch((error) => this.#fail(error, store));
  }

  /** The newest committed tree, signed, for witnesses that are asked before the log goes on. */
  async #signHead(): Promise<{ note: string; reader: TreeReader }> {
    const { tree } = this.#store;
    const { snapshot } = tree;
    return { note: await this.#options.signer.sign(snapshot), reader: tree.reader(snapshot) };
  }

  #wasConfirmed(): void {
    this.#options.metrics.unconfirmed.set(0);
    this.#options.logger.info({}, 'the witnesses have confirmed that no newer tree of this log exists');
    this.#confirm?.();
    this.#confirm = undefined;
    // A store that has failed is opened again first.
    if (this.#life.phase.name === 'confirming' && this.#life.enter({ name: 'running' })) {
      this.#pipeline.publisher.request();
    }
  }

  #hostOf(store: OpenStore): PipelineHost {
    return {
      known: this.#known,
      backlog: this.#backlog,
      frozen: () => this.#frozen,
      published: () => this.#stores.worked(),
      failed: (error) => this.#fail(error, store),
    };
  }

  get #frozen(): boolean {
    return this.#freezing !== undefined || this.#store.tree.state.status !== 'open';
  }

  /** The limits of a request that need no look at its entries. @throws RequestError */
  #admit(call: 'submit' | 'add'): void {
    const { limits, metrics } = this.#options;
    if (this.#frozen) throw requestError('frozen');
    // The limit for new entries is checked after the look-up for duplicates. Twice that limit bounds the look-ups.
    const full = this.#backlog.outstanding >= 2 * limits.outstanding;
    const code = this.#life.unavailable(call) ?? (full ? 'pushback' : undefined);
    if (code === undefined) return;
    metrics.refused(code);
    throw requestError(code);
  }

  async #freeze(): Promise<string> {
    for (;;) {
      this.#life.check('freeze');
      await this.#confirmed;
      this.#life.check('freeze');
      const store = this.#store;
      const pipeline = this.#pipeline;
      try {
        // Every sequenced entry is committed and published before the end: its caller waits for that.
        await pipeline.idle();
        store.signal.throwIfAborted();
        await freezeStore(this.#options, store, pipeline.publisher);
        return this.checkpoint;
      } catch (error) {
        if (isFatal(error)) throw error;
        this.#fail(error, store);
        await this.#stores.recovered;
      }
    }
  }

  /** Any error of a store ends its service. Later errors of a store whose service has ended say nothing new. */
  #fail(error: unknown, store: OpenStore): void {
    if (!store.signal.aborted) this.#stores.fail(error, store);
  }

  /** The store failed: every waiting caller is rejected, and the store is opened again unless the error is fatal. */
  #recovers(error: unknown): void {
    this.#options.metrics.storeFailures.inc();
    this.#lastError = error;
    if (isFatal(error)) return;
    this.#options.logger.error({ err: error }, 'the store failed; opening it again');
    this.#life.enter({ name: 'recovering' });
    this.#store.end(requestError('store-failed'));
  }

  #recovered(store: OpenStore): void {
    this.#life.enter({ name: this.#confirm === undefined ? 'running' : 'confirming' });
    this.#serve(store);
    const { size, status } = store.tree.state;
    this.#options.logger.info({ size }, 'the store is open again');
    // A freeze that the failure cut off goes on; one that its caller still waits for goes on by itself.
    if (status === 'freezing' && this.#freezing === undefined) this.freeze().catch(ignore);
  }

  #break(error: unknown): void {
    if (!this.#life.enter({ name: 'broken', why: error })) return;
    this.#options.logger.error({ err: error }, 'the log stops: what is stored contradicts itself');
    this.#store.end(requestError('broken'));
    this.#options.onFatal(error);
  }

  /** A witness holds a checkpoint that this log signed and does not extend: nothing is signed until the operator acts. */
  #halt(error: ServerError, evidence: string): void {
    if (!this.#life.enter({ name: 'halted', why: error })) return;
    this.#options.logger.error(
      { err: error, evidence },
      'the log stops signing: a witness holds another history of it',
    );
    this.#options.signer.freeze();
    this.#stores.abandon();
    this.#store.end(requestError('halted'));
    void this.#options.onConflict?.(error, evidence);
  }

  /** @throws RequestError if reads are not served in this phase, or no checkpoint is public */
  #public(): Published {
    this.#life.check('read');
    const { published } = this.#store;
    if (published === undefined) throw requestError('no-checkpoint');
    return published;
  }

  /**
   * Reads the published tree: the empty one, and no checkpoint, while none is public. Of a frozen log `read` gets the plain
   * checkpoint: a verifier wants the quorum, which the last checkpoint may be without.
   */
  async #read<T>(read: (reader: TreeReader, checkpoint: string) => Promise<T>): Promise<T> {
    this.#life.check('read');
    const { published, tree } = this.#store;
    const { reader, checkpoint, plain = checkpoint } = published ?? nothingOf(tree);
    try {
      return await read(reader, plain);
    } catch (error) {
      if (error instanceof RequestError) throw error;
      // The file was logged when it was found.
      if (isRotten(error)) throw requestError('damaged');
      this.#options.logger.error({ err: error }, 'a read failed');
      throw requestError('read-failed');
    }
  }
}

/** Opens the stores, and checks their tree against every tree head that this log is known to have signed. */
async function openStore(
  options: LogOptions,
  known: Promise<KnownLeaves>,
  integrity: Integrity,
  first: boolean,
): Promise<OpenStore> {
  const { signer, cosigner, openStores, atLeast, pin } = options;
  const prepare = async (tree: CommittedTree) => {
    if (pin !== undefined) checkPinned(tree, pin);
    // Before anything is signed: an old copy of the directory must not begin a second history.
    if (first && atLeast !== undefined) await checkKnown(tree, atLeast, OLD_COPY);
    if (first) await options.secondPlace?.check(tree.reader());
    if (first) await cosigner?.check(tree.reader());
    const published = await openPublished(tree, signer);
    // A crash may have come between the freeze and this copy.
    if (published?.plain !== undefined) await options.keepPlain?.(published.plain);
    // A witness may hold a tree head that was signed and not published.
    if (signer.last !== undefined) await checkExtends(tree, signer.last, 'a checkpoint that this process signed');
    await (await known).adopt(tree);
    return published;
  };
  return await OpenStore.open(await openStores(), prepare, integrity.treeOptions);
}

function nothingOf(tree: CommittedTree): Published {
  return { reader: tree.reader(emptySnapshot(fastSha256)), checkpoint: '' };
}

/** Resolves with `work`, and after `ms` milliseconds without it. The timer holds the process: a start must not end in silence. */
async function within(work: Promise<unknown>, ms: number): Promise<void> {
  const end = new AbortController();
  const { signal } = end;
  await Promise.race([work, sleep(ms, undefined, { signal }).catch(ignore)]).finally(() => end.abort());
}

function ignore(): void {}

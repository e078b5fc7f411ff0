/**
 * The audit of a whole log of c2sp.org/tlog-tiles: it builds the tree anew from the entry bundles, and compares it with every
 * tile, the root of the checkpoint and the checkpoints of earlier audits. Worker threads return one root for each bundle, in
 * order: so the audit names the first thing that is wrong, and memory does not grow with the log.
 */
import { availableParallelism } from 'node:os';
import { equal } from '../../merkle/bytes.ts';
import type { VerifierKey } from '../../merkle/note.ts';
import { HASH_SIZE } from '../../merkle/rfc6962.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { nodeNotePrimitives } from '../../merkle/runtime/crypto/verify.ts';
import { createPool, type Pool, workerUrl } from '../../merkle/runtime/threads/pool.ts';
import { entryBundlePath, TILE_HEIGHT, TILE_WIDTH, TileNodes, tilePath } from '../../merkle/tile.ts';
import { ClientError, cancelled } from '../errors.ts';
import { inOrder } from '../in-order.ts';
import { openSource } from '../tiles/tiles.ts';
import { tilesOf } from '../tiles/tree-proofs.ts';
import type { TileSource } from '../tiles/types.ts';
import { isEmptyEnd, isLastTree, type LastCheckpoint } from '../trust/last-checkpoint.ts';
import { parseCheckpointKey } from '../trust/log-key.ts';
import { withoutQuorum } from '../trust/quorum.ts';
import { type AuditHead, readFrozenHead, readHead } from './audit-head.ts';
import { History } from './audit-history.ts';
import { AuditProblem, about } from './audit-problem.ts';
import { type AuditState, readAuditState, writeAuditState } from './audit-state.ts';
import { type AuditAnswer, type AuditTask, packAuditTask, unpackAuditAnswer } from './audit-task.ts';
import { blame } from './blame.ts';
import { latestHead } from './latest-head.ts';
import { Levels } from './levels.ts';
import type { AuditOptions, AuditReport, Corruption } from './types.ts';

/** Full bundles in one task from files: 4,096 entries take 5 ms, and with their signatures one bundle takes 25 ms. */
const BUNDLES_A_TASK = 16;
/** Bytes of fetched bundles that may wait for a worker. A bundle may have 16 MiB. */
const FETCHED_BYTES = 64 * 1024 * 1024;
const CHECKPOINT = 'checkpoint';

/**
 * Audits the log at `source`: a URL, a directory or an open source, which stays open.
 *
 * Resolves with what holds and, in `corruption`, with the first thing that does not.
 *
 * @throws ClientError where the audit cannot be made: `usage`, `log-key`, `state` (damaged, or of another log), `stale` (the
 *   log shows the beginning of the tree that it has shown before, or less than its last checkpoint: a cache is old, or it
 *   was rolled back), `file`,
 *   `network`, `unavailable`, `refused`, `bad-reply`, `missing` (there is no checkpoint at all), `unsupported` (a data
 *   directory of Stele, whose last entries are in no file), `cancelled`; RuntimeError `file`, `pool`
 */
export async function auditLog(source: TileSource | string, options: AuditOptions = {}): Promise<AuditReport> {
  const { logKey, policy, stateFile, newOnly = false } = options;
  const key = logKey === undefined ? undefined : parseCheckpointKey(logKey, nodeNotePrimitives);
  if (key === undefined && policy?.logs.length === 0) {
    throw new ClientError('usage', 'the policy names no log: give the key of the log as well');
  }
  if (newOnly && stateFile === undefined) {
    throw new ClientError('usage', 'auditing only what is new needs the state of an earlier audit: name its file');
  }
  const state = stateFile === undefined ? undefined : await readAuditState(stateFile);
  const opened = typeof source === 'string' ? openSource(source) : source;
  const audit = new Audit(opened, options, state);
  try {
    return await audit.run(key);
  } finally {
    await audit.close();
    if (typeof source === 'string') await opened.close();
  }
}

/** A frozen log shows its last tree. @throws AuditProblem `bad-checkpoint` beyond it; ClientError `stale` before it */
function checkEnd(head: AuditHead, pinned: readonly LastCheckpoint[]): void {
  const last = pinned.find(({ origin }) => origin === head.origin);
  if (last === undefined) return;
  try {
    if (isLastTree(head, pinned)) return;
  } catch (cause) {
    if (!(cause instanceof ClientError)) throw cause;
    throw new AuditProblem('bad-checkpoint', CHECKPOINT, cause.message, undefined, { cause });
  }
  const why = `the log was frozen with ${last.size} entries, and shows a tree of ${head.size}: a cache is old, or it went back`;
  throw new ClientError('stale', why);
}

type Counts = { verified: number; notChecked: number };

class Audit {
  readonly #source: TileSource;
  readonly #options: AuditOptions;
  readonly #state: AuditState | undefined;
  /** Ends the fetches that are under way when the audit ends. */
  readonly #stop = new AbortController();
  readonly #onAbort = () => this.#stop.abort();
  readonly #levels: Levels;
  #pool: Pool | undefined;
  #head: AuditHead | undefined;
  #history: History | undefined;
  /** True: the audit may replace the state in the file. */
  #walking = false;
  #from = 0;
  #entries = 0;
  /** Leaf hashes after the full bundles, once the audit came to the end. */
  #tail: Uint8Array = new Uint8Array(0);
  /** Signatures in full bundles, and those in the partial one, which every run checks anew. */
  #counted = { verified: 0, notChecked: 0 };
  #last = { verified: 0, notChecked: 0 };
  #largestBundle = 1;
  #savedAt = performance.now();

  constructor(source: TileSource, options: AuditOptions, state: AuditState | undefined) {
    this.#source = source;
    this.#options = options;
    this.#state = state;
    this.#levels = new Levels(source, this.#stop.signal);
    if (options.signal?.aborted) this.#stop.abort();
    options.signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  async close(): Promise<void> {
    this.#options.signal?.removeEventListener('abort', this.#onAbort);
    this.#stop.abort();
    await this.#pool?.close();
  }

  async run(key: VerifierKey | undefined): Promise<AuditReport> {
    try {
      const { head, problem } = await this.#readHead(key);
      this.#head = head;
      if (problem !== undefined) throw problem;
      checkEnd(head, this.#options.lastCheckpoints ?? []);
      this.#history = new History(this.#state, head);
      this.#resume();
      await this.#walk(head);
      await this.#save(true);
      return this.#report();
    } catch (error) {
      if (error instanceof AuditProblem) return { ...this.#report(), corruption: this.#explained(error.corruption) };
      // The next run need not check this part again.
      if (this.#walking) await this.#save(false);
      throw this.#stop.signal.aborted ? new ClientError('cancelled', this.#cancelled(), { cause: error }) : error;
    }
  }

  async #readHead(key: VerifierKey | undefined): ReturnType<typeof latestHead> {
    const read = (bytes: Uint8Array) => this.#verifyHead(bytes, key);
    try {
      return await latestHead(this.#source, this.#state, read, this.#stop.signal);
    } catch (cause) {
      if (!(cause instanceof ClientError) || cause instanceof AuditProblem || cause.code !== 'corrupt') throw cause;
      throw new AuditProblem('bad-checkpoint', CHECKPOINT, cause.message, undefined, { cause });
    }
  }

  /** A frozen log's last checkpoint may be without the quorum: then its plain checkpoint must have it, unless it is empty. */
  async #verifyHead(bytes: Uint8Array, key: VerifierKey | undefined): Promise<AuditHead> {
    const { policy } = this.#options;
    try {
      return readHead(bytes, key, policy);
    } catch (error) {
      if (policy === undefined || !(error instanceof AuditProblem) || error.code !== 'quorum') throw error;
      const bare = readHead(bytes, key, withoutQuorum(policy));
      if (isEmptyEnd(bare, this.#options.lastCheckpoints ?? [])) return bare;
      const plain = await this.#source.plainCheckpoint?.(this.#stop.signal);
      const head = plain && readFrozenHead(bytes, plain, key, policy);
      if (head === undefined) throw error;
      return head;
    }
  }

  /** Goes on after an interrupted audit, unless that one checked less. */
  #resume(): void {
    const state = this.#state;
    const { newOnly = false, signatures = false } = this.#options;
    if (state === undefined || (state.complete && !newOnly) || (signatures && !state.signatures)) return;
    if (!this.#levels.restore(state.bundles, state.edge)) {
      throw new ClientError('state', 'the state does not add up: move it away to begin anew');
    }
    this.#from = state.bundles * TILE_WIDTH;
    this.#entries = this.#from;
    if (signatures) this.#counted = { verified: state.verified, notChecked: state.notChecked };
  }

  async #walk(head: AuditHead): Promise<void> {
    this.#walking = true;
    this.#progress();
    const full = Math.floor(head.size / TILE_WIDTH);
    const width = head.size % TILE_WIDTH;
    if (full > this.#levels.bundles || width > 0) this.#pool = this.#openPool();
    for await (const answer of inOrder(this.#jobs(full), () => this.#width())) {
      await this.#take(answer, head);
    }
    const leaves = width === 0 ? new Uint8Array(0) : await this.#partial(full, width, head);
    this.#history!.check(this.#levels, leaves);
    await this.#levels.finish();
    const root = this.#levels.rootWith(leaves);
    if (!equal(root, head.root)) {
      const why = `the ${head.size} entries do not give the root of the checkpoint: entries and tiles agree, and the log signed another tree`;
      throw new AuditProblem('corrupt', CHECKPOINT, why);
    }
    this.#entries = head.size;
    this.#tail = leaves;
    this.#progress();
  }

  #openPool(): Pool {
    const { threads = availableParallelism(), signatures = false } = this.#options;
    const { directory } = this.#source;
    const workerData = { signatures, ...(directory === undefined ? {} : { directory }) };
    return createPool({ file: workerUrl('client/audit/audit-worker'), threads, workerData });
  }

  #jobs(full: number): () => (() => Promise<AuditAnswer>) | undefined {
    let next = this.#levels.bundles;
    const { directory } = this.#source;
    const step = directory === undefined || this.#options.signatures === true ? 1 : BUNDLES_A_TASK;
    return () => {
      if (next >= full) return undefined;
      const index = next;
      const count = Math.min(step, full - index);
      next += count;
      return directory === undefined ? () => this.#fetched(index, TILE_WIDTH) : () => this.#work({ index, count });
    };
  }

  /** How many tasks may be under way: enough for every thread to find one, or as many as memory has room for. */
  #width(): number {
    const { threads = availableParallelism(), concurrency = 16 } = this.#options;
    if (this.#source.directory !== undefined) return 3 * threads;
    return Math.max(2, Math.min(concurrency, Math.floor(FETCHED_BYTES / this.#largestBundle)));
  }

  async #fetched(index: number, width: number): Promise<AuditAnswer> {
    const { signal } = this.#stop;
    const first = index * TILE_WIDTH;
    const level0 = { level: 0, index, width };
    const tile = about(tilePath(level0), first, this.#source.tile(level0, signal));
    tile.catch(() => {});
    const bundle = await about(entryBundlePath(index, width), first, this.#source.entries(index, width, signal));
    this.#largestBundle = Math.max(this.#largestBundle, bundle.length);
    return await this.#work({ index, width, bundle, tile: await tile });
  }

  async #work(task: AuditTask): Promise<AuditAnswer> {
    return unpackAuditAnswer(await this.#pool!.run(packAuditTask(task)));
  }

  async #take(answer: AuditAnswer, head: AuditHead): Promise<void> {
    if (this.#stop.signal.aborted) throw cancelled();
    for (let at = 0; at < answer.hashes.length; at += HASH_SIZE) {
      const root = answer.hashes.slice(at, at + HASH_SIZE);
      await this.#checkHistoryWithin(root);
      await this.#levels.push(root);
      this.#entries += TILE_WIDTH;
    }
    await this.#account(answer, head, this.#counted);
    this.#progress();
    if (performance.now() - this.#savedAt >= (this.#options.stateEveryMs ?? 5000)) await this.#save(false);
  }

  async #account(answer: AuditAnswer, head: AuditHead, counts: Counts): Promise<void> {
    const { verified, notChecked, finding, unreadable } = answer;
    counts.verified += verified;
    counts.notChecked += notChecked;
    if (finding !== undefined) throw await blame(finding, head, tilesOf(this.#source, this.#stop.signal));
    if (unreadable !== undefined) throw new ClientError('file', unreadable);
  }

  async #partial(index: number, width: number, head: AuditHead): Promise<Uint8Array> {
    let answer: AuditAnswer;
    try {
      answer = await this.#fetched(index, width);
    } catch (error) {
      const { partialsElsewhere } = this.#source;
      if (!(error instanceof AuditProblem && error.code === 'missing') || partialsElsewhere === undefined) throw error;
      const why = `the entries from ${index * TILE_WIDTH} on are in no file, and so the root cannot be checked (the entries and tiles before hold)`;
      throw new ClientError('unsupported', `${why}: ${partialsElsewhere}`, { cause: error });
    }
    await this.#account(answer, head, this.#last);
    return answer.hashes;
  }

  /** Checks the earlier trees that end within the next full bundle, which has this root. */
  async #checkHistoryWithin(root: Uint8Array): Promise<void> {
    const index = this.#levels.bundles;
    if (!this.#history!.endsWithin(index)) return;
    const level0 = { level: 0, index, width: TILE_WIDTH };
    const first = index * TILE_WIDTH;
    const tile = await about(tilePath(level0), first, this.#source.tile(level0, this.#stop.signal));
    if (!equal(new TileNodes(tile, fastSha256).node(TILE_HEIGHT, 0), root)) {
      throw new AuditProblem('corrupt', tilePath(level0), `${tilePath(level0)} changed while it was audited`, first);
    }
    this.#history!.check(this.#levels, tile);
  }

  async #save(complete: boolean): Promise<void> {
    const { stateFile, signatures = false } = this.#options;
    if (stateFile === undefined) return;
    if (complete) this.#history!.settle();
    await writeAuditState(stateFile, {
      origin: this.#head!.origin,
      heads: this.#history!.heads,
      bundles: this.#levels.bundles,
      edge: this.#levels.save(),
      tail: this.#tail,
      proven: this.#history!.proven,
      complete,
      signatures,
      ...this.#counted,
    });
    this.#savedAt = performance.now();
  }

  #progress(): void {
    this.#options.onProgress?.({ entries: this.#entries, total: this.#head!.size, from: this.#from });
  }

  #report(): AuditReport {
    const head = this.#head;
    return {
      source: this.#source.name,
      ...(head === undefined ? {} : { tree: { origin: head.origin, size: head.size, root: head.root } }),
      signedBy: head?.signedBy ?? [],
      cosigned: head?.cosigned ?? [],
      from: this.#from,
      entries: this.#entries,
      ...(this.#options.signatures === true ? { signatures: this.#signatures() } : {}),
      extended: this.#history?.extendedBy(this.#entries) ?? [],
    };
  }

  #signatures(): Counts {
    const [full, last] = [this.#counted, this.#last];
    return { verified: full.verified + last.verified, notChecked: full.notChecked + last.notChecked };
  }

  /** This run does not look at what an earlier one has checked, and the log may have changed those bytes since. */
  #explained(corruption: Corruption): Corruption {
    const { code, index = 0, message } = corruption;
    if (code !== 'corrupt' || index >= this.#from) return corruption;
    const why = `the first ${this.#from} entries were checked in an earlier run, and the log may have changed them since`;
    return { ...corruption, message: `${message} (${why})` };
  }

  #cancelled(): string {
    const where = `the audit was stopped after ${this.#entries} of ${this.#head?.size ?? 0} entries`;
    return this.#options.stateFile === undefined ? where : `${where}; the next one with this state goes on there`;
  }
}

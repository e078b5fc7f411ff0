/**
 * The feed of one log: a checkpoint that is verified and continues the last one, then the entries up to it in order, each
 * proven to be in the tree. types.ts has the contract with the consumer, and says what a crash leaves behind.
 */
import { formatVerifierKey } from '../../merkle/note.ts';
import { CompactRange } from '../../merkle/range.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { TILE_WIDTH } from '../../merkle/tile.ts';
import { ClientError } from '../errors.ts';
import { tilesOf } from '../tiles/tree-proofs.ts';
import type { OpenSource, TileSource } from '../tiles/types.ts';
import { fetchChunk, type Reading, verifyChunk } from './chunks.ts';
import { rangeOf } from './consistency.ts';
import { judge, tooOld } from './judge.ts';
import { sameTree } from './open-head.ts';
import { Peers } from './peers.ts';
import { openHead, withPlain } from './signed-head.ts';
import type {
  Batch,
  Cursor,
  Fact,
  FeedConsumer,
  FeedSettings,
  FollowedLog,
  Look,
  ReadOutcome,
  SignedHead,
} from './types.ts';

interface FeedOptions {
  readonly open: OpenSource;
  readonly settings: FeedSettings;
  /** Where a log without a cursor begins: at its first entry, or behind the checkpoint that it shows first. */
  readonly start: 'start' | 'now';
  /** Milliseconds since 1970; `Date.now` by default. */
  readonly now?: () => number;
}

/** Make one call at a time. */
export class Feed {
  #log: FollowedLog;
  readonly #consumer: FeedConsumer;
  readonly #options: FeedOptions;
  readonly #source: TileSource;
  readonly #peers: Peers;
  readonly #now: () => number;
  #cursor: Cursor | undefined;
  #loaded = false;
  /** The log showed no checkpoint when it was looked at before. */
  #sawNone = false;
  /** The only look that `read` takes: an older one could lead back. */
  #last: Look | undefined;
  #partialSince: { readonly full: number; readonly time: number } | undefined;

  /** @throws ClientError `usage`: a location is neither a URL nor a directory */
  constructor(log: FollowedLog, consumer: FeedConsumer, options: FeedOptions) {
    this.#log = log;
    this.#consumer = consumer;
    this.#options = options;
    this.#source = options.open(log.location);
    this.#peers = new Peers(log, options.open);
    this.#now = options.now ?? Date.now;
  }

  get log(): FollowedLog {
    return this.#log;
  }

  /** Takes up the last checkpoint of the log, which was frozen while the feed followed it. */
  pin(last: SignedHead): void {
    this.#log = { ...this.#log, last };
    this.#last = undefined;
  }

  /** The cursor of the last commit, with what the looks since then have shown of the peers; undefined before the first. */
  get cursor(): Cursor | undefined {
    return this.#cursor && { ...this.#cursor, peers: this.#peers.known };
  }

  /** Takes the cursor from the consumer, unless the feed has it. `look` does the same. @throws what the consumer throws */
  async load(): Promise<void> {
    if (this.#loaded) return;
    this.#last = undefined;
    this.#cursor = await this.#consumer.load();
    if (this.#cursor !== undefined) this.#peers.restore(this.#cursor.peers);
    this.#loaded = true;
  }

  /** Forgets the cursor in memory: the consumer no longer knows whether it is the durable one. */
  reload(): void {
    this.#loaded = false;
  }

  /**
   * Fetches the checkpoint and compares it with all that the feed knows. It commits nothing.
   *
   * @throws ClientError `bad-checkpoint`: it is not a checkpoint that the log signed; `corrupt`, `missing`: the tiles do
   *   not decide; `cancelled`; other codes of a source; what the consumer's `load` throws
   */
  async look(signal: AbortSignal): Promise<Look> {
    await this.load();
    this.#last = await this.#explained(() => this.#look(signal));
    return this.#last;
  }

  /**
   * Commits the checkpoint of the last look, which must be accepted, then the entries up to it, batch by batch.
   *
   * @throws ClientError as `look`; what the consumer's `commit` throws
   */
  async read(look: Look, signal: AbortSignal): Promise<ReadOutcome> {
    if (look !== this.#last || !look.accepted) throw new Error('read takes the last look, and only an accepted one');
    this.#last = undefined;
    return await this.#explained(() => this.#read(look.head, signal));
  }

  /**
   * Whether the log is one of these keys that has never shown a checkpoint to this feed, and says itself that it has no entry
   * yet: a log with witnesses publishes its first checkpoint with its first entries. @throws ClientError of a source
   */
  async isNew(signal: AbortSignal): Promise<boolean> {
    if (this.#cursor !== undefined) return false;
    const keys = await this.#source.newLogKeys?.(signal);
    return keys?.some((vkey) => this.log.keys.some((key) => formatVerifierKey(key) === vkey)) === true;
  }

  async close(): Promise<void> {
    await Promise.all([this.#source.close(), this.#peers.close()]);
  }

  async #look(signal: AbortSignal): Promise<Look> {
    // A cache may serve an old checkpoint. A log that stands behind one has not gone back.
    const wasBehind = this.#last?.facts.some(({ type }) => type === 'rollback') === true;
    const shown = openHead(this.log, await this.#checkpoint(signal, wasBehind));
    const head = await withPlain(this.log, shown, this.#source, signal);
    const fact = await judge(this.log, this.#cursor, head, this.#source, signal);
    if (fact !== undefined) return { head, accepted: false, facts: [fact], peers: [] };
    const now = this.#now();
    const peers = await this.#peers.look(head, this.#source, now, signal);
    const splits: Fact[] = peers.flatMap(({ split }) => split ?? []);
    if (splits.length > 0) return { head, accepted: false, facts: splits, peers };
    const old = tooOld(this.log, head, now);
    return { head, accepted: true, facts: old === undefined ? [] : [old], peers };
  }

  /** A new log with witnesses has no checkpoint before its first entry. */
  async #checkpoint(signal: AbortSignal, fresh: boolean): Promise<Uint8Array> {
    try {
      return await this.#source.checkpoint(signal, fresh);
    } catch (error) {
      if (error instanceof ClientError && error.code === 'missing') this.#sawNone = true;
      throw error;
    }
  }

  async #read(head: SignedHead, signal: AbortSignal): Promise<ReadOutcome> {
    const { settings } = this.#options;
    const tiles = tilesOf(this.#source, signal);
    const reading: Reading = { source: this.#source, log: this.log.origin, head, tiles, settings, signal };
    await this.#accept(reading);
    const { end, waiting } = this.#goal(head.size);
    let { range } = this.#cursor!;
    let next = range.size < end ? this.#chunk(reading, range, end) : undefined;
    while (next !== undefined) {
      const chunk = await next;
      if ('type' in chunk) return { fact: chunk };
      // The next chunk is fetched and proven while the consumer works on this one.
      next = chunk.range.size < end ? this.#chunk(reading, chunk.range, end) : undefined;
      next?.catch(() => {});
      const cursor = { ...this.#cursor!, range: chunk.range, peers: this.#peers.known };
      await this.#commit({ first: range.size, entries: chunk.entries, cursor });
      range = chunk.range;
    }
    return waiting === undefined ? {} : { waiting };
  }

  /** The next entries behind `from`, proven, which the consumer hears of at once. */
  async #chunk(reading: Reading, from: CompactRange, end: number): ReturnType<typeof verifyChunk> {
    const chunk = await verifyChunk(reading, from, await fetchChunk(reading, from, end));
    if (!('type' in chunk)) this.#consumer.prepare?.(from.size, chunk.entries);
    return chunk;
  }

  /** Commits the checkpoint alone, so that the feed never accepts less from then on. */
  async #accept({ head, tiles }: Reading): Promise<void> {
    const before = this.#cursor;
    // A checkpoint of the same tree that does not say that the log is frozen is the older one.
    const frozen = this.#frozenBy(head);
    const isNew =
      before === undefined ||
      !sameTree(before.head, head) ||
      (head.frozen && !before.head.frozen) ||
      (frozen !== undefined && before.frozen === undefined);
    if (isNew) {
      const range = before?.range ?? (await this.#begin(head, tiles));
      const cursor = { range, head, ...(frozen !== undefined && { frozen }), peers: this.#peers.known };
      await this.#commit({ first: range.size, entries: [], cursor });
    }
    this.#peers.accepted();
  }

  async #begin(head: SignedHead, tiles: Reading['tiles']): Promise<CompactRange> {
    // All entries of a log that had no checkpoint yet are still to come.
    const now = this.#options.start === 'now' && !this.#sawNone;
    return now ? await rangeOf(head, tiles) : CompactRange.empty(fastSha256);
  }

  #frozenBy(head: SignedHead): Cursor['frozen'] {
    const before = this.#cursor?.frozen;
    if (before?.head !== undefined) return before;
    if (head.frozen) return { size: head.size, head };
    const { last } = this.#log;
    if (last !== undefined) return { size: last.size, head: last };
    return before ?? (this.log.frozen === true ? { size: head.size } : undefined);
  }

  /** The only place where the cursor moves: behind the consumer's commit. */
  async #commit(batch: Batch): Promise<void> {
    try {
      await this.#consumer.commit(batch);
    } catch (error) {
      this.reload();
      throw error;
    }
    this.#cursor = batch.cursor;
  }

  /** How far to read now. Entries of a bundle that is not full wait for more, so that the feed fetches the bundle once. */
  #goal(size: number): { readonly end: number; readonly waiting?: number } {
    const { partialMs } = this.#options.settings;
    const full = Math.max(this.#cursor!.range.size, size - (size % TILE_WIDTH));
    if (full === size || partialMs === 0) {
      this.#partialSince = undefined;
      return { end: size };
    }
    const now = this.#now();
    // Other entries than those that waited before: their bundle has become full.
    if (this.#partialSince === undefined || this.#partialSince.full !== full) this.#partialSince = { full, time: now };
    const waiting = this.#partialSince.time + partialMs - now;
    if (waiting > 0) return { end: full, waiting };
    this.#partialSince = undefined;
    return { end: size };
  }

  /** Says where the missing tiles of a directory are, as far as the source knows. */
  async #explained<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      const { partialsElsewhere } = this.#source;
      const missing = cause instanceof ClientError && cause.code === 'missing';
      if (!missing || partialsElsewhere === undefined) throw cause;
      throw new ClientError('missing', `${cause.message}: ${partialsElsewhere}`, { cause });
    }
  }
}

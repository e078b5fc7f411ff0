/**
 * One log of the index: what the feed delivers becomes rows, and rows become what a search needs of them.
 *
 * | step                                                       | after a crash behind it                              |
 * |------------------------------------------------------------|------------------------------------------------------|
 * | the feed looks at the log                                  | nothing: the round begins again                      |
 * | the store has the accepted checkpoint, and its time        | the feed reads the entries up to it                  |
 * | keys of a batch are read                                   | the feed reads the batch again                       |
 * | the store has the rows of the batch and the cursor behind  | the feed reads the next batch                        |
 *
 * The last step of a tree also stores its checkpoint. Answers are about that tree from then on, and never about a tree of which
 * the index has not looked at every entry.
 */
import { formatNote } from '../../../merkle/note.ts';
import { CompactRange } from '../../../merkle/range.ts';
import { fastSha256 } from '../../../merkle/runtime/crypto/hash.ts';
import { nodeNotePrimitives } from '../../../merkle/runtime/crypto/verify.ts';
import type { LevelBatch } from '../../../merkle/runtime/disk/level.ts';
import { TILE_HEIGHT, TILE_WIDTH } from '../../../merkle/tile.ts';
import { ClientError } from '../../errors.ts';
import type { Batch, Cursor, FeedConsumer, FollowedLog, SignedHead } from '../../follow/types.ts';
import { isBy, quorumTime, verifyQuorum } from '../../trust/quorum.ts';
import { BLOCK, blockEntries, joinBlocks, readRun } from './block.ts';
import type { Extraction } from './extraction.ts';
import type { IndexStore } from './index-store.ts';
import { FAMILY, lastNumber, MAX_NUMBER, numberKey, putVarint, rowKey } from './layout.ts';
import {
  type AnsweredHead,
  decodeHead,
  decodeIndexedLog,
  encodeHead,
  encodeIndexedLog,
  type IndexedLog,
  type ShardPlace,
} from './log-record.ts';

/** A checkpoint is kept for so long after another one has taken its place: the life of a page token. */
const HEAD_LIFE_MS = 60 * 60_000;
/** So many of them, whatever their age. */
const MAX_HEADS = 4096;
/** A longer note is kept with the signatures alone that verified. */
const MAX_NOTE = 64 * 1024;
/** Postings in a row: a row is read whole. */
const ROW_POSTINGS = 256;
/** Rows of postings that are in memory to be appended to. */
const WARM = 32_768;
/** Batches below this many entries keep every row warm, so that a quiet log does not make a row for each posting. */
const SMALL_BATCH = 128;

type KeptHead = Omit<AnsweredHead, 'note'>;

interface WarmRow {
  readonly key: Buffer;
  readonly value: Buffer;
  length: number;
  count: number;
  last: number;
}

interface LogIndexOptions {
  readonly store: IndexStore;
  readonly extraction: Extraction;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** The number of the log in keys, for a log that has no record yet. */
  readonly nextNumber: () => number;
  readonly shard?: ShardPlace;
}

export class LogIndex implements FeedConsumer {
  readonly #options: LogIndexOptions;
  readonly #store: IndexStore;
  #log: FollowedLog;
  /** What is durable; undefined before the first load, and after a failed write until the next load. */
  #record: IndexedLog | undefined;
  #number: number | undefined;
  /** The checkpoints that are kept, the newest last. Their notes are in the store, but for the newest. */
  #heads: KeptHead[] = [];
  #note = '';
  /** Hashes of the last tile of each level that is not full. */
  #tails: Uint8Array[][] = [];
  /** The block that is not full. */
  #tail: Uint8Array | undefined;
  #warm = new Map<string, WarmRow>();
  #prepared: { readonly entries: Batch['entries']; readonly runs: Promise<readonly Uint8Array[]> } | undefined;

  constructor(log: FollowedLog, options: LogIndexOptions) {
    this.#log = log;
    this.#options = options;
    this.#store = options.store;
  }

  get origin(): string {
    return this.#log.origin;
  }

  /** The number of the log in keys; undefined before the first commit. */
  get number(): number | undefined {
    return this.#number;
  }

  /** The tree that answers are about. */
  get answered(): AnsweredHead | undefined {
    const last = this.#heads.at(-1);
    return last && { ...last, note: this.#note };
  }

  /** A checkpoint that may have been given out, and is kept still. @throws RuntimeError `store`; ClientError `state` */
  async head(size: number): Promise<AnsweredHead | undefined> {
    if (this.#heads.at(-1)?.size === size) return this.answered;
    if (!this.#heads.some((head) => head.size === size)) return undefined;
    const row = await this.#store.get(headKey(this.#number!, size));
    return row && decodeHead(row);
  }

  get completeThrough(): number {
    return this.#record?.range.size ?? 0;
  }

  get accepted(): number {
    return this.#record?.head.size ?? 0;
  }

  /** The same tree with newer cosignatures: clients may ask how old they are. Kept in memory alone. */
  refresh(head: SignedHead): void {
    const last = this.#heads.at(-1);
    if (last === undefined || last.size !== head.size || Buffer.compare(last.root, head.root) !== 0) return;
    this.#note = shownNote(this.#log, head);
  }

  async load(): Promise<Cursor | undefined> {
    this.#forget();
    const bytes = await this.#store.get(recordKey(this.origin));
    if (bytes === undefined) return undefined;
    const record = decodeIndexedLog(this.#log, bytes);
    const { number } = record;
    const heads: KeptHead[] = [];
    let newest = '';
    for (let from = 0; ; ) {
      const gte = rowKey(FAMILY.checkpoint, number, numberKey(from));
      const rows = await this.#store.rows({ gte, lt: rowKey(FAMILY.checkpoint, number + 1) }, 256);
      for (const [, value] of rows) {
        const { note, ...head } = decodeHead(value);
        heads.push(head);
        newest = note;
      }
      if (rows.length === 0) break;
      from = lastNumber(rows.at(-1)![0]) + 1;
    }
    const { size } = record.range;
    for (let level = 0, count = size; count > 0; level++, count = Math.floor(count / TILE_WIDTH)) {
      const [index, width] = [Math.floor(count / TILE_WIDTH), count % TILE_WIDTH];
      const tile = width === 0 ? new Uint8Array(0) : await this.#need(tileKey(number, level, index));
      this.#tails.push(Array.from({ length: width }, (_, i) => tile.slice(32 * i, 32 * i + 32)));
    }
    if (size % BLOCK !== 0) this.#tail = await this.#need(blockKey(number, size - (size % BLOCK)));
    this.#number = number;
    this.#heads = heads;
    this.#note = newest;
    this.#record = record;
    return record;
  }

  prepare(first: number, entries: Batch['entries']): void {
    const runs = this.#options.extraction.read(runsOf(first, entries));
    runs.catch(() => {});
    this.#prepared = { entries, runs };
  }

  async commit({ first, entries, cursor }: Batch): Promise<void> {
    const runs = await this.#read(first, entries);
    const before = this.#record;
    const number = this.#number ?? this.#options.nextNumber();
    const now = this.#options.now();
    const { shard } = this.#options;
    const time =
      before !== undefined && before.head.size === cursor.head.size
        ? before.time
        : timeOf(this.#log, cursor.head, now, before?.time ?? 0);
    const record: IndexedLog = { ...cursor, origin: this.origin, number, time, ...(shard !== undefined && { shard }) };
    const complete = cursor.range.size === cursor.head.size && this.answered?.size !== cursor.head.size;
    const answered: AnsweredHead | undefined = complete
      ? { size: cursor.head.size, root: cursor.head.root, time, since: now, note: shownNote(this.#log, cursor.head) }
      : undefined;
    const expired = answered === undefined ? 0 : this.#expired(now);
    // In memory the rows are ahead of the store until the write is durable. After a failure `load` reads all of them again.
    await this.#store.write((batch) => {
      this.#putTiles(batch, number, before?.range ?? CompactRange.empty(fastSha256), entries);
      let at = first;
      for (const run of runs) at = this.#putRun(batch, number, at, run, entries.length < SMALL_BATCH);
      if (before === undefined || time > before.time) {
        batch.put(rowKey(FAMILY.time, number, numberKey(time)), numberKey(before?.head.size ?? 0));
      }
      for (const { size } of this.#heads.slice(0, expired)) batch.del(headKey(number, size));
      if (answered !== undefined) batch.put(headKey(number, answered.size), encodeHead(answered));
      batch.put(recordKey(this.origin), encodeIndexedLog(record));
    });
    this.#number = number;
    this.#heads.splice(0, expired);
    if (answered !== undefined) {
      const { note, ...head } = answered;
      this.#heads.push(head);
      this.#note = note;
    }
    this.#record = record;
    this.#cool();
  }

  async #read(first: number, entries: Batch['entries']): Promise<readonly Uint8Array[]> {
    const prepared = this.#prepared;
    if (prepared?.entries !== entries) return await this.#options.extraction.read(runsOf(first, entries));
    this.#prepared = undefined;
    return await prepared.runs;
  }

  /** Drops what stands for rows that may not be durable. Answers go on from what is, so the checkpoints stay. */
  #forget(): void {
    this.#tails = [];
    this.#tail = undefined;
    this.#warm = new Map();
    this.#prepared = undefined;
  }

  /** How many of the oldest checkpoints are kept no longer, once another one is added. */
  #expired(now: number): number {
    let count = Math.max(0, this.#heads.length + 1 - MAX_HEADS);
    while (count + 1 < this.#heads.length && now - this.#heads[count + 1]!.since > HEAD_LIFE_MS) count++;
    return count;
  }

  #putTiles(batch: LevelBatch, number: number, range: CompactRange, entries: Batch['entries']): void {
    const edge = range.clone();
    const changed = new Set<number>();
    for (const { leafHash } of entries) {
      edge.append(leafHash, (height, index, hash) => {
        if (height % TILE_HEIGHT !== 0) return;
        const level = height / TILE_HEIGHT;
        this.#tails[level] ??= [];
        const tail = this.#tails[level];
        tail.push(hash);
        changed.add(level);
        if (tail.length < TILE_WIDTH) return;
        batch.put(tileKey(number, level, Math.floor(index / TILE_WIDTH)), Buffer.concat(tail));
        this.#tails[level] = [];
        changed.delete(level);
      });
    }
    for (const level of changed) {
      const index = Math.floor(edge.size / TILE_WIDTH ** (level + 1));
      batch.put(tileKey(number, level, index), Buffer.concat(this.#tails[level]!));
    }
  }

  /** The rows of a run of entries within one block. Returns the index behind them. */
  #putRun(batch: LevelBatch, number: number, first: number, run: Uint8Array, small: boolean): number {
    let block = readRun(
      run,
      (key, places) => this.#putPostings(batch, number, key, first, places, small),
      (key, text) => batch.put(rowKey(FAMILY.value, number, key), text),
    );
    const start = first - (first % BLOCK);
    // The block had some entries before. This happens at most once a batch.
    if (first > start) block = joinBlocks(this.#tail!, block);
    batch.put(blockKey(number, start), block);
    const entries = blockEntries(block);
    this.#tail = entries < BLOCK ? Buffer.from(block) : undefined;
    return start + entries;
  }

  #putPostings(
    batch: LevelBatch,
    number: number,
    value: Uint8Array,
    first: number,
    places: Uint8Array,
    small: boolean,
  ): void {
    const key = postingKey(number, value, first + places[0]!);
    const name = key.toString('latin1', 1, 3 + value.length);
    let row = this.#warm.get(name);
    if (row === undefined && places.length === 1 && !small) {
      batch.put(key, EMPTY);
      return;
    }
    let put: WarmRow | undefined;
    for (const place of places) {
      const index = first + place;
      if (row === undefined || row.count === ROW_POSTINGS) {
        if (put !== undefined) batch.put(put.key, put.value.subarray(0, put.length));
        row = {
          key: postingKey(number, value, index),
          value: Buffer.allocUnsafe(64),
          length: 0,
          count: 1,
          last: index,
        };
      } else {
        row = grown(row);
        row.length = putVarint(row.value, row.length, index - row.last);
        row.last = index;
        row.count++;
      }
      put = row;
    }
    batch.put(put!.key, put!.value.subarray(0, put!.length));
    this.#warm.delete(name);
    this.#warm.set(name, put!);
  }

  #cool(): void {
    for (const name of this.#warm.keys()) {
      if (this.#warm.size <= WARM) break;
      this.#warm.delete(name);
    }
  }

  async #need(key: Buffer): Promise<Uint8Array> {
    const row = await this.#store.get(key);
    if (row !== undefined) return row;
    throw new ClientError('state', 'the index lacks a row that it must have: build it anew with --rebuild');
  }
}

const EMPTY = Buffer.alloc(0);

/** A varint of an index takes up to seven bytes. */
function grown(row: WarmRow): WarmRow {
  if (row.length + 8 <= row.value.length) return row;
  const value = Buffer.allocUnsafe(4 * row.value.length);
  row.value.copy(value, 0, 0, row.length);
  return { ...row, value };
}

/** The bodies in runs, each within one block. */
function runsOf(first: number, entries: Batch['entries']): Uint8Array[][] {
  const runs: Uint8Array[][] = [];
  for (let at = 0; at < entries.length; ) {
    const end = Math.min(entries.length, at + BLOCK - ((first + at) % BLOCK));
    runs.push(entries.slice(at, end).map(({ body }) => body));
    at = end;
  }
  return runs;
}

/** The time of a checkpoint: see `SearchQuery.after`. Never earlier than that of the one before. */
function timeOf(log: FollowedLog, head: SignedHead, now: number, before: number): number {
  const { policy } = log;
  if (policy?.quorum === undefined) return Math.min(MAX_NUMBER, Math.max(now, before));
  const seconds = quorumTime(policy, verifyQuorum(policy, (head.plain ?? head).signed, nodeNotePrimitives));
  return Math.min(MAX_NUMBER, Math.max(seconds === undefined ? now : seconds * 1000, before));
}

/** The note that answers carry: as the log served it, or without what nobody checked where that is long. */
function shownNote(log: FollowedLog, head: SignedHead): string {
  const { note, signed, keys } = head.plain ?? head;
  if (note.length <= MAX_NOTE) return note;
  const known = [...keys, ...(log.policy?.witnesses.map(({ key }) => key) ?? [])];
  return formatNote(
    signed.text,
    signed.signatures.filter((signature) => known.some((key) => isBy(signature, key))),
  );
}

function recordKey(origin: string): Buffer {
  return Buffer.concat([Buffer.of(FAMILY.log), fastSha256(Buffer.from(origin))]);
}

export function tileKey(log: number, level: number, index: number): Buffer {
  return rowKey(FAMILY.tile, log, level, numberKey(index));
}

export function blockKey(log: number, first: number): Buffer {
  return rowKey(FAMILY.block, log, numberKey(first));
}

/** `p ‖ log ‖ value ‖ first index`. */
function postingKey(log: number, value: Uint8Array, first: number): Buffer {
  const key = Buffer.allocUnsafe(9 + value.length);
  key[0] = FAMILY.posting;
  key.writeUInt16BE(log, 1);
  key.set(value, 3);
  key.writeUIntBE(first, 3 + value.length, 6);
  return key;
}

function headKey(log: number, size: number): Buffer {
  return rowKey(FAMILY.checkpoint, log, numberKey(size));
}

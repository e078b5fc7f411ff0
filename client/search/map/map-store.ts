/**
 * The map of one log in LevelDB.
 *
 * | key                              | value                                                        |
 * |----------------------------------|--------------------------------------------------------------|
 * | `k`, key hash                    | the postings of the key: key-postings.ts                         |
 * | `c`, key hash, u32 number        | a full chunk of its postings                                 |
 * | `m`                              | JSON: format, log, cursor of the feed, base, shown             |
 * | `r`, u64 size                    | a root that was computed: 32 bytes, u64 number of keys         |
 * | `s`, a name                      | a record of the publication                                  |
 *
 * Numbers in keys are big-endian, so that LevelDB has them in order, and the keys in the order of the trie. A batch of entries
 * is one synced write with its cursor: a crash leaves the map before or behind the batch. What a lookup reads of an earlier
 * size follows from the same records, because postings only grow. So nothing is written twice, and nothing is undone.
 *
 * The hashes of the trie are not stored: a start computes them from the keys, for which lookups wait (`npm run bench:load -- --map`
 * says how long). The store needs a third of the space and half of the writes.
 */
import { GuardedLevel, type LevelBatch } from '../../../merkle/runtime/disk/level.ts';
import { RuntimeError } from '../../../merkle/runtime/runtime-errors.ts';
import type { CursorRecord, PeerRecords } from '../../follow/cursor-record.ts';
import {
  type Chunk,
  decodeChunk,
  decodeKey,
  encodeChunk,
  encodeKey,
  encodeOne,
  type KeyPostings,
} from './key-postings.ts';

const FORMAT = 1;
const KEY = 0x6b;
const CHUNK_KEY = 0x63;
const ROOT = 0x72;
const RECORD = 0x73;
const META_KEY = Buffer.from('m');
const HASH = 32;
/** A lookup reads one key and some chunks; what is read again and again is in memory here. */
const CACHE_BYTES = 8 * 1024 * 1024;

export interface MapMeta {
  readonly format: typeof FORMAT;
  /** The origin of the log. */
  readonly log: string;
  readonly extractor: string;
  readonly cursor?: CursorRecord;
  readonly peers?: PeerRecords;
  /** No root below this size is computed any more. */
  readonly base: number;
  /** Lookups are answered from the map of this size; undefined before the first. */
  readonly shown?: number;
}

export interface MapRoot {
  /** Entries of the log that the map is made from. */
  readonly size: number;
  /** 32 bytes. */
  readonly root: Uint8Array;
  /** Keys in the map. */
  readonly count: number;
}

interface KeyRow {
  readonly key: Uint8Array;
  readonly postings: KeyPostings;
}

export class MapStore {
  readonly #level: GuardedLevel;

  private constructor(level: GuardedLevel) {
    this.#level = level;
  }

  /** @throws RuntimeError `locked`, `store`, `file` */
  static async open(dir: string): Promise<MapStore> {
    return new MapStore(await GuardedLevel.open(dir, { cacheSize: CACHE_BYTES }));
  }

  /** Undefined where the store is new. @throws RuntimeError `store`: it is damaged, or of another format */
  async meta(): Promise<MapMeta | undefined> {
    const bytes = await this.#level.get(META_KEY);
    if (bytes === undefined) return undefined;
    let meta: MapMeta;
    try {
      meta = JSON.parse(Buffer.from(bytes).toString()) as MapMeta;
    } catch (cause) {
      throw new RuntimeError('store', `the record of the map in ${this.#level.dir} is damaged`, { cause });
    }
    if (meta.format === FORMAT) return meta;
    throw new RuntimeError(
      'store',
      `the map in ${this.#level.dir} has another format: remove the directory to build the map again`,
    );
  }

  async postings(key: Uint8Array): Promise<KeyPostings | undefined> {
    const bytes = await this.#level.get(withKey(KEY, key));
    return bytes && decodeKey(bytes);
  }

  async manyPostings(keys: readonly Uint8Array[]): Promise<(KeyPostings | undefined)[]> {
    if (keys.length === 0) return [];
    const all = await this.#level.getMany(keys.map((key) => withKey(KEY, key)));
    return all.map((bytes) => bytes && decodeKey(bytes));
  }

  /** @throws RuntimeError `store`: the chunk is missing */
  async chunk(key: Uint8Array, index: number): Promise<Chunk> {
    const bytes = await this.#level.get(chunkKey(key, index));
    if (bytes === undefined) throw new RuntimeError('store', `a chunk of postings is missing in ${this.#level.dir}`);
    return decodeChunk(index, bytes);
  }

  /** All keys that begin with `prefix`, in order. */
  async *keys(prefix: Uint8Array = new Uint8Array(0), chunk = 2048): AsyncGenerator<KeyRow[]> {
    const gte = withKey(KEY, prefix);
    const lt = behind(gte);
    for await (const rows of this.#level.scan({ gte, lt }, chunk)) {
      yield rows.map(([key, value]) => ({ key: key.subarray(1), postings: decodeKey(value) }));
    }
  }

  /** All keys with their records (key-postings.ts), in order. A row is of use until the next chunk is asked for. */
  async *records(): AsyncGenerator<(readonly [key: Uint8Array, record: Uint8Array])[]> {
    for await (const rows of this.#level.scan({ gte: Buffer.of(KEY), lt: Buffer.of(KEY + 1) }, 8192)) {
      yield rows.map(([key, record]) => [key.subarray(1), record] as const);
    }
  }

  async root(size: number): Promise<MapRoot | undefined> {
    const bytes = await this.#level.get(rootKey(size));
    if (bytes === undefined) return undefined;
    return {
      size,
      root: new Uint8Array(bytes.subarray(0, HASH)),
      count: Number(Buffer.from(bytes).readBigUInt64BE(HASH)),
    };
  }

  async record(name: string): Promise<Uint8Array | undefined> {
    return await this.#level.get(recordKey(name));
  }

  /** One atomic, synced write. @throws RuntimeError `store`; the write may or may not be durable */
  async write(fill: (batch: MapBatch) => void): Promise<void> {
    await this.#level.write((batch) => fill(new MapBatch(batch)));
  }

  async close(): Promise<void> {
    await this.#level.close();
  }
}

class MapBatch {
  readonly #batch: LevelBatch;

  constructor(batch: LevelBatch) {
    this.#batch = batch;
  }

  meta(meta: Omit<MapMeta, 'format'>): void {
    this.#batch.put(META_KEY, Buffer.from(JSON.stringify({ format: FORMAT, ...meta } satisfies MapMeta)));
  }

  postings(key: Uint8Array, postings: KeyPostings): void {
    this.#batch.put(withKey(KEY, key), encodeKey(postings));
  }

  /** @param name the key, one character a byte */
  onePosting(name: string, posting: number): void {
    const key = Buffer.allocUnsafe(1 + HASH);
    key[0] = KEY;
    key.write(name, 1, 'latin1');
    this.#batch.put(key, encodeOne(posting));
  }

  chunk(key: Uint8Array, index: number, chunk: Chunk): void {
    this.#batch.put(chunkKey(key, index), encodeChunk(chunk));
  }

  root({ size, root, count }: MapRoot): void {
    const value = Buffer.alloc(HASH + 8);
    value.set(root);
    value.writeBigUInt64BE(BigInt(count), HASH);
    this.#batch.put(rootKey(size), value);
  }

  record(name: string, value: Uint8Array): void {
    this.#batch.put(recordKey(name), value);
  }
}

function withKey(first: number, key: Uint8Array): Buffer {
  const out = Buffer.allocUnsafe(1 + key.length);
  out[0] = first;
  out.set(key, 1);
  return out;
}

function chunkKey(key: Uint8Array, index: number): Buffer {
  const out = Buffer.allocUnsafe(1 + HASH + 4);
  out[0] = CHUNK_KEY;
  out.set(key, 1);
  out.writeUInt32BE(index, 1 + HASH);
  return out;
}

function rootKey(size: number): Buffer {
  const out = Buffer.alloc(9);
  out[0] = ROOT;
  out.writeBigUInt64BE(BigInt(size), 1);
  return out;
}

function recordKey(name: string): Buffer {
  return Buffer.concat([Buffer.of(RECORD), Buffer.from(name)]);
}

/** The first key behind all that begin with `prefix`. */
function behind(prefix: Uint8Array): Buffer {
  const out = Buffer.from(prefix);
  let at = out.length - 1;
  // The first byte is never 255.
  while (out[at] === 255) at--;
  out[at]!++;
  return out.subarray(0, at + 1);
}

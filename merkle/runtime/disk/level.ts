/**
 * A level handle that does not outlive its first failure.
 *
 * After an error LevelDB cannot be trusted with another write: when a full disk cuts a record of its journal, LevelDB takes
 * further synced batches, says that they are stored, and loses all of them, silently, at the next open. So the first
 * failure of any kind poisons the handle: it is closed, and every later call is refused. A caller that goes on opens a new
 * handle, which replays the journal up to the cut, and reads the state anew.
 *
 * Writes are always synced. LevelDB fsyncs its journal, and its directory when the manifest changes. The fsync of a new
 * journal also makes its name durable on ext4, xfs and btrfs.
 */
import { statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { ClassicLevel } from 'classic-level';
import { RuntimeError } from '../runtime-errors.ts';
import { makeDirDurable, namesIn, readFileIfThere, syncDir } from './files.ts';
import { journalIsDamaged } from './journal.ts';

/**
 * Chosen with commits of 2,000 entries of 900 bytes (4,000 puts, 2,000 deletions), a million entries in all.
 *
 * - `compression` off: hashes do not compress, and the tail is deleted soon. Compression changes the time of a commit and
 *   the processor time by less than the noise.
 * - `writeBufferSize`: up to two buffers are in memory, and one is replayed at an open: 20-30 ms with 16 MiB, 130 ms with
 *   32 MiB. With 4 MiB (level's default) a busy log would flush every third commit.
 * - `maxFileSize` with `maxOpenFiles`: a look-up should find its table open and the table's Bloom filter in memory. With
 *   2 MiB (level's default) the index of duplicates has more than 1,000 tables at 50 million entries.
 * - `cacheSize`: hardly matters for the look-up of a new hash, which the Bloom filters answer.
 */
const OPTIONS = {
  compression: false,
  cacheSize: 32 * 1024 * 1024,
  writeBufferSize: 16 * 1024 * 1024,
  maxFileSize: 8 * 1024 * 1024,
  maxOpenFiles: 1000,
} as const;

const SYNCED = { sync: true } as const;
const MAX_CURRENT = 64;
/** A journal is little longer than `writeBufferSize`. */
const MAX_JOURNAL = 256 * 1024 * 1024;

type Bytes = Uint8Array;
type Db = ClassicLevel<Bytes, Bytes>;

/** Puts and deletions that become visible and durable together. Keys and values are copied at the call. */
export interface LevelBatch {
  put(key: Bytes, value: Bytes): void;
  del(key: Bytes): void;
}

/** Keys in [gte, lt), in the order of their bytes; without bounds all keys. */
export interface LevelRange {
  readonly gte?: Bytes;
  readonly lt?: Bytes;
  /** From the end of the range backwards. */
  readonly reverse?: boolean;
}

export type LevelRow = readonly [key: Bytes, value: Bytes];

interface LevelOptions {
  /** Bytes of the block cache. Default 32 MiB. */
  readonly cacheSize?: number;
  /** False: the directory must hold a store already. Default true. */
  readonly create?: boolean;
}

export class GuardedLevel {
  readonly dir: string;
  readonly #db: Db;
  /** The inode of the directory that was opened. */
  readonly #inode: bigint;
  /** The first failure. Once it is set, this handle is closed or closing, and refuses every call. */
  #failure: Error | undefined;
  #closing: Promise<void> | undefined;

  private constructor(dir: string, db: Db) {
    this.dir = dir;
    this.#db = db;
    this.#inode = inodeOf(dir);
  }

  /**
   * Opens the store in `dir`, and makes it where there is none.
   * @throws RuntimeError `locked` when another process, or another handle of this one, has it open; `store` when it
   * cannot be opened; `file` when the directory cannot be made
   */
  static async open(dir: string, options: LevelOptions = {}): Promise<GuardedLevel> {
    const { create = true, cacheSize = OPTIONS.cacheSize } = options;
    if (create) await makeDirDurable(dir);
    await checkWhole(dir);
    // 'buffer' is what the binding takes without a conversion: with 'view' a commit costs half as much again.
    const db: Db = new (loadLevel())(dir, {
      ...OPTIONS,
      cacheSize,
      createIfMissing: create,
      keyEncoding: 'buffer',
      valueEncoding: 'buffer',
    });
    try {
      await db.open();
      // LevelDB renames its CURRENT file without an fsync of the directory.
      await syncDir(dir);
    } catch (error) {
      await db.close().catch(() => {});
      if (isLocked(error)) {
        throw new RuntimeError('locked', `the store in ${dir} is open already: stop the process that uses it`, {
          cause: error,
        });
      }
      throw new RuntimeError('store', `cannot open the store in ${dir}: ${reasonOf(error)}`, { cause: error });
    }
    return new GuardedLevel(dir, db);
  }

  /** @throws RuntimeError `store` */
  get(key: Bytes): Promise<Bytes | undefined> {
    return this.#guard(() => this.#db.get(asBuffer(key)));
  }

  /**
   * The same on this thread, without a wait: for keys whose answer is in memory. 2 to 3 µs, where `get` waits for a thread and
   * for a turn of the event loop.
   * @throws RuntimeError `store`
   */
  getSync(key: Bytes): Bytes | undefined {
    this.#check();
    try {
      return this.#db.getSync(asBuffer(key));
    } catch (error) {
      throw this.#poison(error);
    }
  }

  /**
   * As `getSync`, for a value that a caller can do without: where the disk does not give it, or LevelDB finds it corrupt, the
   * value is 'damaged' and the handle stays good. LevelDB itself does not verify what it reads: the caller checks the value.
   * @throws RuntimeError `store`
   */
  getSound(key: Bytes): Bytes | 'damaged' | undefined {
    this.#check();
    try {
      return this.#db.getSync(asBuffer(key));
    } catch (error) {
      if (DAMAGED.has(codeOf(causeOf(error)) ?? '')) return 'damaged';
      throw this.#poison(error);
    }
  }

  /** In the order of `keys`; 4-12 µs a key that is not there, in calls of 100. @throws RuntimeError `store` */
  getMany(keys: readonly Bytes[]): Promise<(Bytes | undefined)[]> {
    return this.#guard(() => this.#db.getMany(keys.map(asBuffer)));
  }

  /**
   * Writes what `fill` puts into the batch in one atomic step, durable when it resolves. When `fill` throws, nothing is
   * written and the handle stays good.
   * @throws RuntimeError `store`; the batch may or may not have become durable
   */
  async write(fill: (batch: LevelBatch) => void): Promise<void> {
    this.#check();
    const batch = this.#db.batch();
    try {
      fill({
        put: (key, value) => void batch.put(asBuffer(key), asBuffer(value)),
        del: (key) => void batch.del(asBuffer(key)),
      });
    } catch (error) {
      await batch.close();
      throw error;
    }
    await this.#guard(async () => {
      await batch.write(SYNCED);
      // LevelDB goes on in files that were removed or moved away, and the next open finds others or none. 3 µs.
      if (inodeOf(this.dir) !== this.#inode) throw new Error('its directory was removed or replaced while it was open');
    });
  }

  /**
   * The rows of a range in chunks of up to `chunk` rows, as they were when the first one was read, whatever is written
   * meanwhile. Holds one chunk in memory.
   * @throws RuntimeError `store`
   */
  async *scan(range: LevelRange = {}, chunk = 512): AsyncGenerator<LevelRow[]> {
    this.#check();
    const { gte, lt, reverse = false } = range;
    // The native side stops a chunk at this many bytes; its default of 16 KiB is a dozen entries.
    const limits = { highWaterMarkBytes: 1024 * 1024, fillCache: false };
    const rows = this.#db.iterator({
      ...limits,
      reverse,
      ...(gte !== undefined && { gte: asBuffer(gte) }),
      ...(lt !== undefined && { lt: asBuffer(lt) }),
    });
    try {
      for (;;) {
        const next = await this.#guard(() => rows.nextv(chunk));
        if (next.length === 0) return;
        yield next;
      }
    } finally {
      await rows.close();
    }
  }

  /** Merges the tables that hold a key, so that nothing stays on the disk of a deleted value. @throws RuntimeError `store` */
  compact(key: Bytes): Promise<void> {
    return this.#guard(() => this.#db.compactRange(asBuffer(key), asBuffer(key)));
  }

  /**
   * Waits for what is under way and closes. Resolves also after a failure, and any number of times; the directory can
   * then be opened anew.
   * @throws RuntimeError `store` when LevelDB does not close: the process must end
   */
  async close(): Promise<void> {
    this.#closing ??= this.#db.close();
    try {
      await this.#closing;
    } catch (error) {
      throw new RuntimeError('store', `cannot close the store in ${this.dir}: ${reasonOf(error)}`, { cause: error });
    }
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#refusal(this.#failure);
    if (this.#closing !== undefined) throw new RuntimeError('store', `the store in ${this.dir} is closed`);
  }

  async #guard<T>(run: () => Promise<T>): Promise<T> {
    this.#check();
    try {
      return await run();
    } catch (error) {
      // The handle was closed in the meantime, which is not a failure of the store.
      if (this.#failure === undefined && this.#closing !== undefined) {
        throw new RuntimeError('store', `the store in ${this.dir} was closed meanwhile`, { cause: error });
      }
      throw this.#poison(error);
    }
  }

  #poison(error: unknown): RuntimeError {
    if (this.#failure === undefined) {
      this.#failure = error instanceof Error ? error : new Error(String(error));
      // A failure of this close goes to the caller of `close`.
      this.#closing = this.#db.close();
      this.#closing.catch(() => {});
    }
    return this.#refusal(this.#failure);
  }

  #refusal(failure: Error): RuntimeError {
    const text = `the store in ${this.dir} failed (${reasonOf(failure)}) and was closed: open it anew and read its state`;
    return new RuntimeError('store', text, { cause: failure });
  }
}

/** The binding of LevelDB, which the build puts below dist/ (bundle.js says why). */
function loadLevel(): typeof ClassicLevel {
  try {
    return createRequire(import.meta.url)('#leveldb').ClassicLevel;
  } catch (cause) {
    throw new RuntimeError('file', 'LevelDB cannot be loaded: in a checkout, run "npm run build"', { cause });
  }
}

/**
 * Refuses a store that has lost what LevelDB does not miss. Without CURRENT it begins an empty store and deletes the tables
 * of the old one; without its journal, or after damage in it, it goes on with less, and has forgotten writes that were
 * confirmed. CURRENT and a journal exist from the first open on: only a store whose making was cut off has no journal, and
 * its CURRENT names manifest 1.
 */
async function checkWhole(dir: string): Promise<void> {
  const names = await namesIn(dir);
  const journals = names.filter((name) => name.endsWith('.log'));
  const current = await readFileIfThere(join(dir, 'CURRENT'), MAX_CURRENT).catch(ignore);
  if (!names.includes('CURRENT')) {
    if (journals.length > 0 || names.some((name) => name.endsWith('.ldb')))
      throw notWhole(dir, 'its file CURRENT is lost');
  } else if (
    journals.length === 0 &&
    current !== undefined &&
    Buffer.from(current).toString() !== 'MANIFEST-000001\n'
  ) {
    throw notWhole(dir, 'its journal is lost');
  }
  for (const name of journals) {
    const journal = await readFileIfThere(join(dir, name), MAX_JOURNAL).catch(ignore);
    if (journal !== undefined && journalIsDamaged(journal)) throw notWhole(dir, `its journal ${name} is damaged`);
  }
}

function notWhole(dir: string, what: string): RuntimeError {
  return new RuntimeError('store', `cannot open the store in ${dir}: ${what}, and with it writes that were confirmed`);
}

/** 0 where there is none. */
function inodeOf(dir: string): bigint {
  return statSync(dir, { bigint: true, throwIfNoEntry: false })?.ino ?? 0n;
}

/** LevelDB itself says why it does not open. */
function ignore(): undefined {}

function asBuffer(bytes: Bytes): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** What LevelDB says of a block that it cannot read or understand. */
const DAMAGED = new Set(['LEVEL_CORRUPTION', 'LEVEL_IO_ERROR']);

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined;
}

/** abstract-level wraps the error of LevelDB. */
function causeOf(error: unknown): unknown {
  return error instanceof Error && error.cause !== undefined ? error.cause : error;
}

function reasonOf(error: unknown): string {
  const cause = causeOf(error);
  return cause instanceof Error ? cause.message : String(cause);
}

function isLocked(error: unknown): boolean {
  const cause = causeOf(error);
  return codeOf(cause) === 'LEVEL_LOCKED';
}

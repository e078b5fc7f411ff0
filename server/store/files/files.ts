/**
 * `TileStore` and `CheckpointStore` on a directory, in the layout of c2sp.org/tlog-tiles, which any static web server can
 * serve:
 *
 *   <dir>/checkpoint
 *   <dir>/tile/0/x001/234, <dir>/tile/entries/x001/234, …
 *
 * Names that begin with a dot are temporary files. A crash may leave them, and the next open removes them. A process that
 * opens the store to write MUST own the directory (merkle/runtime/disk/lock.ts): the driver locks nothing.
 */
import assert from 'node:assert';
import { type BigIntStats, statSync } from 'node:fs';
import { join } from 'node:path';
import { makeDirDurable, readFileIfThere, readWithStats, removeLeftovers } from '../../../merkle/runtime/disk/files.ts';
import { isSame, isSettled } from '../../../merkle/runtime/disk/settled.ts';
import { createPool, type Pool, workerUrl } from '../../../merkle/runtime/threads/pool.ts';
import { ServerError } from '../../errors.ts';
import { assertNote, blobBounds, blobsByName, CHECKPOINT_NAME, MAX_CHECKPOINT_BYTES } from '../blobs.ts';
import { leavesHandleGood, mapped } from '../store-errors.ts';
import type { CheckpointStore, StampedBlob, TileBlob, TileStore } from '../types.ts';
import { checkAnswer, type FilesTask, packTask } from './files-task.ts';

interface FileStoreOptions {
  /** True for a process that does not own the directory: nothing is made, cleaned or written. Default false. */
  readonly readOnly?: boolean;
}

/**
 * Opens the store in `dir`. Unless it is only read, makes a missing directory, and removes what a crash left half-written.
 * @throws ServerError `store`
 */
export async function openFileStore(dir: string, options: FileStoreOptions = {}): Promise<FileStore> {
  const { readOnly = false } = options;
  if (!readOnly) {
    await mapped(async () => {
      await makeDirDurable(dir);
      await removeLeftovers(dir, { recursive: true });
    });
  }
  const writer = readOnly
    ? undefined
    : createPool({ file: workerUrl('server/store/files/files-worker'), threads: 1, workerData: { dir } });
  return new FileStore(dir, writer);
}

export class FileStore implements TileStore, CheckpointStore {
  readonly #dir: string;
  /** The thread that writes (files-worker.ts); undefined where the store is only read. */
  readonly #writer: Pool | undefined;
  #failure: unknown;
  #closed = false;
  #writing: Promise<void> = Promise.resolve();

  constructor(dir: string, writer: Pool | undefined) {
    this.#dir = dir;
    this.#writer = writer;
  }

  put(blobs: readonly TileBlob[]): Promise<void> {
    return this.#write(() => ({ blobs: [...blobsByName(blobs)].map(([name, bytes]) => ({ name, bytes })) }));
  }

  async get(name: string): Promise<Uint8Array | undefined> {
    return (await this.#read(name))?.bytes;
  }

  async getStamped(name: string): Promise<StampedBlob | undefined> {
    const now = Date.now();
    const found = await this.#read(name);
    if (found === undefined) return undefined;
    const { bytes, stats } = found;
    const file = join(this.#dir, name);
    return { bytes, isCurrent: isSettled(stats, now) ? () => isSame(stats, statsOf(file)) : undefined };
  }

  async readCheckpoint(): Promise<Uint8Array | undefined> {
    this.#checkOpen();
    return mapped(() => readFileIfThere(join(this.#dir, CHECKPOINT_NAME), MAX_CHECKPOINT_BYTES));
  }

  async replaceCheckpoint(expected: Uint8Array | undefined, next: Uint8Array): Promise<void> {
    assertNote(next);
    await this.#write(() => ({ expected, next }));
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#writing;
    await this.#writer?.close();
  }

  async #read(name: string): Promise<{ readonly bytes: Uint8Array; readonly stats: BigIntStats } | undefined> {
    const { min, max } = blobBounds(name);
    this.#checkOpen();
    const path = join(this.#dir, name);
    const wrongLength = (length: number) => {
      const right = min === max ? min : `${min} to ${max}`;
      return new ServerError(
        'corrupt',
        `${name} has ${length} bytes instead of ${right}: put the file back from a backup, an export or a mirror`,
      );
    };
    const found = await mapped(() => readWithStats(path, max)).catch((error: unknown) => {
      const size = statsOf(path)?.size ?? 0n;
      throw size > max ? wrongLength(Number(size)) : error;
    });
    if (found === undefined || found.bytes.length >= min) return found;
    throw wrongLength(found.bytes.length);
  }

  #write(task: () => FilesTask): Promise<void> {
    const result = this.#writeOne(task);
    const settled = result.catch(() => {});
    this.#writing = Promise.all([this.#writing, settled]).then(() => {});
    return result;
  }

  async #writeOne(task: () => FilesTask): Promise<void> {
    const writer = this.#writer;
    assert(writer !== undefined, 'the store was opened to read only');
    this.#checkOpen();
    if (this.#failure !== undefined) {
      throw new ServerError('store', 'an earlier write to the tile store failed: close it and open it anew', {
        cause: this.#failure,
      });
    }
    try {
      await mapped(async () => checkAnswer(await writer.run(packTask(task()))));
    } catch (error) {
      if (!leavesHandleGood(error)) this.#failure ??= error;
      throw error;
    }
  }

  #checkOpen(): void {
    if (this.#closed) throw new ServerError('store', 'the tile store is closed');
  }
}

/**
 * Undefined where there is no file, or where the system does not say: the read that follows reports why.
 *
 * Measured: 1.4 µs with `statSync`, where the thread pool takes 15 for the same and 32 to 53 to read the file. It blocks
 * for as long as the file system needs to look up an inode that it looked up a short time ago.
 */
function statsOf(path: string): BigIntStats | undefined {
  try {
    return statSync(path, { bigint: true, throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

/**
 * `TileStore` on a directory, in the layout of c2sp.org/tlog-tiles, which any static web server can serve:
 *
 *   <dir>/checkpoint
 *   <dir>/tile/0/x001/234, <dir>/tile/entries/x001/234, …
 *
 * Names that begin with a dot are temporary files; the next open takes away those that a crash left. Whoever opens the
 * store to write owns the directory (merkle/runtime/disk/lock.ts).
 */
import assert from 'node:assert';
import { join } from 'node:path';
import { makeDirDurable, readFileIfThere, readWithStats, removeLeftovers } from '../../../merkle/runtime/disk/files.ts';
import { createPool, type Pool, workerUrl } from '../../../merkle/runtime/threads/pool.ts';
import { ServerError } from '../../errors.ts';
import { blobBounds, blobsByPath, MAX_CHECKPOINT_BYTES } from '../blobs.ts';
import { FileCache } from '../cache.ts';
import { mapped } from '../mapped.ts';
import type { TileBlob, TileStore } from '../types.ts';
import { checkAnswer, packTask } from './task.ts';

/** The name of the file with the published checkpoint. */
const CHECKPOINT = 'checkpoint';

export interface FileTilesOptions {
  /**
   * True for whoever does not own the directory: nothing is made, cleaned or written. The owner's temporary files would
   * look like leftovers. Default false.
   */
  readonly readOnly?: boolean;
  /** Tiles and bundles kept in memory, in bytes. Default 0. */
  readonly cacheBytes?: number;
}

/**
 * Opens the tile store in `dir`, makes it when it is not there, and takes away what a crash left half-written.
 *
 * @throws ServerError `store`
 */
export async function openFileTiles(dir: string, options: FileTilesOptions = {}): Promise<TileStore> {
  const { readOnly = false, cacheBytes = 0 } = options;
  if (!readOnly) {
    await mapped(async () => {
      await makeDirDurable(dir);
      await removeLeftovers(dir, { recursive: true });
    });
  }
  const writer = readOnly
    ? undefined
    : createPool({ file: workerUrl('server/store/files/worker'), threads: 1, workerData: { dir } });
  return new FileTileStore(dir, writer, cacheBytes);
}

class FileTileStore implements TileStore {
  readonly #dir: string;
  /** The thread that writes (files/worker.ts); none where the store is only read. */
  readonly #writer: Pool | undefined;
  readonly #cache: FileCache;
  #failure: unknown;
  #closed = false;
  #writing: Promise<void> = Promise.resolve();

  constructor(dir: string, writer: Pool | undefined, cacheBytes: number) {
    this.#dir = dir;
    this.#writer = writer;
    this.#cache = new FileCache(cacheBytes);
  }

  put(blobs: readonly TileBlob[]): Promise<void> {
    return this.#write(async (writer) => {
      const files = [...blobsByPath(blobs)].map(([path, bytes]) => ({ path, bytes }));
      checkAnswer(await writer.run(packTask({ replace: false, files })));
    });
  }

  async get(path: string, { once = false } = {}): Promise<Uint8Array | undefined> {
    const { min, max } = blobBounds(path);
    this.#checkOpen();
    const kept = this.#cache.get(path);
    if (kept !== undefined) return kept;
    const file = join(this.#dir, path);
    const now = Date.now();
    const found = await mapped(() => readWithStats(file, max));
    if (found === undefined) return undefined;
    if (found.bytes.length < min) {
      throw new ServerError(
        'corrupt',
        `${path} has ${found.bytes.length} bytes instead of ${min} or more: run \`stele log check\``,
      );
    }
    if (!once && !this.#closed) this.#cache.set(path, { file, ...found }, now);
    return found.bytes;
  }

  atHand(path: string): Uint8Array | undefined {
    return this.#cache.get(path);
  }

  putCheckpoint(note: Uint8Array): Promise<void> {
    assert(note.length <= MAX_CHECKPOINT_BYTES, 'a checkpoint has 1 MiB at most');
    return this.#write(async (writer) => {
      checkAnswer(await writer.run(packTask({ replace: true, files: [{ path: CHECKPOINT, bytes: note }] })));
    });
  }

  async getCheckpoint(): Promise<Uint8Array | undefined> {
    this.#checkOpen();
    return mapped(() => readFileIfThere(join(this.#dir, CHECKPOINT), MAX_CHECKPOINT_BYTES));
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cache.clear();
    await this.#writing;
    await this.#writer?.close();
  }

  #write(run: (writer: Pool) => Promise<void>): Promise<void> {
    const result = this.#writeOne(run);
    const settled = result.catch(() => {});
    this.#writing = Promise.all([this.#writing, settled]).then(() => {});
    return result;
  }

  async #writeOne(run: (writer: Pool) => Promise<void>): Promise<void> {
    const writer = this.#writer;
    assert(writer !== undefined, 'the tile store was opened to read only');
    this.#checkOpen();
    if (this.#failure !== undefined) {
      throw new ServerError('store', 'an earlier write to the tile store failed: close it and open it anew', {
        cause: this.#failure,
      });
    }
    try {
      await mapped(() => run(writer));
    } catch (error) {
      this.#failure ??= error;
      throw error;
    }
  }

  #checkOpen(): void {
    if (this.#closed) throw new ServerError('store', 'the tile store is closed');
  }
}

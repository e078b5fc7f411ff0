/**
 * `TileStore` on a directory, in the layout of c2sp.org/tlog-tiles, which any static web server can serve:
 *
 *   <dir>/checkpoint
 *   <dir>/tile/0/x001/234, <dir>/tile/entries/x001/234, …
 *
 * Names that begin with a dot are temporary files; the next open takes away those that a crash left. Whoever opens the
 * store to write owns the directory (merkle/runtime/lock.ts).
 */
import assert from 'node:assert';
import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  makeDirDurable,
  makeDirsBelow,
  readFileIfThere,
  removeLeftovers,
  writeFileDurable,
  writeFilesDurable,
} from '../../merkle/runtime/files.ts';
import { ServerError } from '../errors.ts';
import { blobBounds, blobsByPath, checkSame, conflict, MAX_CHECKPOINT_BYTES } from './blobs.ts';
import { mapped } from './mapped.ts';
import type { TileBlob, TileStore } from './types.ts';

/** Directories remembered as durable. A tile directory serves 1,000 tiles, so forgetting all of them costs little. */
const MAX_KNOWN_DIRS = 1000;

export interface FileTilesOptions {
  /**
   * True for whoever does not own the directory: nothing is made, cleaned or written. The owner's temporary files would
   * look like leftovers. Default false.
   */
  readonly readOnly?: boolean;
}

/**
 * Opens the tile store in `dir`, makes it when it is not there, and takes away what a crash left half-written.
 *
 * @throws ServerError `store`
 */
export async function openFileTiles(dir: string, options: FileTilesOptions = {}): Promise<TileStore> {
  const { readOnly = false } = options;
  if (!readOnly) {
    await mapped(async () => {
      await makeDirDurable(dir);
      await removeLeftovers(dir, { recursive: true });
    });
  }
  return new FileTileStore(dir, readOnly);
}

class FileTileStore implements TileStore {
  readonly #dir: string;
  readonly #readOnly: boolean;
  readonly #durableDirs = new Set<string>();
  #failure: unknown;
  #closed = false;
  #writing: Promise<void> = Promise.resolve();

  constructor(dir: string, readOnly: boolean) {
    this.#dir = dir;
    this.#readOnly = readOnly;
  }

  /**
   * Same bytes that are there already are written once more: a crash, or a failed fsync of the directory, may have left
   * them without a durable name, and only a new rename makes the directory's next fsync tell the truth.
   *
   * Measured on ext4: 8 bundles of 256 KiB in two known directories take 3 ms.
   */
  put(blobs: readonly TileBlob[]): Promise<void> {
    return this.#write(async () => {
      const files = [...blobsByPath(blobs)].map(([path, bytes]) => ({
        path: join(this.#dir, path),
        name: path,
        bytes,
      }));
      await Promise.all(
        files.map(async ({ path, name, bytes }) => {
          const { max } = blobBounds(name);
          // It differs, whatever it holds; not to be read, and not a failure of the disk, which would be tried again.
          if ((await sizeOf(path)) > max) throw conflict(name);
          checkSame(name, await readFileIfThere(path, max), bytes);
        }),
      );
      for (const path of new Set(files.map((file) => dirname(file.path)))) await this.#makeDir(path);
      await writeFilesDurable(files);
    });
  }

  async get(path: string): Promise<Uint8Array | undefined> {
    const { min, max } = blobBounds(path);
    this.#checkOpen();
    const bytes = await mapped(() => readFileIfThere(join(this.#dir, path), max));
    if (bytes === undefined || bytes.length >= min) return bytes;
    throw new ServerError(
      'corrupt',
      `${path} has ${bytes.length} bytes instead of ${min} or more: run \`stele log check\``,
    );
  }

  putCheckpoint(note: Uint8Array): Promise<void> {
    assert(note.length <= MAX_CHECKPOINT_BYTES, 'a checkpoint has 1 MiB at most');
    return this.#write(() => writeFileDurable(join(this.#dir, 'checkpoint'), note));
  }

  async getCheckpoint(): Promise<Uint8Array | undefined> {
    this.#checkOpen();
    return mapped(() => readFileIfThere(join(this.#dir, 'checkpoint'), MAX_CHECKPOINT_BYTES));
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#writing;
  }

  #write(run: () => Promise<void>): Promise<void> {
    const result = this.#writeOne(run);
    const settled = result.catch(() => {});
    this.#writing = Promise.all([this.#writing, settled]).then(() => {});
    return result;
  }

  async #writeOne(run: () => Promise<void>): Promise<void> {
    assert(!this.#readOnly, 'the tile store was opened to read only');
    this.#checkOpen();
    if (this.#failure !== undefined) {
      throw new ServerError('store', 'an earlier write to the tile store failed: close it and open it anew', {
        cause: this.#failure,
      });
    }
    try {
      await mapped(run);
    } catch (error) {
      this.#failure ??= error;
      throw error;
    }
  }

  async #makeDir(path: string): Promise<void> {
    if (this.#durableDirs.has(path)) return;
    await makeDirsBelow(this.#dir, path);
    if (this.#durableDirs.size >= MAX_KNOWN_DIRS) this.#durableDirs.clear();
    this.#durableDirs.add(path);
  }

  #checkOpen(): void {
    if (this.#closed) throw new ServerError('store', 'the tile store is closed');
  }
}

/** 0 where there is none; where it cannot be told, the read that follows says why. */
async function sizeOf(path: string): Promise<number> {
  return await stat(path).then(
    ({ size }) => size,
    () => 0,
  );
}

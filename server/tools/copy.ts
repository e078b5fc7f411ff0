/** Copies a log into another directory: what backup, restore and export share. */
import { encodeUtf8 } from '../../merkle/bytes.ts';
import { entryBundlePath, TILE_WIDTH, tilePath, tileWidth } from '../../merkle/tile.ts';
import { ServerError } from '../errors.ts';
import { openFileStore } from '../store/files/files.ts';
import { openLevelState } from '../store/level/level.ts';
import type { StatePart, TileBlob, TileStore, TreeState } from '../store/types.ts';
import type { TreeReader } from '../tree/reader.ts';

/** `done` of `total` files are copied. */
export type OnProgress = (done: number, total: number) => void;

/** Files that are read and written at a time. A bundle has at most 16 MiB, and most are far smaller. */
const AT_ONCE = 32;

interface Copied {
  readonly name: string;
  readonly read: () => Promise<Uint8Array | undefined>;
}

/** Writes a snapshot of the committed state into the empty or missing directory `dir`. All is durable when it resolves. */
export async function copyState(snapshot: AsyncIterable<StatePart>, dir: string): Promise<TreeState> {
  const store = await openLevelState(dir);
  try {
    return await store.load(snapshot);
  } finally {
    await store.close();
  }
}

/** The full tiles and bundles of the first `size` entries. */
export function fullFiles(size: number, store: Pick<TileStore, 'get'>): Iterable<Copied> & { count: number } {
  const level0 = Math.floor(size / TILE_WIDTH);
  let count = level0;
  for (let full = level0; full > 0; full = Math.floor(full / TILE_WIDTH)) count += full;
  function* files() {
    for (let index = 0; index < level0; index++) yield file(entryBundlePath(index, TILE_WIDTH));
    for (let level = 0, full = level0; full > 0; level++, full = Math.floor(full / TILE_WIDTH)) {
      for (let index = 0; index < full; index++) yield file(tilePath({ level, index, width: TILE_WIDTH }));
    }
  }
  const file = (name: string): Copied => ({ name, read: () => store.get(name, { once: true }) });
  return { count, [Symbol.iterator]: files };
}

/** The partial tiles and the partial bundle of a reader's tree. */
export function partialFiles(reader: TreeReader): Copied[] {
  const { size } = reader.snapshot;
  const files: Copied[] = [];
  for (let level = 0, below = size; below > 0; level++, below = Math.floor(below / TILE_WIDTH)) {
    const index = Math.floor(below / TILE_WIDTH);
    const width = tileWidth(level, index, size);
    if (width === 0) continue;
    files.push({ name: tilePath({ level, index, width }), read: () => reader.tile(level, index, width) });
    if (level === 0) {
      files.push({ name: entryBundlePath(index, width), read: () => reader.entryBundle(index, width) });
    }
  }
  return files;
}

/** Writes `files` and, last, the checkpoint, below `dir`. All is durable when it resolves. */
export async function writeTree(
  dir: string,
  files: Iterable<Copied>,
  total: number,
  checkpoint: string,
  onProgress: OnProgress = () => {},
): Promise<void> {
  const store = await openFileStore(dir);
  try {
    let batch: Copied[] = [];
    let done = 0;
    const flush = async () => {
      await store.put(await Promise.all(batch.map(readBlob)));
      done += batch.length;
      batch = [];
      onProgress(done, total);
    };
    for (const file of files) {
      batch.push(file);
      if (batch.length === AT_ONCE) await flush();
    }
    if (batch.length > 0) await flush();
    await store.replaceCheckpoint(await store.readCheckpoint(), encodeUtf8(checkpoint));
  } finally {
    await store.close();
  }
}

async function readBlob({ name, read }: Copied): Promise<TileBlob> {
  const bytes = await read();
  if (bytes === undefined) {
    throw new ServerError('corrupt', `the file ${name} is missing, though the tree contains it.`);
  }
  return { name, bytes };
}

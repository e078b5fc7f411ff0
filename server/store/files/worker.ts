/**
 * The thread that writes the files of one store (../files.ts). A durable file is eight calls one behind the other: on the main
 * thread each waits for its turn in an event loop that has requests to serve, some milliseconds on a busy log.
 */
import { dirname, join } from 'node:path';
import { Piscina } from 'piscina';
import { makeDirsBelow, readFileIfThere } from '../../../merkle/runtime/disk/files.ts';
import { sizeOfFileSync, writeFilesDurableSync } from '../../../merkle/runtime/disk/files-sync.ts';
import { blobBounds, checkSame, conflict } from '../blobs.ts';
import { mapped } from '../mapped.ts';
import type { TileBlob } from '../types.ts';
import { packFailure, unpackTask } from './task.ts';

/** Directories remembered as durable. A tile directory serves 1,000 tiles, so forgetting all of them costs little. */
const MAX_KNOWN_DIRS = 1000;

const { dir: root } = Piscina.workerData as { readonly dir: string };
const durableDirs = new Set<string>();

export default async function write(task: ArrayBuffer): Promise<unknown> {
  const { replace, files } = unpackTask(task);
  try {
    await mapped(async () => {
      if (!replace) await prepare(files);
      writeFilesDurableSync(files.map(({ path, bytes }) => ({ path: join(root, path), bytes })));
    });
    return Piscina.move(new ArrayBuffer(0));
  } catch (error) {
    return Piscina.move(packFailure(error));
  }
}

/**
 * Refuses where other bytes are, and makes the directories. Same bytes that are there already are written once more: a
 * crash, or a failed fsync of the directory, may have left them without a durable name, and only a new rename makes the
 * directory's next fsync tell the truth.
 */
async function prepare(files: readonly TileBlob[]): Promise<void> {
  for (const { path, bytes } of files) {
    const at = join(root, path);
    const size = sizeOfFileSync(at);
    if (size === undefined) continue;
    const { max } = blobBounds(path);
    // It differs, whatever it holds; not to be read, and not a failure of the disk, which would be tried again.
    if (size > max) throw conflict(path);
    checkSame(path, await readFileIfThere(at, max), bytes);
  }
  for (const dir of new Set(files.map(({ path }) => dirname(join(root, path))))) await makeDir(dir);
}

async function makeDir(path: string): Promise<void> {
  if (durableDirs.has(path)) return;
  await makeDirsBelow(root, path);
  if (durableDirs.size >= MAX_KNOWN_DIRS) durableDirs.clear();
  durableDirs.add(path);
}

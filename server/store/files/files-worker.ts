/**
 * The thread that writes the files of one store (files.ts). A durable file takes eight calls, one after the other. On the
 * main thread each call would wait for its turn in an event loop that serves requests: some milliseconds on a busy log.
 */
import { dirname, join } from 'node:path';
import { Piscina } from 'piscina';
import { makeDirsBelow, readFileIfThere } from '../../../merkle/runtime/disk/files.ts';
import { sizeOfFileSync, writeFilesDurableSync } from '../../../merkle/runtime/disk/files-sync.ts';
import { blobBounds, CHECKPOINT_NAME, checkSame, compareNotes, MAX_CHECKPOINT_BYTES, tileConflict } from '../blobs.ts';
import { mapped } from '../store-errors.ts';
import type { TileBlob } from '../types.ts';
import { packFailure, unpackTask } from './files-task.ts';

/** Directories remembered as durable. A tile directory serves 1,000 tiles, so forgetting all of them costs little. */
const MAX_KNOWN_DIRS = 1000;

const { dir: root } = Piscina.workerData as { readonly dir: string };
const durableDirs = new Set<string>();

/** The thread may be handed several tasks at a time. They run one after the other: what a task read still holds when it writes. */
let last: Promise<unknown> = Promise.resolve();

export default function write(buffer: ArrayBuffer): Promise<unknown> {
  const result = last.then(() => run(buffer));
  last = result;
  return result;
}

/** Never rejects: the answer reports the failure. */
async function run(buffer: ArrayBuffer): Promise<unknown> {
  const task = unpackTask(buffer);
  try {
    await mapped(() => ('blobs' in task ? writeBlobs(task.blobs) : replaceCheckpoint(task.expected, task.next)));
    return Piscina.move(new ArrayBuffer(0));
  } catch (error) {
    return Piscina.move(packFailure(error));
  }
}

/**
 * Refuses where other bytes are, makes the directories, and writes. The same bytes that are there already are written once
 * more: a crash, or a failed fsync of the directory, may have left them without a durable name, and only a new rename makes
 * the next fsync of the directory tell the truth.
 */
async function writeBlobs(blobs: readonly TileBlob[]): Promise<void> {
  for (const { name, bytes } of blobs) {
    const path = join(root, name);
    const size = sizeOfFileSync(path);
    if (size === undefined) continue;
    const { max } = blobBounds(name);
    // The file differs, whatever it holds. It is not read: reading would report a failure of the disk instead.
    if (size > max) throw tileConflict(name);
    checkSame(name, await readFileIfThere(path, max), bytes);
  }
  for (const dir of new Set(blobs.map(({ name }) => dirname(join(root, name))))) await makeDir(dir);
  writeFilesDurableSync(blobs.map(({ name, bytes }) => ({ path: join(root, name), bytes })));
}

/** The owner of the directory is the only writer, and writes on this thread alone: nothing comes between read and rename. */
async function replaceCheckpoint(expected: Uint8Array | undefined, next: Uint8Array): Promise<void> {
  const path = join(root, CHECKPOINT_NAME);
  compareNotes(await readFileIfThere(path, MAX_CHECKPOINT_BYTES), expected);
  writeFilesDurableSync([{ path, bytes: next }]);
}

async function makeDir(path: string): Promise<void> {
  if (durableDirs.has(path)) return;
  await makeDirsBelow(root, path);
  if (durableDirs.size >= MAX_KNOWN_DIRS) durableDirs.clear();
  durableDirs.add(path);
}

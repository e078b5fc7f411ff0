/** Reads a small file that somebody else wrote, without trust in its size. */
import type { Stats } from 'node:fs';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';

/**
 * The bytes of the regular file `path`, at most `limit` of them. `check` gets the stats of the very file that is read: another
 * file may take its name in the meantime.
 * @throws Error with Node's own message, or 'is not a regular file', or 'is larger than … bytes', or what `check` throws
 */
export async function readBounded(path: string, limit: number, check?: (stats: Stats) => void): Promise<Uint8Array> {
  // Without O_NONBLOCK, opening a FIFO waits for a writer, and for ever where no writer comes.
  const file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  try {
    const stats = await file.stat();
    if (stats.isFile()) check?.(stats);
    return await readOpened(file, stats, limit);
  } finally {
    await file.close();
  }
}

/** `readBounded`, of a file that is open. The caller closes the file. */
export async function readOpened(file: FileHandle, stats: Stats, limit: number): Promise<Uint8Array> {
  if (!stats.isFile()) throw new Error('is not a regular file');
  const buffer = Buffer.alloc(limit + 1);
  let length = 0;
  while (length < buffer.length) {
    const { bytesRead } = await file.read(buffer, length, buffer.length - length, length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  if (length > limit) throw new Error(`is larger than ${limit} bytes`);
  return buffer.subarray(0, length);
}

/** The permission bits in octal, where the group or others have any right to the file; else undefined. */
export function openToOthers({ mode }: Pick<Stats, 'mode'>): string | undefined {
  // Windows has no such bits and reports all of them as set.
  if (process.platform === 'win32' || (mode & 0o077) === 0) return undefined;
  return (mode & 0o777).toString(8).padStart(4, '0');
}

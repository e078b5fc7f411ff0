/**
 * Reads a small file that somebody else wrote, without trust in its size. The calls are synchronous: such a file is read before
 * the threads of Node's pool would have started.
 */
import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from 'node:fs';

/**
 * The bytes of the regular file `path`, at most `limit` of them. `check` gets the stats of the very file that is read: another
 * file may take its name in the meantime.
 * @throws Error with Node's own message, or 'is not a regular file', or 'is larger than … bytes', or what `check` throws
 */
export async function readBounded(path: string, limit: number, check?: (stats: Stats) => void): Promise<Uint8Array> {
  // Without O_NONBLOCK, opening a FIFO waits for a writer, and for ever where no writer comes.
  const file = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  try {
    const stats = fstatSync(file);
    if (stats.isFile()) check?.(stats);
    return readOpened(file, stats, limit);
  } finally {
    closeSync(file);
  }
}

/** `readBounded`, of the file with this open descriptor. The caller closes it. */
export function readOpened(file: number, stats: Stats, limit: number): Uint8Array {
  if (!stats.isFile()) throw new Error('is not a regular file');
  // Only the memory that the file needs: a buffer of megabytes for each file keeps the garbage collector busy.
  let buffer = Buffer.alloc(Math.min(limit, stats.size) + 1);
  let length = 0;
  for (;;) {
    const bytesRead = readSync(file, buffer, length, buffer.length - length, length);
    if (bytesRead === 0) return buffer.subarray(0, length);
    length += bytesRead;
    if (length > limit) throw new Error(`is larger than ${limit} bytes`);
    // The file grew, or its file system does not know its size.
    if (length === buffer.length) buffer = Buffer.concat([buffer], limit + 1);
  }
}

/** The permission bits in octal, where the group or others have any right to the file; else undefined. */
export function openToOthers({ mode }: Pick<Stats, 'mode'>): string | undefined {
  // Windows has no such bits and reports all of them as set.
  if (process.platform === 'win32' || (mode & 0o077) === 0) return undefined;
  return (mode & 0o777).toString(8).padStart(4, '0');
}

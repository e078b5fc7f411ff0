/** The public files of a log in a directory. This code only reads, and does not trust any path to be a plain file. */

import { closeSync, constants, existsSync, openSync, readSync, statSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { printable } from '../../../merkle/printable.ts';
import { ClientError, cancelled } from '../../errors.ts';
import type { Files } from '../types.ts';

/** Without O_NONBLOCK, opening a FIFO waits for a writer. */
const FLAGS = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

const PARTIALS_ELSEWHERE =
  'a log that runs keeps the entries after its last full tile in its own state, not in files: audit it by its URL, or ' +
  'what `stele log export` writes';

/**
 * The files in a directory, or in `public/` of the data directory of a Stele log.
 *
 * @throws ClientError `usage`: there is no such directory
 */
export function directoryFiles(location: string): Files {
  const given = /^file:/i.test(location) ? pathOf(location) : location;
  if (statSync(given, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new ClientError('usage', `"${printable(given)}" is neither a directory nor an http or https URL`);
  }
  const data = !existsSync(join(given, 'checkpoint')) && existsSync(join(given, 'public'));
  const directory = data ? join(given, 'public') : given;
  const own = existsSync(join(directory, '..', 'stele.json'));
  return {
    name: directory,
    directory,
    ...(own ? { partialsElsewhere: PARTIALS_ELSEWHERE } : {}),
    async get(path, limit, signal) {
      if (signal?.aborted) throw cancelled();
      return await read(join(directory, path), path, limit);
    },
    async close() {},
  };
}

function pathOf(url: string): string {
  try {
    return fileURLToPath(url);
  } catch (cause) {
    throw new ClientError('usage', `"${printable(url)}" is not the URL of a directory here`, { cause });
  }
}

async function read(file: string, path: string, limit: number): Promise<Uint8Array | undefined> {
  let handle: FileHandle;
  try {
    handle = await open(file, FLAGS);
  } catch (cause) {
    return notThere(path, cause);
  }
  try {
    const stats = await handle.stat();
    if (!stats.isFile()) throw new ClientError('corrupt', `${path} is not a regular file`);
    if (stats.size > limit) throw tooLong(path, limit);
    const bytes = new Uint8Array(stats.size);
    let length = 0;
    while (length < bytes.length) {
      const { bytesRead } = await handle.read(bytes, length, bytes.length - length, length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    return length === bytes.length ? bytes : bytes.slice(0, length);
  } catch (cause) {
    throw unreadable(path, cause);
  } finally {
    await handle.close();
  }
}

/**
 * Reads a file into `buffer`, for worker threads, without a promise and new memory for each file: 154 KB take 30 µs, and
 * with three calls through Node's thread pool 120 µs.
 *
 * @param buffer longer than `limit`
 * @returns the number of bytes, at most `limit`; undefined where no file has this path
 * @throws ClientError `corrupt`, `file`
 */
export function readSyncInto(buffer: Uint8Array, directory: string, path: string, limit: number): number | undefined {
  let file: number;
  try {
    file = openSync(`${directory}/${path}`, FLAGS);
  } catch (cause) {
    return notThere(path, cause);
  }
  try {
    let length = 0;
    for (;;) {
      const count = readSync(file, buffer, length, limit + 1 - length, null);
      if (count === 0) return length;
      length += count;
      if (length > limit) throw tooLong(path, limit);
    }
  } catch (cause) {
    throw unreadable(path, cause);
  } finally {
    closeSync(file);
  }
}

/** A path below a plain file names no file either. */
function notThere(path: string, cause: unknown): undefined {
  const { code } = cause as NodeJS.ErrnoException;
  if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
  throw unreadable(path, cause);
}

function unreadable(path: string, cause: unknown): ClientError {
  if (cause instanceof ClientError) return cause;
  const { code, message } = cause as NodeJS.ErrnoException;
  if (code === 'EISDIR') return new ClientError('corrupt', `${path} is a directory`, { cause });
  const why = code === 'EACCES' ? 'it is not allowed' : printable(code ?? message);
  return new ClientError('file', `${path} cannot be read: ${why}`, { cause });
}

function tooLong(path: string, limit: number): ClientError {
  return new ClientError('corrupt', `${path} has more than the ${limit} bytes that it can have`);
}

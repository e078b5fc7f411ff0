/**
 * What a command reads: a file, a pipe (a FIFO, or what a shell makes of `<(…)`), or standard input, which is `-`.
 *
 * Opening a FIFO may wait for a writer, and a thread that waits so keeps the process from ending. So a pipe is opened without
 * waiting, and read as a socket is: SIGINT ends that at any time.
 */
import { closeSync, constants, fstatSync, openSync, type Stats, statSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { type ClientError, cancelled, usage } from '../errors.ts';

/** The name of standard input on a command line. A file of this name is given as `./-`. */
export const STANDARD_INPUT = '-';

/** The name of an input, for people. */
export function inputName(path: string): string {
  return path === STANDARD_INPUT ? 'standard input' : path;
}

export function readOnce(): ClientError {
  return usage('standard input is read once: give - for one thing');
}

/** @throws ClientError `usage` where standard input is one of `paths`, from which `what` would take its name */
export function refuseUnnamed(paths: readonly (string | undefined)[], what: string): void {
  if (paths.includes(STANDARD_INPUT)) throw usage(`standard input has no name for ${what}`);
}

const FLAGS = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

/** How to read an input of each kind. */
interface Reader<T> {
  /** Anything that has a name and is not a pipe: an open descriptor, and stats that say what it is. */
  file(file: number, stats: Stats): Promise<T>;
  /** Its length is not known before its end. */
  pipe(pieces: AsyncIterable<Uint8Array>): Promise<T>;
}

let taken = false;

/**
 * Opens, reads and closes an input.
 *
 * @param path `-` is standard input, which a command reads once
 * @throws ClientError `usage`, `cancelled`; the errors of Node; what `read` throws
 */
export async function readInput<T>(path: string, read: Reader<T>): Promise<T> {
  if (path === STANDARD_INPUT) {
    if (taken) throw readOnce();
    taken = true;
    return await read.pipe(piecesOf(process.stdin));
  }
  // A pipe is opened once: a second reader that comes after the last writer would wait for another one.
  if (statSync(path).isFIFO()) {
    const { Socket } = await import('node:net');
    return await read.pipe(piecesOf(new Socket({ fd: openSync(path, FLAGS), readable: true, writable: false })));
  }
  const file = openSync(path, FLAGS);
  try {
    return await read.file(file, fstatSync(file));
  } finally {
    closeSync(file);
  }
}

/** All pieces, in memory. @param tooLarge makes the error where they have more than `limit` bytes */
export async function allOf(
  pieces: AsyncIterable<Uint8Array>,
  limit: number,
  tooLarge: () => ClientError,
): Promise<Uint8Array> {
  const list: Uint8Array[] = [];
  let length = 0;
  for await (const piece of pieces) {
    length += piece.length;
    if (length > limit) throw tooLarge();
    list.push(piece);
  }
  return Buffer.concat(list);
}

/** The stream ends with the loop over it. */
async function* piecesOf(stream: Readable): AsyncGenerator<Uint8Array> {
  const interrupted = () => stream.destroy(cancelled());
  process.once('SIGINT', interrupted);
  try {
    for await (const piece of stream) yield piece;
  } finally {
    process.removeListener('SIGINT', interrupted);
    stream.destroy();
  }
}

/**
 * Files of one folder, for GET: those whose names its owner lets through, and nothing behind a link. A file replaces another by a
 * rename, so a file that is open is read whole. All replies with one file share its bytes, so clients that read slowly cost
 * no further memory.
 */
import { type BigIntStats, closeSync, constants, fstatSync, lstatSync, open, read } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { fileError } from '../disk/files.ts';
import { isSame, isSettled } from '../disk/settled.ts';
import { RuntimeError } from '../runtime-errors.ts';
import type { Answer } from './http-server.ts';

const openFile = promisify(open);
const readFile = promisify(read);

/** Without O_NONBLOCK, opening a FIFO waits for a writer. */
const FLAGS = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

/** All in bytes. */
export interface FolderLimits {
  /** The longest file that is served. */
  readonly file: number;
  /** Of files that are kept for the next request. */
  readonly kept: number;
  /** Of files in memory, with those that only replies under way hold. */
  readonly held: number;
}

interface FolderNames {
  /** Whether a file with this path below the folder is served at all. */
  readonly serves: (path: string) => boolean;
  /** Whether the bytes of this path may change. */
  readonly changes: (path: string) => boolean;
  readonly answer: (path: string, bytes: Uint8Array) => Answer;
}

interface Kept {
  readonly stats: BigIntStats;
  readonly bytes: Uint8Array;
}

interface Reading {
  readonly stats: BigIntStats;
  readonly answer: Promise<Answer>;
}

export class ServedFolder {
  readonly #root: string;
  readonly #names: FolderNames;
  readonly #limits: FolderLimits;
  /** Least recently used first. */
  readonly #kept = new Map<string, Kept>();
  readonly #reading = new Map<string, Reading>();
  #keptBytes = 0;
  #heldBytes = 0;
  readonly #released = new FinalizationRegistry<number>((bytes) => {
    this.#heldBytes -= bytes;
  });

  /** @param root may be a link itself */
  constructor(root: string, names: FolderNames, limits: FolderLimits) {
    this.#root = root;
    this.#names = names;
    this.#limits = limits;
  }

  /**
   * The reply with a file, at once where its bytes are in memory. It is `missing` where no file that is served has this name, and
   * `busy` where replies under way hold as many bytes as they may.
   *
   * @param path below the folder, as it was sent: another spelling names no file
   * @throws RuntimeError `file`, in the promise
   */
  get(path: string): Answer | Promise<Answer> | 'missing' | 'busy' {
    const stats = this.statsOf(path);
    if (stats === undefined) return 'missing';
    const kept = this.#kept.get(path);
    if (kept !== undefined && isSame(kept.stats, stats)) {
      this.#kept.delete(path);
      this.#kept.set(path, kept);
      return this.#names.answer(path, kept.bytes);
    }
    const running = this.#reading.get(path);
    if (running !== undefined && isSame(running.stats, stats)) return running.answer;
    if (this.#heldBytes + Number(stats.size) > this.#limits.held) return 'busy';
    const reading = { stats, answer: this.#read(path) };
    this.#reading.set(path, reading);
    const forget = () => {
      if (this.#reading.get(path) === reading) this.#reading.delete(path);
    };
    reading.answer.then(forget, forget);
    return reading.answer;
  }

  async #read(path: string): Promise<Answer> {
    const now = Date.now();
    const file = join(this.#root, path);
    const descriptor = await openFile(file, FLAGS).catch((error: unknown): never => {
      throw fileError('read', file, error);
    });
    try {
      const stats = fstatSync(descriptor, { bigint: true });
      if (!this.#isServed(stats)) throw new RuntimeError('file', `${file} was replaced by something else`);
      const bytes = this.#room(Number(stats.size));
      for (let done = 0; done < bytes.length; ) {
        const { bytesRead } = await readFile(descriptor, bytes, done, bytes.length - done, done);
        if (bytesRead === 0) throw new RuntimeError('file', `${file} became shorter while it was read`);
        done += bytesRead;
      }
      // The bytes of the other names never change, and two versions of a file may look the same.
      if (!this.#names.changes(path) || isSettled(stats, now)) this.#keep(path, { stats, bytes });
      return this.#names.answer(path, bytes);
    } catch (error) {
      throw fileError('read', file, error);
    } finally {
      closeSync(descriptor);
    }
  }

  #room(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    this.#heldBytes += length;
    this.#released.register(bytes, length);
    return bytes;
  }

  #keep(path: string, kept: Kept): void {
    this.#forget(path);
    if (kept.bytes.length > this.#limits.kept) return;
    this.#kept.set(path, kept);
    this.#keptBytes += kept.bytes.length;
    for (const oldest of this.#kept.keys()) {
      if (this.#keptBytes <= this.#limits.kept) break;
      this.#forget(oldest);
    }
  }

  #forget(path: string): void {
    this.#keptBytes -= this.#kept.get(path)?.bytes.length ?? 0;
    this.#kept.delete(path);
  }

  /**
   * Undefined where no regular file that is served has this path, and where a part of the path is a link. The calls are
   * synchronous: they take 2 µs each, where the thread pool takes 15.
   */
  statsOf(path: string): BigIntStats | undefined {
    if (!this.#names.serves(path)) return undefined;
    const parts = path.split('/');
    let at = this.#root;
    for (const part of parts.slice(0, -1)) {
      at = join(at, part);
      if (linkStats(at)?.isDirectory() !== true) return undefined;
    }
    const stats = linkStats(join(this.#root, path));
    return stats !== undefined && this.#isServed(stats) ? stats : undefined;
  }

  #isServed(stats: BigIntStats): boolean {
    return stats.isFile() && stats.size <= this.#limits.file;
  }
}

function linkStats(path: string): BigIntStats | undefined {
  try {
    return lstatSync(path, { bigint: true, throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

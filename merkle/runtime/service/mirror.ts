/**
 * A mirror of a TUF repository: the files below `public/` of its directory, under the names by which a client asks for them
 * where the root says `consistent_snapshot` (TUF 1.0.34, section 6.2):
 *
 *   timestamp.json, N.root.json, N.snapshot.json, N.targets.json, N.ROLE.json
 *   targets/HASH.NAME, targets/FOLDER/HASH.NAME
 *
 * A file replaces another by a rename, so a file that is open is read whole. Only timestamp.json changes. All replies with
 * one file share its bytes, so clients that read slowly cost no further memory.
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

/** The longest file that is served, in bytes. */
const MAX_FILE = 64 * 1024 * 1024;
/** Bytes of files that are kept for the next request. */
const KEPT_BYTES = 32 * 1024 * 1024;
/** Bytes of files in memory, with those that only replies under way hold. */
const HELD_BYTES = 256 * 1024 * 1024;
/** Without O_NONBLOCK, opening a FIFO waits for a writer. */
const FLAGS = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

const TIMESTAMP = 'timestamp.json';
/** The names of files begin with a number or a hash: a temporary file, which begins with a dot, is none of them. */
const METADATA = /^[1-9][0-9]{0,15}\.[A-Za-z0-9][A-Za-z0-9._@-]{0,127}\.json$/;
const PART = '[A-Za-z0-9._@+=,~-]+';
/** A folder is not `.` or `..`. */
const TARGET = new RegExp(`^targets/(?:(?!\\.{1,2}/)${PART}/)*[0-9a-f]{64}\\.${PART}$`);
/** A target's name has 512 characters at most; the rest is `targets/` and its hash. */
const MAX_PATH = 600;

const ANY_ORIGIN = { 'access-control-allow-origin': '*' };
/** A shared cache may take the load of many clients, and no client should miss news for long. */
const FRESH = { ...ANY_ORIGIN, 'cache-control': 'public, max-age=1' };
const FOR_EVER = { ...ANY_ORIGIN, 'cache-control': 'public, max-age=31536000, immutable' };

interface MirrorLimits {
  readonly file: number;
  readonly kept: number;
  readonly held: number;
}

interface Kept {
  readonly stats: BigIntStats;
  readonly bytes: Uint8Array;
}

interface Reading {
  readonly stats: BigIntStats;
  readonly answer: Promise<Answer>;
}

export class Mirror {
  readonly #root: string;
  readonly #limits: MirrorLimits;
  /** Least recently used first. */
  readonly #kept = new Map<string, Kept>();
  readonly #reading = new Map<string, Reading>();
  #keptBytes = 0;
  #heldBytes = 0;
  readonly #released = new FinalizationRegistry<number>((bytes) => {
    this.#heldBytes -= bytes;
  });

  /**
   * @param directory of the repository
   * @param limits in bytes, for tests
   */
  constructor(directory: string, limits: Partial<MirrorLimits> = {}) {
    this.#root = join(directory, 'public');
    this.#limits = { file: MAX_FILE, kept: KEPT_BYTES, held: HELD_BYTES, ...limits };
  }

  /** Why no client can follow the repository, in a sentence; undefined once it has been published. */
  problem(): string | undefined {
    if (this.#statsOf(TIMESTAMP) !== undefined) return undefined;
    return `${join(this.#root, TIMESTAMP)} is not there: publish the repository with \`stele trust publish\``;
  }

  /**
   * The reply with a file, at once where its bytes are in memory. It is `missing` where no file of a mirror has this name, and
   * `busy` where replies under way hold as many bytes as they may.
   *
   * @param path behind the mirror's URL and its slash, as it was sent: another spelling names no file
   * @throws RuntimeError `file`, in the promise
   */
  get(path: string): Answer | Promise<Answer> | 'missing' | 'busy' {
    if (!isMirrored(path)) return 'missing';
    const stats = this.#statsOf(path);
    if (stats === undefined) return 'missing';
    const kept = this.#kept.get(path);
    if (kept !== undefined && isSame(kept.stats, stats)) {
      this.#kept.delete(path);
      this.#kept.set(path, kept);
      return answer(path, kept.bytes);
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
      // The bytes of the other names never change.
      if (path !== TIMESTAMP || isSettled(stats, now)) this.#keep(path, { stats, bytes });
      return answer(path, bytes);
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
   * Undefined where no regular file that is served has this path, and where a part of the path is a link. `public/` itself
   * may be a link. The calls are synchronous: they take 2 µs each, where the thread pool takes 15.
   */
  #statsOf(path: string): BigIntStats | undefined {
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

function isMirrored(path: string): boolean {
  if (path === TIMESTAMP || METADATA.test(path)) return true;
  return path.length <= MAX_PATH && TARGET.test(path);
}

function answer(path: string, body: Uint8Array): Answer {
  const type = path.endsWith('.json') ? 'application/json' : 'application/octet-stream';
  return { status: 200, headers: { ...(path === TIMESTAMP ? FRESH : FOR_EVER), 'content-type': type }, body };
}

function linkStats(path: string): BigIntStats | undefined {
  try {
    return lstatSync(path, { bigint: true, throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

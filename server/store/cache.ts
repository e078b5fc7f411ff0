/**
 * Files kept in memory, the least recently used dropped first.
 *
 * Once it is full, only every eighth file that is read comes in. What is asked for often soon does; what is asked for
 * once, as by whoever audits the whole log, drives little out. In a Zipf mix over a million entries 128 MiB then answer
 * 85 % of the reads, and 78 where all come in. Above all, what is dropped is old, and V8 frees old arrays only by marking
 * the whole heap: a request cost 76 µs where all came in, and 64 with every 16th (bench/peers/reads.ts, on a busy
 * machine). With every 16th the cache took 20 s of such load, after an export had gone through it, to hold what is asked
 * for; with every eighth 8.
 *
 * Full tiles and bundles never change, but a disk or an operator may change them, and an audit must then get what the
 * file holds: so each look at the cache is a look at the file's stats, which every write changes. Measured: 1.4 µs with
 * `statSync`, where the thread pool takes 15 for the same and 32 to 53 to read the file. It blocks for as long as the
 * file system needs to name an inode that it was lately asked for.
 *
 * What changes behind the file system's back is not seen, as in the kernel's own page cache; on a network file system, a
 * change on another host as late as the mount's own cache of stats lets it be.
 */
import { type BigIntStats, statSync } from 'node:fs';

/**
 * A file must have been left alone for so long before it was read. Two writes within one tick of the file system's clock
 * have the same time: 4 to 10 ms on Linux, and 2 s on FAT, the coarsest there is.
 */
const SETTLED_NS = 2_000_000_000n;
const NS_PER_MS = 1_000_000n;

const ADMIT_EVERY = 8;

/** What a file held, and where. */
export interface FileRead {
  readonly file: string;
  readonly bytes: Uint8Array;
  /** Taken before the first byte was read. */
  readonly stats: BigIntStats;
}

export class FileCache {
  readonly #limit: number;
  readonly #files = new Map<string, FileRead>();
  #bytes = 0;
  #turnedAway = 0;

  /** Of `limitBytes` at most; 0 keeps nothing. */
  constructor(limitBytes: number) {
    this.#limit = limitBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** What is kept under `name`, or undefined where nothing is, or where the file is not the same any more. */
  get(name: string): Uint8Array | undefined {
    const kept = this.#files.get(name);
    if (kept === undefined) return undefined;
    this.#files.delete(name);
    if (!isSame(kept.stats, statsOf(kept.file))) {
      this.#bytes -= kept.bytes.length;
      return undefined;
    }
    this.#files.set(name, kept);
    return kept.bytes;
  }

  /** Takes in what was read of a file after `now`, in milliseconds. Nobody may change its bytes any more. */
  set(name: string, read: FileRead, now: number): void {
    if (read.bytes.length > this.#limit || !isSettled(read.stats, now)) return;
    const bytes = this.#bytes + read.bytes.length - (this.#files.get(name)?.bytes.length ?? 0);
    if (bytes > this.#limit && ++this.#turnedAway % ADMIT_EVERY !== 0) return;
    this.#bytes = bytes;
    this.#files.delete(name);
    this.#files.set(name, read);
    for (const [oldest, dropped] of this.#files) {
      if (this.#bytes <= this.#limit) break;
      this.#files.delete(oldest);
      this.#bytes -= dropped.bytes.length;
    }
  }

  clear(): void {
    this.#files.clear();
    this.#bytes = 0;
  }
}

/** Undefined where there is no file, or where it cannot be told: the read that follows says why. */
function statsOf(path: string): BigIntStats | undefined {
  try {
    return statSync(path, { bigint: true, throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

/** `ctime` is the one that nobody can set: `utimes` and `cp -p` put `mtime` back, and change it. */
function isSame(before: BigIntStats, now: BigIntStats | undefined): boolean {
  return (
    now !== undefined &&
    now.ctimeNs === before.ctimeNs &&
    now.mtimeNs === before.mtimeNs &&
    now.size === before.size &&
    now.ino === before.ino &&
    now.dev === before.dev
  );
}

function isSettled({ ctimeNs, mtimeNs }: BigIntStats, now: number): boolean {
  const last = ctimeNs > mtimeNs ? ctimeNs : mtimeNs;
  return BigInt(now) * NS_PER_MS - last >= SETTLED_NS;
}

/**
 * The two stores a log stands on. A driver is a pair of these; `test/suites/store.ts` holds every driver to them.
 *
 * Words: "durable" means that it survives the loss of power once the promise has resolved. Indexes and sizes are safe
 * integers, 0 <= n < 2^53.
 */

/** An immutable blob of the public tree. `path` is relative and in the tlog-tiles layout, as `tile/0/x001/234`. */
export interface TileBlob {
  readonly path: string;
  readonly bytes: Uint8Array;
}

/**
 * Blobs that never change, and the one that does: the checkpoint.
 *
 * One writer; any number of readers at any time. After any rejected write the handle is of no more use: the caller MUST
 * `close()` it and open a new one, and MUST NOT try the write again on the old one.
 */
export interface TileStore {
  /**
   * Stores all blobs. Durable when it resolves, and then visible to `get`. A reader MUST see a blob whole or not at all.
   * The same bytes again are fine; other bytes at a path that has some MUST be refused with `tile-conflict` and MUST
   * leave what is there. When it rejects, any subset of the blobs may have been stored.
   */
  put(blobs: readonly TileBlob[]): Promise<void>;
  /**
   * The bytes at `path`, or undefined where there are none. The caller MUST NOT change them. With `once` they are not kept
   * in memory for the next who asks: for whoever goes through the whole tree.
   */
  get(path: string, options?: { readonly once?: boolean }): Promise<Uint8Array | undefined>;
  /**
   * The same where it needs no waiting: what `get` gave for `path` before, and would give again. Undefined says nothing,
   * not even that `path` is one.
   */
  atHand(path: string): Uint8Array | undefined;
  /** Replaces the published checkpoint (a signed note) in one atomic, durable step. */
  putCheckpoint(note: Uint8Array): Promise<void>;
  getCheckpoint(): Promise<Uint8Array | undefined>;
  close(): Promise<void>;
}

/** `open` takes entries; `freezing` publishes what is committed and takes none; `frozen` never signs again. */
export type LogStatus = 'open' | 'freezing' | 'frozen';

/** The committed tree. Whoever holds it and the files below `filed` can rebuild everything else. */
export interface TreeState {
  /** Number of entries. */
  readonly size: number;
  /** RFC 6962 root hash at `size`, 32 bytes. */
  readonly root: Uint8Array;
  /**
   * Entries below this are in full bundles of the tile store, and their full tiles too. A multiple of 256. The tail
   * holds the entries [filed, size) and may hold some below.
   */
  readonly filed: number;
  readonly status: LogStatus;
  /** The last checkpoint of a frozen log (signed note); set exactly where `status` is `frozen`. */
  readonly lastCheckpoint?: Uint8Array;
}

export interface NewEntry {
  /** RFC 6962 leaf hash, 32 bytes: what duplicates are found by. */
  readonly leafHash: Uint8Array;
  /** The canonical entry, 1 to 65,535 bytes. */
  readonly body: Uint8Array;
}

export interface Commit {
  /** What the store must hold now, undefined for a new log; otherwise `conflict` and nothing is changed. */
  readonly expected: TreeState | undefined;
  readonly next: TreeState;
  /** The entries [expected.size, next.size), in order. */
  readonly entries: readonly NewEntry[];
}

/**
 * The committed state: tree state, tail and the index of duplicates.
 *
 * One `commit` at a time; reads at any time, which see a commit whole or not at all. After any rejection other than
 * `conflict` the handle is of no more use (see `TileStore`), and the commit may or may not have become durable: the
 * caller MUST open a new handle and read the state anew.
 */
export interface StateStore {
  read(): Promise<TreeState | undefined>;
  /**
   * In one atomic step, durable when it resolves: compares, stores `next`, adds the entries to the tail and their leaf
   * hashes to the index of duplicates, and drops tail entries below `next.filed`.
   */
  commit(change: Commit): Promise<void>;
  /** The tail entries [from, to) in order; `tail-gap` where one is missing. */
  tail(from: number, to: number): Promise<Uint8Array[]>;
  /** For each leaf hash the index of its entry, or undefined. */
  lookup(leafHashes: readonly Uint8Array[]): Promise<(number | undefined)[]>;
  /**
   * Writes a consistent copy of one committed state into the empty directory `dir` and returns that state. Commits may go
   * on meanwhile. Where only the copy fails (no room, not empty), this handle stays good; what was copied is left.
   */
  copyTo(dir: string): Promise<TreeState>;
  close(): Promise<void>;
}

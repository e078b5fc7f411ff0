/**
 * The contracts of the stores below a log. `test/suites/store.ts` holds every driver to them.
 *
 * - A *driver* implements a contract. A *place* (a directory, a database, a bucket) keeps the data. A *handle* is one open
 *   instance of a driver on a place, and the place outlives the handle.
 * - *Durable* data survive the end of the process and the loss of power.
 * - MUST, MUST NOT and MAY are those of RFC 2119. Indexes and sizes are safe integers, 0 <= n < 2^53.
 *
 * The order of entries and the index of duplicates are separate contracts (`EntryOrder`, `LeafIndex`), and one commit
 * (`StateStore`) changes both. One system MUST decide that commit: a log never needs a transaction across two systems.
 *
 * Errors. A driver MUST reject with a `ServerError`:
 *
 * - `unavailable`: the place cannot be reached for a moment. The call changed nothing and will change nothing later. The
 *   handle stays good, and the caller MAY make the same call on it again. A driver MUST NOT use this code where it cannot
 *   tell whether the call took effect, as when a connection ends during a commit.
 * - `conflict`: the compare-and-swap found another value. Nothing changed, and the handle stays good.
 * - Every other code ends the handle where a write rejects with it, and MAY end it where a read does. The write took
 *   effect, or it did not; an atomic write as a whole. The driver MUST refuse every later write on that handle with
 *   `store`. The caller MUST close the handle, open another one and read anew what is stored before it writes again. It
 *   MUST NOT repeat the write on the old handle.
 *
 * After `close`, which a caller MAY call more than once, a driver MUST refuse every call with `store`. `close` MUST wait
 * for the writes under way. A driver MUST NOT keep a reference to bytes that it was given, and a caller MUST NOT change
 * bytes that it got.
 */

/** One blob of the public tree. */
export interface TileBlob {
  /** The address of a tile or an entry bundle below the log's prefix in c2sp.org/tlog-tiles, such as `tile/0/x001/234`. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** Blobs that never change. Any number of calls MAY be under way at a time. */
export interface TileStore {
  /**
   * Stores all blobs. When it resolves, all are durable, and every `get` on any handle MUST find them. A reader MUST see a
   * blob as a whole or not at all.
   *
   * The same bytes at a name that has them already are fine, and MUST be durable as well when it resolves: a crash may
   * have left them visible and not durable. Other bytes at a name that has some MUST be refused with `tile-conflict`, also
   * where another handle stores them at the same time, and MUST leave the stored bytes. When it rejects, also with
   * `unavailable`, any subset of the blobs may be stored.
   * @throws MerkleError `bad-tile` for a name that is not an address
   */
  put(blobs: readonly TileBlob[]): Promise<void>;
  /**
   * The bytes at `name`, or undefined where no blob is stored. `once` says that the caller walks over the whole tree, so
   * that a cache MUST NOT keep the bytes for the next caller.
   * @throws MerkleError `bad-tile` for a name that is not an address
   */
  get(name: string, options?: { readonly once?: boolean }): Promise<Uint8Array | undefined>;
  /** For a cache. A driver without it has blobs that nobody can change behind its back. */
  getStamped?(name: string): Promise<StampedBlob | undefined>;
  /**
   * What `get` gives at `name`, where a cache has it without waiting. Undefined says nothing, not even that `name` is a
   * name. A driver that keeps no bytes in memory MUST NOT have this method.
   */
  atHand?(name: string): Uint8Array | undefined;
  close(): Promise<void>;
}

/** What a place held at a name, and how to see whether it holds it still. */
export interface StampedBlob {
  readonly bytes: Uint8Array;
  /**
   * Whether the place still holds these bytes. MUST answer without waiting, and MUST be false after any change that the
   * place can show. Undefined: the next change could go unseen, so a cache MUST NOT keep the bytes.
   */
  readonly isCurrent: (() => boolean) | undefined;
}

/**
 * The published checkpoint, a signed note of 1 byte to 1 MiB.
 *
 * One system MUST decide which note is the published one. A driver on a database lets the database decide and MAY then
 * show the note as an object beside the tiles. A reader of that object may see an older published note for a moment; it
 * MUST NOT see a note that lost the compare-and-swap.
 */
export interface CheckpointStore {
  /** The published note, or undefined before the first one. MUST see every replacement that resolved on any handle. */
  readCheckpoint(): Promise<Uint8Array | undefined>;
  /**
   * In one atomic step: compares the published note with `expected` byte by byte, and replaces it with `next`. It is
   * durable and shown when it resolves. Of several calls at a time that expect the same note, at most one that changes it
   * MUST resolve; the others reject with `conflict`.
   *
   * `next` MAY have the bytes of `expected`. It MUST then be made durable and shown all the same: a crash may have left it
   * visible and not durable, or decided and not shown.
   */
  replaceCheckpoint(expected: Uint8Array | undefined, next: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

/** `open` takes entries; `freezing` publishes the committed entries and takes no new ones; `frozen` never signs again. */
export type LogStatus = 'open' | 'freezing' | 'frozen';

/** The committed tree. With the blobs below `filed` and the tail, everything else can be made again. */
export interface TreeState {
  /** Number of entries. */
  readonly size: number;
  /** RFC 6962 root hash at `size`, 32 bytes. */
  readonly root: Uint8Array;
  /**
   * The tile store has the full bundles and full tiles of the entries below `filed`, a multiple of 256. The tail has the
   * entries [filed, size) and may have some below.
   */
  readonly filed: number;
  readonly status: LogStatus;
  /**
   * Set where entries were committed before the log published any checkpoint, until the first commit after that. Without it
   * a tree with entries and no checkpoint is one whose checkpoint was lost.
   */
  readonly unpublished?: true;
  /** The last checkpoint of a frozen log (signed note); set exactly where `status` is `frozen`. */
  readonly lastCheckpoint?: Uint8Array;
  /**
   * The checkpoint of a frozen log's tree without the line that says so, with the quorum of the witnesses. Older versions of
   * Stele stored none.
   */
  readonly plainCheckpoint?: Uint8Array;
}

/** An entry on its way into the log. */
export interface NewEntry {
  /** RFC 6962 leaf hash, 32 bytes: the key in the index of duplicates. */
  readonly leafHash: Uint8Array;
  /** The canonical entry, 1 to 65,535 bytes. */
  readonly body: Uint8Array;
}

export interface Commit {
  /** What the store must hold now; undefined for a new log. */
  readonly expected: TreeState | undefined;
  readonly next: TreeState;
  /**
   * The entries [expected.size, next.size), in order. The caller MUST have looked up each leaf hash in the tree `expected`
   * or a later one and found no index: then the compare-and-swap keeps each leaf hash to one index, also where other processes commit.
   */
  readonly entries: readonly NewEntry[];
}

/** The order of entries: the tree state, and the tail of entries that may not be in blobs yet. */
interface EntryOrder {
  /** The state of the last commit that resolved on any handle, or of a later one; undefined before the first commit. */
  read(): Promise<TreeState | undefined>;
  /** The tail entries [from, to) in order; `tail-gap` where one is missing. */
  tail(from: number, to: number): Promise<Uint8Array[]>;
}

/**
 * What the index of duplicates has for a leaf hash: an index, nothing, or a record that cannot be read. A disk may have changed
 * the index, so a caller MUST check that the entry there has the leaf hash.
 */
export type LeafRecord = number | 'damaged' | undefined;

/** The index of duplicates. */
interface LeafIndex {
  /**
   * The record of each leaf hash. MUST find what every commit that resolved on any handle added, so a replica that lags MUST
   * NOT answer. A damaged record MUST NOT end the handle.
   */
  lookup(leafHashes: readonly Uint8Array[]): Promise<LeafRecord[]>;
}

/** The committed state: order and duplicates. Any number of reads MAY be under way at a time, and one commit a handle. */
export interface StateStore extends EntryOrder, LeafIndex {
  /**
   * True where no other handle can commit while this one is open. The driver MUST enforce that, by a lock that ends with
   * the handle. Where it is false, a caller MUST NOT conclude from its own memory that a leaf hash is not in the index.
   */
  readonly exclusive: boolean;
  /**
   * In one atomic step, durable when it resolves: compares the stored state with `expected`, stores `next`, adds the
   * entries to the tail and their leaf hashes to the index, and removes tail entries below `next.filed`. A read MUST see a
   * commit as a whole or not at all. Of several commits at a time that expect the same state, at most one MUST resolve.
   */
  commit(change: Commit): Promise<void>;
  /**
   * One committed state as a stream, whatever is committed meanwhile. It holds the tree state once, all leaf hashes, and
   * the tail entries [filed, size), in any order. Damaged records of leaf hashes are left out. A part MUST have at most 4,096
   * records.
   */
  snapshot(): AsyncIterable<StatePart>;
  /**
   * Fills this store, which MUST be empty (else `conflict`), with the snapshot of any driver, and resolves with its state
   * once all is durable. `read` MUST give no state before. What was stored stays where it rejects: that place MUST NOT
   * be used.
   */
  load(parts: AsyncIterable<StatePart>): Promise<TreeState>;
  close(): Promise<void>;
}

/** A part of a snapshot of the committed state. */
export interface StatePart {
  /** Set in exactly one part. */
  readonly state?: TreeState;
  readonly leaves: readonly { readonly leafHash: Uint8Array; readonly index: number }[];
  readonly tail: readonly { readonly index: number; readonly body: Uint8Array }[];
}

/** The handles that a log needs. One object MAY be several of them. */
export interface Stores {
  readonly tiles: TileStore;
  readonly checkpoint: CheckpointStore;
  readonly state: StateStore;
}

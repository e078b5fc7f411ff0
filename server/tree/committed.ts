/**
 * The committed tree on open stores: a start, and a restart after a failure, read it there, and one step makes it grow.
 *
 * Each step says what a crash after it leaves. A call on a store that is unavailable for a moment is repeated (store/retry.ts).
 * After every other error, and after the last repetition, the caller MUST close the tree and open another one, which runs
 * the same code as a start.
 */
import { equal } from '../../merkle/bytes.ts';
import { HASH_SIZE, leafHash, type Sha256 } from '../../merkle/rfc6962.ts';
import { TILE_WIDTH } from '../../merkle/tile.ts';
import { ServerError } from '../errors.ts';
import { cachedTiles } from '../store/cache.ts';
import { retried } from '../store/retry.ts';
import { closeStores } from '../store/stores.ts';
import type { LogStatus, NewEntry, StatePart, Stores, TileStore, TreeState } from '../store/types.ts';
import { Checksums } from './checksums.ts';
import { filedSnapshot } from './filed.ts';
import { TileCache, TreeReader } from './reader.ts';
import { RottenFiles } from './rotten.ts';
import { emptySnapshot, type Integration, integrate, type Snapshot } from './snapshot.ts';
import { isRotten, VerifiedTiles } from './verified.ts';

export interface TreeOptions {
  /** Memory of verified tiles and bundles, in bytes. Default 0. */
  readonly cachedBytes?: number;
  /** Memory of the checksums of files that were verified, in bytes; a file needs 4. Default 1 MiB. */
  readonly checksumBytes?: number;
  /** Where damaged files are named. */
  readonly rotten?: RottenFiles;
  /** A record of the index of duplicates was damaged, and counts as absent. */
  readonly onDamagedRecord?: () => void;
}

/** Full level 0 tiles that are searched for the entry of a damaged record: 4,096 entries, at 0.04 ms a tile from the disk. */
const SEARCHED_TILES = 16;

/** What `append` gives as soon as the entries are durable. */
interface Appended {
  /** The index of the first entry. */
  readonly first: number;
  /** How long the commit took, in seconds. */
  readonly seconds: number;
  /**
   * Resolves once the tree with these entries can be signed, with the seconds that storing its full tiles and bundles
   * took, 0 if there were none. Rejects with the store's error; the entries stay committed.
   */
  readonly filed: Promise<number>;
}

export class CommittedTree {
  /** Its tiles are verified, and behind the cache. */
  readonly #stores: Stores;
  readonly #verified: VerifiedTiles;
  readonly #hash: Sha256;
  readonly #cache = new TileCache();
  readonly #onDamagedRecord: () => void;
  #state: TreeState;
  /** The tree of `#state`. */
  #head: Snapshot;
  #snapshot: Snapshot;
  /** The published note, as this tree last read or replaced it. */
  #checkpoint: Uint8Array | undefined;
  /** What was committed and is not all in the tile store, oldest first. */
  readonly #unfiled: Integration[] = [];
  #nextFiling: Promise<number> | undefined;
  #writing: Promise<unknown> = Promise.resolve();
  readonly #orders: Record<'state' | 'blobs' | 'checkpoint', Promise<unknown>> = {
    state: Promise.resolve(),
    blobs: Promise.resolve(),
    checkpoint: Promise.resolve(),
  };
  /** Ends the pauses between calls on a store that is unavailable. */
  readonly #stopped = new AbortController();

  private constructor(
    stores: Stores,
    hash: Sha256,
    state: TreeState,
    snapshot: Snapshot,
    checkpoint: Uint8Array | undefined,
    options: TreeOptions,
  ) {
    const { cachedBytes = 0, checksumBytes = 1024 * 1024, rotten = new RottenFiles() } = options;
    this.#onDamagedRecord = options.onDamagedRecord ?? ignore;
    this.#verified = new VerifiedTiles(stores.tiles, {
      tree: () => this.#snapshot,
      checksums: new Checksums(checksumBytes),
      rotten,
      nodes: this.#cache,
      hash,
    });
    this.#stores = {
      ...stores,
      tiles: cachedBytes === 0 ? this.#verified : cachedTiles(this.#verified, cachedBytes),
    };
    this.#hash = hash;
    this.#state = state;
    this.#head = snapshot;
    this.#snapshot = snapshot;
    this.#checkpoint = checkpoint;
  }

  /**
   * Reads what is committed, stores again the blobs that it calls for, and checks that both fit together. The tree owns the
   * stores: `close` closes them, and so does an open that rejects.
   * @throws ServerError `corrupt`, `tail-gap`, `tile-conflict`, `store`, `unavailable`
   */
  static async open(stores: Stores, hash: Sha256, options: TreeOptions = {}): Promise<CommittedTree> {
    try {
      return await CommittedTree.#open(stores, hash, options);
    } catch (error) {
      await closeStores(stores);
      throw error;
    }
  }

  static async #open(stores: Stores, hash: Sha256, options: TreeOptions): Promise<CommittedTree> {
    // The checkpoint first: the state that is read afterwards is at least as large.
    const checkpoint = await retried(() => stores.checkpoint.readCheckpoint());
    let state = await retried(() => stores.state.read());
    if (state === undefined) {
      if (checkpoint !== undefined) {
        throw new ServerError(
          'corrupt',
          'the data directory has a published checkpoint, but no tree state: its `state` folder is lost. Restore the ' +
            'directory from a backup with `stele log restore`.',
        );
      }
      const { size, root } = emptySnapshot(hash);
      const first: TreeState = { size, root, filed: 0, status: 'open' };
      await retried(() => stores.state.commit({ expected: undefined, next: first, entries: [] }));
      // A crash here: the next start finds an empty log.
      state = first;
    }
    const { filed: from, size: to, root } = state;
    const bodies = await retried(() => stores.state.tail(from, to));
    const entries = bodies.map((body) => ({ body, leafHash: leafHash(body, hash) }));
    const { fitting, suspects } = await retried(() =>
      filedSnapshot(from, stores.tiles, hash, (filed) => {
        const integration = integrate(filed, entries);
        return equal(integration.after.root, root) ? integration : undefined;
      }),
    );
    const { after, blobs } = fitting;
    // A crash between a commit and its blobs leaves blobs missing: they are made again from the tail.
    await retried(() => stores.tiles.put(blobs));
    const tree = new CommittedTree(stores, hash, state, after, checkpoint, options);
    // Reading them names the damaged ones.
    for (const name of suspects) await unlessRotten(tree.tileStore().get(name, { once: true }));
    return tree;
  }

  /** The newest tree that may be signed: its full tiles and bundles are durable. It is behind `state` for a moment. */
  get snapshot(): Snapshot {
    return this.#snapshot;
  }

  /** The state of the last commit. */
  get state(): TreeState {
    return this.#state;
  }

  /** The published note; undefined before the first one. */
  get checkpoint(): Uint8Array | undefined {
    return this.#checkpoint;
  }

  /** Whether nothing else can commit to this tree; see `StateStore`. */
  get exclusive(): boolean {
    return this.#stores.state.exclusive;
  }

  reader(snapshot: Snapshot = this.#snapshot): TreeReader {
    const { tiles } = this.#stores;
    const reads = {
      get: (name: string, options?: { readonly once?: boolean }) => tiles.get(name, options),
      atHand: (name: string) => tiles.atHand?.(name),
      remade: (level: number, index: number, damage: unknown) => this.#verified.remade(level, index, damage),
    };
    return new TreeReader(snapshot, reads, this.#cache, this.#hash);
  }

  /**
   * The index of each leaf hash's entry, or undefined. A record of the index of duplicates counts only where the entry at its
   * index has the leaf hash. Otherwise the newest entries are searched; an entry that is not among them may be logged again.
   */
  async lookup(leafHashes: readonly Uint8Array[]): Promise<(number | undefined)[]> {
    const records = await this.#retried(() => this.#stores.state.lookup(leafHashes));
    const found: (number | undefined)[] = [];
    for (const [i, record] of records.entries()) {
      found.push(record === undefined ? undefined : await this.#checked(leafHashes[i]!, record));
    }
    return found;
  }

  /** The committed state as a stream; see `StateStore`. */
  stateSnapshot(): AsyncIterable<StatePart> {
    return this.#stores.state.snapshot();
  }

  /** The full tiles and bundles, verified, for copies of the log. */
  tileStore(): Pick<TileStore, 'get'> {
    return this.#stores.tiles;
  }

  /** The same, always from the place and not from memory. */
  storedTiles(): Pick<TileStore, 'get'> {
    return this.#verified;
  }

  /**
   * Commits `entries` after the last committed entry. One call at a time. The next call need not wait for the blobs of this
   * one, so that the disk works on both.
   */
  append(entries: readonly NewEntry[]): Promise<Appended> {
    return this.#write('state', async () => {
      const before = this.#state;
      const integration = integrate(this.#head, entries);
      const { after } = integration;
      const started = performance.now();
      // The tail needs no entry that is in a durable bundle by now.
      const { size } = this.#snapshot;
      const filed = size - (size % TILE_WIDTH);
      const { status } = before;
      const next: TreeState = { size: after.size, root: after.root, filed, status, ...this.#unpublished(after.size) };
      await this.#retried(() => this.#stores.state.commit({ expected: before, next, entries }));
      // A crash here: the entries are committed, and their callers have no answer; the next start stores the blobs and publishes.
      this.#state = next;
      this.#head = after;
      this.#unfiled.push(integration);
      const seconds = (performance.now() - started) / 1000;
      return { first: before.size, seconds, filed: this.#file() };
    });
  }

  async #checked(leafHash: Uint8Array, record: number | 'damaged'): Promise<number | undefined> {
    if (record !== 'damaged') {
      // Where the store cannot be read now, nothing is known of the record: the proof of the entry meets the same failure.
      const inTree = record < this.#head.size;
      const leaf = inTree ? await this.#leafAt(record).catch(() => leafHash) : undefined;
      if (leaf !== undefined && equal(leaf, leafHash)) return record;
      // Another process may have committed entries that this tree does not have yet.
      if (!this.exclusive && record >= this.#head.size) {
        const stored = await this.#retried(() => this.#stores.state.read());
        if (stored !== undefined && record < stored.size) return record;
      }
    }
    this.#onDamagedRecord();
    return await this.#search(leafHash);
  }

  /** The leaf hash of a committed entry; undefined where neither its tile nor its bundle holds. */
  async #leafAt(index: number): Promise<Uint8Array | undefined> {
    const tile = Math.floor(index / TILE_WIDTH);
    const at = (index % TILE_WIDTH) * HASH_SIZE;
    const inMemory = this.#newestLeaves().find((leaves) => leaves.tile === tile);
    if (inMemory !== undefined) return inMemory.hashes.subarray(at, at + HASH_SIZE);
    return await unlessRotten(this.reader().leafHash(index));
  }

  /** The index of a leaf hash among the newest entries. */
  async #search(leafHash: Uint8Array): Promise<number | undefined> {
    const newest = this.#newestLeaves();
    const reader = this.reader();
    const first = Math.floor(this.#head.size / TILE_WIDTH);
    for (let tile = first; tile >= Math.max(0, first - SEARCHED_TILES); tile--) {
      const hashes =
        newest.find((leaves) => leaves.tile === tile)?.hashes ?? (await unlessRotten(reader.leafHashes(tile)));
      const offset = hashes === undefined ? -1 : offsetOf(hashes, leafHash);
      if (offset >= 0) return tile * TILE_WIDTH + offset;
    }
    return undefined;
  }

  /** The leaf hashes that are not in a file, by level 0 tile. */
  #newestLeaves(): { readonly tile: number; readonly hashes: Uint8Array }[] {
    const { size, edge } = this.#head;
    const full = this.#unfiled.flatMap(({ tiles }) => tiles.filter(({ level }) => level === 0));
    return [
      { tile: Math.floor(size / TILE_WIDTH), hashes: edge[0] ?? new Uint8Array(0) },
      ...full.map(({ index, hashes }) => ({ tile: index, hashes })),
    ];
  }

  /** Resolves once no committed entry is on its way into the tile store any more, also where that failed. */
  async idle(): Promise<void> {
    await this.#orders.blobs;
  }

  /** Stores the blobs of all that is committed when it begins. Calls that come while one is under way share the next one. */
  #file(): Promise<number> {
    this.#nextFiling ??= this.#write('blobs', async () => {
      this.#nextFiling = undefined;
      const made = this.#unfiled.slice();
      const blobs = made.flatMap((integration) => integration.blobs);
      const started = performance.now();
      // After a run that failed, its blobs are still in `#unfiled`: no tree is signed without them.
      if (blobs.length > 0) await this.#retried(() => this.#stores.tiles.put(blobs));
      // A crash here: the next start finds the same blobs there already.
      for (const { tiles } of made) this.#remember(tiles);
      this.#snapshot = made.at(-1)!.after;
      this.#unfiled.splice(0, made.length);
      return blobs.length === 0 ? 0 : (performance.now() - started) / 1000;
    });
    return this.#nextFiling;
  }

  /** The mark of a tree that was never published. The commit that follows the first publication leaves it out. */
  #unpublished(size: number): Pick<TreeState, 'unpublished'> {
    return this.#checkpoint === undefined && size > 0 ? { unpublished: true } : {};
  }

  /** Makes `status` durable; the checkpoints of a frozen log are stored in the same step. */
  setStatus(status: LogStatus, frozen: Pick<TreeState, 'lastCheckpoint' | 'plainCheckpoint'> = {}): Promise<void> {
    return this.#write('state', async () => {
      const { size, root, filed } = this.#state;
      const next: TreeState = { size, root, filed, status, ...this.#unpublished(size), ...frozen };
      await this.#retried(() => this.#stores.state.commit({ expected: this.#state, next, entries: [] }));
      // A crash here: the next start finds the status, and a freeze goes on where it was cut off.
      this.#state = next;
    });
  }

  /** Publishes `note` in the place of `checkpoint`. */
  putCheckpoint(note: Uint8Array): Promise<void> {
    return this.#write('checkpoint', async () => {
      await this.#retried(() => this.#stores.checkpoint.replaceCheckpoint(this.#checkpoint, note));
      // A crash here: the note is public, and the next start reads it.
      this.#checkpoint = note;
    });
  }

  /** Ends and awaits all writes: none may land once the next handle read the state. Readers stay good until `close`. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#writing;
    await this.#stores.state.close().catch(ignore);
  }

  async close(): Promise<void> {
    await this.stop();
    await closeStores(this.#stores);
  }

  /** Writes of one kind run one after the other, those of different kinds side by side. */
  #write<T>(kind: 'state' | 'blobs' | 'checkpoint', step: () => Promise<T>): Promise<T> {
    const { signal } = this.#stopped;
    const run = async () => {
      if (signal.aborted) throw new ServerError('store', 'the store was closed after a failure');
      return await step();
    };
    const result = this.#orders[kind].then(run);
    const settled = result.then(ignore, ignore);
    this.#orders[kind] = settled;
    // Without its result: a result would hold the one before it, and so one more array for every write ever made.
    this.#writing = Promise.all([this.#writing, settled]).then(ignore);
    return result;
  }

  #retried<T>(call: () => Promise<T>): Promise<T> {
    return retried(call, this.#stopped.signal);
  }

  #remember(tiles: Integration['tiles']): void {
    for (const { level, index, hashes } of tiles) this.#cache.tile(level, index, hashes, this.#hash);
  }
}

async function unlessRotten<T>(read: Promise<T>): Promise<T | undefined> {
  try {
    return await read;
  } catch (error) {
    if (isRotten(error)) return undefined;
    throw error;
  }
}

/** The place of `leafHash` among `hashes`, or -1. */
function offsetOf(hashes: Uint8Array, leafHash: Uint8Array): number {
  for (let at = 0; at < hashes.length; at += HASH_SIZE) {
    if (hashes[at] === leafHash[0] && equal(hashes.subarray(at, at + HASH_SIZE), leafHash)) return at / HASH_SIZE;
  }
  return -1;
}

function ignore(): void {}

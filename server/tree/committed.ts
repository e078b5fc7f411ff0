/**
 * The committed tree on one pair of open stores: what a start, and a restart after a failure, find there; and the one
 * step that makes it grow.
 *
 * Each step says what a crash behind it leaves. The handle is of no more use after any error: the caller closes it and
 * opens another, which runs the same code as a start.
 */

import { equal } from '../../merkle/bytes.ts';
import { leafHash, type Sha256 } from '../../merkle/rfc6962.ts';
import { TILE_WIDTH, TileNodes } from '../../merkle/tile.ts';
import { ServerError } from '../errors.ts';
import type { LogStatus, NewEntry, StateStore, TileStore, TreeState } from '../store/types.ts';
import { filedSnapshot } from './filed.ts';
import { TileCache, TreeReader } from './reader.ts';
import { emptySnapshot, type Integration, integrate, type Snapshot } from './snapshot.ts';

export interface Stores {
  readonly tiles: TileStore;
  readonly state: StateStore;
}

/** How long the two writes of a step took, in seconds. */
export interface AppendTimes {
  readonly commit: number;
  readonly tiles: number;
}

export class CommittedTree {
  readonly #stores: Stores;
  readonly #hash: Sha256;
  readonly #cache: TileCache;
  #state: TreeState;
  #snapshot: Snapshot;
  #writing: Promise<unknown> = Promise.resolve();
  #closed = false;

  private constructor(stores: Stores, hash: Sha256, state: TreeState, snapshot: Snapshot, cache: TileCache) {
    this.#stores = stores;
    this.#hash = hash;
    this.#state = state;
    this.#snapshot = snapshot;
    this.#cache = cache;
  }

  /**
   * Reads what is committed, writes the files that it calls for again, and checks that both fit together.
   * Throws `ServerError`: `corrupt`, `tail-gap`, `tile-conflict`, `store`.
   */
  static async open(stores: Stores, hash: Sha256): Promise<CommittedTree> {
    let state = await stores.state.read();
    if (state === undefined) {
      if ((await stores.tiles.getCheckpoint()) !== undefined) {
        throw new ServerError(
          'corrupt',
          'the data directory has a published checkpoint, but no tree state: its `state` folder is lost. Restore the ' +
            'directory from a backup with `stele log restore`.',
        );
      }
      const { size, root } = emptySnapshot(hash);
      state = { size, root, filed: 0, status: 'open' };
      await stores.state.commit({ expected: undefined, next: state, entries: [] });
    }
    const cache = new TileCache();
    const filed = await filedSnapshot(state.filed, stores.tiles, hash);
    const bodies = await stores.state.tail(state.filed, state.size);
    const entries = bodies.map((body) => ({ body, leafHash: leafHash(body, hash) }));
    const { after, blobs } = integrate(filed, entries);
    if (after.size !== state.size || !equal(after.root, state.root)) {
      throw new ServerError(
        'corrupt',
        `the files and the tail do not hash to the committed tree of ${state.size} entries: a file or the state was ` +
          'changed or lost. `stele log check` names the first bad file; restore from a backup with `stele log restore`.',
      );
    }
    // A crash between a commit and its files leaves files missing: they are made again from the tail.
    await stores.tiles.put(blobs);
    return new CommittedTree(stores, hash, state, after, cache);
  }

  /** The committed tree whose full tiles and bundles are all durable files. */
  get snapshot(): Snapshot {
    return this.#snapshot;
  }

  get state(): TreeState {
    return this.#state;
  }

  reader(snapshot: Snapshot = this.#snapshot): TreeReader {
    return new TreeReader(snapshot, this.#stores.tiles, this.#cache, this.#hash);
  }

  lookup(leafHashes: readonly Uint8Array[]): Promise<(number | undefined)[]> {
    return this.#stores.state.lookup(leafHashes);
  }

  copyStateTo(dir: string): Promise<TreeState> {
    return this.#stores.state.copyTo(dir);
  }

  tileStore(): Pick<TileStore, 'get'> {
    return this.#stores.tiles;
  }

  getCheckpoint(): Promise<Uint8Array | undefined> {
    return this.#stores.tiles.getCheckpoint();
  }

  /** Appends and returns the index of the first entry. One call at a time. */
  append(entries: readonly NewEntry[]): Promise<{ first: number; times: AppendTimes }> {
    return this.#write(async () => {
      const before = this.#state;
      const { after, tiles, blobs } = integrate(this.#snapshot, entries);
      const started = performance.now();
      // All that is full in the present tree is in files, so this commit may drop it from the tail.
      const filed = before.size - (before.size % TILE_WIDTH);
      const next: TreeState = { size: after.size, root: after.root, filed, status: before.status };
      await this.#stores.state.commit({ expected: before, next, entries });
      // A crash here: the entries are committed and nobody was told; the next start writes the files and publishes.
      const committed = performance.now();
      if (blobs.length > 0) await this.#stores.tiles.put(blobs);
      // A crash here: as above, and the same files are found there already.
      this.#remember(tiles);
      this.#state = next;
      this.#snapshot = after;
      const done = performance.now();
      return {
        first: before.size,
        times: { commit: (committed - started) / 1000, tiles: (done - committed) / 1000 },
      };
    });
  }

  /** Makes `status` durable; a frozen log's last checkpoint is stored in the same step. */
  setStatus(status: LogStatus, lastCheckpoint?: Uint8Array): Promise<void> {
    return this.#write(async () => {
      const next: TreeState = { ...this.#state, status, ...(lastCheckpoint === undefined ? {} : { lastCheckpoint }) };
      await this.#stores.state.commit({ expected: this.#state, next, entries: [] });
      this.#state = next;
    });
  }

  putCheckpoint(note: Uint8Array): Promise<void> {
    return this.#write(() => this.#stores.tiles.putCheckpoint(note), false);
  }

  /**
   * Writes nothing any more; readers stay good until `close`. Waits for the writes under way: none of them may land behind
   * the back of the handle that comes next.
   */
  async stop(): Promise<void> {
    this.#closed = true;
    await this.#writing;
    await this.#stores.state.close().catch(ignore);
  }

  async close(): Promise<void> {
    await this.stop();
    await this.#stores.tiles.close().catch(ignore);
  }

  /** State changes run one behind the other; a checkpoint is written beside them. */
  #write<T>(step: () => Promise<T>, ordered = true): Promise<T> {
    const run = async () => {
      if (this.#closed) throw new ServerError('store', 'the store was closed after a failure');
      return await step();
    };
    const result = ordered ? this.#order.then(run) : run();
    const settled = result.then(ignore, ignore);
    if (ordered) this.#order = settled;
    // Without its result: that would hold the result before it, and so one more array for every write ever made.
    this.#writing = Promise.all([this.#writing, settled]).then(ignore);
    return result;
  }

  #order: Promise<unknown> = Promise.resolve();

  #remember(tiles: Integration['tiles']): void {
    for (const { level, index, hashes } of tiles) this.#cache.set(level, index, new TileNodes(hashes, this.#hash));
  }
}

function ignore(): void {}

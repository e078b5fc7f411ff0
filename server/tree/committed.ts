/**
 * The committed tree on one pair of open stores: what a start, and a restart after a failure, find there; and the one
 * step that makes it grow.
 *
 * Each step says what a crash behind it leaves. The handle is of no more use after any error: the caller closes it and
 * opens another, which runs the same code as a start.
 */

import { equal } from '../../merkle/bytes.ts';
import { leafHash, type Sha256 } from '../../merkle/rfc6962.ts';
import { TILE_WIDTH } from '../../merkle/tile.ts';
import { ServerError } from '../errors.ts';
import type { LogStatus, NewEntry, StateStore, TileStore, TreeState } from '../store/types.ts';
import { filedSnapshot } from './filed.ts';
import { TileCache, TreeReader } from './reader.ts';
import { emptySnapshot, type Integration, integrate, type Snapshot } from './snapshot.ts';

export interface Stores {
  readonly tiles: TileStore;
  readonly state: StateStore;
}

/** What `append` gives as soon as the entries are durable. */
export interface Appended {
  /** The index of the first entry. */
  readonly first: number;
  /** How long the commit took, in seconds. */
  readonly seconds: number;
  /**
   * Resolves once the tree with these entries can be signed: its full tiles and bundles are durable files. With the seconds
   * that writing them took, 0 where there were none. Rejects with the store's error; the entries stay committed.
   */
  readonly filed: Promise<number>;
}

export class CommittedTree {
  readonly #stores: Stores;
  readonly #hash: Sha256;
  readonly #cache: TileCache;
  #state: TreeState;
  /** The tree of `#state`. */
  #head: Snapshot;
  #snapshot: Snapshot;
  /** What was committed and is not all in files, oldest first. */
  readonly #unfiled: Integration[] = [];
  #nextFiling: Promise<number> | undefined;
  #writing: Promise<unknown> = Promise.resolve();
  readonly #orders: Record<'state' | 'files', Promise<unknown>> = {
    state: Promise.resolve(),
    files: Promise.resolve(),
  };
  #closed = false;

  private constructor(stores: Stores, hash: Sha256, state: TreeState, snapshot: Snapshot, cache: TileCache) {
    this.#stores = stores;
    this.#hash = hash;
    this.#state = state;
    this.#head = snapshot;
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

  /** The newest tree whose full tiles and bundles are all durable files: what may be signed. Behind `state` for a moment. */
  get snapshot(): Snapshot {
    return this.#snapshot;
  }

  /** What is committed. */
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

  /**
   * Commits `entries` behind what is committed. One call at a time; the next one need not wait for the files of this one,
   * so that the disk has both to do at once.
   */
  append(entries: readonly NewEntry[]): Promise<Appended> {
    return this.#write('state', async () => {
      const before = this.#state;
      const integration = integrate(this.#head, entries);
      const { after } = integration;
      const started = performance.now();
      // Of what is in files by now nothing is needed in the tail.
      const { size } = this.#snapshot;
      const filed = size - (size % TILE_WIDTH);
      const next: TreeState = { size: after.size, root: after.root, filed, status: before.status };
      await this.#stores.state.commit({ expected: before, next, entries });
      // A crash here: the entries are committed and nobody was told; the next start writes the files and publishes.
      this.#state = next;
      this.#head = after;
      this.#unfiled.push(integration);
      const seconds = (performance.now() - started) / 1000;
      return { first: before.size, seconds, filed: this.#file() };
    });
  }

  /** Resolves once nothing committed is on its way into files any more, or that failed. */
  async idle(): Promise<void> {
    await this.#orders.files;
  }

  /** Files all that is committed when it begins; whoever comes while another is under way shares the next one. */
  #file(): Promise<number> {
    this.#nextFiling ??= this.#write('files', async () => {
      this.#nextFiling = undefined;
      const made = this.#unfiled.slice();
      const blobs = made.flatMap((integration) => integration.blobs);
      const started = performance.now();
      // Empty-handed only where nothing is left of a run before that failed: those blobs are still in `#unfiled`.
      if (blobs.length > 0) await this.#stores.tiles.put(blobs);
      // A crash here: the next start finds the same files there already.
      for (const { tiles } of made) this.#remember(tiles);
      this.#snapshot = made.at(-1)!.after;
      this.#unfiled.splice(0, made.length);
      return blobs.length === 0 ? 0 : (performance.now() - started) / 1000;
    });
    return this.#nextFiling;
  }

  /** Makes `status` durable; a frozen log's last checkpoint is stored in the same step. */
  setStatus(status: LogStatus, lastCheckpoint?: Uint8Array): Promise<void> {
    return this.#write('state', async () => {
      const next: TreeState = { ...this.#state, status, ...(lastCheckpoint === undefined ? {} : { lastCheckpoint }) };
      await this.#stores.state.commit({ expected: this.#state, next, entries: [] });
      this.#state = next;
    });
  }

  putCheckpoint(note: Uint8Array): Promise<void> {
    return this.#write('checkpoint', () => this.#stores.tiles.putCheckpoint(note));
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

  /** State changes run one behind the other, and so do runs of files; either beside the other, and beside a checkpoint. */
  #write<T>(kind: 'state' | 'files' | 'checkpoint', step: () => Promise<T>): Promise<T> {
    const run = async () => {
      if (this.#closed) throw new ServerError('store', 'the store was closed after a failure');
      return await step();
    };
    const result = kind === 'checkpoint' ? run() : this.#orders[kind].then(run);
    const settled = result.then(ignore, ignore);
    if (kind !== 'checkpoint') this.#orders[kind] = settled;
    // Without its result: that would hold the result before it, and so one more array for every write ever made.
    this.#writing = Promise.all([this.#writing, settled]).then(ignore);
    return result;
  }

  #remember(tiles: Integration['tiles']): void {
    for (const { level, index, hashes } of tiles) this.#cache.tile(level, index, hashes, this.#hash);
  }
}

function ignore(): void {}

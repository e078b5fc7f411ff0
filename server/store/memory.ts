/**
 * A pair of stores in memory, for tests and benchmarks: they keep the same contracts, but nothing outlives the process.
 * A `MemoryDisk` is what outlives a store handle.
 */
import assert from 'node:assert';
import { encodeHex } from '../../merkle/bytes.ts';
import { ServerError } from '../errors.ts';
import { blobBounds, blobsByPath, checkSame, MAX_CHECKPOINT_BYTES } from './blobs.ts';
import { assertCommit, assertRange, compareStates, decodeState, encodeState, tailGap } from './state.ts';
import type { Commit, StateStore, TileBlob, TileStore, TreeState } from './types.ts';

export class MemoryDisk {
  readonly blobs = new Map<string, Uint8Array>();
  checkpoint: Uint8Array | undefined;
  state: Uint8Array | undefined;
  tail = new Map<number, Uint8Array>();
  /** Leaf hash in hex to index. */
  dedup = new Map<string, number>();
  /** What `copyTo` made, by the name given as its directory. */
  readonly copies = new Map<string, MemoryDisk>();
}

export async function openMemoryTiles(disk: MemoryDisk): Promise<TileStore> {
  return new MemoryTileStore(disk);
}

/** `copyTo(dir)` makes `disk.copies.get(dir)`. */
export async function openMemoryState(disk: MemoryDisk): Promise<StateStore> {
  return new MemoryStateStore(disk);
}

class MemoryTileStore implements TileStore {
  readonly #disk: MemoryDisk;
  #closed = false;
  #failed = false;

  constructor(disk: MemoryDisk) {
    this.#disk = disk;
  }

  async put(blobs: readonly TileBlob[]): Promise<void> {
    checkUsable(this.#closed || this.#failed);
    try {
      const byPath = blobsByPath(blobs);
      for (const [path, bytes] of byPath) checkSame(path, this.#disk.blobs.get(path), bytes);
      for (const [path, bytes] of byPath) this.#disk.blobs.set(path, copied(bytes));
    } catch (error) {
      this.#failed = true;
      throw error;
    }
  }

  async get(path: string): Promise<Uint8Array | undefined> {
    checkUsable(this.#closed);
    blobBounds(path);
    return this.#disk.blobs.get(path);
  }

  atHand(path: string): Uint8Array | undefined {
    return this.#closed ? undefined : this.#disk.blobs.get(path);
  }

  async putCheckpoint(note: Uint8Array): Promise<void> {
    checkUsable(this.#closed || this.#failed);
    assert(note.length <= MAX_CHECKPOINT_BYTES, 'a checkpoint has 1 MiB at most');
    this.#disk.checkpoint = copied(note);
  }

  async getCheckpoint(): Promise<Uint8Array | undefined> {
    checkUsable(this.#closed);
    return this.#disk.checkpoint;
  }

  async close(): Promise<void> {
    this.#closed = true;
  }
}

class MemoryStateStore implements StateStore {
  readonly #disk: MemoryDisk;
  #closed = false;

  constructor(disk: MemoryDisk) {
    this.#disk = disk;
  }

  async read(): Promise<TreeState | undefined> {
    checkUsable(this.#closed);
    return this.#disk.state && decodeState(this.#disk.state);
  }

  async commit(change: Commit): Promise<void> {
    checkUsable(this.#closed);
    assertCommit(change);
    const disk = this.#disk;
    compareStates(disk.state, change.expected);
    const first = change.expected?.size ?? 0;
    change.entries.forEach(({ leafHash, body }, i) => {
      disk.tail.set(first + i, copied(body));
      disk.dedup.set(encodeHex(leafHash), first + i);
    });
    for (let index = change.expected?.filed ?? 0; index < change.next.filed; index++) disk.tail.delete(index);
    disk.state = encodeState(change.next);
  }

  async tail(from: number, to: number): Promise<Uint8Array[]> {
    checkUsable(this.#closed);
    assertRange(from, to);
    const bodies: Uint8Array[] = [];
    for (let index = from; index < to; index++) {
      const body = this.#disk.tail.get(index);
      if (body === undefined) throw tailGap(index);
      bodies.push(body);
    }
    return bodies;
  }

  async lookup(leafHashes: readonly Uint8Array[]): Promise<(number | undefined)[]> {
    checkUsable(this.#closed);
    return leafHashes.map((hash) => this.#disk.dedup.get(encodeHex(hash)));
  }

  async copyTo(dir: string): Promise<TreeState> {
    checkUsable(this.#closed);
    const { state, tail, dedup, copies } = this.#disk;
    if (state === undefined) throw new ServerError('store', 'nothing to copy: the store has no tree state yet');
    if (copies.has(dir)) throw new ServerError('store', `${dir} is not empty: name an empty directory for the copy`);
    const copy = new MemoryDisk();
    copy.state = state;
    copy.tail = new Map(tail);
    copy.dedup = new Map(dedup);
    copies.set(dir, copy);
    return decodeState(state);
  }

  async close(): Promise<void> {
    this.#closed = true;
  }
}

function checkUsable(unusable: boolean): void {
  if (unusable) throw new ServerError('store', 'the store is closed, or an earlier write to it failed: open it anew');
}

/** Not `bytes.slice()`, which for a Buffer is a view. */
function copied(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}

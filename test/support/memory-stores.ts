/**
 * Stores in memory, for tests and benchmarks. They keep the contracts of the stores, except that a `MemoryDisk` ends with the
 * process.
 */
import { decodeHex, encodeHex } from '../../merkle/bytes.ts';
import { ServerError } from '../../server/errors.ts';
import { assertNote, blobBounds, blobsByName, checkSame, compareNotes } from '../../server/store/blobs.ts';
import {
  assertCommit,
  assertRange,
  compareStates,
  decodeState,
  encodeState,
  nothingStored,
  snapshotState,
  tailGap,
} from '../../server/store/tree-state.ts';
import type {
  CheckpointStore,
  Commit,
  LeafRecord,
  StatePart,
  StateStore,
  Stores,
  TileBlob,
  TileStore,
  TreeState,
} from '../../server/store/types.ts';

export class MemoryDisk {
  readonly blobs = new Map<string, Uint8Array>();
  checkpoint: Uint8Array | undefined;
  state: Uint8Array | undefined;
  tail = new Map<number, Uint8Array>();
  /** Leaf hash in hex to index, or to a record that cannot be read. */
  dedup = new Map<string, number | 'damaged'>();
  /** Whether an exclusive handle is open. */
  locked = false;
}

/** Opens stores on `disk`. Exclusive stores lock it until their state store is closed. @throws ServerError `locked` */
export async function openMemoryStores(disk: MemoryDisk, { exclusive = false } = {}): Promise<Stores> {
  if (disk.locked) throw new ServerError('locked', 'the store is open already');
  disk.locked = exclusive;
  return {
    tiles: new MemoryTileStore(disk),
    checkpoint: new MemoryCheckpointStore(disk),
    state: new MemoryStateStore(disk, exclusive),
  };
}

/** A handle that refuses all calls after it is closed, and writes after a failed write. */
class MemoryHandle {
  #closed = false;
  #failed = false;

  checkRead(): void {
    checkUsable(this.#closed);
  }

  checkWrite(): void {
    checkUsable(this.#closed || this.#failed);
  }

  fail(): void {
    this.#failed = true;
  }

  async close(): Promise<void> {
    this.#closed = true;
  }
}

class MemoryTileStore extends MemoryHandle implements TileStore {
  readonly #disk: MemoryDisk;

  constructor(disk: MemoryDisk) {
    super();
    this.#disk = disk;
  }

  async put(blobs: readonly TileBlob[]): Promise<void> {
    this.checkWrite();
    try {
      const byName = blobsByName(blobs);
      for (const [name, bytes] of byName) checkSame(name, this.#disk.blobs.get(name), bytes);
      for (const [name, bytes] of byName) this.#disk.blobs.set(name, copied(bytes));
    } catch (error) {
      this.fail();
      throw error;
    }
  }

  async get(name: string): Promise<Uint8Array | undefined> {
    this.checkRead();
    blobBounds(name);
    return this.#disk.blobs.get(name);
  }
}

class MemoryCheckpointStore extends MemoryHandle implements CheckpointStore {
  readonly #disk: MemoryDisk;

  constructor(disk: MemoryDisk) {
    super();
    this.#disk = disk;
  }

  async readCheckpoint(): Promise<Uint8Array | undefined> {
    this.checkRead();
    return this.#disk.checkpoint;
  }

  async replaceCheckpoint(expected: Uint8Array | undefined, next: Uint8Array): Promise<void> {
    this.checkWrite();
    assertNote(next);
    compareNotes(this.#disk.checkpoint, expected);
    this.#disk.checkpoint = copied(next);
  }
}

class MemoryStateStore extends MemoryHandle implements StateStore {
  readonly exclusive: boolean;
  readonly #disk: MemoryDisk;

  constructor(disk: MemoryDisk, exclusive: boolean) {
    super();
    this.#disk = disk;
    this.exclusive = exclusive;
  }

  override async close(): Promise<void> {
    await super.close();
    if (this.exclusive) this.#disk.locked = false;
  }

  async read(): Promise<TreeState | undefined> {
    this.checkRead();
    return this.#disk.state && decodeState(this.#disk.state);
  }

  async commit(change: Commit): Promise<void> {
    this.checkWrite();
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
    this.checkRead();
    assertRange(from, to);
    const bodies: Uint8Array[] = [];
    for (let index = from; index < to; index++) {
      const body = this.#disk.tail.get(index);
      if (body === undefined) throw tailGap(index);
      bodies.push(body);
    }
    return bodies;
  }

  async lookup(leafHashes: readonly Uint8Array[]): Promise<LeafRecord[]> {
    this.checkRead();
    return leafHashes.map((hash) => this.#disk.dedup.get(encodeHex(hash)));
  }

  async *snapshot(): AsyncGenerator<StatePart> {
    this.checkRead();
    // Everything changes before the first `await`, so that readers see one committed state.
    const state = decodeState(this.#disk.state ?? nothingStored());
    const leaves = [...this.#disk.dedup].flatMap(([hex, index]) =>
      index === 'damaged' ? [] : [{ leafHash: decodeHex(hex), index }],
    );
    const tail = [...this.#disk.tail].map(([index, body]) => ({ index, body }));
    for (let at = 0; at < Math.max(leaves.length, tail.length); at += 1000) {
      yield { leaves: leaves.slice(at, at + 1000), tail: tail.slice(at, at + 1000) };
    }
    yield { state, leaves: [], tail: [] };
  }

  async load(parts: AsyncIterable<StatePart>): Promise<TreeState> {
    this.checkWrite();
    compareStates(this.#disk.state, undefined);
    const states: TreeState[] = [];
    try {
      for await (const { state, leaves, tail } of parts) {
        if (state !== undefined) states.push(state);
        for (const { leafHash, index } of leaves) this.#disk.dedup.set(encodeHex(leafHash), index);
        for (const { index, body } of tail) this.#disk.tail.set(index, copied(body));
      }
      const state = snapshotState(states);
      this.#disk.state = encodeState(state);
      return state;
    } catch (error) {
      this.fail();
      throw error;
    }
  }
}

function checkUsable(unusable: boolean): void {
  if (unusable) throw new ServerError('store', 'the store is closed, or an earlier write to it failed: open it anew');
}

/** A copy. `bytes.slice()` of a Buffer is a view. */
function copied(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}

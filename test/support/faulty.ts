/**
 * Stores whose n-th write fails. One `Faults` counts the writes of all stores of a log, over all its handles: a test wraps
 * each handle with the same `Faults` when the log opens the handle.
 *
 *     const faults = new Faults();
 *     const openStores = async () => faultyStores(await openDirStores(dir), faults);
 *     faults.failAt(3, 'reported-failed');
 *
 * `put`, `replaceCheckpoint` and `commit` count as one write each, starting from 1. No other call fails by itself. As the
 * contracts say, a failed write ends its handle, unless the error is `unavailable`. The wrapper then refuses every later
 * write on that handle (on a `StateStore`, every later call) with `store`.
 */
import { ServerError } from '../../server/errors.ts';
import type { CheckpointStore, StateStore, Stores, TileBlob, TileStore } from '../../server/store/types.ts';

/**
 * What a failing write stores:
 *
 * - `not-persisted`: nothing.
 * - `reported-failed`: everything.
 * - `in-part`: every other blob of a `put`. Of an atomic write (`commit`, `replaceCheckpoint`) everything if n is even, and
 *   nothing if n is odd.
 * - `unavailable`: every other blob of a `put`, and nothing of an atomic write. The handle stays usable.
 */
export type StoreFault = 'not-persisted' | 'reported-failed' | 'in-part' | 'unavailable';
export const FAULTS: readonly StoreFault[] = ['not-persisted', 'reported-failed', 'in-part', 'unavailable'];

export type WriteKind = 'put' | 'replaceCheckpoint' | 'commit';

export class Faults {
  /** Every started write, in order, with the failed ones. */
  readonly writes: WriteKind[] = [];
  /** The number of the last failed write, from 1. Undefined before the first failure. */
  failed: number | undefined;
  #plan: { readonly at: number; readonly fault: StoreFault; readonly times: number } | undefined;
  #readsToFail = 0;

  /** Lets `times` writes fail, from the n-th on, n >= 1. A later call replaces an earlier one. */
  failAt(n: number, fault: StoreFault, times = 1): void {
    this.#plan = { at: n, fault, times };
  }

  /** Lets the next `times` writes fail. */
  failNext(fault: StoreFault, times = 1): void {
    this.failAt(this.writes.length + 1, fault, times);
  }

  /** Lets the next `times` reads fail with `unavailable`. */
  failReads(times: number): void {
    this.#readsToFail = times;
  }

  /** Counts one write, and returns its fault. */
  begin(kind: WriteKind): StoreFault | undefined {
    const n = this.writes.push(kind);
    const plan = this.#plan;
    if (plan === undefined || n < plan.at || n >= plan.at + plan.times) return undefined;
    this.failed = n;
    return plan.fault;
  }

  beginRead(): void {
    if (this.#readsToFail === 0) return;
    this.#readsToFail--;
    throw new ServerError('unavailable', 'injected: a read failed');
  }
}

/** Runs writes under `faults`. Refuses writes on a failed handle. */
class Handle {
  readonly #faults: Faults;
  #dead = false;

  constructor(faults: Faults) {
    this.#faults = faults;
  }

  check(): void {
    if (this.#dead) throw new ServerError('store', 'injected: this handle failed before and was not opened anew');
  }

  async read<T>(call: () => Promise<T>): Promise<T> {
    this.#faults.beginRead();
    return await call();
  }

  async write(kind: WriteKind, all: () => Promise<void>, part?: () => Promise<void>): Promise<void> {
    this.check();
    const fault = this.#faults.begin(kind);
    if (fault === undefined) return all();
    if (fault !== 'unavailable') this.#dead = true;
    const atomic = this.#faults.writes.length % 2 === 0 ? all : undefined;
    const stored = { 'not-persisted': undefined, 'reported-failed': all, 'in-part': part ?? atomic, unavailable: part };
    await stored[fault]?.();
    throw new ServerError(fault === 'unavailable' ? fault : 'store', `injected: ${kind} failed, ${fault}`);
  }
}

export function faultyStores({ tiles, checkpoint, state }: Stores, faults: Faults): Stores {
  return {
    tiles: faultyTiles(tiles, faults),
    checkpoint: faultyCheckpoint(checkpoint, faults),
    state: faultyState(state, faults),
  };
}

function faultyTiles(inner: TileStore, faults: Faults): TileStore {
  const handle = new Handle(faults);
  const put = (blobs: readonly TileBlob[]) =>
    handle.write(
      'put',
      () => inner.put(blobs),
      () => inner.put(blobs.filter((_, i) => i % 2 === 0)),
    );
  return {
    put,
    get: (name, options) => handle.read(() => inner.get(name, options)),
    close: () => inner.close(),
  };
}

function faultyCheckpoint(inner: CheckpointStore, faults: Faults): CheckpointStore {
  const handle = new Handle(faults);
  return {
    readCheckpoint: () => handle.read(() => inner.readCheckpoint()),
    replaceCheckpoint: (expected, next) =>
      handle.write('replaceCheckpoint', () => inner.replaceCheckpoint(expected, next)),
    close: () => inner.close(),
  };
}

function faultyState(inner: StateStore, faults: Faults): StateStore {
  const handle = new Handle(faults);
  const read =
    <Args extends unknown[], T>(call: (...args: Args) => Promise<T>) =>
    async (...args: Args): Promise<T> => {
      handle.check();
      return await handle.read(() => call(...args));
    };
  return {
    exclusive: inner.exclusive,
    read: read(() => inner.read()),
    commit: (change) => handle.write('commit', () => inner.commit(change)),
    tail: read((from, to) => inner.tail(from, to)),
    lookup: read((leafHashes) => inner.lookup(leafHashes)),
    snapshot: () => inner.snapshot(),
    load: (parts) => inner.load(parts),
    close: () => inner.close(),
  };
}

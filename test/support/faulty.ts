/**
 * Stores whose n-th write fails. One `Faults` counts the writes of both stores of a log, over all handles that are
 * opened one after the other: wrap every handle anew with the same `Faults`, as the log opens it.
 *
 *     const faults = new Faults();
 *     const openStores = async () => ({
 *       tiles: faultyTiles(await openFileTiles(dir), faults),
 *       state: faultyState(await openLevelState(stateDir), faults),
 *     });
 *     faults.failAt(3, 'reported-failed');
 *
 * What is written counts as one: `put`, `putCheckpoint` and `commit`, starting from 1. Nothing else fails by itself;
 * but as the contracts say, after a failed write the handle is of no more use, and the wrapper refuses every later write
 * on it, and on a `StateStore` every later call, with `store`.
 */
import { ServerError } from '../../server/errors.ts';
import type { StateStore, TileBlob, TileStore } from '../../server/store/types.ts';

/**
 * - `not-persisted`: nothing was stored.
 * - `reported-failed`: all was stored.
 * - `in-part`: of a `put` every other blob; of an atomic write (`commit`, `putCheckpoint`) all where n is even, else nothing.
 */
export type Fault = 'not-persisted' | 'reported-failed' | 'in-part';
export const FAULTS: readonly Fault[] = ['not-persisted', 'reported-failed', 'in-part'];

export type WriteKind = 'put' | 'putCheckpoint' | 'commit';

export class Faults {
  /** Every write that was begun, in order, those that failed as well. */
  readonly writes: WriteKind[] = [];
  /** The write that failed, once it has: its number, from 1. */
  failed: number | undefined;
  #plan: { readonly at: number; readonly fault: Fault } | undefined;

  /** The n-th write from the very first, n >= 1, fails once. Later calls replace earlier ones. */
  failAt(n: number, fault: Fault): void {
    this.#plan = { at: n, fault };
  }

  /** The next write fails once. */
  failNext(fault: Fault): void {
    this.failAt(this.writes.length + 1, fault);
  }

  /** Counts one write and says what is to happen to it. */
  begin(kind: WriteKind): Fault | undefined {
    this.writes.push(kind);
    if (this.#plan?.at !== this.writes.length) return undefined;
    this.failed = this.writes.length;
    return this.#plan.fault;
  }
}

/** Runs writes under `faults`, and none on a handle that failed. */
class Handle {
  readonly #faults: Faults;
  #dead = false;

  constructor(faults: Faults) {
    this.#faults = faults;
  }

  check(): void {
    if (this.#dead) throw new ServerError('store', 'injected: this handle failed before and was not opened anew');
  }

  async write(kind: WriteKind, all: () => Promise<void>, part?: () => Promise<void>): Promise<void> {
    this.check();
    const fault = this.#faults.begin(kind);
    if (fault === undefined) return all();
    this.#dead = true;
    const atomic = this.#faults.writes.length % 2 === 0 ? all : undefined;
    const stored = { 'not-persisted': undefined, 'reported-failed': all, 'in-part': part ?? atomic }[fault];
    await stored?.();
    throw new ServerError('store', `injected: ${kind} failed, ${fault}`);
  }
}

export function faultyTiles(inner: TileStore, faults: Faults): TileStore {
  const handle = new Handle(faults);
  const put = (blobs: readonly TileBlob[]) =>
    handle.write(
      'put',
      () => inner.put(blobs),
      () => inner.put(blobs.filter((_, i) => i % 2 === 0)),
    );
  return {
    put,
    get: (path) => inner.get(path),
    atHand: (path) => inner.atHand(path),
    putCheckpoint: (note) => handle.write('putCheckpoint', () => inner.putCheckpoint(note)),
    getCheckpoint: () => inner.getCheckpoint(),
    close: () => inner.close(),
  };
}

export function faultyState(inner: StateStore, faults: Faults): StateStore {
  const handle = new Handle(faults);
  const read =
    <Args extends unknown[], T>(call: (...args: Args) => Promise<T>) =>
    async (...args: Args): Promise<T> => {
      handle.check();
      return call(...args);
    };
  return {
    read: read(() => inner.read()),
    commit: (change) => handle.write('commit', () => inner.commit(change)),
    tail: read((from, to) => inner.tail(from, to)),
    lookup: read((leafHashes) => inner.lookup(leafHashes)),
    copyTo: read((dir) => inner.copyTo(dir)),
    close: () => inner.close(),
  };
}

/**
 * Finds duplicates. A leaf hash is reserved in the in-flight map first and looked up in the log afterwards, so that only one
 * of two equal entries at a time goes on. The hash leaves the map only when a look-up finds its commit.
 */
interface InFlight {
  readonly leafHash: Uint8Array;
}

interface DedupOptions<T> {
  /** The index of each leaf hash in the log, or undefined. */
  readonly lookup: (leafHashes: readonly Uint8Array[]) => Promise<(number | undefined)[]>;
  /** Answers `reserve` with the index of the entry in the log, or with undefined for a new entry, which stays reserved. */
  readonly found: (entry: T, index: number | undefined) => void;
  /** The look-up failed. */
  readonly failed: (entries: readonly T[], error: unknown) => void;
}

export class Dedup<T extends InFlight> {
  readonly #options: DedupOptions<T>;
  readonly #inFlight = new Map<string, T>();
  #waiting: T[] = [];

  constructor(options: DedupOptions<T>) {
    this.#options = options;
  }

  /** The entry in flight with this leaf hash, if there is one. */
  inFlight(leafHash: Uint8Array): T | undefined {
    return this.#inFlight.get(keyOf(leafHash));
  }

  /** Reserves the entry's leaf hash, which must not be in flight, until `release`, and looks it up. */
  reserve(entry: T): void {
    this.#inFlight.set(keyOf(entry.leafHash), entry);
    this.#waiting.push(entry);
    // One look-up serves all entries that arrive in this turn of the event loop.
    if (this.#waiting.length === 1) setImmediate(() => void this.#lookUp());
  }

  release(entry: T): void {
    const key = keyOf(entry.leafHash);
    // After a failure another request may have reserved the same hash anew.
    if (this.#inFlight.get(key) === entry) this.#inFlight.delete(key);
  }

  /** Empties the map and returns its entries. */
  clear(): T[] {
    const entries = [...this.#inFlight.values()];
    this.#inFlight.clear();
    return entries;
  }

  async #lookUp(): Promise<void> {
    const entries = this.#waiting;
    this.#waiting = [];
    let indexes: readonly (number | undefined)[];
    try {
      indexes = await this.#options.lookup(entries.map(({ leafHash }) => leafHash));
    } catch (error) {
      this.#options.failed(entries, error);
      return;
    }
    for (const [i, entry] of entries.entries()) this.#options.found(entry, indexes[i]);
  }
}

function keyOf(leafHash: Uint8Array): string {
  return Buffer.from(leafHash.buffer, leafHash.byteOffset, leafHash.length).toString('latin1');
}

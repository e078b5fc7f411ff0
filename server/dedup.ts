/**
 * Finds duplicates. A leaf hash is reserved in the in-flight map first and looked up in the store afterwards, so that of
 * two equal entries at once only one goes on; it leaves the map only when its commit can be read in the store.
 */
export interface InFlight {
  readonly leafHash: Uint8Array;
}

export class Dedup<T extends InFlight> {
  readonly #lookup: (leafHashes: Uint8Array[]) => Promise<(number | undefined)[]>;
  readonly #inFlight = new Map<string, T>();
  #waiting: { entry: T; found: (index: number | undefined) => void; failed: (error: unknown) => void }[] = [];

  constructor(lookup: (leafHashes: Uint8Array[]) => Promise<(number | undefined)[]>) {
    this.#lookup = lookup;
  }

  get size(): number {
    return this.#inFlight.size;
  }

  /** The entry of this leaf hash that is on its way, if there is one. */
  inFlight(leafHash: Uint8Array): T | undefined {
    return this.#inFlight.get(keyOf(leafHash));
  }

  /**
   * Reserves the entry's leaf hash, which must not be in flight, and looks it up. Resolves with the index of the entry
   * in the log; or with undefined for a new one, which stays reserved until `release`. Rejects with the store's error.
   */
  reserve(entry: T): Promise<number | undefined> {
    this.#inFlight.set(keyOf(entry.leafHash), entry);
    return new Promise((found, failed) => {
      this.#waiting.push({ entry, found, failed });
      // One look-up for all that arrive in this turn of the event loop: level reads many keys cheaper than each alone.
      if (this.#waiting.length === 1) setImmediate(() => this.#ask());
    });
  }

  release(entry: T): void {
    const key = keyOf(entry.leafHash);
    // After a failure another request may have reserved the same hash anew.
    if (this.#inFlight.get(key) === entry) this.#inFlight.delete(key);
  }

  /** Forgets all entries, and returns them. */
  clear(): T[] {
    const entries = [...this.#inFlight.values()];
    this.#inFlight.clear();
    return entries;
  }

  async #ask(): Promise<void> {
    const asked = this.#waiting;
    this.#waiting = [];
    try {
      const indexes = await this.#lookup(asked.map(({ entry }) => entry.leafHash));
      for (const [i, { found }] of asked.entries()) found(indexes[i]);
    } catch (error) {
      for (const { failed } of asked) failed(error);
    }
  }
}

function keyOf(leafHash: Uint8Array): string {
  return Buffer.from(leafHash.buffer, leafHash.byteOffset, leafHash.length).toString('latin1');
}

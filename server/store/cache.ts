/**
 * A cache before any tile store, the least recently used blobs dropped first.
 *
 * Once it is full, only every eighth blob that is read comes in. A blob that is read often soon does; one that is read
 * once, as by an audit of the whole log, drives little out. In a Zipf mix over a million entries 128 MiB then answer 85 %
 * of the reads, and 78 % where every blob comes in. Above all, the dropped blobs are old, and V8 frees old arrays only by
 * marking the whole heap: a request cost 76 µs where every blob came in, and 64 with every 16th (bench/peers/reads.ts, on
 * a busy machine). With every 16th the cache took 20 s of such load, after an export had gone through it, to fill with the
 * blobs that are read often; with every eighth 8 s.
 *
 * Blobs never change, but an operator or a broken disk may change them, and an audit must then get what the place holds.
 * So each look at the cache checks the stamp of the blob (`StampedBlob`), where the driver has stamps.
 */
import type { StampedBlob, TileBlob, TileStore } from './types.ts';

const ADMIT_EVERY = 8;

/** `store` with up to `limitBytes` of its blobs in memory. It owns the store, and closes it. */
export function cachedTiles(store: TileStore, limitBytes: number): TileStore {
  return new CachedTileStore(store, new BlobCache(limitBytes));
}

class CachedTileStore implements TileStore {
  readonly #store: TileStore;
  readonly #cache: BlobCache;
  #closed = false;
  /** For a second cache before this one: its stamps must be those of the place. */
  readonly getStamped?: (name: string) => Promise<StampedBlob | undefined>;

  constructor(store: TileStore, cache: BlobCache) {
    this.#store = store;
    this.#cache = cache;
    if (store.getStamped !== undefined) this.getStamped = (name) => store.getStamped!(name);
  }

  put(blobs: readonly TileBlob[]): Promise<void> {
    return this.#store.put(blobs);
  }

  async get(name: string, options?: { readonly once?: boolean }): Promise<Uint8Array | undefined> {
    const kept = this.#cache.get(name);
    if (kept !== undefined) return kept;
    if (options?.once === true) return await this.#store.get(name, options);
    const read = await this.#readToKeep(name);
    if (read !== undefined && !this.#closed) this.#cache.set(name, read);
    return read?.bytes;
  }

  atHand(name: string): Uint8Array | undefined {
    return this.#cache.get(name);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cache.clear();
    await this.#store.close();
  }

  async #readToKeep(name: string): Promise<StampedBlob | undefined> {
    if (this.getStamped !== undefined) return await this.getStamped(name);
    const bytes = await this.#store.get(name);
    return bytes && { bytes, isCurrent: forEver };
  }
}

function forEver(): boolean {
  return true;
}

export class BlobCache {
  readonly #limit: number;
  readonly #blobs = new Map<string, StampedBlob>();
  #bytes = 0;
  #turnedAway = 0;

  /** Of `limitBytes` at most; 0 keeps nothing. */
  constructor(limitBytes: number) {
    this.#limit = limitBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** The blob at `name`, or undefined where it is not kept or has changed. */
  get(name: string): Uint8Array | undefined {
    const kept = this.#blobs.get(name);
    if (kept === undefined) return undefined;
    this.#blobs.delete(name);
    if (!kept.isCurrent!()) {
      this.#bytes -= kept.bytes.length;
      return undefined;
    }
    this.#blobs.set(name, kept);
    return kept.bytes;
  }

  /** Takes a blob in. Nobody may change its bytes any more. */
  set(name: string, read: StampedBlob): void {
    if (read.bytes.length > this.#limit || read.isCurrent === undefined) return;
    const bytes = this.#bytes + read.bytes.length - (this.#blobs.get(name)?.bytes.length ?? 0);
    if (bytes > this.#limit && ++this.#turnedAway % ADMIT_EVERY !== 0) return;
    this.#bytes = bytes;
    this.#blobs.delete(name);
    this.#blobs.set(name, read);
    for (const [oldest, dropped] of this.#blobs) {
      if (this.#bytes <= this.#limit) break;
      this.#blobs.delete(oldest);
      this.#bytes -= dropped.bytes.length;
    }
  }

  clear(): void {
    this.#blobs.clear();
    this.#bytes = 0;
  }
}

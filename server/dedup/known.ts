/**
 * Tells most new entries from duplicates without the store: a filter in memory has every leaf hash of the log, so a hash
 * that the filter does not have is new.
 *
 * This MUST hold for the conclusion: every commit goes through this object. So the filter is used only where the state
 * store is `exclusive` (store/types.ts); where another process may commit, every entry is looked up.
 *
 * The filter saves more than the time of a look-up, 0.1 µs instead of 2 to 10. LevelDB counts each look-up that passes over
 * one of its tables, and merges a table that was passed over often with all tables below: at 10 million entries that took
 * 87 µs of processor time an entry (bench/RESULTS.md, Growth).
 *
 * The filter is made from the level 0 tiles, which are the leaf hashes and verified (tree/verified.ts), while the log works. Until the filter has all of
 * them, every entry is looked up. A clean end stores the filter, and the next start adds what came since. The filter grows
 * with the log: once the log has as many entries as the filter has bytes, one of twice the size is made beside it.
 */
import { equal } from '../../merkle/bytes.ts';
import { HASH_SIZE } from '../../merkle/rfc6962.ts';
import { TILE_WIDTH } from '../../merkle/tile.ts';
import type { CommittedTree } from '../tree/committed.ts';
import { BLOCK_BYTES, LeafFilter } from './filter.ts';
import { readFilter, type SavedFilter, writeFilter } from './filter-file.ts';

export interface KnownOptions {
  /**
   * The most memory of a filter, in bytes: an entry takes 1 byte, and 2 right after the filter grew. A log with more entries
   * has more of them looked up. While a larger filter is made, both are in memory. Below 64 there is no filter; at most
   * 1 GiB.
   */
  readonly maxBytes: number;
  /** The least memory of a filter, in bytes. Default 1 MiB. */
  readonly minBytes?: number;
  /** The file where a clean end stores the filter. Without a path it is not stored. */
  readonly path?: string;
  /** Pause after a tile could not be read, in milliseconds. Default one minute. */
  readonly retryMs?: number;
  readonly logger: {
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
  };
}

const MIN_BYTES = 1024 * 1024;
const RETRY_MS = 60_000;

/** Tiles that are read at a time: each read takes several turns of a busy event loop. */
const TILES_AT_ONCE = 16;

/** A filter that does not have all leaf hashes yet. The entries from `until` on are added as they come. */
interface Making {
  readonly filter: LeafFilter;
  /** The filter has the entries [0, next). A multiple of 256, or no less than `until`. */
  next: number;
  readonly until: number;
  readonly started: number;
}

export class KnownLeaves {
  readonly #options: KnownOptions;
  /** The stored filter, until the first tree is there. */
  #saved: SavedFilter | undefined;
  /** The tree size of the stored filter, where it was taken. */
  #savedSize = 0;
  /** The tree in service. */
  #tree: CommittedTree | undefined;
  /** The filter with every leaf hash of the log. */
  #filter: LeafFilter | undefined;
  #making: Making | undefined;
  /** No larger filter is possible. */
  #full = false;
  #ended = false;

  private constructor(options: KnownOptions, saved: SavedFilter | undefined) {
    this.#options = options;
    this.#saved = saved;
  }

  /** Reads the stored filter. A file that is of no use is reported to the logger, and ignored. */
  static async open(options: KnownOptions): Promise<KnownLeaves> {
    const { maxBytes, path, logger } = options;
    let saved: SavedFilter | undefined;
    if (maxBytes >= BLOCK_BYTES && path !== undefined) {
      try {
        saved = await readFilter(path, maxBytes);
      } catch (error) {
        logger.warn({ err: error }, 'the stored filter of leaf hashes is not used: one is made from the tiles');
      }
    }
    return new KnownLeaves(options, saved);
  }

  /** Whether new entries are recognized without the store. */
  get complete(): boolean {
    return this.#filter !== undefined;
  }

  /**
   * Takes a tree that was just opened, before any entry is appended to it. After a failure the filter goes on with the next
   * tree: it has all that was appended, durable or not.
   */
  async adopt(tree: CommittedTree): Promise<void> {
    this.#tree = tree;
    // Another process may commit leaf hashes that this one never sees: then only the store can tell.
    if (!tree.exclusive) return;
    // A log that takes no entries needs no look-ups.
    if (this.#options.maxBytes < BLOCK_BYTES || tree.state.status !== 'open') return;
    if (this.#filter === undefined && this.#making === undefined) this.#making = await this.#begin(tree);
    void this.#make(tree);
  }

  /** Adds the leaf hashes of the one batch that is about to be committed. `size` is the size of the committed tree. */
  add(entries: readonly { readonly leafHash: Uint8Array }[], size: number): void {
    this.#growFrom(size);
    const making = this.#making;
    for (const { leafHash } of entries) {
      this.#filter?.add(leafHash);
      making?.filter.add(leafHash);
    }
  }

  /** Each leaf hash's index in the tree in service, if any. @throws ServerError `store`, `unavailable`, `corrupt` */
  async lookup(leafHashes: readonly Uint8Array[]): Promise<(number | undefined)[]> {
    const indexes: (number | undefined)[] = new Array(leafHashes.length).fill(undefined);
    const filter = this.#filter;
    const unsure: number[] = [];
    for (let i = 0; i < leafHashes.length; i++) if (filter?.mayHave(leafHashes[i]!) ?? true) unsure.push(i);
    if (unsure.length === 0) return indexes;
    const found = await this.#tree!.lookup(unsure.map((i) => leafHashes[i]!));
    for (const [at, i] of unsure.entries()) indexes[i] = found[at];
    return indexes;
  }

  /** Ends the making of filters. With `save` it stores the filter, finished or not; a failure is reported to the logger. */
  async end(save: boolean): Promise<void> {
    this.#ended = true;
    const tree = this.#tree;
    const { path, logger } = this.#options;
    const filter = this.#filter ?? this.#making?.filter;
    if (!save || path === undefined || tree === undefined || filter === undefined) return;
    const { state } = tree;
    const size = this.#filter === undefined ? Math.min(this.#making!.next, this.#making!.until) : state.size;
    if (size <= this.#savedSize || state.status !== 'open') return;
    try {
      const root = size === state.size ? state.root : await tree.reader().rootAt(size);
      await writeFilter(path, { filter, size, root });
    } catch (error) {
      logger.warn({ err: error }, 'the filter of leaf hashes was not stored: the next start makes it from the tiles');
    }
  }

  #growFrom(size: number): void {
    const filter = this.#filter;
    if (filter === undefined || this.#making !== undefined || this.#full || size <= filter.length) return;
    const bytes = this.#bytesFor(size);
    // A filter that is little larger is not worth the work.
    const larger = bytes < 1.5 * filter.length ? undefined : this.#empty(bytes);
    if (larger === undefined) {
      this.#full = true;
      return;
    }
    this.#making = { filter: larger, next: 0, until: size, started: performance.now() };
    void this.#make(this.#tree!);
  }

  /** Two bytes an entry, within the limits. */
  #bytesFor(size: number): number {
    const { maxBytes, minBytes = MIN_BYTES } = this.#options;
    const bytes = Math.min(Math.max(2 * size, minBytes), maxBytes);
    return Math.floor(bytes / BLOCK_BYTES) * BLOCK_BYTES;
  }

  /** An empty filter, or undefined where the system has no memory for it. */
  #empty(bytes: number): LeafFilter | undefined {
    try {
      return LeafFilter.empty(bytes);
    } catch (error) {
      this.#options.logger.warn({ err: error, bytes }, 'there is no memory for a filter of leaf hashes of this size');
      return undefined;
    }
  }

  /** Starts from the stored filter, or from nothing. */
  async #begin(tree: CommittedTree): Promise<Making | undefined> {
    const { size: until } = tree.state;
    const started = performance.now();
    const saved = this.#saved;
    this.#saved = undefined;
    if (saved !== undefined && (await this.#fits(saved, tree))) {
      this.#savedSize = saved.size;
      return { filter: saved.filter, next: saved.size - (saved.size % TILE_WIDTH), until, started };
    }
    const filter = this.#empty(this.#bytesFor(until));
    return filter && { filter, next: 0, until, started };
  }

  async #fits({ size, root }: SavedFilter, tree: CommittedTree): Promise<boolean> {
    const { logger } = this.#options;
    try {
      if (size <= tree.state.size && equal(await tree.reader().rootAt(size), root)) return true;
      logger.warn({ size }, 'the stored filter of leaf hashes is of another tree: one is made from the tiles');
    } catch (error) {
      logger.warn({ err: error }, 'the stored filter of leaf hashes cannot be checked: one is made from the tiles');
    }
    return false;
  }

  /** Adds what the filter under way lacks, for as long as `tree` is in service. */
  async #make(tree: CommittedTree): Promise<void> {
    const making = this.#making;
    const { logger, retryMs = RETRY_MS } = this.#options;
    const inService = () => this.#tree === tree && !this.#ended;
    if (making === undefined || !inService()) return;
    try {
      // Committed entries are on their way into tiles.
      await tree.idle();
      const reader = tree.reader();
      // Storing the tiles failed: the next tree goes on from here.
      if (reader.snapshot.size < making.until) return;
      while (making.next < making.until) {
        const first = making.next / TILE_WIDTH;
        const count = Math.min(Math.ceil((making.until - making.next) / TILE_WIDTH), TILES_AT_ONCE);
        const tiles = await Promise.all(Array.from({ length: count }, (_, i) => reader.leafHashes(first + i)));
        if (!inService()) return;
        for (const hashes of tiles) {
          for (let at = 0; at < hashes.length; at += HASH_SIZE) making.filter.add(hashes, at);
        }
        making.next += count * TILE_WIDTH;
      }
      if (!inService()) return;
      this.#filter = making.filter;
      this.#making = undefined;
      const fields = { entries: making.until, bytes: making.filter.length };
      logger.info(
        { ...fields, ms: Math.round(performance.now() - making.started) },
        'the filter of leaf hashes is whole',
      );
    } catch (error) {
      if (!inService()) return;
      logger.warn(
        { err: error, retryMs },
        'a filter of leaf hashes cannot be made yet: more is looked up in the store',
      );
      setTimeout(() => void this.#make(tree), retryMs).unref();
    }
  }
}

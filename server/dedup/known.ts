/**
 * Tells most new entries from duplicates without asking the store: a filter in memory has every leaf hash of the log, so
 * what it does not have is new.
 *
 * It matters for more than the time of a look-up, 0.1 µs in the place of 2 to 10. LevelDB counts each look-up that passes
 * over one of its tables, and merges a table that was passed over often with all that lies below: at 10 million entries
 * that took 87 µs of processor time an entry (bench/RESULTS.md, Growth).
 *
 * The filter is made from the level 0 tiles, which are the leaf hashes, beside the log's work: until it has all of them,
 * every entry is looked up. At an end it is stored, and the next start adds what came since. It grows with the log: once
 * the log has as many entries as the filter has bytes, one of twice the size is made in the same way beside it.
 */
import { equal } from '../../merkle/bytes.ts';
import { HASH_SIZE } from '../../merkle/rfc6962.ts';
import { TILE_WIDTH } from '../../merkle/tile.ts';
import type { CommittedTree } from '../tree/committed.ts';
import { BLOCK_BYTES, LeafFilter } from './filter.ts';
import { readFilter, type SavedFilter, writeFilter } from './filter-file.ts';

export interface KnownOptions {
  /** Memory of a filter, in bytes: 1 for an entry, 2 right after it grew; past it, it takes more entries for known. 0 is none. */
  readonly maxBytes: number;
  /** The least it has. Default 1 MiB. */
  readonly minBytes?: number;
  /** Where it is stored at an end; without, it is not. */
  readonly path?: string;
  readonly logger: {
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
  };
}

const MIN_BYTES = 1024 * 1024;

/** Tiles read at one time: a busy event loop has several turns for each. */
const TILES_AT_ONCE = 16;

/** A filter that does not have all leaf hashes yet. Those of the entries from `until` on are added as they come. */
interface Making {
  readonly filter: LeafFilter;
  /** The entries [0, next) are in it. A multiple of 256, or no less than `until`. */
  next: number;
  readonly until: number;
  readonly started: number;
}

export class KnownLeaves {
  readonly #options: KnownOptions;
  /** What the file holds, until the first tree is there. */
  #saved: SavedFilter | undefined;
  /** The size that it is good for. */
  #savedSize = 0;
  /** The tree in service. */
  #tree: CommittedTree | undefined;
  /** Has every leaf hash of the log. */
  #filter: LeafFilter | undefined;
  #making: Making | undefined;
  #ended = false;

  private constructor(options: KnownOptions, saved: SavedFilter | undefined) {
    this.#options = options;
    this.#saved = saved;
  }

  /** Reads what was stored. A file that is of no use is told to the logger, and done without. */
  static async open(options: KnownOptions): Promise<KnownLeaves> {
    const { maxBytes, path, logger } = options;
    let saved: SavedFilter | undefined;
    if (maxBytes > 0 && path !== undefined) {
      try {
        saved = await readFilter(path, maxBytes);
      } catch (error) {
        logger.warn({ err: error }, 'the stored filter of leaf hashes is not used: one is made from the tiles');
      }
    }
    return new KnownLeaves(options, saved);
  }

  /** Entries of the log are told from new ones without the store. */
  get complete(): boolean {
    return this.#filter !== undefined;
  }

  /**
   * Takes a tree that was just opened, before any entry is appended to it. With a tree that follows on another after a
   * failure it goes on: all that was appended is in the filter, whether it became durable or not.
   */
  async adopt(tree: CommittedTree): Promise<void> {
    this.#tree = tree;
    if (this.#options.maxBytes === 0) return;
    if (this.#filter === undefined && this.#making === undefined) this.#making = await this.#begin(tree);
    void this.#make(tree);
  }

  /**
   * Adds the leaf hashes of a batch that is about to be committed. `size` is that of the committed tree, and nothing else
   * is on its way there.
   */
  add(entries: readonly { readonly leafHash: Uint8Array }[], size: number): void {
    this.#growFrom(size);
    const making = this.#making;
    for (const { leafHash } of entries) {
      this.#filter?.add(leafHash);
      making?.filter.add(leafHash);
    }
  }

  /**
   * For each leaf hash the index of its entry in the tree in service, or undefined.
   *
   * @throws ServerError `store`, `corrupt`
   */
  async lookup(leafHashes: readonly Uint8Array[]): Promise<(number | undefined)[]> {
    const indexes: (number | undefined)[] = new Array(leafHashes.length).fill(undefined);
    const filter = this.#filter;
    const asked: number[] = [];
    for (let i = 0; i < leafHashes.length; i++) if (filter?.mayHave(leafHashes[i]!) ?? true) asked.push(i);
    if (asked.length === 0) return indexes;
    const found = await this.#tree!.lookup(asked.map((i) => leafHashes[i]!));
    for (const [at, i] of asked.entries()) indexes[i] = found[at];
    return indexes;
  }

  /** Ends the making of filters. With `save` it stores how far it got; a failure is told to the logger. */
  async end(save: boolean): Promise<void> {
    this.#ended = true;
    const tree = this.#tree;
    const { path, logger } = this.#options;
    const filter = this.#filter ?? this.#making?.filter;
    if (!save || path === undefined || tree === undefined || filter === undefined) return;
    const { state } = tree;
    const size = this.#filter === undefined ? Math.min(this.#making!.next, this.#making!.until) : state.size;
    if (size === this.#savedSize) return;
    try {
      const root = size === state.size ? state.root : await tree.reader().rootAt(size);
      await writeFilter(path, { filter, size, root });
    } catch (error) {
      logger.warn({ err: error }, 'the filter of leaf hashes was not stored: the next start makes it from the tiles');
    }
  }

  #growFrom(size: number): void {
    const filter = this.#filter;
    if (filter === undefined || this.#making !== undefined || this.#ended || size <= filter.bytes.length) return;
    const bytes = this.#bytesFor(size);
    if (bytes <= filter.bytes.length) return;
    this.#making = { filter: LeafFilter.empty(bytes), next: 0, until: size, started: performance.now() };
    void this.#make(this.#tree!);
  }

  /** Two for an entry, within the limits. */
  #bytesFor(size: number): number {
    const { maxBytes, minBytes = MIN_BYTES } = this.#options;
    const bytes = Math.min(Math.max(2 * size, minBytes), maxBytes);
    return Math.max(Math.floor(bytes / BLOCK_BYTES), 1) * BLOCK_BYTES;
  }

  /** From what was stored, or from nothing. */
  async #begin(tree: CommittedTree): Promise<Making> {
    const { size: until } = tree.state;
    const started = performance.now();
    const saved = this.#saved;
    this.#saved = undefined;
    if (saved !== undefined && (await this.#fits(saved, tree))) {
      this.#savedSize = saved.size;
      return { filter: saved.filter, next: saved.size - (saved.size % TILE_WIDTH), until, started };
    }
    return { filter: LeafFilter.empty(this.#bytesFor(until)), next: 0, until, started };
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

  /** Adds what is missing in the filter under way, for as long as `tree` is in service. */
  async #make(tree: CommittedTree): Promise<void> {
    const making = this.#making;
    if (making === undefined) return;
    const { logger } = this.#options;
    const inService = () => this.#tree === tree && !this.#ended;
    try {
      // What is committed is on its way into files.
      await tree.idle();
      const reader = tree.reader();
      // Where that failed: the tree that follows on this one goes on here.
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
      const fields = { entries: making.until, bytes: making.filter.bytes.length };
      logger.info(
        { ...fields, ms: Math.round(performance.now() - making.started) },
        'the filter of leaf hashes is whole',
      );
    } catch (error) {
      if (inService())
        logger.warn({ err: error }, 'the filter of leaf hashes cannot be made: entries are looked up in the store');
    }
  }
}

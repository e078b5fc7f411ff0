/**
 * The map of one log, as its operator and each rebuilder keep it: docs/index.md says what it is.
 *
 * It is a consumer of the verified feed. A batch of entries becomes postings in LevelDB, together with the cursor, in one
 * atomic write. The trie follows when a root is wanted: the keys that changed since the last root are put into it in their
 * order. The map can give the root of every size from the last root on, whatever it has taken since, because the postings
 * below a size say what the map of that size is.
 *
 * | step                                            | after a crash behind it                                       |
 * |-------------------------------------------------|---------------------------------------------------------------|
 * | `commit` extracts keys, gathers their postings  | nothing: the feed delivers the batch again                    |
 * | the write of postings and cursor                | the map goes on behind the batch                              |
 * | `seal` puts leaves into the trie                | the start computes the trie of the last root again            |
 * | the write of the root                           | `rootAt` knows it                                             |
 * | `show`: the write of its size                   | lookups are answered from this size                           |
 *
 * After a failed write nothing says whether it is durable: the map refuses every further call, and is opened again.
 */
import { EXTRACTOR } from '../../../merkle/index/keys.ts';
import { ClientError } from '../../errors.ts';
import { cursorRecord, parseCursor, peerRecords } from '../../follow/cursor-record.ts';
import type { Batch, Cursor, FeedConsumer, FollowedLog } from '../../follow/types.ts';
import { ChangedKeys, keyOf, nameAt } from './changed-keys.ts';
import { type ExtractedRun, type KeyExtractor, keyExtractor } from './key-extractor.ts';
import { KeyHistory } from './key-history.ts';
import { decodeKey, type KeyPostings, singlePosting } from './key-postings.ts';
import { type MapMeta, type MapRoot, MapStore } from './map-store.ts';
import { PostingLog } from './posting-log.ts';
import { PostingReader } from './posting-reader.ts';
import { Trie } from './trie.ts';
import { TrieWriter } from './trie-writer.ts';

interface MapOptions {
  /** The directory of this map alone. */
  readonly dir: string;
  readonly log: Pick<FollowedLog, 'origin' | 'keys'>;
  /** Threads that extract keys; 0: this thread does. */
  readonly threads: number;
  /** What extracts keys in the place of these threads. The map closes it. */
  readonly extractor?: KeyExtractor;
}

/** Changed keys, at most, as long as no root below the size is wanted: 60 MB. */
const MOST_CHANGED = 400_000;

export class IndexMap implements FeedConsumer {
  readonly log: MapOptions['log'];
  readonly #store: MapStore;
  readonly #extractor: KeyExtractor;
  readonly #trie = new Trie();
  readonly #hashes = new PostingLog();
  readonly #history: KeyHistory;
  readonly #changed: ChangedKeys;
  readonly #writer: TrieWriter;
  #meta: Omit<MapMeta, 'format'>;
  #sealed: MapRoot | undefined;
  #shown: MapRoot | undefined;
  /** No root below this size is wanted, so that the trie may go on up to it. */
  #aim = 0;
  #failure: unknown;
  #turn: Promise<unknown> = Promise.resolve();

  private constructor({ log, threads, extractor }: MapOptions, store: MapStore, meta: MapMeta | undefined) {
    this.log = log;
    this.#store = store;
    this.#history = new KeyHistory((key, index) => store.chunk(key, index), this.#hashes);
    this.#changed = new ChangedKeys(store, this.#trie, this.#history);
    this.#writer = new TrieWriter(store, this.#trie, this.#hashes, this.#changed);
    this.#extractor = extractor ?? keyExtractor(threads);
    this.#meta = meta ?? { log: log.origin, extractor: EXTRACTOR, base: 0 };
  }

  /**
   * Opens the map, and computes its trie, which takes time in proportion to its keys.
   *
   * @throws ClientError `state`: it is of another log, or damaged; RuntimeError `locked`, `store`, `file`
   */
  static async open(options: MapOptions): Promise<IndexMap> {
    const store = await MapStore.open(options.dir);
    try {
      const map = new IndexMap(options, store, await store.meta());
      await map.#start();
      return map;
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  /** Entries that the map has taken. */
  get size(): number {
    return this.#meta.cursor?.size ?? 0;
  }

  /** The last root that `seal` computed. */
  get sealed(): MapRoot | undefined {
    return this.#sealed;
  }

  /** What lookups are answered from. */
  get shown(): MapRoot | undefined {
    return this.#shown;
  }

  /** The size that the trie has: `seal` takes no smaller one. */
  get base(): number {
    return this.#meta.base;
  }

  /** @throws ClientError, MerkleError: the stored cursor is damaged */
  async load(): Promise<Cursor | undefined> {
    if (this.#failure !== undefined) throw this.#failure;
    const { cursor, peers } = this.#meta;
    return cursor && parseCursor(this.log, cursor, peers ?? {});
  }

  /** Bytes of the trie, those that only what is shown still needs, and keys that changed since the last root. */
  get memory(): { readonly trie: number; readonly retired: number; readonly changed: number } {
    return { trie: this.#trie.memory, retired: this.#trie.retired, changed: this.#changed.size };
  }

  /** The next size whose root is wanted. Until the map reaches it, its trie may go on with what it has taken. */
  aim(size: number): void {
    this.#aim = Math.max(this.#aim, size);
  }

  /** Takes the entries of a batch, as the feed wants it. @throws RuntimeError `store`, `pool` */
  async commit({ first, entries, cursor }: Batch): Promise<void> {
    const runs = entries.length === 0 ? [] : await this.#extractor.extract(entries.map(({ body }) => body));
    await this.#inTurn(async () => {
      if (first !== this.size)
        throw new ClientError('state', `the map has ${this.size} entries, and gets those from ${first} on`);
      try {
        await this.#take(first, runs, cursor);
      } catch (error) {
        // Some keys may have the batch.
        this.#failure ??= error;
        throw error;
      }
      if (this.#changed.size > MOST_CHANGED && this.size <= this.#aim) await this.#putAll(this.size);
    });
  }

  /**
   * The root of the map of exactly `size` entries, durable. Requires `base <= size <= this.size`; a root that was computed before
   * is known whatever its size.
   *
   * @throws ClientError `state`: the size is none of these; RuntimeError `store`
   */
  async seal(size: number): Promise<MapRoot> {
    return await this.#inTurn(async () => {
      const known = await this.rootAt(size);
      if (known !== undefined && size !== this.base) return known;
      if (size < this.base || size > this.size) {
        const why = `the map can give roots of ${this.base} to ${this.size} entries`;
        throw new ClientError('state', `${why}, and not of ${size}`);
      }
      await this.#putAll(size);
      const sealed = { size, root: this.#trie.root, count: this.#trie.count };
      if (known === undefined) {
        await this.#store.write((batch) => {
          batch.meta(this.#meta);
          batch.root(sealed);
        });
      }
      this.#sealed = sealed;
      return sealed;
    });
  }

  /** The root of `size` entries, where the map has computed it. */
  async rootAt(size: number): Promise<MapRoot | undefined> {
    return await this.#store.root(size);
  }

  /**
   * Answers lookups from the last root from now on. Its size and these records become durable in one step.
   *
   * @throws ClientError `state`: no root is sealed for the size that the trie has; RuntimeError `store`
   */
  async show(records: Readonly<Record<string, Uint8Array>> = {}): Promise<void> {
    await this.#inTurn(async () => {
      const sealed = this.#sealed;
      if (sealed === undefined || sealed.size !== this.base) {
        throw new ClientError('state', 'no root of the map is sealed');
      }
      const meta = { ...this.#meta, shown: sealed.size };
      await this.#store.write((batch) => {
        batch.meta(meta);
        for (const [name, value] of Object.entries(records)) batch.record(name, value);
      });
      this.#meta = meta;
      this.#shown = sealed;
      this.#trie.show();
    });
  }

  /** A record of the publication. */
  async record(name: string): Promise<Uint8Array | undefined> {
    return await this.#store.record(name);
  }

  /** Durable when it resolves. */
  async saveRecord(name: string, value: Uint8Array): Promise<void> {
    await this.#inTurn(() => this.#store.write((batch) => batch.record(name, value)));
  }

  async close(): Promise<void> {
    await this.#extractor.close();
    await this.#turn.catch(() => {});
    this.#failure ??= new ClientError('state', 'the map is closed');
    await this.#store.close();
  }

  /** The way to a key in the map that is shown, with all that a lookup needs. */
  async find(key: Uint8Array): Promise<Found | undefined> {
    const shown = this.#shown;
    if (shown === undefined) return undefined;
    const { siblings, leaf } = this.#trie.prove(key);
    if (leaf === undefined) return { shown, siblings };
    const own = Buffer.compare(leaf, key.subarray(0, leaf.length)) === 0;
    const postings = own ? await this.#postingsAt(key, shown.size) : undefined;
    if (postings !== undefined && postings.count > 0) return { shown, siblings, postings };
    for await (const rows of this.#store.keys(leaf, 16)) {
      for (const row of rows) {
        const there = await this.#history.below(row.key, row.postings, shown.size);
        if (there.count > 0) {
          return {
            shown,
            siblings,
            other: { key: new Uint8Array(row.key), count: there.count, root: this.#hashes.root(there) },
          };
        }
      }
    }
    throw new ClientError('state', 'the map has a leaf whose key is not in its store: build the map again');
  }

  /** Reads the postings of a key as they were when `find` gave them, and the hashes of their posting log. */
  reader(key: Uint8Array, postings: KeyPostings): PostingReader {
    return new PostingReader((index) => this.#store.chunk(key, index), postings, this.#hashes);
  }

  async #postingsAt(key: Uint8Array, size: number): Promise<KeyPostings | undefined> {
    const postings = await this.#store.postings(key);
    return postings && (await this.#history.below(key, postings, size));
  }

  async #take(first: number, runs: readonly ExtractedRun[], cursor: Cursor): Promise<void> {
    const { fresh, several, chunks } = await this.#changed.take(first, runs);
    const meta = { ...this.#meta, cursor: cursorRecord(cursor), peers: peerRecords(cursor.peers) };
    await this.#store.write((batch) => {
      batch.meta(meta);
      for (const { name, index, chunk } of chunks) batch.chunk(keyOf(name), index, chunk);
      for (const [name, postings] of several) batch.postings(keyOf(name), postings);
      for (const [name, posting] of fresh) batch.onePosting(name, posting);
    });
    this.#meta = meta;
  }

  /** Puts the leaves of all keys that changed below `size` into the trie, which has that size then. */
  async #putAll(size: number): Promise<void> {
    for await (const ready of this.#changed.below(size)) {
      for (const { name, postings, known } of ready) {
        const key = keyOf(name);
        if (this.#writer.isFull(key, 0)) await this.#writer.flush();
        this.#writer.add(key, postings, !known);
      }
      await this.#writer.flush();
    }
    this.#meta = { ...this.#meta, base: size };
  }

  async #start(): Promise<void> {
    const { log, extractor, base, shown } = this.#meta;
    if (log !== this.log.origin || extractor !== EXTRACTOR) {
      const why = `the map is of the log "${log}" and the extractor ${extractor}`;
      throw new ClientError(
        'state',
        `${why}, not of "${this.log.origin}" and ${EXTRACTOR}: give each map its directory`,
      );
    }
    await this.load();
    const first = shown ?? base;
    const later: { readonly key: Uint8Array; readonly postings: KeyPostings; readonly isNew: boolean }[] = [];
    for await (const rows of this.#store.records()) {
      for (const [key, record] of rows) {
        if (this.#writer.isFull(key, 0)) await this.#writer.flush();
        const single = singlePosting(record);
        // The trie is empty, and keys come in their order: none is in the trie that begins with the same bytes.
        if (single !== undefined && single < first) this.#writer.add(key, single, false);
        else {
          const postings = decodeKey(record);
          const one = await this.#history.below(key, postings, first);
          if (one.count > 0) this.#writer.add(key, one, false);
          if (postings.last < first) continue;
          const own = new Uint8Array(key);
          const two = await this.#history.below(own, postings, base);
          if (two.count > one.count) later.push({ key: own, postings: two, isNew: one.count === 0 });
          if (postings.last >= base) this.#changed.set(nameAt(own, 0), postings, two.count > 0);
        }
      }
    }
    await this.#writer.flush();
    if (shown !== undefined) {
      this.#shown = await this.#checked(shown);
      this.#trie.show();
    }
    for (const { key, postings, isNew } of later) {
      if (this.#writer.isFull(key, 0)) await this.#writer.flush();
      this.#writer.add(key, postings, isNew);
    }
    await this.#writer.flush();
    if ((await this.rootAt(base)) !== undefined) this.#sealed = await this.#checked(base);
  }

  /** The root of the trie, which must be the one that was stored for this size. */
  async #checked(size: number): Promise<MapRoot> {
    const stored = await this.rootAt(size);
    const { root, count } = this.#trie;
    if (stored !== undefined && Buffer.compare(stored.root, root) === 0 && stored.count === count) return stored;
    const why = `the postings of the map do not lead to the root that it had for ${size} entries`;
    throw new ClientError('state', `${why}: remove its directory, and the map is built again`);
  }

  /** One call at a time changes the map. */
  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(async () => {
      if (this.#failure !== undefined) throw this.#failure;
      try {
        return await work();
      } catch (error) {
        // What is in memory may be behind or before what is stored.
        if (!(error instanceof ClientError)) this.#failure ??= error;
        throw error;
      }
    });
    this.#turn = turn.catch(() => {});
    return await turn;
  }
}

/** What the map says of a key. */
export interface Found {
  readonly shown: MapRoot;
  /** Beside the path from the top; undefined where a subtree is empty. */
  readonly siblings: readonly (Uint8Array | undefined)[];
  /** Of the key, where it is there. */
  readonly postings?: KeyPostings;
  /** Another key that has the place. */
  readonly other?: { readonly key: Uint8Array; readonly count: number; readonly root: Uint8Array };
}

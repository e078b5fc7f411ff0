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
import { setImmediate as nextTurn } from 'node:timers/promises';
import { EXTRACTOR } from '../../../merkle/index/keys.ts';
import { ClientError } from '../../errors.ts';
import { cursorRecord, parseCursor, peerRecords } from '../../follow/cursor-record.ts';
import type { Batch, Cursor, FeedConsumer, FollowedLog } from '../../follow/types.ts';
import { PREFIX_BYTES, prefixName } from './key-bits.ts';
import { type ExtractedRun, type KeyExtractor, keyExtractor } from './key-extractor.ts';
import { type FullChunk, KeyHistory } from './key-history.ts';
import { type KeyPostings, NO_POSTINGS } from './key-postings.ts';
import { type MapMeta, type MapRoot, MapStore } from './map-store.ts';
import { PostingLog } from './posting-log.ts';
import { PostingReader } from './posting-reader.ts';
import { Trie } from './trie.ts';

interface MapOptions {
  /** The directory of this map alone. */
  readonly dir: string;
  readonly log: Pick<FollowedLog, 'origin' | 'keys'>;
  /** Threads that extract keys; 0: this thread does. */
  readonly threads: number;
  /** What extracts keys in the place of these threads. The map closes it. */
  readonly extractor?: KeyExtractor;
}

/** A key whose leaf in the trie is not of its postings. */
interface Changed {
  /** The key hash as a text of 32 characters, one a byte: it takes less time and memory than an array. */
  readonly name: string;
  readonly postings: KeyPostings;
  /** It has a leaf in the trie. */
  readonly known: boolean;
}

const HASH = 32;
/** Changed keys, at most, as long as no root below the size is wanted: 60 MB. */
const MOST_CHANGED = 200_000;
/** Keys of several postings whose postings stay in memory: they change again and again. */
const MOST_KEPT = 50_000;
/** Leaves that go into the trie in one turn: 2 ms. */
const PUT_AT_ONCE = 200;
const TURN_MS = 4;

export class IndexMap implements FeedConsumer {
  readonly log: MapOptions['log'];
  readonly #store: MapStore;
  readonly #extractor: KeyExtractor;
  readonly #trie = new Trie();
  readonly #hashes = new PostingLog();
  readonly #history: KeyHistory;
  readonly #changed = new Map<string, Changed>();
  readonly #kept = new Map<string, Changed>();
  #meta: Omit<MapMeta, 'format'>;
  #sealed: MapRoot | undefined;
  #shown: MapRoot | undefined;
  /** No root below this size is wanted, so that the trie may go on up to it. */
  #aim = 0;
  #failure: unknown;
  #turn: Promise<unknown> = Promise.resolve();
  #turnStarted = 0;

  private constructor({ log, threads, extractor }: MapOptions, store: MapStore, meta: MapMeta | undefined) {
    this.log = log;
    this.#store = store;
    this.#history = new KeyHistory((key, index) => store.chunk(key, index), this.#hashes);
    this.#extractor = extractor ?? keyExtractor(threads);
    this.#meta = meta ?? { log: log.origin, extractor: EXTRACTOR, base: 0 };
  }

  /**
   * Opens the map, and computes its trie: 1.5 to 2.5 s for a million keys.
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
      await this.#take(first, runs, cursor);
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
    const found = await this.#findKeys(runs);
    const chunks: (FullChunk & { readonly name: string })[] = [];
    for (const run of runs) {
      let next = 0;
      for (let i = 0; i < run.length; i++) {
        const name = nameAt(run.hashes, i);
        const before = found.get(name)!;
        const places = run.places.subarray(next, next + run.counts[i]!);
        next += places.length;
        const postings = this.#history.added(before.postings, places, first + run.first, (chunk) =>
          chunks.push({ name, ...chunk }),
        );
        found.set(name, { name, postings, known: before.known });
      }
    }
    const meta = { ...this.#meta, cursor: cursorRecord(cursor), peers: peerRecords(cursor.peers) };
    await this.#store.write((batch) => {
      batch.meta(meta);
      for (const { name, index, chunk } of chunks) batch.chunk(keyOf(name), index, chunk);
      for (const { name, postings } of found.values()) batch.postings(keyOf(name), postings);
    });
    this.#meta = meta;
    for (const [name, changed] of found) {
      this.#changed.set(name, changed);
      this.#kept.delete(name);
    }
  }

  /** What the map has of the keys of runs. */
  async #findKeys(runs: readonly ExtractedRun[]): Promise<Map<string, Changed>> {
    const found = new Map<string, Changed>();
    const unread: string[] = [];
    for (const { length, hashes } of runs) {
      for (let i = 0; i < length; i++) {
        const name = nameAt(hashes, i);
        if (found.has(name)) continue;
        const here = this.#changed.get(name) ?? this.#kept.get(name);
        if (here !== undefined) found.set(name, here);
        else {
          found.set(name, { name, postings: NO_POSTINGS, known: false });
          if (this.#trie.has(hashes, i * HASH)) unread.push(name);
        }
      }
    }
    const read = await this.#store.manyPostings(unread.map(keyOf));
    for (const [i, name] of unread.entries()) {
      const postings = read[i];
      // Otherwise another key begins with the same bytes.
      if (postings !== undefined) found.set(name, { name, postings, known: true });
    }
    return found;
  }

  /** Puts the leaves of all keys that changed below `size` into the trie, which has that size then. */
  async #putAll(size: number): Promise<void> {
    const groups: Changed[][] = Array.from({ length: 256 }, () => []);
    for (const changed of this.#changed.values()) groups[changed.name.charCodeAt(0)]!.push(changed);
    for (const group of groups) {
      const ready: Changed[] = [];
      for (const changed of group) {
        const { name, postings: all } = changed;
        const postings = all.last < size ? all : await this.#history.below(keyOf(name), all, size);
        if (postings.count > 0) ready.push({ ...changed, postings });
      }
      ready.sort((a, b) => (a.name < b.name ? -1 : 1));
      await this.#put(ready);
      for (const { name } of ready) this.#putDone(name, size);
    }
    this.#meta = { ...this.#meta, base: size };
  }

  /** A key has its leaf of `size` entries in the trie. */
  #putDone(name: string, size: number): void {
    const changed = this.#changed.get(name)!;
    const known = { ...changed, known: true };
    if (changed.postings.last >= size) return void this.#changed.set(name, known);
    this.#changed.delete(name);
    // A key with one posting rarely gets another.
    if (changed.postings.count === 1) return;
    this.#kept.set(name, known);
    if (this.#kept.size > MOST_KEPT) this.#kept.delete(this.#kept.keys().next().value!);
  }

  /** Puts leaves into the trie, in the order of their keys, some at a time. */
  async #put(ready: readonly Changed[]): Promise<void> {
    for (let from = 0; from < ready.length; ) {
      let to = Math.min(from + PUT_AT_ONCE, ready.length);
      while (to < ready.length && samePrefix(ready[to - 1]!.name, ready[to]!.name)) to++;
      const some = ready.slice(from, to);
      const leaves = {
        keys: Buffer.from(some.map(({ name }) => name).join(''), 'latin1'),
        hashes: new Uint8Array(some.length * HASH),
        length: some.length,
      };
      for (const [i, { postings }] of some.entries()) {
        this.#hashes.leaf(leaves.keys, postings, leaves.hashes, i * HASH);
      }
      this.#trie.put(leaves, await this.#ties(some));
      from = to;
      await this.#breathe();
    }
  }

  /** For each new key whose first bytes a key in the trie has alone: that key. */
  async #ties(some: readonly Changed[]): Promise<Map<string, Uint8Array>> {
    const ties = new Map<string, Uint8Array>();
    for (const { name: whole, known } of some) {
      const key = keyOf(whole);
      if (known || !this.#trie.has(key) || this.#trie.isKnot(key)) continue;
      const name = prefixName(key, 0);
      if (ties.has(name)) continue;
      const fresh = new Set(some.filter((one) => !one.known).map((one) => one.name));
      for await (const rows of this.#store.keys(key.subarray(0, 12), 16)) {
        const there = rows.find((row) => {
          const row0 = nameAt(row.key, 0);
          return !fresh.has(row0) && this.#changed.get(row0)?.known !== false;
        });
        if (there !== undefined) ties.set(name, new Uint8Array(there.key));
        if (there !== undefined) break;
      }
    }
    return ties;
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
    let ready: Changed[] = [];
    const later: Changed[] = [];
    for await (const rows of this.#store.keys()) {
      for (const { key: view, postings } of rows) {
        const key = new Uint8Array(view);
        const name = nameAt(key, 0);
        const one = postings.last < first ? postings : await this.#history.below(key, postings, first);
        if (one.count > 0) {
          if (ready.length >= PUT_AT_ONCE && !samePrefix(ready[ready.length - 1]!.name, name)) {
            await this.#put(ready);
            ready = [];
          }
          ready.push({ name, postings: one, known: false });
        }
        if (postings.last < first) continue;
        const two = await this.#history.below(key, postings, base);
        if (two.count > one.count) later.push({ name, postings: two, known: one.count > 0 });
        if (postings.last >= base) this.#changed.set(name, { name, postings, known: two.count > 0 });
      }
      await this.#breathe();
    }
    await this.#put(ready);
    if (shown !== undefined) {
      this.#shown = await this.#checked(shown);
      this.#trie.show();
    }
    await this.#put(later);
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

  /** Lookups and other requests get their turn. */
  async #breathe(): Promise<void> {
    if (performance.now() - this.#turnStarted < TURN_MS) return;
    await nextTurn();
    this.#turnStarted = performance.now();
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

function nameAt(hashes: Uint8Array, i: number): string {
  return Buffer.from(hashes.buffer, hashes.byteOffset + i * HASH, HASH).toString('latin1');
}

function keyOf(name: string): Buffer {
  return Buffer.from(name, 'latin1');
}

function samePrefix(a: string, b: string): boolean {
  return a.startsWith(b.slice(0, PREFIX_BYTES));
}

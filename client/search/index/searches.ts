/**
 * The plain index over one or more logs: it follows them by the verified feed, keeps the keys of their entries, and answers
 * searches with proofs. index-store.ts has what is on disk.
 */
import type { KeyKind } from '../../../merkle/index/keys.ts';
import { printable } from '../../../merkle/printable.ts';
import { RuntimeError } from '../../../merkle/runtime/runtime-errors.ts';
import { TILE_WIDTH } from '../../../merkle/tile.ts';
import { ClientError, cancelled } from '../../errors.ts';
import type { FollowedLog } from '../../follow/types.ts';
import type { OpenSource, TileSource } from '../../tiles/types.ts';
import { formatPageToken, type PagePlace, parsePageToken } from '../page-token.ts';
import { SearchError } from '../search-errors.ts';
import { checkQuery } from '../terms.ts';
import type { SearchHit, SearchPage, SearchQuery } from '../types.ts';
import { Bodies } from './bodies.ts';
import { Comparing } from './comparing.ts';
import { Expansion, testersOf } from './expansion.ts';
import { findIndexes } from './find.ts';
import type { IndexStore } from './index-store.ts';
import { FAMILY, lastNumber, MAX_NUMBER, numberKey, rowKey } from './layout.ts';
import type { LogIndex } from './log-index.ts';
import type { AnsweredHead } from './log-record.ts';
import { TileProofs } from './tile-proofs.ts';

/** Bytes of bodies in a page: a page ends behind the hit that reaches it. */
const PAGE_BYTES = 8 * 1024 * 1024;
/** Entry bundles that a page takes from the log, and their bytes. */
const PAGE_BUNDLES = 128;
const PAGE_BUNDLE_BYTES = 64 * 1024 * 1024;
/** Hits whose bodies are fetched together. */
const TOGETHER = 16;

interface Searched {
  readonly index: LogIndex;
  readonly source: TileSource;
}

export class Searches {
  readonly #store: IndexStore;
  readonly #kinds: ReadonlySet<KeyKind>;
  readonly #open: OpenSource;
  readonly #logs = new Map<string, Searched>();
  readonly #comparing = new Comparing();
  readonly #expansion: Expansion;
  readonly #proofs: TileProofs;
  readonly #bodies = new Bodies();

  constructor(store: IndexStore, kinds: readonly KeyKind[], open: OpenSource) {
    this.#store = store;
    this.#kinds = new Set(kinds);
    this.#open = open;
    this.#expansion = new Expansion(store, this.#comparing);
    this.#proofs = new TileProofs(store);
  }

  add(log: FollowedLog, index: LogIndex): void {
    this.#logs.set(log.origin, { index, source: this.#open(log.location) });
  }

  /** @throws SearchError; ClientError `cancelled` */
  async search(query: SearchQuery, signal: AbortSignal): Promise<SearchPage> {
    checkQuery(query);
    const searched = this.#logs.get(query.log);
    if (searched === undefined) {
      throw new SearchError('unknown-log', `the index follows no log "${printable(query.log)}"`);
    }
    for (const { kind } of query.terms) {
      if (this.#kinds.has(kind)) continue;
      throw new SearchError(
        'not-indexed',
        `keys of the kind ${kind} are not indexed here: it has ${[...this.#kinds].join(', ')}`,
      );
    }
    try {
      return await this.#page(query, searched, signal);
    } catch (cause) {
      if (signal.aborted && !(cause instanceof SearchError)) throw cancelled(cause);
      const isOwn = cause instanceof RuntimeError || (cause instanceof ClientError && cause.code === 'state');
      if (!isOwn) throw cause;
      throw new SearchError('store', `the index cannot be read: ${cause.message}`, { cause });
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#logs.values()].map(({ source }) => source.close()));
    await this.#comparing.close();
  }

  async #page(query: SearchQuery, { index, source }: Searched, signal: AbortSignal): Promise<SearchPage> {
    const { limit, order = 'ascending', page } = query;
    const place = page === undefined ? undefined : parsePageToken(query, page);
    const head = await headOf(index, place);
    const log = index.number!;
    const testers = await testersOf(query.terms);
    const range = await this.#range(log, query, head.size, place);
    const wanted = { log, size: head.size, testers, ...range, order, limit };
    const found = await findIndexes(
      wanted,
      { store: this.#store, expansion: this.#expansion, comparing: this.#comparing },
      signal,
    );
    const { hits, cut } = await this.#hits(found.indexes, index, source, head, signal);
    const position = cut ?? found.next;
    return {
      log: query.log,
      checkpoint: head.note,
      size: head.size,
      root: head.root,
      hits,
      ...(position !== undefined && { next: formatPageToken(query, { size: head.size, position }) }),
    };
  }

  /** The indexes that the page may have. */
  async #range(
    log: number,
    query: SearchQuery,
    size: number,
    place: PagePlace | undefined,
  ): Promise<{ from: number; to: number }> {
    const { after, before, order } = query;
    let from = query.from ?? 0;
    let to = Math.min(size, query.to ?? size);
    if (after !== undefined) from = Math.max(from, await this.#sizeAt(log, after));
    if (before !== undefined) to = Math.min(to, await this.#sizeAt(log, before));
    if (place === undefined) return { from, to };
    const { position } = place;
    return order === 'descending' ? { from, to: Math.min(to, position + 1) } : { from: Math.max(from, position), to };
  }

  /** The first entry that has this time or a later one. */
  async #sizeAt(log: number, time: number): Promise<number> {
    const gte = rowKey(FAMILY.time, log, numberKey(time));
    const [row] = await this.#store.rows({ gte, lt: rowKey(FAMILY.time, log + 1) }, 1);
    return row === undefined ? MAX_NUMBER : lastNumber(row[1]);
  }

  /** The hits of the page, and the index that begins the next one where not all have room. */
  async #hits(
    found: readonly number[],
    index: LogIndex,
    source: TileSource,
    head: AnsweredHead,
    signal: AbortSignal,
  ): Promise<{ readonly hits: readonly SearchHit[]; readonly cut?: number }> {
    const indexes = withinBundles(found);
    const leaves = await this.#proofs.prove(index.number!, indexes, head);
    // The log serves the bundle of its newest tree; it may have dropped narrower ones.
    const size = index.answered!.size;
    const hits: SearchHit[] = [];
    let bytes = 0;
    const bundles = new Map<number, number>();
    let taken = 0;
    for (let at = 0; at < leaves.length && bytes < PAGE_BYTES && taken < PAGE_BUNDLE_BYTES; at += TOGETHER) {
      const some = leaves.slice(at, at + TOGETHER);
      const fetched = Promise.all(some.map((leaf) => this.#bodies.body(source, index.origin, size, leaf)));
      for (const [i, { body, bundleBytes }] of (await unlessAborted(fetched, signal)).entries()) {
        const { index: hit, proof } = some[i]!;
        hits.push({ index: hit, body, proof });
        bytes += body.length;
        bundles.set(Math.floor(hit / TILE_WIDTH), bundleBytes);
      }
      taken = [...bundles.values()].reduce((sum, one) => sum + one, 0);
    }
    return hits.length < found.length ? { hits, cut: found[hits.length]! } : { hits };
  }
}

/** As many of the indexes as lie in so many bundles as a page takes. */
function withinBundles(indexes: readonly number[]): readonly number[] {
  const bundles = new Set<number>();
  const end = indexes.findIndex((index) => bundles.add(Math.floor(index / TILE_WIDTH)).size > PAGE_BUNDLES);
  return end < 0 ? indexes : indexes.slice(0, end);
}

/** The checkpoint that the page is about. @throws SearchError `not-ready`, `expired` */
async function headOf(index: LogIndex, place: PagePlace | undefined): Promise<AnsweredHead> {
  const newest = index.answered;
  if (newest === undefined) {
    const why = `it has looked at ${index.completeThrough} entries of ${index.accepted}`;
    throw new SearchError('not-ready', `the index has not read a whole tree of the log yet: ${why}`);
  }
  if (place === undefined) return newest;
  const head = await index.head(place.size);
  if (head !== undefined) return head;
  const why = `the checkpoint of size ${place.size} that the page token names is not kept any longer`;
  throw new SearchError('expired', `${why}: a token is good for an hour. Ask for the first page again`);
}

async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  let stop = () => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

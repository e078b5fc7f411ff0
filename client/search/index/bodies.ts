/** Entries as the log serves them, each checked against its leaf hash before it leaves. */
import { parseBundle } from '../../../merkle/bundle.ts';
import { equal } from '../../../merkle/bytes.ts';
import { MerkleError } from '../../../merkle/errors.ts';
import { printable } from '../../../merkle/printable.ts';
import { leafHash } from '../../../merkle/rfc6962.ts';
import { fastSha256 } from '../../../merkle/runtime/crypto/hash.ts';
import { TILE_WIDTH, tileWidth } from '../../../merkle/tile.ts';
import { ClientError } from '../../errors.ts';
import type { TileSource } from '../../tiles/types.ts';
import { SearchError } from '../search-errors.ts';

/** Bytes of bundles in memory, of all logs together. */
const CACHE_BYTES = 64 * 1024 * 1024;
/** Bundles that are fetched at once, of all searches together; each has up to 16 MiB. */
const AT_ONCE = 6;
/** A log that does not answer in so long is away, for a search. */
const PATIENCE_MS = 10_000;

interface WantedBody {
  readonly index: number;
  readonly leafHash: Uint8Array;
}

export class Bodies {
  readonly #kept = new Map<string, { readonly bodies: readonly Uint8Array[]; readonly bytes: number }>();
  readonly #fetching = new Map<string, Promise<readonly Uint8Array[]>>();
  #bytes = 0;
  #free = AT_ONCE;
  readonly #waiting: (() => void)[] = [];

  /**
   * The body of one entry.
   *
   * @param size a tree of the log that it serves now: the index has read all of it
   * @throws SearchError `log-away`: the log does not give the bundle; `log-wrong`: it gives other bytes
   */
  async body(source: TileSource, origin: string, size: number, wanted: WantedBody): Promise<Uint8Array> {
    const { index, leafHash: leaf } = wanted;
    const bundle = Math.floor(index / TILE_WIDTH);
    const place = index % TILE_WIDTH;
    // A bundle from memory may be wrong: it was read before the log was mended. The log then shows a second one.
    for (const fresh of [false, true]) {
      const bodies = await this.#bundle(source, origin, bundle, place, size, fresh);
      const body = bodies[place];
      if (body !== undefined && equal(leafHash(body, fastSha256), leaf)) return body;
    }
    const why = 'the log serves other bytes than those in the tree that it signed';
    throw new SearchError('log-wrong', `entry ${index} of ${printable(origin)}: ${why}`);
  }

  async #bundle(
    source: TileSource,
    origin: string,
    bundle: number,
    place: number,
    size: number,
    fresh: boolean,
  ): Promise<readonly Uint8Array[]> {
    const name = `${bundle} ${origin}`;
    const kept = this.#kept.get(name);
    if (kept !== undefined) {
      this.#kept.delete(name);
      if (!fresh && kept.bodies.length > place) {
        this.#kept.set(name, kept);
        return kept.bodies;
      }
      this.#bytes -= kept.bytes;
    }
    const width = tileWidth(0, bundle, size);
    const key = `${width} ${name}`;
    // Searches that want the same bundle wait for one fetch, which does not end with the first of them.
    let fetching = this.#fetching.get(key);
    if (fetching === undefined) {
      fetching = this.#fetch(source, name, bundle, width).finally(() => this.#fetching.delete(key));
      this.#fetching.set(key, fetching);
    }
    return await fetching;
  }

  async #fetch(source: TileSource, name: string, bundle: number, width: number): Promise<readonly Uint8Array[]> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      const bytes = await source.entries(bundle, width, AbortSignal.timeout(PATIENCE_MS));
      const bodies = parseBundle(bytes, width);
      this.#keep(name, bodies, bytes.length);
      return bodies;
    } catch (cause) {
      if (cause instanceof MerkleError) {
        const why = `the entry bundle ${bundle} that the log serves is malformed: ${cause.message}`;
        throw new SearchError('log-wrong', why, { cause });
      }
      if (!(cause instanceof ClientError)) throw cause;
      const slow = cause.code === 'cancelled' ? `it did not answer in ${PATIENCE_MS / 1000} s` : cause.message;
      throw new SearchError('log-away', `the log does not give entry bundle ${bundle}: ${slow}`, { cause });
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  }

  #keep(name: string, bodies: readonly Uint8Array[], bytes: number): void {
    const before = this.#kept.get(name);
    if (before !== undefined) this.#bytes -= before.bytes;
    this.#kept.delete(name);
    this.#kept.set(name, { bodies, bytes });
    this.#bytes += bytes;
    for (const [oldest, { bytes: length }] of this.#kept) {
      if (this.#bytes <= CACHE_BYTES) break;
      this.#kept.delete(oldest);
      this.#bytes -= length;
    }
  }
}

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

interface Bundle {
  /** Views of the bundle. */
  readonly bodies: readonly Uint8Array[];
  /** The length of the bundle. */
  readonly bytes: number;
}

interface WantedBody {
  readonly index: number;
  readonly leafHash: Uint8Array;
}

export class Bodies {
  readonly #kept = new Map<string, Bundle>();
  readonly #fetching = new Map<string, Promise<Bundle>>();
  #bytes = 0;
  #free = AT_ONCE;
  readonly #waiting: (() => void)[] = [];

  /**
   * The body of one entry, and the bytes of the bundle that has it.
   *
   * @param size a tree of the log that it serves now: the index has read all of it
   * @throws SearchError `log-away`: the log does not give the bundle; `log-wrong`: it gives other bytes
   */
  async body(
    source: TileSource,
    origin: string,
    size: number,
    wanted: WantedBody,
  ): Promise<{ readonly body: Uint8Array; readonly bundleBytes: number }> {
    const { index, leafHash: leaf } = wanted;
    const bundle = Math.floor(index / TILE_WIDTH);
    const place = index % TILE_WIDTH;
    // A bundle from memory may be wrong: it was read before the log was mended. The log then shows a second one.
    for (const fresh of [false, true]) {
      const { bodies, bytes } = await this.#bundle(source, origin, bundle, place, size, fresh);
      const body = bodies[place];
      // A copy: the page must not hold the whole bundle in memory.
      if (body !== undefined && equal(leafHash(body, fastSha256), leaf))
        return { body: new Uint8Array(body), bundleBytes: bytes };
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
  ): Promise<Bundle> {
    const name = `${bundle} ${origin}`;
    const kept = this.#kept.get(name);
    if (kept !== undefined) {
      this.#kept.delete(name);
      if (!fresh && kept.bodies.length > place) {
        this.#kept.set(name, kept);
        return kept;
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

  async #fetch(source: TileSource, name: string, bundle: number, width: number): Promise<Bundle> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      const bytes = await source.entries(bundle, width, AbortSignal.timeout(PATIENCE_MS));
      const fetched = { bodies: parseBundle(bytes, width), bytes: bytes.length };
      this.#keep(name, fetched);
      return fetched;
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

  #keep(name: string, bundle: Bundle): void {
    const before = this.#kept.get(name);
    if (before !== undefined) this.#bytes -= before.bytes;
    this.#kept.delete(name);
    this.#kept.set(name, bundle);
    this.#bytes += bundle.bytes;
    for (const [oldest, { bytes: length }] of this.#kept) {
      if (this.#bytes <= CACHE_BYTES) break;
      this.#kept.delete(oldest);
      this.#bytes -= length;
    }
  }
}

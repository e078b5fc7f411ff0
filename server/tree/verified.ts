/**
 * A tile store that gives no rotten byte. A full tile or bundle stands for one node of the tree. The first time that a file is
 * read, its node is computed and compared with the hash in the tile above, up to the right edge, which was checked against the
 * committed root. From then on a checksum in memory is compared (checksums.ts). Bytes that do not hold are never given to a
 * caller: the read rejects with `rotten`, and the file is named until it holds again.
 *
 * A tile is stored twice: in its file, and in what is below it, the bundle or 256 tiles. So proofs, and the verification of other
 * files, go on with a tile that was made anew. A damaged tile costs those who ask for that file their answer, and nobody else.
 */
import { equal } from '../../merkle/bytes.ts';
import { HASH_SIZE, type Sha256 } from '../../merkle/rfc6962.ts';
import {
  entryBundlePath,
  parseEntryBundlePath,
  parseTilePath,
  TILE_WIDTH,
  type TileNodes,
  tilePath,
  tileWidth,
} from '../../merkle/tile.ts';
import { ServerError } from '../errors.ts';
import { retried } from '../store/retry.ts';
import type { StampedBlob, TileBlob, TileStore } from '../store/types.ts';
import { BUNDLE_KIND, type Checksums, checksumOf } from './checksums.ts';
import type { TileCache } from './reader.ts';
import { bundleRoot, leavesOf, tileRoot } from './roots.ts';
import type { RottenFiles } from './rotten.ts';
import type { Snapshot } from './snapshot.ts';

/** What the store below is verified against, and where the results go. */
interface Verification {
  /** The newest tree whose files are stored. */
  readonly tree: () => Pick<Snapshot, 'size' | 'edge'>;
  readonly checksums: Checksums;
  readonly rotten: RottenFiles;
  /** Keeps the tiles above. */
  readonly nodes: TileCache;
  readonly hash: Sha256;
}

/** A full tile, or the bundle of a full level 0 tile where `bundle` is set. */
interface Place {
  readonly bundle: boolean;
  readonly level: number;
  readonly index: number;
}

const TILE_BYTES = TILE_WIDTH * HASH_SIZE;
/** Files that are read at a time to make a tile anew. */
const AT_ONCE = 16;
/** A tile that could not be made anew is not tried again for so long, in milliseconds: each try reads 256 files. */
const TRY_AGAIN_MS = 10_000;

export class VerifiedTiles implements TileStore {
  readonly #store: TileStore;
  readonly #with: Verification;
  /** When making a tile anew failed, as `performance.now()` counts. */
  readonly #failed = new Map<string, number>();
  readonly getStamped?: (name: string) => Promise<StampedBlob | undefined>;

  constructor(store: TileStore, verification: Verification) {
    this.#store = store;
    this.#with = verification;
    if (store.getStamped === undefined) return;
    this.getStamped = async (name) => {
      const place = this.#placeOf(name);
      if (place === undefined) return undefined;
      const read = await this.#read(name, () => store.getStamped!(name));
      await this.#check(name, place, read.bytes);
      return read;
    };
  }

  async put(blobs: readonly TileBlob[]): Promise<void> {
    await this.#store.put(blobs);
    // Made from the tree itself: they need no other check.
    for (const { name, bytes } of blobs) {
      const { bundle, level, index } = parse(name);
      this.#with.checksums.set(bundle ? BUNDLE_KIND : level, index, checksumOf(bytes));
      this.#with.rotten.holds(name);
    }
  }

  /**
   * The verified bytes at `name`; undefined where the tree does not have the file.
   * @throws ServerError `rotten` where they do not hold, are missing, or cannot be read
   */
  async get(name: string, options?: { readonly once?: boolean }): Promise<Uint8Array | undefined> {
    const place = this.#placeOf(name);
    return place && (await this.#verified(name, place, options));
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  async #verified(name: string, place: Place, options?: { readonly once?: boolean }): Promise<Uint8Array> {
    const bytes = await this.#read(name, () => this.#store.get(name, options));
    await this.#check(name, place, bytes);
    return bytes;
  }

  async #check(name: string, { bundle, level, index }: Place, bytes: Uint8Array): Promise<void> {
    const { checksums, rotten } = this.#with;
    const kind = bundle ? BUNDLE_KIND : level;
    const known = checksums.get(kind, index);
    const checksum = checksumOf(bytes);
    if (known !== checksum) {
      const root = bundle ? bundleRoot(bytes) : tileRoot(bytes);
      const expected = await this.#node(level, index);
      if (root === undefined || !equal(root, expected)) throw rotten.found(name, 'does not hold what the tree has');
      checksums.set(kind, index, checksum);
    }
    rotten.holds(name);
  }

  /** The hash of full tile (level, index) as the verified tree has it. @throws ServerError `rotten`; as the store's `get` */
  async #node(level: number, index: number): Promise<Uint8Array> {
    const above = level + 1;
    const parent = Math.floor(index / TILE_WIDTH);
    const offset = index % TILE_WIDTH;
    const { size, edge } = this.#with.tree();
    if (tileWidth(above, parent, size) === TILE_WIDTH) return (await this.#parent(above, parent)).node(0, offset);
    return edge[above]!.subarray(offset * HASH_SIZE, (offset + 1) * HASH_SIZE);
  }

  /** Full tile (level, index), level 1 or above. */
  async #parent(level: number, index: number): Promise<TileNodes> {
    const { nodes, hash } = this.#with;
    const kept = nodes.full(level, index);
    if (kept !== undefined) return kept;
    const name = tilePath({ level, index, width: TILE_WIDTH });
    let bytes: Uint8Array;
    try {
      bytes = await this.#verified(name, { bundle: false, level, index });
    } catch (error) {
      bytes = await this.remade(level, index, error);
    }
    return nodes.tile(level, index, bytes, hash);
  }

  /**
   * The right bytes of a tile that is `damage`d, made anew in memory: from its bundle, or from the 256 tiles below it.
   * @throws `damage` where these do not lead to the tree either, or where it is another error than `rotten`
   */
  async remade(level: number, index: number, damage: unknown): Promise<Uint8Array> {
    if (!isRotten(damage)) throw damage;
    if (level > 0) return await this.#fromTiles(level, index, damage);
    const bundle = await this.get(entryBundlePath(index, TILE_WIDTH));
    // The bundle was verified, so it has as many entries.
    return leavesOf(bundle!)!;
  }

  async #fromTiles(level: number, index: number, damage: ServerError): Promise<Uint8Array> {
    const name = tilePath({ level, index, width: TILE_WIDTH });
    const failed = this.#failed.get(name);
    if (failed !== undefined && performance.now() - failed < TRY_AGAIN_MS) throw damage;
    const made = new Uint8Array(TILE_BYTES);
    try {
      for (let first = 0; first < TILE_WIDTH; first += AT_ONCE) {
        const roots = await Promise.all(
          Array.from({ length: AT_ONCE }, (_, i) => this.#unverifiedRoot(level - 1, index * TILE_WIDTH + first + i)),
        );
        for (const [i, root] of roots.entries()) made.set(root, (first + i) * HASH_SIZE);
      }
    } catch (error) {
      if (!isRotten(error)) throw error;
      // Two damaged tiles, one above the other: `made` lacks a hash.
    }
    const expected = await this.#node(level, index);
    if (!equal(tileRoot(made)!, expected)) {
      this.#failed.set(name, performance.now());
      throw damage;
    }
    this.#failed.delete(name);
    return made;
  }

  async #unverifiedRoot(level: number, index: number): Promise<Uint8Array> {
    const name = tilePath({ level, index, width: TILE_WIDTH });
    const bytes = await this.#read(name, () => this.#store.get(name, { once: true }));
    const root = tileRoot(bytes);
    if (root === undefined) throw this.#with.rotten.found(name, 'has a length that the tree does not have');
    return root;
  }

  /** Reads what the tree has. @throws ServerError `rotten` where it is missing or the disk does not give it */
  async #read<T>(name: string, read: () => Promise<T | undefined>): Promise<T> {
    const { rotten } = this.#with;
    let found: T | undefined;
    try {
      found = await retried(read);
    } catch (error) {
      const why = damageOf(error);
      throw why === undefined ? error : rotten.found(name, why, error);
    }
    if (found === undefined) throw rotten.found(name, 'is missing');
    return found;
  }

  /** Undefined where the tree has no such full file. @throws MerkleError `bad-tile` where `name` is not an address */
  #placeOf(name: string): Place | undefined {
    const { width, ...place } = parse(name);
    const has = tileWidth(place.level, place.index, this.#with.tree().size);
    return width === TILE_WIDTH && has === TILE_WIDTH ? place : undefined;
  }
}

function parse(name: string): Place & { readonly width: number } {
  return name.startsWith('tile/entries/')
    ? { bundle: true, level: 0, ...parseEntryBundlePath(name) }
    : { bundle: false, ...parseTilePath(name) };
}

export function isRotten(error: unknown): error is ServerError {
  return error instanceof ServerError && error.code === 'rotten';
}

/** What the machine runs short of says nothing about a file. */
const PASSING = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN', 'EINTR']);

/** Why an error means that this file is damaged; undefined for every other error. */
export function damageOf(error: unknown): string | undefined {
  if (!(error instanceof ServerError)) return undefined;
  if (error.code === 'corrupt') return 'has a length that the tree does not have';
  for (let cause = error.cause; cause instanceof Error; cause = cause.cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === undefined || !/^E[A-Z]+$/.test(code)) continue;
    return PASSING.has(code) ? undefined : `cannot be read (${code})`;
  }
  return undefined;
}

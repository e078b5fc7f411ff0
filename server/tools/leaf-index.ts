/** The index of duplicates of a log that is not running: compared with the entries, and rebuilt from the tiles. */
import { equal } from '../../merkle/bytes.ts';
import { HASH_SIZE, leafHash } from '../../merkle/rfc6962.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { removeTree } from '../../merkle/runtime/disk/files.ts';
import { TILE_WIDTH, tilePath } from '../../merkle/tile.ts';
import { layout, putInPlace } from '../dir/layout.ts';
import { ServerError } from '../errors.ts';
import { openLevelState } from '../store/level/level.ts';
import type { LeafRecord, StatePart, StateStore, TileStore, TreeState } from '../store/types.ts';

/** Records of one part of a rebuilt index, and of the synced batch that stores it. */
const PART = 2048;

export class IndexCheck {
  readonly #state: StateStore;
  readonly #tiles: Pick<TileStore, 'get'>;
  readonly #stored: TreeState;
  readonly #tail: readonly Uint8Array[];
  #wrong = 0;

  /** `tail` are the entries [stored.filed, stored.size). */
  constructor(state: StateStore, tiles: Pick<TileStore, 'get'>, stored: TreeState, tail: readonly Uint8Array[]) {
    this.#state = state;
    this.#tiles = tiles;
    this.#stored = stored;
    this.#tail = tail;
  }

  /** Entries that the index did not lead to, so far. */
  get wrong(): number {
    return this.#wrong;
  }

  /**
   * The first of the entries from `first` on that the index does not lead to; undefined where it leads to all. An entry that
   * was logged twice, after a damage, has one record, which leads to either copy.
   */
  async compare(first: number, leafHashes: readonly Uint8Array[]): Promise<number | undefined> {
    const records = await this.#state.lookup([...leafHashes]);
    let wrong: number | undefined;
    for (const [i, record] of records.entries()) {
      if (record === first + i || (await this.#isCopy(record, leafHashes[i]!))) continue;
      wrong ??= first + i;
      this.#wrong++;
    }
    return wrong;
  }

  /** Another entry with this leaf hash is at the index. The walk over all entries compares the tile that says so. */
  async #isCopy(record: LeafRecord, hash: Uint8Array): Promise<boolean> {
    const { filed, size } = this.#stored;
    if (typeof record !== 'number' || record >= size) return false;
    if (record >= filed) return equal(leafHash(this.#tail[record - filed]!, fastSha256), hash);
    const hashes = await this.#tiles.get(level0(Math.floor(record / TILE_WIDTH)));
    return hashes !== undefined && equal(hashAt(hashes, record % TILE_WIDTH), hash);
  }
}

/**
 * Makes the state store of `dir` anew: the tree state and the tail as they are, and the index of duplicates from the level 0
 * tiles, which the caller has checked. So nothing of the old index is left, also not what LevelDB cannot read. Closes `state`.
 *
 * A crash leaves the old store, or a whole new one that `finishRebuild` puts in its place.
 */
export async function rebuildIndex(
  dir: string,
  tiles: Pick<TileStore, 'get'>,
  state: StateStore,
  onProgress: (entries: number, total: number) => void = () => {},
): Promise<void> {
  const stored = await state.read();
  if (stored === undefined) throw new ServerError('corrupt', 'the directory has no tree state.');
  const tail = await state.tail(stored.filed, stored.size);
  const made = layout.rebuiltState(dir);
  await removeTree(made);
  const store = await openLevelState(made);
  try {
    await store.load(partsOf(stored, tail, tiles, onProgress));
  } finally {
    await store.close();
  }
  await state.close();
  await putInPlace(dir);
}

async function* partsOf(
  stored: TreeState,
  tail: readonly Uint8Array[],
  tiles: Pick<TileStore, 'get'>,
  onProgress: (entries: number, total: number) => void,
): AsyncGenerator<StatePart> {
  const { filed, size } = stored;
  let leaves: { leafHash: Uint8Array; index: number }[] = [];
  for (let first = 0; first < filed; first += TILE_WIDTH) {
    const name = level0(first / TILE_WIDTH);
    const hashes = await tiles.get(name);
    if (hashes === undefined) throw new ServerError('corrupt', `the file ${name} is missing.`);
    for (let i = 0; i < TILE_WIDTH; i++) leaves.push({ leafHash: hashAt(hashes, i), index: first + i });
    if (leaves.length < PART) continue;
    yield { leaves, tail: [] };
    leaves = [];
    onProgress(first + TILE_WIDTH, size);
  }
  yield { leaves, tail: [] };
  for (let first = 0; first < tail.length; first += PART) {
    const rows = tail.slice(first, first + PART).map((body, i) => ({ index: filed + first + i, body }));
    yield { leaves: rows.map(({ index, body }) => ({ leafHash: leafHash(body, fastSha256), index })), tail: rows };
  }
  yield { state: stored, leaves: [], tail: [] };
  onProgress(size, size);
}

function level0(index: number): string {
  return tilePath({ level: 0, index, width: TILE_WIDTH });
}

function hashAt(hashes: Uint8Array, at: number): Uint8Array {
  return hashes.subarray(at * HASH_SIZE, (at + 1) * HASH_SIZE);
}

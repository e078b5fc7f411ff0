/**
 * `stele log check`: rebuilds the whole tree of a directory from its entries and compares it with everything that is stored.
 * Takes a data directory, a backup, and a static tree that `stele log export` wrote.
 */
import { parseBundle } from '../../merkle/bundle.ts';
import { equal } from '../../merkle/bytes.ts';
import { type Checkpoint, parseCheckpoint } from '../../merkle/checkpoint.ts';
import { checkpointVerifier } from '../../merkle/cosignature.ts';
import { MerkleError } from '../../merkle/errors.ts';
import { openNote, parseNote, parseVerifierKey } from '../../merkle/note.ts';
import { EMPTY_ROOT, leafHash } from '../../merkle/rfc6962.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { nodeNotePrimitives } from '../../merkle/runtime/crypto/verify.ts';
import { couldNotTry } from '../../merkle/runtime/disk/errno.ts';
import { isThere } from '../../merkle/runtime/disk/files.ts';
import { lockDir } from '../../merkle/runtime/disk/lock.ts';
import { entryBundlePath, TILE_WIDTH, tilePath } from '../../merkle/tile.ts';
import { readIdentity } from '../dir/identity.ts';
import { finishRebuild, layout } from '../dir/layout.ts';
import { ServerError } from '../errors.ts';
import { type FileStore, openFileStore } from '../store/files/files.ts';
import { openLevelState } from '../store/level/level.ts';
import type { CheckpointStore, StateStore, TileStore } from '../store/types.ts';
import { emptySnapshot, integrate, type Snapshot } from '../tree/snapshot.ts';
import { IndexCheck, rebuildIndex } from './leaf-index.ts';

export interface CheckOptions {
  /** Verifier keys (vkey) of the log. Default: those in `stele.json`. */
  readonly verifierKeys?: readonly string[] | undefined;
  /** Where all but the index of duplicates holds, an index with wrong records is rebuilt from the tiles. */
  readonly repair?: boolean;
  readonly onProgress?: (entries: number, total: number) => void;
  readonly signal?: AbortSignal;
}

export interface CheckReport {
  readonly kind: 'data' | 'backup' | 'static';
  readonly origin: string;
  /** Entries of the committed tree; for a static tree, of its checkpoint. */
  readonly size: number;
  /** Entries under the published checkpoint. */
  readonly publishedSize: number;
  /** Root hash at `size`, 32 bytes. */
  readonly root: Uint8Array;
  /** Name and key ID of each key whose signature verified; empty where no key was known. */
  readonly signedBy: readonly string[];
  /** With `repair`: how many entries the index of duplicates did not lead to before it was rebuilt; 0 where it was right. */
  readonly repaired?: number;
}

/**
 * Checks every entry bundle, tile, tail entry, index of duplicates, and the checkpoint.
 * @throws ServerError `corrupt`, `tail-gap`, `rollback` or `key-mismatch`, naming the first thing that is wrong;
 *   `unreadable` where the directory cannot be read to its end; `config` where `dir` holds no log
 */
export async function checkDir(dir: string, options: CheckOptions = {}): Promise<CheckReport> {
  try {
    return await checkAny(dir, options);
  } catch (error) {
    if (!couldNotTry(error)) throw error;
    const why = (error as Error).message;
    throw new ServerError('unreadable', `${dir} could not be checked to the end, and nothing is known of it: ${why}`, {
      cause: error,
    });
  }
}

async function checkAny(dir: string, options: CheckOptions): Promise<CheckReport> {
  const identity = await readIdentity(dir);
  if (identity === undefined) return await checkStatic(dir, options);
  const lock = await lockDir(dir);
  try {
    if (options.repair === true) await finishRebuild(dir);
    const tiles = await openFileStore(layout.public(dir), { readOnly: true });
    const state = await openState(layout.state(dir), options);
    try {
      const keys = options.verifierKeys ?? identity.verifierKeys;
      const { index, ...report } = await checkStores(tiles, state, identity.origin, keys, options);
      const kind = identity.copy ? 'backup' : 'data';
      if (options.repair !== true) return { ...report, kind };
      if (index.wrong > 0) await rebuildIndex(dir, tiles, state, options.onProgress);
      return { ...report, kind, repaired: index.wrong };
    } finally {
      await Promise.allSettled([tiles.close(), state.close()]);
    }
  } finally {
    await lock.release();
  }
}

async function openState(dir: string, { repair }: CheckOptions): Promise<StateStore> {
  try {
    return await openLevelState(dir, { create: false });
  } catch (error) {
    if (repair !== true || !(error instanceof ServerError) || error.code !== 'store') throw error;
    throw new ServerError(
      'corrupt',
      `${error.message}. The index of duplicates is in the same store as the newest entries, and cannot be rebuilt without ` +
        'them: restore the directory from a backup with `stele log restore`.',
      { cause: error },
    );
  }
}

async function checkStores(
  tiles: FileStore,
  state: StateStore,
  origin: string,
  keys: readonly string[],
  options: CheckOptions,
): Promise<Omit<CheckReport, 'kind'> & { readonly index: IndexCheck }> {
  const stored = await state.read();
  if (stored === undefined) throw new ServerError('corrupt', 'the directory has no tree state.');
  const isNew = stored.size === 0 || stored.unpublished === true;
  const none = isNew && (await tiles.readCheckpoint()) === undefined;
  // A new log with witnesses has no checkpoint before its first quorum.
  const { checkpoint, signedBy } = none
    ? { checkpoint: { origin, size: 0, root: EMPTY_ROOT }, signedBy: [] }
    : await readCheckpoint(tiles, keys);
  if (checkpoint.size > stored.size) {
    throw new ServerError(
      'rollback',
      `the checkpoint has ${checkpoint.size} entries, the committed tree only ${stored.size}.`,
    );
  }
  const walk = new Walk(tiles, stored.size, options);
  walk.expect(checkpoint.size, checkpoint.root, 'the published checkpoint');
  walk.expect(stored.size, stored.root, 'the committed state');
  const tail = await state.tail(stored.filed, stored.size);
  const index = new IndexCheck(state, tiles, stored, tail);
  walk.onEntries = async (first, leafHashes) => {
    const wrong = await index.compare(first, leafHashes);
    if (wrong === undefined || options.repair === true) return;
    throw new ServerError(
      'corrupt',
      `the index of duplicates does not lead to entry ${wrong}. If nothing else is wrong, \`stele log check --repair\` rebuilds ` +
        'the index from the tiles.',
    );
  };
  await walk.files(stored.filed);
  await walk.tail(tail, stored.filed);
  return { ...walk.finish(), origin: checkpoint.origin, publishedSize: checkpoint.size, signedBy, index };
}

async function checkStatic(dir: string, options: CheckOptions): Promise<CheckReport> {
  if (options.repair === true && (await isThere(dir))) {
    throw new ServerError(
      'config',
      `${dir} has no index of duplicates to rebuild: name the data directory of a log, or a backup.`,
    );
  }
  const tiles = await openFileStore(dir, { readOnly: true });
  try {
    if ((await tiles.readCheckpoint()) === undefined) {
      throw new ServerError(
        'config',
        `${dir} holds neither a data directory (stele.json) nor a static tree (checkpoint). Name the directory of a log, ` +
          'of a backup or of an export.',
      );
    }
    const { checkpoint, signedBy } = await readCheckpoint(tiles, options.verifierKeys);
    const { size } = checkpoint;
    const walk = new Walk(tiles, size, options);
    walk.expect(size, checkpoint.root, 'the checkpoint');
    await walk.files(size - (size % TILE_WIDTH));
    await walk.partial(size);
    const report = walk.finish();
    return { ...report, kind: 'static', origin: checkpoint.origin, publishedSize: size, signedBy };
  } finally {
    await tiles.close();
  }
}

async function readCheckpoint(
  store: CheckpointStore,
  keys: readonly string[] | undefined,
): Promise<{ checkpoint: Checkpoint; signedBy: string[] }> {
  const note = await store.readCheckpoint();
  if (note === undefined) throw new ServerError('corrupt', 'the published checkpoint is missing.');
  try {
    if (keys === undefined) return { checkpoint: parseCheckpoint(parseNote(note).text), signedBy: [] };
    const { text, verified } = openNote(
      parseNote(note),
      keys.map((key) => checkpointVerifier(parseVerifierKey(key), nodeNotePrimitives)),
    );
    const signedBy = verified.map(({ name, keyId }) => `${name} (${Buffer.from(keyId).toString('hex')})`);
    return { checkpoint: parseCheckpoint(text), signedBy };
  } catch (error) {
    if (!(error instanceof MerkleError)) throw error;
    const code = error.code === 'unknown-key' || error.code === 'bad-signature' ? 'key-mismatch' : 'corrupt';
    throw new ServerError(code, `the published checkpoint does not verify: ${error.message}`);
  }
}

/** Walks over all entries once, grows the tree, and compares its tiles with the stored ones. */
class Walk {
  onEntries: (first: number, leafHashes: Uint8Array[]) => Promise<void> = async () => {};
  readonly #tiles: TileStore;
  readonly #total: number;
  readonly #options: CheckOptions;
  readonly #expected: { size: number; root: Uint8Array; what: string }[] = [];
  #snapshot: Snapshot = emptySnapshot(fastSha256);

  constructor(tiles: TileStore, total: number, options: CheckOptions) {
    this.#tiles = tiles;
    this.#total = total;
    this.#options = options;
  }

  /** The tree at `size` must have this root. */
  expect(size: number, root: Uint8Array, what: string): void {
    this.#expected.push({ size, root, what });
    if (size === 0) this.#compareRoots();
  }

  /** The full bundles below `filed`, and the full tiles that they make. */
  async files(filed: number): Promise<void> {
    for (let index = 0; index < filed / TILE_WIDTH; index++) {
      const path = entryBundlePath(index, TILE_WIDTH);
      await this.#append(this.#entries(await this.#get(path), TILE_WIDTH, path));
    }
  }

  /** Entries that are not in files. The full files that they make may be missing, but must not differ. */
  async tail(bodies: readonly Uint8Array[], filed: number): Promise<void> {
    if (this.#snapshot.size !== filed) throw new ServerError('tail-gap', 'the tail does not follow the files.');
    for (let i = 0; i < bodies.length; i += TILE_WIDTH) await this.#append(bodies.slice(i, i + TILE_WIDTH), true);
  }

  /** The partial bundle and tiles of a static tree of `size` entries. */
  async partial(size: number): Promise<void> {
    const width = size % TILE_WIDTH;
    if (width > 0) {
      const path = entryBundlePath(Math.floor(size / TILE_WIDTH), width);
      await this.#append(this.#entries(await this.#get(path), width, path));
    }
    for (const [level, hashes] of this.#snapshot.edge.entries()) {
      if (hashes.length === 0) continue;
      const index = Math.floor(size / TILE_WIDTH ** (level + 1));
      const path = tilePath({ level, index, width: hashes.length / 32 });
      if (!equal(await this.#get(path), hashes)) throw differs(path);
    }
  }

  finish(): { size: number; root: Uint8Array } {
    const { size, root } = this.#snapshot;
    return { size, root };
  }

  async #append(bodies: readonly Uint8Array[], mayBeMissing = false): Promise<void> {
    this.#options.signal?.throwIfAborted();
    const first = this.#snapshot.size;
    const entries = bodies.map((body) => ({ body, leafHash: leafHash(body, fastSha256) }));
    // The walk stops at each expected size inside this step.
    const stops = this.#expected.map(({ size }) => size - first).filter((n) => n > 0 && n < entries.length);
    let from = 0;
    for (const to of [...new Set(stops)].sort((a, b) => a - b).concat(entries.length)) {
      const { after, blobs } = integrate(this.#snapshot, entries.slice(from, to));
      for (const { name, bytes } of blobs) {
        const stored = await this.#tiles.get(name);
        if (stored === undefined && mayBeMissing) continue;
        if (stored === undefined) throw new ServerError('corrupt', `the file ${name} is missing.`);
        if (!equal(stored, bytes)) throw differs(name);
      }
      this.#snapshot = after;
      this.#compareRoots();
      from = to;
    }
    await this.onEntries(
      first,
      entries.map((entry) => entry.leafHash),
    );
    this.#options.onProgress?.(this.#snapshot.size, this.#total);
  }

  #compareRoots(): void {
    const { size, root } = this.#snapshot;
    for (const expected of this.#expected) {
      if (expected.size !== size || equal(expected.root, root)) continue;
      throw new ServerError('corrupt', `the entries do not hash to the root of ${expected.what} at size ${size}.`);
    }
  }

  #entries(bytes: Uint8Array, width: number, path: string): Uint8Array[] {
    try {
      return parseBundle(bytes, width);
    } catch (error) {
      if (error instanceof MerkleError) throw new ServerError('corrupt', `${path} is not a bundle: ${error.message}`);
      throw error;
    }
  }

  async #get(path: string): Promise<Uint8Array> {
    const bytes = await this.#tiles.get(path);
    if (bytes === undefined) throw new ServerError('corrupt', `the file ${path} is missing.`);
    return bytes;
  }
}

function differs(path: string): ServerError {
  const level0 = path.startsWith('tile/0/');
  return new ServerError(
    'corrupt',
    level0
      ? `the entries of ${path.replace('tile/0/', 'tile/entries/')} do not hash to ${path}: one of the two was changed.`
      : `the file ${path} does not hold what the tiles below it hash to.`,
  );
}

/**
 * The plain index on disk, in one LevelDB. Its rows, by the first bytes of their keys; `L` is the number of the log (2
 * bytes), and sizes, indexes and times have 6 bytes, big-endian:
 *
 * | key                              | value                                                                        |
 * |----------------------------------|------------------------------------------------------------------------------|
 * | `v`                              | JSON: version of this layout, of the extractor, and the kinds that are indexed |
 * | `l` SHA-256 of the origin        | how far the index is with the log, with its sum: log-record.ts                  |
 * | `c` L size                       | a checkpoint that answers are given for: log-record.ts                         |
 * | `w` L time                       | size of the tree before the first checkpoint of this time: see `SearchQuery.after` |
 * | `t` L level index                | a tile of the tree, 1 to 256 hashes; level has one byte                         |
 * | `b` L index of the first entry   | the keys of 256 entries, or of fewer at the end: block.ts                       |
 * | `p` L value first index           | postings of a value: varint differences behind the first index                  |
 * | `d` L value                      | a text of more than 512 bytes, whose rows of postings have its beginning and a hash |
 *
 * `value` is the number of the kind, the form, and the bytes that its hex says, or a text with what ends it (layout.ts): values
 * are in the order of their bytes, and none is the beginning of another. All rows of postings of one value are in order and do not
 * overlap. A row of postings, a tile and a block only ever grow at their ends, so a reader who looks at what is below a size sees
 * the same at any time.
 *
 * The entries of a batch, and the record of the log that says so, are one synced write. After a failure the store opens LevelDB
 * again, and the writer reads its record again before it goes on.
 *
 * Nothing here is worth a backup: a fresh directory that follows the same log gives the same answers.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeUtf8, encodeUtf8 } from '../../../merkle/bytes.ts';
import { EXTRACTOR, KEY_KINDS, type KeyKind } from '../../../merkle/index/keys.ts';
import { isThere } from '../../../merkle/runtime/disk/files.ts';
import { GuardedLevel, type LevelBatch, type LevelRange, type LevelRow } from '../../../merkle/runtime/disk/level.ts';
import { Reopening } from '../../../merkle/runtime/disk/reopen.ts';
import { RuntimeError } from '../../../merkle/runtime/runtime-errors.ts';
import { ClientError } from '../../errors.ts';
import type { KnownShard } from '../../follow/log-loops.ts';
import { FAMILY } from './layout.ts';
import { readIndexedRecord } from './log-record.ts';

const VERSION_KEY = Buffer.from('v');
/** Another number for each change of the rows or of what they mean. */
const LAYOUT = 1;
/** The number of a log has two bytes. */
const MAX_LOGS = 65_535;
const CACHE_BYTES = 64 * 1024 * 1024;

interface Version {
  readonly layout: number;
  readonly extractor: string;
  readonly kinds: readonly KeyKind[];
}

interface IndexStoreOptions {
  /** The kinds of keys that are indexed. */
  readonly kinds: readonly KeyKind[];
  /** Removes what is there, and begins anew. */
  readonly rebuild?: boolean;
  /** The store failed and is opened again, or could not be opened. */
  readonly onTrouble?: (message: string) => void;
}

export class IndexStore {
  readonly #store: Reopening<GuardedLevel>;

  private constructor(store: Reopening<GuardedLevel>) {
    this.#store = store;
  }

  /**
   * @throws ClientError `state`: what is there has another layout or other kinds, or is no plain index; RuntimeError `locked`,
   *   `store`, `file`
   */
  static async open(
    dir: string,
    { kinds, rebuild = false, onTrouble = () => {} }: IndexStoreOptions,
  ): Promise<IndexStore> {
    const version: Version = {
      layout: LAYOUT,
      extractor: EXTRACTOR,
      kinds: KEY_KINDS.filter((kind) => kinds.includes(kind)),
    };
    if (rebuild) await removeStore(dir);
    let create = !(await isThere(join(dir, 'CURRENT')));
    const open = async (): Promise<GuardedLevel> => {
      const level = await GuardedLevel.open(dir, { create, cacheSize: CACHE_BYTES });
      try {
        const stored = await level.get(VERSION_KEY);
        if (stored === undefined && create) {
          await level.write((batch) => batch.put(VERSION_KEY, encodeUtf8(JSON.stringify(version))));
        } else checkVersion(dir, stored, version);
        create = false;
        return level;
      } catch (error) {
        await level.close();
        throw error;
      }
    };
    const isFailure = (error: unknown) => error instanceof RuntimeError && error.code === 'store';
    const tell = (error: unknown) => onTrouble(error instanceof Error ? error.message : String(error));
    return new IndexStore(await Reopening.start({ open, isFailure, onFailure: tell, onRetry: tell }));
  }

  /** @throws RuntimeError `store` */
  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    return await this.#store.use((level) => level.get(key));
  }

  /** In the order of the keys. @throws RuntimeError `store` */
  async getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    return keys.length === 0 ? [] : await this.#store.use((level) => level.getMany(keys));
  }

  /** Up to `count` rows of the range, from its end backwards with `reverse`. @throws RuntimeError `store` */
  async rows(range: LevelRange, count: number): Promise<readonly LevelRow[]> {
    return await this.#store.use(async (level) => {
      const rows: LevelRow[] = [];
      // A chunk has fewer rows than it may where they have a mebibyte together.
      for await (const chunk of level.scan(range, count)) {
        rows.push(...chunk);
        if (rows.length >= count) break;
      }
      return rows.slice(0, count);
    });
  }

  /** One durable step. @throws RuntimeError `store`: it may or may not be durable */
  async write(fill: (batch: LevelBatch) => void): Promise<void> {
    await this.#store.use((level) => level.write(fill));
  }

  /** Logs of configurations of shards, with those that have left them. @throws ClientError `state`; RuntimeError `store` */
  async shards(): Promise<KnownShard[]> {
    const records = await this.#records();
    return records.flatMap(({ origin, shard }) => (shard === undefined ? [] : [{ origin, ...shard }]));
  }

  /** Gives each log that has no number yet one of its own. @throws ClientError `state`; RuntimeError `store` */
  async numbers(): Promise<{ next(origin: string): number }> {
    let last = Math.max(0, ...(await this.#records()).map(({ number }) => number));
    const given = new Map<string, number>();
    return {
      next(origin) {
        const number = given.get(origin) ?? ++last;
        given.set(origin, number);
        return number;
      },
    };
  }

  async #records(): Promise<ReturnType<typeof readIndexedRecord>[]> {
    const rows = await this.rows({ gte: Buffer.of(FAMILY.log), lt: Buffer.of(FAMILY.log + 1) }, MAX_LOGS);
    return rows.map(([, value]) => readIndexedRecord(value));
  }

  async close(): Promise<void> {
    await this.#store.close();
  }
}

/** Removes the store in `dir`, so that the next one is made anew. @throws RuntimeError `locked`: a process has it open */
async function removeStore(dir: string): Promise<void> {
  if (!(await isThere(join(dir, 'CURRENT')))) return;
  try {
    // Another process may use the store: LevelDB's own lock tells.
    await (await GuardedLevel.open(dir, { create: false })).close();
  } catch (error) {
    if (error instanceof RuntimeError && error.code === 'locked') throw error;
  }
  await rm(dir, { recursive: true });
}

function checkVersion(dir: string, stored: Uint8Array | undefined, wanted: Version): void {
  let found: Version | undefined;
  try {
    found = stored && (JSON.parse(decodeUtf8(stored)) as Version);
  } catch {
    // Below.
  }
  const again =
    'Build the index anew, which reads every entry of its logs again: start with --rebuild, or remove the directory';
  if (found === undefined || !Number.isInteger(found.layout) || !Array.isArray(found.kinds)) {
    throw new ClientError('state', `${dir} does not hold a plain index. ${again}`);
  }
  if (found.layout !== wanted.layout || found.extractor !== wanted.extractor) {
    const why = `its layout is ${found.layout} with extractor ${found.extractor}, and this version has layout ${wanted.layout} with extractor ${wanted.extractor}`;
    throw new ClientError('state', `the index in ${dir} was made by another version of Stele: ${why}. ${again}`);
  }
  if (found.kinds.join() !== wanted.kinds.join()) {
    const why = `it has keys of the kinds ${found.kinds.join(', ')}, and the configuration asks for ${wanted.kinds.join(', ')}`;
    throw new ClientError('state', `the index in ${dir} is of another configuration: ${why}. ${again}`);
  }
}

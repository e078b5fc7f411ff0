/**
 * The memory of a witness: for each log the last checkpoint that it cosigned. One LevelDB, with a copy of all of it in
 * memory.
 *
 * | key                              | value                                                                     |
 * |----------------------------------|---------------------------------------------------------------------------|
 * | `v`                              | `1`, the version of this format                                           |
 * | `c`, SHA-256 of the origin       | the checkpoint as a note: the log's signatures first, then the witness's  |
 * | `t`                              | the newest time that was given, in decimal; older versions did not keep it |
 *
 * Nothing is ever deleted, not even when a log is removed: for a log that comes back, the witness must not sign another
 * history. `put` compares and stores in one step, and resolves when the checkpoint is durable. Writes that come while one
 * is under way share the next one, so that many logs share one fsync.
 */
import { join } from 'node:path';
import { decodeUtf8, encodeHex, encodeUtf8, equal, parseDecimal } from '../merkle/bytes.ts';
import { parseCheckpoint } from '../merkle/checkpoint.ts';
import { type NoteSignature, parseNote } from '../merkle/note.ts';
import { fastSha256 } from '../merkle/runtime/crypto/hash.ts';
import { isThere } from '../merkle/runtime/disk/files.ts';
import { GuardedLevel } from '../merkle/runtime/disk/level.ts';
import { WitnessError } from './errors.ts';

/** The last checkpoint that was cosigned for a log. */
export interface Cosigned {
  readonly origin: string;
  readonly size: number;
  readonly root: Uint8Array;
  /** The note's text. */
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
  /** The whole note. */
  readonly note: string;
}

const VERSION_KEY = Buffer.from('v');
const VERSION = Buffer.from('1');
const NEWEST_KEY = Buffer.from('t');
const PREFIX = Buffer.from('c');
const AFTER_PREFIX = Buffer.from('d');

interface Write {
  readonly record: Cosigned;
  readonly time: number | undefined;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class WitnessStore {
  readonly #level: GuardedLevel;
  readonly #byOrigin = new Map<string, Cosigned>();
  readonly #byHash = new Map<string, Cosigned>();
  /** Origins with a write that is not durable yet. */
  readonly #pending = new Set<string>();
  #newest: number | undefined;
  #queue: Write[] = [];
  #writing = false;

  private constructor(level: GuardedLevel) {
    this.#level = level;
  }

  /**
   * Opens the store in `dir`. With `create` a missing store is made; without it a missing store is a loss.
   * @throws RuntimeError `locked`, `store`, `file`; WitnessError `format-version`, `corrupt`
   */
  static async open(dir: string, create = true): Promise<WitnessStore> {
    // Every store of LevelDB has this file.
    if (!create && !(await isThere(join(dir, 'CURRENT')))) throw lost(dir);
    const level = await GuardedLevel.open(dir, { create });
    try {
      const store = new WitnessStore(level);
      await store.#load(create);
      return store;
    } catch (error) {
      await level.close();
      throw error;
    }
  }

  /** Number of logs with a checkpoint. */
  get count(): number {
    return this.#byOrigin.size;
  }

  /** The newest time that the witness gave, or the clock that its operator accepted since: seconds since 1970. */
  get newest(): number | undefined {
    return this.#newest;
  }

  /** Sets `newest`; durable when it resolves. @throws RuntimeError `store` */
  async setNewest(time: number): Promise<void> {
    await this.#level.write((batch) => batch.put(NEWEST_KEY, encodeUtf8(String(time))));
    this.#newest = time;
  }

  get(origin: string): Cosigned | undefined {
    return this.#byOrigin.get(origin);
  }

  /** By lower-case hex of the origin's SHA-256. */
  getByHash(hash: string): Cosigned | undefined {
    return this.#byHash.get(hash);
  }

  all(): IterableIterator<Cosigned> {
    return this.#byOrigin.values();
  }

  /**
   * Stores `next` if `expected` is stored: the very object that `get` returned. `next` is durable when it resolves.
   * @param time of its cosignatures, in seconds since 1970
   * @throws WitnessError `conflict`: another checkpoint is stored, or another `put` for this log is under way; RuntimeError
   *   `store`: `next` may or may not be durable, and this handle is of no more use
   */
  async put(expected: Cosigned | undefined, next: Cosigned, time?: number): Promise<void> {
    const { origin } = next;
    if (this.#byOrigin.get(origin) !== expected || this.#pending.has(origin)) {
      throw new WitnessError('conflict', `another checkpoint of ${origin} was stored meanwhile`);
    }
    if (expected !== undefined && next.size < expected.size) throw new Error('a checkpoint never goes back');
    this.#pending.add(origin);
    try {
      await new Promise<void>((resolve, reject) => {
        this.#queue.push({ record: next, time, resolve, reject });
        if (!this.#writing) void this.#write();
      });
      this.#remember(next);
    } finally {
      this.#pending.delete(origin);
    }
  }

  /** Waits for the writes under way. @throws RuntimeError `store` */
  async close(): Promise<void> {
    await this.#level.close();
  }

  async #write(): Promise<void> {
    this.#writing = true;
    while (this.#queue.length > 0) {
      const writes = this.#queue;
      this.#queue = [];
      const times = [this.#newest, ...writes.map(({ time }) => time)].filter((time) => time !== undefined);
      const newest = times.length === 0 ? undefined : Math.max(...times);
      try {
        await this.#level.write((batch) => {
          for (const { record } of writes) batch.put(keyOf(hashOf(record.origin)), encodeUtf8(record.note));
          if (newest !== undefined && newest !== this.#newest) batch.put(NEWEST_KEY, encodeUtf8(String(newest)));
        });
        this.#newest = newest;
        for (const { resolve } of writes) resolve();
      } catch (error) {
        for (const { reject } of writes) reject(error);
      }
    }
    this.#writing = false;
  }

  async #load(create: boolean): Promise<void> {
    const version = await this.#level.get(VERSION_KEY);
    if (version === undefined && !create) throw lost(this.#level.dir);
    if (version === undefined) await this.#level.write((batch) => batch.put(VERSION_KEY, VERSION));
    else if (!equal(version, VERSION)) {
      throw new WitnessError(
        'format-version',
        `the store in ${this.#level.dir} was written by another version of Stele: start the witness with that one`,
      );
    }
    const newest = await this.#level.get(NEWEST_KEY);
    if (newest !== undefined) this.#newest = this.#timeOf(newest);
    for await (const rows of this.#level.scan({ gte: PREFIX, lt: AFTER_PREFIX })) {
      for (const [key, value] of rows) {
        const record = decode(value);
        if (record === undefined || !equal(keyOf(hashOf(record.origin)), key)) {
          throw new WitnessError(
            'corrupt',
            `the store in ${this.#level.dir} holds a damaged checkpoint. Do not start from an older copy, which could sign another history: start a new witness with a new key`,
          );
        }
        this.#remember(record);
      }
    }
  }

  #timeOf(value: Uint8Array): number {
    try {
      return parseDecimal(decodeUtf8(value));
    } catch {
      throw new WitnessError(
        'corrupt',
        `the store in ${this.#level.dir} holds a damaged time. Do not start from an older copy, which could sign another history: start a new witness with a new key`,
      );
    }
  }

  #remember(record: Cosigned): void {
    this.#byOrigin.set(record.origin, record);
    this.#byHash.set(encodeHex(hashOf(record.origin)), record);
  }
}

/** The record of a note that `formatNote` wrote. */
export function cosignedOf(note: string): Cosigned {
  const { text, signatures } = parseNote(note);
  const { origin, size, root } = parseCheckpoint(text);
  return { origin, size, root, text, signatures, note };
}

function lost(dir: string): WitnessError {
  return new WitnessError(
    'corrupt',
    `the store ${dir} is gone, and with it what this witness has signed: it could sign another history. Put the very directory back, not an older copy; or start a new witness with a new key in a new data directory`,
  );
}

function decode(value: Uint8Array): Cosigned | undefined {
  try {
    return cosignedOf(decodeUtf8(value));
  } catch {
    return undefined;
  }
}

function hashOf(origin: string): Uint8Array {
  return fastSha256(encodeUtf8(origin));
}

function keyOf(hash: Uint8Array): Buffer {
  return Buffer.concat([PREFIX, hash]);
}

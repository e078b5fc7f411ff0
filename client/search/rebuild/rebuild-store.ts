/**
 * How far a rebuild has come with an output log. One LevelDB:
 *
 * | key                  | value                                                                               |
 * |----------------------|-------------------------------------------------------------------------------------|
 * | `v`                  | `1`, the version of this format                                                     |
 * | `c`                  | the cursor of the feed of the output log                                            |
 * | `l`, index, uint64   | the bytes of a leaf that is not verified yet                                        |
 * | `r`, size, uint64    | the root of the output tree of that size, 32 bytes: what a checkpoint must have     |
 * | `p`                  | how many leaves are verified, and the input tree of the last one                    |
 * | `h`                  | the reason why nothing is verified any more                                         |
 *
 * Each value but that of `v` has its SHA-256 before it: LevelDB does not check the sums of its tables when it reads. Each write
 * is one synced batch. A leaf is in the store before the map grows to its input size, and the next leaf is taken up only when the
 * verdict about it is in the store. So after a crash the map is never past a leaf without a verdict.
 */
import { join } from 'node:path';
import { decodeBase64, decodeUtf8, encodeBase64, encodeHex, encodeUtf8, equal } from '../../../merkle/bytes.ts';
import type { CompactRange } from '../../../merkle/range.ts';
import { fastSha256 } from '../../../merkle/runtime/crypto/hash.ts';
import { isThere, makeDirDurable, writeFileDurable } from '../../../merkle/runtime/disk/files.ts';
import { GuardedLevel } from '../../../merkle/runtime/disk/level.ts';
import { Reopening } from '../../../merkle/runtime/disk/reopen.ts';
import { RuntimeError } from '../../../merkle/runtime/runtime-errors.ts';
import { ClientError } from '../../errors.ts';
import { type CursorRecord, cursorRecord, parseCursor } from '../../follow/cursor-record.ts';
import type { Batch, Cursor, FollowedLog } from '../../follow/types.ts';
import type { WrongLeaf } from './types.ts';

const VERSION_KEY = Buffer.from('v');
const VERSION = Buffer.from('1');
const CURSOR = Buffer.from('c');
const PROGRESS = Buffer.from('p');
const HALTED = Buffer.from('h');
const SUM = 32;

/** The leaves that hold, and the input tree of the last one. */
interface Progress {
  readonly verified: number;
  readonly inputSize: number;
  /** 32 bytes; undefined before the first leaf. */
  readonly inputRoot?: Uint8Array;
}

const NOTHING: Progress = { verified: 0, inputSize: 0 };

export class RebuildStore {
  readonly #dir: string;
  readonly #log: FollowedLog;
  readonly #store: Reopening<GuardedLevel>;
  #progress: Progress = NOTHING;
  #halted: string | undefined;

  private constructor(dir: string, log: FollowedLog, store: Reopening<GuardedLevel>) {
    this.#dir = dir;
    this.#log = log;
    this.#store = store;
  }

  /** Opens the state about an output log in `dir`, and makes a missing one. @throws ClientError `state`; RuntimeError `locked`, `store`, `file` */
  static async open(dir: string, log: FollowedLog): Promise<RebuildStore> {
    const path = join(dir, 'leaves');
    let first = !(await isThere(join(path, 'CURRENT')));
    const open = async (): Promise<GuardedLevel> => {
      const level = await GuardedLevel.open(path, { create: first, cacheSize: 1024 * 1024 });
      try {
        const version = await level.get(VERSION_KEY);
        if (version === undefined && first) await level.write((batch) => batch.put(VERSION_KEY, VERSION));
        else if (version === undefined || !equal(version, VERSION)) throw damaged(path, 'its version is not known');
        first = false;
        return level;
      } catch (error) {
        await level.close();
        throw error;
      }
    };
    const isFailure = (error: unknown) => error instanceof RuntimeError && error.code === 'store';
    const store = new RebuildStore(dir, log, await Reopening.start({ open, isFailure }));
    try {
      await store.refresh();
      return store;
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  get progress(): Progress {
    return this.#progress;
  }

  /** Why nothing is verified any more. */
  get halted(): string | undefined {
    return this.#halted;
  }

  /** Reads anew what is durable: after a failed write nobody knows. @throws ClientError `state`; RuntimeError `store` */
  async refresh(): Promise<void> {
    const progress = await this.#json<{ verified: number; inputSize: number; inputRoot?: string }>(PROGRESS);
    const halted = await this.#json<{ why: string }>(HALTED);
    this.#progress =
      progress === undefined
        ? NOTHING
        : {
            verified: progress.verified,
            inputSize: progress.inputSize,
            ...(progress.inputRoot !== undefined && { inputRoot: decodeBase64(progress.inputRoot) }),
          };
    this.#halted = halted?.why;
  }

  /** The cursor of the output log. @throws ClientError `state` */
  async cursor(): Promise<Cursor | undefined> {
    const record = await this.#json<CursorRecord & { readonly origin: string }>(CURSOR);
    if (record === undefined) return undefined;
    if (record.origin !== this.#log.origin) throw damaged(this.#dir, 'it is about another output log');
    try {
      return parseCursor(this.#log, record, {});
    } catch (cause) {
      throw damaged(this.#dir, 'the checkpoint in it is not of this output log', cause);
    }
  }

  /** Keeps the leaves of a batch for verification, with the roots of the trees that they end, and the cursor. */
  async keep({ entries, cursor }: Batch, before: CompactRange): Promise<void> {
    const range = before.clone();
    const record = { origin: this.#log.origin, ...cursorRecord(cursor) };
    await this.#store.use((level) =>
      level.write((batch) => {
        for (const { index, leafHash, body } of entries) {
          range.append(leafHash);
          batch.put(keyOf('l', index), summed(body));
          batch.put(keyOf('r', range.size), summed(range.root()));
        }
        batch.put(CURSOR, summed(encodeUtf8(JSON.stringify(record))));
      }),
    );
  }

  /** The leaf at an index that is not verified yet. @throws ClientError `state`; RuntimeError `store` */
  async leaf(index: number): Promise<Uint8Array> {
    const leaf = await this.#get(keyOf('l', index));
    if (leaf === undefined) throw damaged(this.#dir, `leaf ${index} is missing`);
    return leaf;
  }

  /** The root of the output tree of this size, as the feed proved it; undefined where the feed has not come so far. */
  async rootAt(size: number): Promise<Uint8Array | undefined> {
    return await this.#get(keyOf('r', size));
  }

  /** The next leaf holds. Durable when it resolves. */
  async verify(inputSize: number, inputRoot: Uint8Array): Promise<void> {
    const { verified } = this.#progress;
    const progress = { verified: verified + 1, inputSize, inputRoot: encodeBase64(inputRoot) };
    await this.#store.use((level) =>
      level.write((batch) => {
        batch.put(PROGRESS, summed(encodeUtf8(JSON.stringify(progress))));
        batch.del(keyOf('l', verified));
      }),
    );
    this.#progress = { verified: progress.verified, inputSize, inputRoot };
  }

  /** Verifies nothing any more. Durable when it resolves. */
  async halt(why: string): Promise<void> {
    await this.#store.use((level) =>
      level.write((batch) => batch.put(HALTED, summed(encodeUtf8(JSON.stringify({ why }))))),
    );
    this.#halted = why;
  }

  /** Writes evidence against the operator of the index, for others to check. Resolves with the path. @throws RuntimeError `file` */
  async keepEvidence(wrong: WrongLeaf): Promise<string> {
    const { leaf, proof, ...rest } = wrong;
    const record = {
      format: 'stele wrong index leaf 1',
      log: this.#log.origin,
      ...rest,
      leaf: encodeBase64(leaf),
      ...(proof !== undefined && { proof: proof.map(encodeBase64) }),
    };
    const dir = join(this.#dir, 'evidence');
    const path = join(dir, `wrong-leaf-${wrong.index}-${encodeHex(fastSha256(leaf)).slice(0, 16)}.json`);
    await makeDirDurable(dir);
    await writeFileDurable(path, encodeUtf8(`${JSON.stringify(record, undefined, 2)}\n`));
    return path;
  }

  async close(): Promise<void> {
    await this.#store.close();
  }

  async #json<T>(key: Buffer): Promise<T | undefined> {
    const bytes = await this.#get(key);
    return bytes === undefined ? undefined : (JSON.parse(decodeUtf8(bytes)) as T);
  }

  async #get(key: Buffer): Promise<Uint8Array | undefined> {
    const value = await this.#store.use((level) => level.get(key));
    if (value === undefined) return undefined;
    const bytes = value.subarray(SUM);
    if (!equal(fastSha256(bytes), value.subarray(0, SUM))) throw damaged(this.#dir, 'a record in it has rotted');
    return bytes;
  }
}

function summed(bytes: Uint8Array): Uint8Array {
  return Buffer.concat([fastSha256(bytes), bytes]);
}

function keyOf(prefix: 'l' | 'r', index: number): Buffer {
  const key = Buffer.alloc(9);
  key.write(prefix, 'latin1');
  key.writeBigUInt64BE(BigInt(index), 1);
  return key;
}

function damaged(dir: string, why: string, cause?: unknown): ClientError {
  const what = `the state of the rebuild in ${dir} cannot be used: ${why}`;
  return new ClientError('state', `${what}. Move the directory away, and the rebuild begins anew`, { cause });
}

/**
 * The directory of a queue. Each entry is a file, so that people can read it, and so that no entry can damage another:
 *
 *   DIR/pending/<id>.json    entries to be logged, or logged but not written to their output yet
 *   DIR/refused/<id>.json    entries that the log refuses for good, with the reason
 *   DIR/done/<id>.json       entries whose proof is written; removed after 30 days
 *   DIR/damaged/…            files that cannot be read, kept as they were
 *   DIR/logs.json            for each log: the key that was trusted on first use, and when the log takes requests again
 *   DIR/lock/, owner.json    the flush that is under way (merkle/runtime/disk/lock.ts)
 *
 * Adding an entry takes no lock, so a release does not wait for a flush. Only the flush, which holds the lock, removes
 * entries and writes the other files. A crash leaves each file whole. An entry leaves `pending` last, so the next flush
 * repeats every step that a crash can undo, with the same bytes.
 *
 * Directories have mode 0700 and files 0600: nothing in them is secret, but a release may not be public yet.
 */
import { rename, stat, unlink } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import {
  isThere,
  makeDirDurable,
  namesIn,
  readFileIfThere,
  syncDir,
  writeFileDurable,
} from '../../../merkle/runtime/disk/files.ts';
import { type DirLock, lockDir } from '../../../merkle/runtime/disk/lock.ts';
import { RuntimeError } from '../../../merkle/runtime/runtime-errors.ts';
import { ClientError } from '../../errors.ts';
import { MAX_BUNDLE } from '../../formats/bundle.ts';
import { type JsonObject, malformed, object } from '../../formats/json.ts';
import {
  formatItem,
  MAX_ITEM,
  type Problem,
  parseItem,
  parseProblem,
  type Queued,
  type QueueItem,
  seal,
  sha256Hex,
  submissionOf,
  time,
  unseal,
} from './queue-item.ts';

const PARTS = ['pending', 'refused', 'done', 'damaged'] as const;
const PRIVATE_DIR = { mode: 0o700 };
const PRIVATE = { mode: 0o600 };
const NAME = /^([0-9a-f]{64})\.json$/;
const TEMPORARY = /^\.[0-9a-f]{16}\.tmp$/;
/** A writer renames its temporary file within milliseconds. An older one was left by a crash. */
const LEFTOVER_MS = 3_600_000;
const FORGET_MS = 30 * 86_400_000;
const MAX_RECORD = 64 * 1024;
const MAX_LOGS = 1024 * 1024;

/** The record of an entry whose proof is written. */
export interface DoneRecord extends Queued {
  /** UTC, ISO 8601. */
  readonly done: string;
  readonly index: number;
}

/** What a queue knows about a log. */
export interface QueueLog {
  /** The key that the log itself named at the first flush. */
  readonly verifierKey?: string | undefined;
  /** The log takes no requests before this time: UTC, ISO 8601. */
  readonly notBefore?: string | undefined;
  readonly problem?: Problem | undefined;
}

/** A file that cannot be read as what it should be. */
export interface Damaged {
  readonly file: string;
  readonly reason: string;
}

export class SubmissionQueue {
  /** Absolute path. */
  readonly dir: string;

  private constructor(dir: string) {
    this.dir = dir;
  }

  /**
   * @param create makes the directory where there is none
   * @throws ClientError `file` where there is no queue; RuntimeError `file`
   */
  static async open(dir: string, create: boolean): Promise<SubmissionQueue> {
    const path = resolve(dir);
    if (create) {
      await makeDirDurable(path, PRIVATE_DIR);
      for (const part of PARTS) await makeDirDurable(join(path, part), PRIVATE_DIR);
    } else if (!(await isThere(join(path, 'pending')))) {
      throw new ClientError('file', `there is no queue in ${path}: its first entry makes one`);
    }
    return new SubmissionQueue(path);
  }

  /**
   * Adds an entry, which is durable when this resolves. Resolves with false where the same entry waits already.
   *
   * @throws RuntimeError `file`, after which the entry may or may not be queued; ClientError `malformed` where the entry could
   * not be read back
   */
  async add(item: QueueItem): Promise<boolean> {
    submissionOf(parseItem(formatItem(item), item.id));
    const there = await this.read(item.id).catch(() => undefined);
    if (there !== undefined && 'item' in there) {
      // The process that wrote the file may have died before its name was durable.
      await syncDir(join(this.dir, 'pending'));
      return false;
    }
    await this.update(item);
    return true;
  }

  /** SHA-256 in hex of the file at `out`; undefined where there is none. @throws RuntimeError `file` */
  async hashAt(out: string): Promise<string | undefined> {
    const there = await readFileIfThere(out, 2 * MAX_BUNDLE);
    return there && sha256Hex(there);
  }

  /**
   * Takes the lock of the queue, for one flush at a time.
   *
   * @throws RuntimeError `locked`, naming the process that holds it; `file`, `store`
   */
  async lock(): Promise<DirLock> {
    const lock = await lockDir(this.dir);
    try {
      await this.#clean();
    } catch (error) {
      await lock.release();
      throw error;
    }
    return lock;
  }

  async #clean(): Promise<void> {
    for (const part of PARTS) {
      for (const name of await namesIn(join(this.dir, part))) {
        const age = TEMPORARY.test(name) ? LEFTOVER_MS : part === 'done' ? FORGET_MS : undefined;
        if (age === undefined) continue;
        const path = join(this.dir, part, name);
        const stats = await stat(path).catch(() => undefined);
        if (stats !== undefined && Date.now() - stats.mtimeMs > age) await unlink(path).catch(() => {});
      }
    }
  }

  /** Ids of the entries that wait, in no particular order. */
  async pending(): Promise<string[]> {
    return await this.#ids('pending');
  }

  /** An entry that waits; undefined where it is gone. @throws RuntimeError `file` where the file cannot be read */
  async read(id: string): Promise<{ item: QueueItem } | { damaged: Damaged } | undefined> {
    const path = this.fileOf(id);
    const file = await readFileIfThere(path, MAX_ITEM);
    if (file === undefined) return undefined;
    return orDamaged(path, () => ({ item: parseItem(file, id) }));
  }

  /** Writes an entry that waits. @throws RuntimeError `file` */
  async update(item: QueueItem): Promise<void> {
    await writeFileDurable(this.#path('pending', item.id), formatItem(item), PRIVATE);
  }

  /**
   * Writes a bundle to the output of its entry. It replaces only the file that was there when the entry was queued, or one
   * with the same bytes.
   *
   * @throws ClientError `file`; RuntimeError `file`
   */
  async deliver({ out, replaces }: QueueItem, bundle: Uint8Array): Promise<void> {
    const there = await this.hashAt(out);
    const result = sha256Hex(bundle);
    if (there !== undefined && there !== replaces && there !== result) {
      throw new ClientError(
        'file',
        `${out} was changed since the entry was queued and is not overwritten. Its proof is kept: move the file away and flush again`,
      );
    }
    // Write also where the same bytes are there: a crash may have come before they were durable.
    await writeFileDurable(out, bundle, { mode: 0o644 });
  }

  /** Keeps the record of an entry; `remove` comes after it. @throws RuntimeError `file` */
  async record(record: DoneRecord): Promise<void> {
    await writeFileDurable(this.#path('done', record.id), seal(record), PRIVATE);
  }

  /** Moves an entry that the log refuses out of `pending`. @throws RuntimeError `file` */
  async refuse(item: QueueItem): Promise<void> {
    await writeFileDurable(this.#path('refused', item.id), formatItem(item), PRIVATE);
    await this.remove(item.id);
  }

  /** Removes an entry whose record is durable. @throws RuntimeError `file` */
  async remove(id: string): Promise<void> {
    await unlink(this.#path('pending', id)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT')
        throw new RuntimeError(
          'file',
          `cannot remove ${this.#path('pending', id)} (${error.code}): the entry is logged, and the next flush finds its proof`,
          { cause: error },
        );
    });
    await syncDir(join(this.dir, 'pending'));
  }

  fileOf(id: string): string {
    return this.#path('pending', id);
  }

  /** Moves a damaged file to `damaged`, under a name of its own. Resolves with its path there. @throws RuntimeError `file` */
  async setAside({ file }: Damaged): Promise<string> {
    const at = new Date().toISOString().replaceAll(/[:.]/g, '-');
    const to = join(this.dir, 'damaged', `${at}-${basename(file)}`);
    try {
      await rename(file, to);
    } catch (cause) {
      throw new RuntimeError('file', `cannot move ${file} to ${to} (${(cause as NodeJS.ErrnoException).code})`, {
        cause,
      });
    }
    await syncDir(join(this.dir, 'damaged'));
    await syncDir(join(this.dir, 'pending'));
    return to;
  }

  /** Entries that the log refused. Files that cannot be read go to `damaged`. @throws RuntimeError `file` */
  async refused(damaged: Damaged[]): Promise<QueueItem[]> {
    return await this.#readAll('refused', MAX_ITEM, parseItem, damaged);
  }

  /** Records of entries whose proof is written. Files that cannot be read go to `damaged`. @throws RuntimeError `file` */
  async done(damaged: Damaged[]): Promise<DoneRecord[]> {
    return await this.#readAll('done', MAX_RECORD, (file) => unseal(file, MAX_RECORD) as DoneRecord, damaged);
  }

  async #readAll<T>(
    part: 'refused' | 'done',
    limit: number,
    parse: (file: Uint8Array, id: string) => T,
    damaged: Damaged[],
  ): Promise<T[]> {
    const all: T[] = [];
    for (const id of await this.#ids(part)) {
      const path = this.#path(part, id);
      const file = await readFileIfThere(path, limit);
      const read = file === undefined ? undefined : orDamaged(path, () => ({ item: parse(file, id) }));
      if (read === undefined) continue;
      if ('item' in read) all.push(read.item);
      else damaged.push(read.damaged);
    }
    return all;
  }

  /** Paths of the files in `damaged`. */
  async setAsideBefore(): Promise<string[]> {
    const dir = join(this.dir, 'damaged');
    return (await namesIn(dir)).filter((name) => !TEMPORARY.test(name)).map((name) => join(dir, name));
  }

  /**
   * What the queue knows about each log, by URL.
   *
   * @throws ClientError `file` where the file is damaged: the queue must not forget the keys in it silently
   */
  async logs(): Promise<Map<string, QueueLog>> {
    const path = join(this.dir, 'logs.json');
    const file = await readFileIfThere(path, MAX_LOGS);
    if (file === undefined) return new Map();
    try {
      const json = unseal(file, MAX_LOGS);
      if (typeof json !== 'object' || json === null) throw malformed('the file', 'is not an object');
      return new Map(Object.entries(json).map(([log, state]) => [log, parseQueueLog(state)]));
    } catch (cause) {
      if (!(cause instanceof ClientError)) throw cause;
      const why = `${path} is damaged (${cause.message}). It holds the keys of logs that were trusted on first use: restore the file, or remove it and say which keys are trusted`;
      throw new ClientError('file', why, { cause });
    }
  }

  /** @throws RuntimeError `file` */
  async keepLogs(logs: ReadonlyMap<string, QueueLog>): Promise<void> {
    await writeFileDurable(join(this.dir, 'logs.json'), seal(Object.fromEntries(logs)), PRIVATE);
  }

  async #ids(part: (typeof PARTS)[number]): Promise<string[]> {
    return (await namesIn(join(this.dir, part))).flatMap((name) => NAME.exec(name)?.[1] ?? []).sort();
  }

  #path(part: (typeof PARTS)[number], id: string): string {
    return join(this.dir, part, `${id}.json`);
  }
}

function orDamaged<T>(file: string, parse: () => T): T | { damaged: Damaged } {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return { damaged: { file, reason: error.message } };
  }
}

function parseQueueLog(value: unknown): QueueLog {
  const state: JsonObject = object(value, 'the state of a log', ['verifierKey', 'notBefore', 'problem']);
  return {
    verifierKey: typeof state.verifierKey === 'string' ? state.verifierKey : undefined,
    notBefore: state.notBefore === undefined ? undefined : time(state.notBefore, 'notBefore'),
    problem: state.problem === undefined ? undefined : parseProblem(state.problem, 'problem'),
  };
}

/**
 * Who wrote: a file of JSON lines that the operator keeps beside the log, one line for each entry that a caller wrote.
 *
 *     {"time":"2026-08-01T12:00:00.000Z","origin":"log.example.com","index":12,"leafHash":"…","duplicate":false,
 *      "caller":{"kind":"x509-svid","id":"spiffe://example.org/build/linux"},"rule":"builders"}
 *
 * A record is durable before its caller is answered. Nothing of a token is in it. The file is for the operator alone (0600). Each
 * day of UTC, and each file of `maxBytes`, ends as `FILE.2026-08-01` or `FILE.2026-08-01.1`, and is removed once it is older than the
 * retention.
 *
 * While records cannot be written, for a full disk and other reasons, the log takes no entries. A line that a crash cut off is
 * removed at the next start: its caller had no answer.
 */
import { constants } from 'node:fs';
import { type FileHandle, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { encodeHex } from '../../merkle/bytes.ts';
import { printable } from '../../merkle/printable.ts';
import type { Caller } from '../../merkle/runtime/identity/types.ts';
import type { Logger } from '../../merkle/runtime/service/logger.ts';
import { ServerError } from '../errors.ts';
import type { Written } from '../types.ts';

const DAY_MS = 86_400_000;
/** After a failure the file is tried again this much later at the earliest. */
const AGAIN_MS = 1000;
const MAX_FILE_BYTES = 256 * 1024 * 1024;
/** The end of a file that is looked at for a line that a crash cut off: longer than any line. */
const TAIL_BYTES = 64 * 1024;
/** How each line begins. A file that ends otherwise is another file, of which nothing may be cut off. */
const LINE_START = '{"time":"';
const { O_APPEND, O_CREAT, O_NOFOLLOW, O_RDWR } = constants;

interface RecordOptions {
  readonly file: string;
  /** Milliseconds for which a file is kept after its last day. */
  readonly retention: number;
  readonly logger: Logger;
  readonly maxBytes?: number;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

interface Line {
  readonly text: string;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class WriteRecords {
  readonly #options: Required<RecordOptions>;
  #handle: FileHandle | undefined;
  #size = 0;
  #day = '';
  #waiting: Line[] = [];
  #writing: Promise<void> | undefined;
  #problem: string | undefined;
  #failedAt = 0;
  #missed = 0;

  private constructor(options: RecordOptions) {
    this.#options = { maxBytes: MAX_FILE_BYTES, now: Date.now, ...options };
  }

  /** @throws ServerError `config`: the file cannot be written */
  static async open(options: RecordOptions): Promise<WriteRecords> {
    const records = new WriteRecords(options);
    try {
      await records.#begin();
    } catch (cause) {
      const why = (cause as Error).message;
      throw new ServerError('config', `"identity.record.file": ${options.file} cannot be used: ${why}`, { cause });
    }
    return records;
  }

  /** Why no record can be written, in one sentence. */
  get problem(): string | undefined {
    if (this.#problem === undefined) return undefined;
    return `who writes cannot be kept in ${this.#options.file}, and the log takes no entries: ${this.#problem}`;
  }

  /** False while records fail. Once in a while it tries again: the next writes then wait for that. */
  mayTake(): boolean {
    if (this.#problem === undefined) return true;
    const waited = Math.abs(this.#options.now() - this.#failedAt) >= AGAIN_MS;
    if (waited && this.#writing === undefined) this.#resume();
    return false;
  }

  /** Resolves once the record is durable. Rejects where it could not be written. */
  add({
    index,
    leafHash,
    duplicate,
    rule,
    origin,
    caller,
  }: Written & { origin: string; caller: Caller }): Promise<void> {
    const { kind, id, fingerprint } = caller;
    const who = { kind, id, ...(fingerprint !== undefined && { fingerprint }) };
    const time = new Date(this.#options.now()).toISOString();
    return this.#append({ time, origin, index, leafHash: encodeHex(leafHash), duplicate, caller: who, rule });
  }

  async close(): Promise<void> {
    await this.#writing;
    await this.#handle?.close();
    this.#handle = undefined;
  }

  #append(record: object): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ text: `${JSON.stringify(record)}\n`, resolve, reject });
      this.#writing ??= this.#writeAll();
    });
  }

  /** Writes that what was missed, which also shows whether records can be written again. */
  #resume(): void {
    const time = new Date(this.#options.now()).toISOString();
    this.#append({ time, event: 'records could not be written before', missed: this.#missed }).then(
      () => {
        this.#options.logger.warn({ missed: this.#missed }, 'who writes can be kept again');
        this.#missed = 0;
      },
      () => {},
    );
  }

  /** One write at a time takes all lines that came during the one before. */
  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const lines = this.#waiting;
      this.#waiting = [];
      try {
        await this.#write(Buffer.from(lines.map(({ text }) => text).join('')));
        this.#problem = undefined;
        for (const { resolve } of lines) resolve();
      } catch (error) {
        await this.#failed(error, lines.filter(({ text }) => !text.includes('"event"')).length);
        for (const { reject } of lines) reject(error);
      }
    }
    // At once: a line that comes before the end of this promise must begin another round.
    this.#writing = undefined;
  }

  async #write(bytes: Buffer): Promise<void> {
    await this.#begin();
    const handle = this.#handle!;
    let written = 0;
    while (written < bytes.length) written += (await handle.write(bytes, written)).bytesWritten;
    await handle.datasync();
    this.#size += bytes.length;
  }

  async #failed(error: unknown, missed: number): Promise<void> {
    this.#missed += missed;
    this.#failedAt = this.#options.now();
    const why = printable((error as Error).message);
    if (this.#problem !== why) this.#options.logger.error({ reason: why }, 'who writes cannot be kept');
    this.#problem = why;
    const handle = this.#handle;
    this.#handle = undefined;
    // The next try opens the file again, and removes a line that was written in part.
    await handle?.close().catch(() => {});
  }

  /** Opens the file of this day, and ends the one before. */
  async #begin(): Promise<void> {
    const { file, maxBytes, now } = this.#options;
    const day = new Date(now()).toISOString().slice(0, 10);
    if (this.#handle !== undefined && day === this.#day && this.#size < maxBytes) return;
    await this.#handle?.close();
    this.#handle = undefined;
    const found = await openRecord(file);
    const isOld = found.size > 0 && (found.day !== day || found.size >= maxBytes);
    if (!isOld) {
      [this.#handle, this.#size, this.#day] = [found.handle, found.size, day];
      return;
    }
    await found.handle.close();
    await this.#end(found.day);
    const next = await openRecord(file);
    [this.#handle, this.#size, this.#day] = [next.handle, next.size, day];
  }

  /** Gives the file its name for good, and removes what is older than the retention. */
  async #end(day: string): Promise<void> {
    const { file, retention, now } = this.#options;
    const names = await readdir(dirname(file));
    const base = basename(file);
    let name = `${base}.${day}`;
    for (let n = 1; names.includes(name); n++) name = `${base}.${day}.${n}`;
    await rename(file, join(dirname(file), name));
    for (const other of names) {
      const [, ended] = other.startsWith(`${base}.`)
        ? (/^(\d{4}-\d{2}-\d{2})(?:\.\d+)?$/.exec(other.slice(base.length + 1)) ?? [])
        : [];
      if (ended !== undefined && Date.parse(ended) + DAY_MS + retention < now()) await rm(join(dirname(file), other));
    }
    const directory = await open(dirname(file), 'r');
    await directory.sync().finally(() => directory.close());
  }
}

/** The file with its size, and the day of its last change. A line without an end is removed. */
async function openRecord(file: string): Promise<{ handle: FileHandle; size: number; day: string }> {
  const handle = await open(file, O_APPEND | O_CREAT | O_NOFOLLOW | O_RDWR, 0o600);
  try {
    const stats = await handle.stat();
    if (!stats.isFile()) throw new Error('it is no regular file');
    await handle.chmod(0o600);
    const day = stats.mtime.toISOString().slice(0, 10);
    const from = Math.max(0, stats.size - TAIL_BYTES);
    const tail = Buffer.alloc(stats.size - from);
    for (let read = 0; read < tail.length; ) {
      const { bytesRead } = await handle.read(tail, read, tail.length - read, from + read);
      if (bytesRead === 0) throw new Error('it has become shorter while it was read');
      read += bytesRead;
    }
    const end = tail.lastIndexOf(0x0a);
    if (tail.length > 0 && end === -1 && from > 0)
      throw new Error('its last line is too long for a record: it is another file');
    const size = from + end + 1;
    const torn = tail.subarray(end + 1).toString('latin1');
    if (!torn.startsWith(LINE_START) && !LINE_START.startsWith(torn))
      throw new Error('its last line is no record: it is another file');
    if (size < stats.size) await handle.truncate(size);
    return { handle, size, day };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

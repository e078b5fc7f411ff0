/**
 * A second place that knows how far the log has come: a directory on another disk, or objects on an S3 server. The size and the
 * root of each tree head are durable there before the log's key signs it. So an old copy of the data directory finds there that
 * it is old.
 *
 *     0000000000000042     the text of the checkpoint of 42 entries; each is created once and never changed
 *
 * While the place cannot be used, nothing is signed. The two newest records are kept.
 */
import { decodeUtf8, encodeUtf8, equal } from '../../merkle/bytes.ts';
import { formatCheckpoint, parseCheckpoint } from '../../merkle/checkpoint.ts';
import { MerkleError } from '../../merkle/errors.ts';
import { RuntimeError } from '../../merkle/runtime/runtime-errors.ts';
import { type BackOff, backOffMs, SYSTEM_CLOCK } from '../../merkle/runtime/service/back-off.ts';
import type { Logger } from '../../merkle/runtime/service/logger.ts';
import { ServerError } from '../errors.ts';
import type { TreeReader } from '../tree/reader.ts';

interface Head {
  readonly size: number;
  readonly root: Uint8Array;
}

/** Where the records are. What fails with a RuntimeError is tried again. */
export interface Place {
  /** As messages name it. */
  readonly name: string;
  /** The names of all records, in any order. */
  names(signal: AbortSignal): Promise<string[]>;
  /** Makes a record durable; false where one of that name is there, which stays as it is. */
  create(name: string, bytes: Uint8Array, signal: AbortSignal): Promise<boolean>;
  /** At most `MAX_RECORD` bytes. */
  read(name: string, signal: AbortSignal): Promise<Uint8Array>;
  remove(name: string, signal: AbortSignal): Promise<void>;
}

/** Of a record. They sort as the sizes do. */
export const RECORD_NAME = /^[0-9]{16}$/;
/** Bytes. */
export const MAX_RECORD = 4096;
const KEPT = 2;
const PAUSES: BackOff = { firstMs: 100, longestMs: 5000 };

export class SecondPlace {
  readonly #place: Place;
  readonly #origin: string;
  readonly #logger: Logger;
  readonly #onFailure: () => void;
  readonly #closed = new AbortController();
  /** The tree that the place is compared with before the first record; undefined once that was done. */
  #unchecked: TreeReader | undefined;
  /** The records of the place, the oldest first. */
  #names: string[] = [];
  #failure: RuntimeError | undefined;

  constructor(place: Place, origin: string, logger: Logger, onFailure: () => void) {
    this.#place = place;
    this.#origin = origin;
    this.#logger = logger;
    this.#onFailure = onFailure;
  }

  get notReady(): string | undefined {
    const why = this.#failure?.message;
    return why === undefined ? undefined : `the second place cannot be used, so nothing is signed: ${why}`;
  }

  /** For a new log, which must not begin where its first tree cannot be recorded. @throws RuntimeError */
  async checkReached(): Promise<void> {
    await this.#place.names(this.#closed.signal);
  }

  /**
   * Compares the place with the committed tree at a start. If it cannot be used, that waits for the first record.
   * @throws ServerError `rollback` where the tree does not extend the newest record
   */
  async check(tree: TreeReader): Promise<void> {
    this.#unchecked = tree;
    try {
      await this.#compare();
    } catch (error) {
      if (!(error instanceof RuntimeError)) throw error;
      this.#fails(error);
      void this.#checkAgain();
    }
  }

  /** A log with nothing to sign learns here that the place is back. What else is wrong with it, the next record tells. */
  async #checkAgain(): Promise<void> {
    for (let failures = 1; this.#unchecked !== undefined; failures++) {
      await SYSTEM_CLOCK.sleep(backOffMs(PAUSES, failures), this.#closed.signal);
      if (this.#closed.signal.aborted) return;
      try {
        await this.#compare();
      } catch (error) {
        if (!(error instanceof RuntimeError)) return;
      }
    }
  }

  /** Records a tree head; waits while the place cannot be used. @throws ServerError `rollback`; `store` after `close` */
  async record(head: Head): Promise<void> {
    for (let failures = 1; ; failures++) {
      if (this.#closed.signal.aborted)
        throw new ServerError('store', 'the log was closed before the tree was recorded');
      try {
        await this.#compare();
        await this.#write(head);
        this.#failure = undefined;
        return;
      } catch (error) {
        if (!(error instanceof RuntimeError)) throw error;
        this.#fails(error);
        await SYSTEM_CLOCK.sleep(backOffMs(PAUSES, failures), this.#closed.signal);
      }
    }
  }

  close(): void {
    this.#closed.abort();
  }

  #fails(error: RuntimeError): void {
    // The end of the log is no failure of the place.
    if (error.code === 'aborted') return;
    if (this.#failure?.message !== error.message)
      this.#logger.error({ err: error }, 'the second place cannot be used; nothing is signed until it can');
    this.#failure = error;
    this.#onFailure();
  }

  async #compare(): Promise<void> {
    const tree = this.#unchecked;
    if (tree === undefined) return;
    const names = (await this.#place.names(this.#closed.signal)).sort();
    const name = names.at(-1);
    if (name !== undefined) {
      const { size } = tree.snapshot;
      const newest = await this.#read(name);
      if (newest.size > size) {
        throw new ServerError(
          'rollback',
          `the second place ${this.#place.name} shows that the log signed a tree of ${newest.size} entries, and the committed tree has ` +
            `${size}: the data directory is an old copy. Restore the newest one with \`stele log restore\`.`,
        );
      }
      this.#same(newest, await tree.rootAt(newest.size));
    } else if (tree.snapshot.size > 0) {
      this.#logger.warn(
        { place: this.#place.name },
        'the second place holds no record of this log: if it held some before, stop the log and look for them',
      );
    }
    this.#names = names;
    this.#unchecked = undefined;
    this.#failure = undefined;
  }

  async #write(head: Head): Promise<void> {
    const name = String(head.size).padStart(16, '0');
    const text = formatCheckpoint({ origin: this.#origin, ...head, extensions: [] });
    const { signal } = this.#closed;
    if (!(await this.#place.create(name, encodeUtf8(text), signal))) this.#same(await this.#read(name), head.root);
    if (!this.#names.includes(name)) this.#names = [...this.#names, name].sort();
    while (this.#names.length > KEPT) {
      await this.#place.remove(this.#names[0]!, signal);
      this.#names.shift();
    }
  }

  #same({ size, root }: Head, own: Uint8Array): void {
    if (equal(root, own)) return;
    throw new ServerError(
      'rollback',
      `the second place ${this.#place.name} shows another tree of ${size} entries than this log has: two histories were signed, or ` +
        'the place belongs to another log. Find out which before anything is signed.',
    );
  }

  async #read(name: string): Promise<Head> {
    const bytes = await this.#place.read(name, this.#closed.signal);
    try {
      const { origin, size, root } = parseCheckpoint(decodeUtf8(bytes));
      if (origin === this.#origin && size === Number(name)) return { size, root };
    } catch (error) {
      if (!(error instanceof MerkleError)) throw error;
    }
    throw new ServerError(
      'rollback',
      `${name} in the second place ${this.#place.name} is not a record of the log "${this.#origin}": look at it before the log goes on.`,
    );
  }
}

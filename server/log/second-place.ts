/**
 * A second place that knows how far the log has come: a directory on another disk. The size and the root of each tree head are
 * durable there before the log's key signs it. So an old copy of the data directory finds there that it is old.
 *
 *     <directory>/0000000000000042     the text of the checkpoint of 42 entries; each is created once and never changed
 *
 * While the place cannot be reached, nothing is signed. The two newest records are kept.
 */
import { join } from 'node:path';
import { decodeUtf8, encodeUtf8, equal } from '../../merkle/bytes.ts';
import { formatCheckpoint, parseCheckpoint } from '../../merkle/checkpoint.ts';
import { MerkleError } from '../../merkle/errors.ts';
import { createFileDurable, isThere, namesIn, readFileIfThere, removeTree } from '../../merkle/runtime/disk/files.ts';
import { RuntimeError } from '../../merkle/runtime/runtime-errors.ts';
import { type BackOff, backOffMs, SYSTEM_CLOCK } from '../../merkle/runtime/service/back-off.ts';
import type { Logger } from '../../merkle/runtime/service/logger.ts';
import { ServerError } from '../errors.ts';
import type { TreeReader } from '../tree/reader.ts';

interface Head {
  readonly size: number;
  readonly root: Uint8Array;
}

const NAME = /^[0-9]{16}$/;
const KEPT = 2;
const MAX_RECORD = 4096;
const PAUSES: BackOff = { firstMs: 100, longestMs: 5000 };

export class SecondPlace {
  readonly #dir: string;
  readonly #origin: string;
  readonly #logger: Logger;
  readonly #onFailure: () => void;
  readonly #closed = new AbortController();
  /** The tree that the place is compared with before the first record; undefined once that was done. */
  #unchecked: TreeReader | undefined;
  #failed = false;

  /** @param dir must be there already: a disk that is not mounted must not look like an empty place */
  constructor(dir: string, origin: string, logger: Logger, onFailure: () => void) {
    this.#dir = dir;
    this.#origin = origin;
    this.#logger = logger;
    this.#onFailure = onFailure;
  }

  get notReady(): string | undefined {
    return this.#failed ? 'the second place cannot be reached, so nothing is signed' : undefined;
  }

  /**
   * Compares the place with the committed tree at a start. If it cannot be reached, that waits for the first record.
   * @throws ServerError `rollback` where the tree does not extend the newest record
   */
  async check(tree: TreeReader): Promise<void> {
    this.#unchecked = tree;
    try {
      await this.#compare();
    } catch (error) {
      if (!(error instanceof RuntimeError)) throw error;
      this.#fails(error);
    }
  }

  /** Records a tree head; waits while the place cannot be reached. @throws ServerError `rollback`; `store` after `close` */
  async record(head: Head): Promise<void> {
    for (let failures = 1; ; failures++) {
      if (this.#closed.signal.aborted)
        throw new ServerError('store', 'the log was closed before the tree was recorded');
      try {
        await this.#compare();
        await this.#write(head);
        this.#failed = false;
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
    if (!this.#failed)
      this.#logger.error({ err: error }, 'the second place cannot be reached; nothing is signed until it can');
    this.#failed = true;
    this.#onFailure();
  }

  async #compare(): Promise<void> {
    const tree = this.#unchecked;
    if (tree === undefined) return;
    // A disk that is not mounted must not look like a place without records.
    if (!(await isThere(this.#dir))) throw new RuntimeError('file', `the directory ${this.#dir} is not there`);
    const [name] = await this.#names();
    if (name !== undefined) {
      const { size } = tree.snapshot;
      const newest = await this.#read(name);
      if (newest.size > size) {
        throw new ServerError(
          'rollback',
          `the second place ${this.#dir} shows that the log signed a tree of ${newest.size} entries, and the committed tree has ` +
            `${size}: the data directory is an old copy. Restore the newest one with \`stele log restore\`.`,
        );
      }
      this.#same(newest, await tree.rootAt(newest.size));
    }
    this.#unchecked = undefined;
    this.#failed = false;
  }

  async #write(head: Head): Promise<void> {
    const name = String(head.size).padStart(16, '0');
    const text = formatCheckpoint({ origin: this.#origin, ...head, extensions: [] });
    if (!(await createFileDurable(join(this.#dir, name), encodeUtf8(text)))) {
      this.#same(await this.#read(name), head.root);
      return;
    }
    for (const old of (await this.#names()).slice(KEPT)) await removeTree(join(this.#dir, old));
  }

  #same({ size, root }: Head, own: Uint8Array): void {
    if (equal(root, own)) return;
    throw new ServerError(
      'rollback',
      `the second place ${this.#dir} shows another tree of ${size} entries than this log has: two histories were signed, or ` +
        'the place belongs to another log. Find out which before anything is signed.',
    );
  }

  /** The newest first. */
  async #names(): Promise<string[]> {
    return (await namesIn(this.#dir))
      .filter((name) => NAME.test(name))
      .sort()
      .reverse();
  }

  async #read(name: string): Promise<Head> {
    const path = join(this.#dir, name);
    const bytes = await readFileIfThere(path, MAX_RECORD);
    try {
      const { origin, size, root } = parseCheckpoint(decodeUtf8(bytes ?? new Uint8Array(0)));
      if (origin === this.#origin && size === Number(name)) return { size, root };
    } catch (error) {
      if (!(error instanceof MerkleError)) throw error;
    }
    throw new ServerError(
      'rollback',
      `${path} is not a record of the log "${this.#origin}": look at it before the log goes on.`,
    );
  }
}

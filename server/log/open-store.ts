/**
 * The opened stores with all that is good only while it is in service: its tree, the checkpoint that is public on
 * it, and a signal.
 *
 * The signal aborts when the service ends, for whatever reason: the store failed, a witness proved another history, the
 * log closes. Its reason is the `RequestError` that every waiting caller gets. Code that works with an open store checks
 * this one signal after each wait, and never has to know which store came next.
 */
import { encodeUtf8 } from '../../merkle/bytes.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import type { RequestError } from '../errors.ts';
import { closeStores } from '../store/stores.ts';
import type { Stores } from '../store/types.ts';
import { CommittedTree, type TreeOptions } from '../tree/committed.ts';
import type { Published } from './types.ts';

export class OpenStore {
  readonly tree: CommittedTree;
  #published: Published | undefined;
  readonly #service = new AbortController();
  /** Writes of the public checkpoint, one after another: the older one must not land last. */
  #storing: Promise<unknown> = Promise.resolve();

  private constructor(tree: CommittedTree) {
    this.tree = tree;
  }

  /**
   * Opens the tree of `stores`, and then has `prepare` check it and find the checkpoint that is public. If either fails,
   * the stores are closed.
   * @throws ServerError as `CommittedTree.open`; what `prepare` throws
   */
  static async open(
    stores: Stores,
    prepare: (tree: CommittedTree) => Promise<Published | undefined>,
    options: TreeOptions = {},
  ): Promise<OpenStore> {
    try {
      const store = new OpenStore(await CommittedTree.open(stores, fastSha256, options));
      store.#published = await prepare(store.tree);
      return store;
    } catch (error) {
      await closeStores(stores);
      throw error;
    }
  }

  get signal(): AbortSignal {
    return this.#service.signal;
  }

  /** The checkpoint that is public. It stays readable after the service ended, until `close`. */
  get published(): Published | undefined {
    return this.#published;
  }

  /** Published entries. */
  get publishedSize(): number {
    return this.#published?.reader.snapshot.size ?? 0;
  }

  /**
   * Makes a checkpoint durable, and then public. `next` is called when the writes before it are done, and returns undefined
   * if the checkpoint need not be written any more.
   *
   * A crash before the write leaves the checkpoint that was public. A crash after it leaves a checkpoint that no client has
   * seen yet, and that the next start shows.
   */
  show(next: () => Published | undefined): Promise<void> {
    const shown = this.#storing.then(async () => {
      this.signal.throwIfAborted();
      const published = next();
      if (published === undefined) return;
      await this.tree.putCheckpoint(encodeUtf8(published.checkpoint));
      this.signal.throwIfAborted();
      this.#published = published;
    });
    this.#storing = shown.catch(() => {});
    return shown;
  }

  /** Ends the service. Nothing is committed, signed or shown from now on; every waiting caller gets `reason`. */
  end(reason: RequestError): void {
    this.#service.abort(reason);
  }

  /** Waits for the writes under way. Readers stay good until `close`. */
  async stop(): Promise<void> {
    await this.tree.stop();
    await this.#storing;
  }

  async close(): Promise<void> {
    await this.tree.close();
    await this.#storing;
  }
}

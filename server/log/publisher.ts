/**
 * Publishes tree heads and answers those who wait: sign, cosign, make durable, show, reply. One publication runs at a time
 * and covers all that is committed by then; without `minIntervalMs` a quiet log answers at once and a busy one publishes
 * as often as signing, the witnesses and the disk allow.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { encodeUtf8 } from '../../merkle/bytes.ts';
import { requestError, ServerError } from '../errors.ts';
import type { CommittedTree } from '../tree/committed.ts';
import type { TreeReader } from '../tree/reader.ts';
import type { InclusionProof } from '../types.ts';

export interface Published {
  /** The signed note. */
  readonly checkpoint: string;
  /** When it was made durable, in milliseconds since 1970. */
  readonly at: number;
  /** Reads exactly the tree of the checkpoint. */
  readonly reader: TreeReader;
}

export interface PublisherOptions {
  readonly sign: (head: { size: number; root: Uint8Array }) => Promise<string>;
  /** Adds the witnesses' cosignatures to a signed note. Waits for the quorum; rejects once `signal` is aborted. */
  readonly cosign?: ((note: string, reader: TreeReader, signal: AbortSignal) => Promise<string>) | undefined;
  /** From the start of one publication to that of the next, in milliseconds. */
  readonly minIntervalMs?: number;
  /** How long a committed entry waits for its publication before its client is told to retry, in milliseconds. */
  readonly timeoutMs: number;
  /** Seconds that signing, cosigning, and storing with showing, took. */
  readonly onPublished: (seconds: { sign: number; cosign: number; publish: number }) => void;
  /** A published entry's proof could not be made, or was wrong; whoever waits for it gets `internal`. */
  readonly onProofError: (error: unknown) => void;
  /** A publication failed. The publisher stands still until `resume`. */
  readonly onError: (error: unknown, tree: CommittedTree) => void;
}

interface Waiter {
  readonly index: number;
  readonly leafHash: Uint8Array;
  readonly since: number;
  readonly resolve: (proof: InclusionProof) => void;
  readonly reject: (error: unknown) => void;
}

/** After a publication with witnesses the next one waits as long as it took, but no longer than this, in milliseconds. */
const REST_MS = 25;

/** How often those who wait too long are looked for, in milliseconds: a timer each would cost more than it tells. */
const SWEEP_MS = 100;

export class Publisher {
  readonly #options: PublisherOptions;
  #tree: CommittedTree;
  #published: Published | undefined;
  #waiters: Waiter[] = [];
  #wanted = false;
  #running: Promise<void> | undefined;
  #answering = false;
  /** Ends the waits of the publication under way, where its tree is of no more use. */
  #abort = new AbortController();
  /** Ends the wait for the time of the next publication. */
  #pause = new AbortController();
  #closed = false;
  #lastStart = Number.NEGATIVE_INFINITY;
  /** Nothing new is signed before this, as `performance.now()` counts. */
  #restUntil = Number.NEGATIVE_INFINITY;
  /** Writes of the public checkpoint, one behind the other: the older one must not land last. */
  #storing: Promise<unknown> = Promise.resolve();
  #sweep: NodeJS.Timeout | undefined;

  constructor(tree: CommittedTree, options: PublisherOptions) {
    this.#tree = tree;
    this.#options = options;
  }

  get published(): Published | undefined {
    return this.#published;
  }

  /** Published entries. */
  get size(): number {
    return this.#published?.reader.snapshot.size ?? 0;
  }

  /** After a start or a failure: the tree as it was opened anew, and the checkpoint that is public. */
  resume(tree: CommittedTree, published: Published | undefined): void {
    this.#tree = tree;
    this.#published = published;
    this.#abort.abort();
    this.#abort = new AbortController();
    this.#pause.abort();
    this.#pause = new AbortController();
  }

  /** A note of the public checkpoint with more cosignatures; passed over where another checkpoint is public by now. */
  async replace(note: string): Promise<void> {
    const tree = this.#tree;
    const text = note.slice(0, note.lastIndexOf('\n\n') + 2);
    const published = () => (this.#published?.checkpoint.startsWith(text) ? this.#published : undefined);
    try {
      await this.#store(tree, note, () => tree === this.#tree && published() !== undefined);
      const { reader } = published() ?? {};
      if (tree === this.#tree && reader !== undefined) this.#published = { checkpoint: note, at: Date.now(), reader };
    } catch (error) {
      this.#options.onError(error, tree);
    }
  }

  /**
   * Publishes a checkpoint that was signed elsewhere: the last one of a frozen log. Behind what is being written, which
   * must not land last.
   */
  async show(published: Published, tree: CommittedTree): Promise<void> {
    await this.#store(tree, published.checkpoint, () => true);
    this.#published = published;
  }

  /**
   * Resolves with the entry's proof to a published checkpoint that covers it, checked against its leaf hash. Rejects
   * with `not-published` after the time limit, and with what `fail` was given.
   */
  wait(index: number, leafHash: Uint8Array): Promise<InclusionProof> {
    return new Promise((resolve, reject) => {
      this.#waiters.push({ index, leafHash, since: performance.now(), resolve, reject });
      this.#sweep ??= setInterval(() => this.#rejectLate(), SWEEP_MS).unref();
      if (this.#published !== undefined && index < this.#published.reader.snapshot.size) this.#answerSoon();
    });
  }

  /** Publishes what is committed, unless it is public already. */
  request(): void {
    if (this.#closed) return;
    this.#wanted = true;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
      if (this.#wanted) this.request();
    });
  }

  /** Resolves once nothing is being published. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  /** Publishes what is committed, whatever its time is, and waits for that, for `mostMs` milliseconds at most. */
  async finish(mostMs: number): Promise<void> {
    // Every later pause ends at once too.
    this.#pause.abort();
    this.request();
    await Promise.race([this.idle(), sleep(mostMs, undefined, { ref: false })]);
  }

  /** Rejects everyone who waits. */
  fail(error: unknown): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.reject(error);
  }

  /** Nothing is published any more. Resolves when no write is under way. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#wanted = false;
    clearInterval(this.#sweep);
    this.#sweep = undefined;
    this.#abort.abort();
    this.#pause.abort();
    await this.#storing;
  }

  async #run(): Promise<void> {
    while (this.#wanted) {
      this.#wanted = false;
      const tree = this.#tree;
      const { signal } = this.#abort;
      try {
        if (this.#published?.reader.snapshot.size !== tree.snapshot.size) await this.#publish(tree, signal);
        if (tree === this.#tree) await this.#answer();
      } catch (error) {
        // The store failed meanwhile: what the new handle holds is published instead.
        if (signal.aborted) continue;
        this.#options.onError(error, tree);
        return;
      }
    }
  }

  async #publish(tree: CommittedTree, signal: AbortSignal): Promise<void> {
    const { sign, cosign, minIntervalMs = 0, onPublished } = this.#options;
    const early = Math.max(this.#lastStart + minIntervalMs, this.#restUntil) - performance.now();
    if (early > 0) await sleep(early, undefined, { signal: this.#pause.signal }).catch(() => signal.throwIfAborted());
    this.#lastStart = performance.now();
    const { snapshot } = tree;
    const reader = tree.reader(snapshot);
    const entries = snapshot.size - this.size;
    const started = performance.now();
    const note = await sign(snapshot);
    if (tree !== this.#tree) return;
    const signed = performance.now();
    const checkpoint = cosign === undefined ? note : await cosign(note, reader, signal);
    if (tree !== this.#tree) return;
    const cosigned = performance.now();
    await this.#store(tree, checkpoint, () => tree === this.#tree);
    if (tree !== this.#tree) return;
    // Durable before anyone sees it: a crash cannot take back what was shown.
    this.#published = { checkpoint, at: Date.now(), reader };
    const published = performance.now();
    // Witnesses cost the same for one entry as for a hundred: those that come meanwhile share the next checkpoint. An entry
    // alone would only wait.
    const rest = cosign === undefined || entries === 1 ? 0 : Math.min(published - started, REST_MS);
    this.#restUntil = published + rest;
    const seconds = (from: number, to: number) => (to - from) / 1000;
    onPublished({
      sign: seconds(started, signed),
      cosign: seconds(signed, cosigned),
      publish: seconds(cosigned, published),
    });
  }

  /** A note with the witnesses' cosignatures, for the tree as it is; rejects where the store is opened anew meanwhile. */
  async cosigned(note: string, tree: CommittedTree): Promise<string> {
    const { cosign } = this.#options;
    return cosign === undefined ? note : await cosign(note, tree.reader(), this.#abort.signal);
  }

  #store(tree: CommittedTree, note: string, wanted: () => boolean): Promise<void> {
    const stored = this.#storing.then(async () => {
      if (wanted()) await tree.putCheckpoint(encodeUtf8(note));
    });
    this.#storing = stored.catch(() => {});
    return stored;
  }

  #answerSoon(): void {
    if (this.#answering) return;
    this.#answering = true;
    setImmediate(() => {
      this.#answering = false;
      void this.#answer();
    });
  }

  async #answer(): Promise<void> {
    const published = this.#published;
    if (published === undefined) return;
    const { size } = published.reader.snapshot;
    const covered: Waiter[] = [];
    const rest: Waiter[] = [];
    for (const waiter of this.#waiters) (waiter.index < size ? covered : rest).push(waiter);
    if (covered.length === 0) return;
    this.#waiters = rest;
    try {
      await this.#prove(covered, published);
    } catch {
      // One damaged tile must not cost the others their proofs: each alone.
      for (const waiter of covered) await this.#proveAlone(waiter, published);
    }
  }

  async #prove(waiters: readonly Waiter[], { checkpoint, reader }: Published): Promise<void> {
    const { size, root } = reader.snapshot;
    const prove = await reader.prover(waiters.map(({ index }) => index));
    for (const { index, leafHash, resolve } of waiters) {
      resolve({ treeSize: size, root, hashes: prove(index, leafHash), checkpoint });
    }
  }

  async #proveAlone(waiter: Waiter, published: Published): Promise<void> {
    try {
      await this.#prove([waiter], published);
    } catch (error) {
      this.#options.onProofError(error);
      if (error instanceof ServerError && error.code === 'store') {
        waiter.reject(requestError('read-failed', waiter.index));
        return;
      }
      waiter.reject(requestError('no-proof', waiter.index));
    }
  }

  #rejectLate(): void {
    const limit = performance.now() - this.#options.timeoutMs;
    const late = this.#waiters.filter(({ since }) => since < limit);
    if (late.length > 0) this.#waiters = this.#waiters.filter(({ since }) => since >= limit);
    for (const { index, reject } of late) {
      reject(requestError('not-published', index));
    }
    if (this.#waiters.length === 0) {
      clearInterval(this.#sweep);
      this.#sweep = undefined;
    }
  }
}

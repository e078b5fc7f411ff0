/**
 * Publishes tree heads and answers those who wait: sign, make durable, show, reply. One publication runs at a time and
 * covers all that is committed by then; there is no interval, so a quiet log answers at once and a busy one publishes as
 * often as signing and the disk allow.
 */
import { encodeUtf8 } from '../merkle/bytes.ts';
import { verifyInclusion } from '../merkle/proof.ts';
import type { Sha256 } from '../merkle/rfc6962.ts';
import { RequestError } from './errors.ts';
import type { CommittedTree } from './tree/committed.ts';
import type { TreeReader } from './tree/reader.ts';
import type { InclusionProof } from './types.ts';

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
  readonly hash: Sha256;
  /** How long a committed entry waits for its publication before its client is told to retry, in milliseconds. */
  readonly timeoutMs: number;
  /** Seconds that signing, and storing with showing, took. */
  readonly onPublished: (seconds: { sign: number; publish: number }) => void;
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
  #sweep: NodeJS.Timeout | undefined;

  constructor(tree: CommittedTree, options: PublisherOptions) {
    this.#tree = tree;
    this.#options = options;
  }

  get published(): Published | undefined {
    return this.#published;
  }

  /** After a start or a failure: the tree as it was opened anew, and the checkpoint that is public. */
  resume(tree: CommittedTree, published: Published | undefined): void {
    this.#tree = tree;
    this.#published = published;
  }

  /** A checkpoint that was signed and stored elsewhere (the last one of a frozen log) is the public one from now on. */
  show(published: Published): void {
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

  /** Rejects everyone who waits. */
  fail(error: unknown): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.reject(error);
  }

  close(): void {
    clearInterval(this.#sweep);
    this.#sweep = undefined;
  }

  async #run(): Promise<void> {
    while (this.#wanted) {
      this.#wanted = false;
      const tree = this.#tree;
      const { snapshot } = tree;
      try {
        if (this.#published?.reader.snapshot.size !== snapshot.size) {
          const started = performance.now();
          const checkpoint = await this.#options.sign(snapshot);
          // The store failed meanwhile: what the new handle holds is published instead.
          if (tree !== this.#tree) continue;
          const signed = performance.now();
          await tree.putCheckpoint(encodeUtf8(checkpoint));
          if (tree !== this.#tree) continue;
          // Durable before anyone sees it: a crash cannot take back what was shown.
          this.#published = { checkpoint, at: Date.now(), reader: tree.reader(snapshot) };
          const done = performance.now();
          this.#options.onPublished({ sign: (signed - started) / 1000, publish: (done - signed) / 1000 });
        }
        await this.#answer();
      } catch (error) {
        this.#options.onError(error, tree);
        return;
      }
    }
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
      const hashes = prove(index);
      // The log's own check: a wrong proof is a fault here, and must not leave the house.
      verifyInclusion({ index, size, leafHash, root, hashes }, this.#options.hash);
      resolve({ treeSize: size, root, hashes, checkpoint });
    }
  }

  async #proveAlone(waiter: Waiter, published: Published): Promise<void> {
    try {
      await this.#prove([waiter], published);
    } catch (error) {
      this.#options.onProofError(error);
      waiter.reject(new RequestError('internal', `the proof of entry ${waiter.index} cannot be made`, waiter.index));
    }
  }

  #rejectLate(): void {
    const limit = performance.now() - this.#options.timeoutMs;
    const late = this.#waiters.filter(({ since }) => since < limit);
    if (late.length > 0) this.#waiters = this.#waiters.filter(({ since }) => since >= limit);
    for (const { index, reject } of late) {
      reject(new RequestError('not-published', `sequenced at index ${index}, not yet published; retry`, index));
    }
    if (this.#waiters.length === 0) {
      clearInterval(this.#sweep);
      this.#sweep = undefined;
    }
  }
}

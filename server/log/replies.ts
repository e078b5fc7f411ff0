/**
 * The callers that wait for a published checkpoint over their entry, and the proofs that answer them. Each open store
 * has its own; when its service ends, every caller gets the reason.
 */
import { requestError, ServerError } from '../errors.ts';
import { isRotten } from '../tree/verified.ts';
import type { InclusionProof } from '../types.ts';
import type { OpenStore } from './open-store.ts';
import type { Published } from './types.ts';

interface Waiter {
  readonly index: number;
  readonly leafHash: Uint8Array;
  readonly since: number;
  readonly resolve: (proof: InclusionProof) => void;
  readonly reject: (error: unknown) => void;
}

interface RepliesOptions {
  /** How long a committed entry waits for its publication before its client gets `not-published`, in milliseconds. */
  readonly timeoutMs: number;
  /** Why checkpoints are late, for clients; undefined where nothing is known. */
  readonly whyLate: () => string | undefined;
  /** A published entry's proof could not be made, or was wrong. */
  readonly onProofError: (error: unknown) => void;
}

/** How often the callers that have waited too long are rejected, in milliseconds: a timer each would cost more. */
const SWEEP_MS = 100;

export class Replies {
  readonly #options: RepliesOptions;
  readonly #store: OpenStore;
  #waiters: Waiter[] = [];
  #answering = false;
  #sweep: NodeJS.Timeout | undefined;

  constructor(store: OpenStore, options: RepliesOptions) {
    this.#store = store;
    this.#options = options;
    store.signal.addEventListener('abort', () => this.#end(), { once: true });
  }

  /**
   * Resolves with the entry's proof to a published checkpoint that covers it, checked against its leaf hash.
   * @throws RequestError `not-published` after the time limit; `read-failed` or `no-proof` if the proof cannot be made; the
   * reason for which the service of the store ended
   */
  wait(index: number, leafHash: Uint8Array): Promise<InclusionProof> {
    return new Promise((resolve, reject) => {
      const { signal, publishedSize } = this.#store;
      if (signal.aborted) {
        reject(signal.reason);
        return;
      }
      this.#waiters.push({ index, leafHash, since: performance.now(), resolve, reject });
      this.#sweep ??= setInterval(() => this.#rejectLate(), SWEEP_MS).unref();
      if (index < publishedSize) this.#answerSoon();
    });
  }

  /** Answers each caller whose entry the public checkpoint covers. */
  async answer(): Promise<void> {
    const { published, publishedSize } = this.#store;
    if (published === undefined) return;
    const covered: Waiter[] = [];
    const rest: Waiter[] = [];
    for (const waiter of this.#waiters) (waiter.index < publishedSize ? covered : rest).push(waiter);
    if (covered.length === 0) return;
    this.#waiters = rest;
    try {
      await prove(covered, published);
    } catch {
      // One damaged tile must not cost the other callers their proofs.
      for (const waiter of covered) await this.#proveAlone(waiter, published);
    }
  }

  #answerSoon(): void {
    if (this.#answering) return;
    this.#answering = true;
    setImmediate(() => {
      this.#answering = false;
      void this.answer();
    });
  }

  async #proveAlone(waiter: Waiter, published: Published): Promise<void> {
    try {
      await prove([waiter], published);
    } catch (error) {
      this.#options.onProofError(error);
      waiter.reject(requestError(codeOf(error), waiter.index));
    }
  }

  #rejectLate(): void {
    const limit = performance.now() - this.#options.timeoutMs;
    const late = this.#waiters.filter(({ since }) => since < limit);
    if (late.length > 0) this.#waiters = this.#waiters.filter(({ since }) => since >= limit);
    if (late.length > 0) {
      const why = this.#options.whyLate();
      for (const { index, reject } of late) reject(requestError('not-published', index, why));
    }
    if (this.#waiters.length === 0) this.#stopSweep();
  }

  #end(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    this.#stopSweep();
    for (const { reject } of waiters) reject(this.#store.signal.reason);
  }

  #stopSweep(): void {
    clearInterval(this.#sweep);
    this.#sweep = undefined;
  }
}

function codeOf(error: unknown): 'damaged' | 'read-failed' | 'no-proof' {
  if (isRotten(error)) return 'damaged';
  const unread = error instanceof ServerError && (error.code === 'store' || error.code === 'unavailable');
  return unread ? 'read-failed' : 'no-proof';
}

async function prove(waiters: readonly Waiter[], { checkpoint, reader }: Published): Promise<void> {
  const { size, root } = reader.snapshot;
  const proofOf = await reader.prover(waiters.map(({ index }) => index));
  for (const { index, leafHash, resolve } of waiters) {
    resolve({ treeSize: size, root, hashes: proofOf(index, leafHash), checkpoint });
  }
}

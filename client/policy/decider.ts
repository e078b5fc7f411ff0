/**
 * Decisions one after another, for a service: in threads, under a policy and a trust that may change while it runs. No
 * verdict is remembered here. Evidence is verified once in each thread.
 */
import { availableParallelism } from 'node:os';
import type { Artifact, Decision } from '../../merkle/runtime/policy/types.ts';
import { createPool, TASKS_PER_THREAD, workerUrl } from '../../merkle/runtime/threads/pool.ts';
import { ClientError, cancelled } from '../errors.ts';
import type { EvidencePiece } from '../evidence/types.ts';
import { type DecisionBasis, digestOfPiece, OpenedBasis, versionsOf } from './decision-basis.ts';
import { type DecisionReply, type DecisionRequest, packDecisionRequests, unpackReplies } from './decision-packs.ts';

export interface DeciderOptions {
  /** Reads the policy and the files of trust. */
  readonly read: () => Promise<DecisionBasis>;
  /** Files and folders that `read` reads, for a caller that watches them. */
  readonly files?: readonly string[];
  /** Default: one for each core, 4 at most. With 0 it decides in the thread of the caller. */
  readonly threads?: number;
  /** Milliseconds since 1970; by default this machine's clock. */
  readonly now?: () => number;
}

/** A pack costs one round trip, 25 to 77 µs, and a decision with ten rules some hundred µs. */
const PACK = 16;
const MAX_THREADS = 4;

interface Waiting {
  readonly request: DecisionRequest;
  readonly pieces: readonly EvidencePiece[];
  resolve(decision: Decision): void;
  reject(error: unknown): void;
}

/** One policy and trust, and the threads that decide by it. */
interface Deciding {
  readonly versions: string;
  readonly policyDigest: string;
  decide(requests: readonly DecisionRequest[]): Promise<readonly DecisionReply[]>;
  /** What is under way is rejected. */
  close(): Promise<void>;
}

/** @throws as `read` and `OpenedBasis.open` */
export async function openDecider(options: DeciderOptions): Promise<Decider> {
  const { read, threads = Math.min(MAX_THREADS, availableParallelism()) } = options;
  return new Decider(options, await opened(await read(), threads), threads);
}

export class Decider {
  readonly files: readonly string[];
  readonly #options: DeciderOptions;
  readonly #threads: number;
  #deciding: Deciding;
  readonly #waiting: Waiting[] = [];
  readonly #runs = new Set<Promise<void>>();
  #scheduled = false;
  #closed = false;
  /** Ends with the last reload; never rejects. */
  #reloading: Promise<void> = Promise.resolve();

  /** For `openDecider`. */
  constructor(options: DeciderOptions, deciding: Deciding, threads: number) {
    this.#options = options;
    this.#deciding = deciding;
    this.#threads = threads;
    this.files = options.files ?? [];
  }

  /** Names everything that decisions depend on beside the evidence and the time. */
  get versions(): string {
    return this.#deciding.versions;
  }

  /** `sha256:HEX` of the policy file. */
  get policyDigest(): string {
    return this.#deciding.policyDigest;
  }

  /**
   * @param ahead milliseconds from now to the time that the decision is for: a caller that remembers it needs one that lasts
   *
   * Rejects with ClientError `cancelled` once `signal` is aborted, and with RuntimeError `pool` where a thread dies: then
   * there is no decision, and nothing may be admitted.
   */
  decide(artifact: Artifact, pieces: readonly EvidencePiece[], signal?: AbortSignal, ahead = 0): Promise<Decision> {
    if (this.#closed) return Promise.reject(closed());
    if (signal?.aborted) return Promise.reject(cancelled());
    return new Promise((resolve, reject) => {
      const abort = () => reject(cancelled());
      signal?.addEventListener('abort', abort, { once: true });
      const ended = () => signal?.removeEventListener('abort', abort);
      const named = pieces.map(({ source, bytes }) => ({ source, digest: digestOfPiece(bytes) }));
      const now = (this.#options.now?.() ?? Date.now()) + ahead;
      this.#waiting.push({
        request: { artifact, pieces: named, now },
        pieces,
        resolve: (decision) => {
          ended();
          resolve(decision);
        },
        reject: (error) => {
          ended();
          reject(error);
        },
      });
      this.#schedule();
    });
  }

  /**
   * Reads policy and trust anew. Decisions that are asked for before it resolves may be by the old ones.
   *
   * @throws as `openDecider`; then the old ones stay. ClientError `unavailable`: the decider is closed
   */
  reload(): Promise<void> {
    // One at a time: each reads the newest files, and closes the threads of the one before it.
    const reloading = this.#reloading.then(() => this.#reload());
    this.#reloading = reloading.catch(() => {});
    return reloading;
  }

  async #reload(): Promise<void> {
    if (this.#closed) throw closed();
    const basis = await this.#options.read();
    if (versionsOf(basis) === this.#deciding.versions) return;
    const next = await opened(basis, this.#threads);
    if (this.#closed) {
      await next.close();
      throw closed();
    }
    const old = this.#deciding;
    this.#deciding = next;
    await Promise.all(this.#runs);
    await old.close();
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const { reject } of this.#waiting.splice(0)) reject(closed());
    await this.#deciding.close();
  }

  /** What is asked for in one turn goes out together. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#send();
    });
  }

  #send(): void {
    const most = Math.max(1, this.#threads) * TASKS_PER_THREAD;
    while (this.#waiting.length > 0 && this.#runs.size < most) {
      const share = Math.ceil(this.#waiting.length / Math.max(1, most - this.#runs.size));
      const run = this.#run(this.#waiting.splice(0, Math.min(PACK, share))).finally(() => {
        this.#runs.delete(run);
        this.#send();
      });
      this.#runs.add(run);
    }
  }

  async #run(waiting: readonly Waiting[]): Promise<void> {
    const deciding = this.#deciding;
    try {
      const replies = await deciding.decide(waiting.map(({ request }) => request));
      const again = waiting.filter((one, i) => !settle(one, replies[i]));
      if (again.length > 0) {
        const whole = await deciding.decide(again.map(withBytes));
        for (const [i, one] of again.entries()) {
          if (!settle(one, whole[i])) one.reject(new Error('a thread asks for evidence that it was given'));
        }
      }
    } catch (error) {
      for (const one of waiting) one.reject(error);
    }
  }
}

function closed(): ClientError {
  return new ClientError('unavailable', 'the decider is closed');
}

/** Whether the reply is a decision. */
function settle({ resolve }: Waiting, reply: DecisionReply | undefined): boolean {
  if (reply === undefined || !('verdict' in reply)) return false;
  resolve(reply);
  return true;
}

/** A thread may have any of the pieces, and another one none: all go. */
function withBytes({ request, pieces }: Waiting): DecisionRequest {
  return { ...request, pieces: request.pieces.map((piece, i) => ({ ...piece, bytes: pieces[i]!.bytes })) };
}

async function opened(basis: DecisionBasis, threads: number): Promise<Deciding> {
  // Here first: a thread could only fail.
  const own = await OpenedBasis.open(basis);
  const facts = { versions: versionsOf(basis), policyDigest: own.policy.digest };
  if (threads === 0) {
    const decide: Deciding['decide'] = async (requests) =>
      requests.map(({ artifact, pieces, now }) => own.decide(artifact, pieces, now));
    return { ...facts, decide, close: async () => {} };
  }
  const pool = createPool({ file: workerUrl('client/policy/decide-worker'), threads, workerData: basis });
  const decide: Deciding['decide'] = async (requests) =>
    unpackReplies(await pool.run(packDecisionRequests(requests)), requests, own.policy);
  return { ...facts, decide, close: () => pool.close() };
}

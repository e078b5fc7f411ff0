/**
 * `sign-subtree` of c2sp.org/tlog-witness (C2SP 95978ca, 2026-07-06). Anybody with a checkpoint that was cosigned here may
 * ask, and one answer takes 20 ms of a core. So the requests wait in a queue of their own (fair-queue.ts), and a thread of
 * the lowest priority works for them. No request for a checkpoint waits behind one.
 */
import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseCheckpoint } from '../merkle/checkpoint.ts';
import { cosignSubtree } from '../merkle/cosignature.ts';
import { fastSha256 } from '../merkle/runtime/crypto/hash.ts';
import { backgroundVerifier } from '../merkle/runtime/crypto/verify.ts';
import { RuntimeError } from '../merkle/runtime/runtime-errors.ts';
import type { Logger } from '../merkle/runtime/service/logger.ts';
import { Window } from '../merkle/runtime/service/window.ts';
import { isValidSubtree, verifySubtree } from '../merkle/subtree.ts';
import { formatCosignatures, parseSignSubtree } from '../merkle/witness.ts';
import type { Config } from './config.ts';
import { requestError } from './errors.ts';
import { FairQueue } from './fair-queue.ts';
import type { WitnessKey } from './keys.ts';
import type { Metrics } from './metrics.ts';
import { openSigned, refusing } from './opening.ts';

/** A request holds the queue for as long as one verification takes, even where it is refused before. */
const LEAST_MS = 5;
/**
 * A request that finds no room is refused so much later. A client that asks again at once would take the main thread from
 * the logs, whose requests are answered there.
 */
const REFUSAL_MS = 1000;

interface SubtreeOptions {
  readonly keys: readonly WitnessKey[];
  readonly limits: Pick<Config['limits'], 'subtrees'>;
  readonly rateLimit: Pick<Config['rateLimit'], 'subtreesPerAddress' | 'window'>;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** Milliseconds that never go back. */
  readonly monotonic?: (() => number) | undefined;
}

export class Subtrees {
  readonly #options: SubtreeOptions;
  readonly #queue: FairQueue;
  readonly #perAddress: Window;
  readonly #stopping = new AbortController();

  constructor(options: SubtreeOptions) {
    this.#options = options;
    const { limits, rateLimit, metrics, monotonic } = options;
    this.#queue = new FairQueue({ limit: limits.subtrees, atOnce: 1, leastMs: LEAST_MS });
    this.#perAddress = new Window(rateLimit.window, monotonic);
    setMaxListeners(0, this.#stopping.signal);
    metrics.subtreesWaiting = () => this.#queue.length;
  }

  /** Whether the witness has a key that signs subtrees. */
  get served(): boolean {
    return this.#signers.length > 0;
  }

  /**
   * Cosigns a subtree of a checkpoint of the log `origin` that was cosigned here; resolves with the signature lines.
   * @param client the address that the request counts against
   * @throws RequestError
   */
  async sign(body: Uint8Array, origin: string, client: string): Promise<string> {
    const { subtreesPerAddress } = this.#options.rateLimit;
    if (subtreesPerAddress > 0 && this.#perAddress.isFull(client, subtreesPerAddress)) {
      await this.#pause();
      throw requestError('rate-limited');
    }
    if (this.#queue.isFull(client)) {
      await this.#pause();
      throw requestError('busy', 'too many subtrees are to be signed');
    }
    this.#perAddress.count(client);
    return await this.#queue.run(client, () => this.#sign(body, origin));
  }

  /** Refuses at once from now on. */
  close(): void {
    this.#stopping.abort();
  }

  get #signers(): readonly WitnessKey[] {
    return this.#options.keys.filter(({ subtrees }) => subtrees !== undefined);
  }

  async #sign(body: Uint8Array, origin: string): Promise<string> {
    const { keys, logger } = this.#options;
    const { start, end, hash, proof, note } = refusing('malformed', () => parseSignSubtree(body));
    const verifiers = keys.map(({ key, subtrees }) => backgroundVerifier(key, subtrees?.verify));
    const { text } = await openSigned(note, verifiers);
    const { size, root } = refusing('malformed', () => parseCheckpoint(text));
    if (!isValidSubtree(start, end)) throw requestError('malformed', `[${start}, ${end}) is not a subtree`);
    if (end > size) throw requestError('malformed', 'the subtree ends after the checkpoint');
    refusing('proof', () => verifySubtree({ start, end, size, subtreeHash: hash, root, hashes: proof }, fastSha256));
    try {
      const signed = this.#signers.map(({ key, subtrees }) =>
        cosignSubtree({ key, sign: subtrees!.sign }, { origin, start, end, hash }),
      );
      return formatCosignatures(await Promise.all(signed));
    } catch (error) {
      if (!(error instanceof RuntimeError)) throw error;
      logger.error({ err: error }, 'signing a subtree failed');
      throw requestError('signer');
    }
  }

  async #pause(): Promise<void> {
    await sleep(REFUSAL_MS, undefined, { signal: this.#stopping.signal }).catch(() => {});
  }
}

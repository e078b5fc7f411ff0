/**
 * `sign-subtree` of c2sp.org/tlog-witness (C2SP 95978ca, 2026-07-06). Anybody with a checkpoint that was cosigned here may
 * ask, and one answer takes 20 ms of a core. So the requests wait in a queue of their own (fair-queue.ts), and a thread of
 * the lowest priority works for them. No request for a checkpoint waits behind one.
 */
import { parseCheckpoint } from '../merkle/checkpoint.ts';
import { cosignSubtree } from '../merkle/cosignature.ts';
import { fastSha256 } from '../merkle/runtime/crypto/hash.ts';
import { backgroundVerifier } from '../merkle/runtime/crypto/verify.ts';
import { RuntimeError } from '../merkle/runtime/runtime-errors.ts';
import type { Logger } from '../merkle/runtime/service/logger.ts';
import { Window } from '../merkle/runtime/service/window.ts';
import { isValidSubtree, verifySubtree } from '../merkle/subtree.ts';
import { formatCosignatures, parseSignSubtree } from '../merkle/witness.ts';
import type { LiveSettings } from './config.ts';
import { requestError } from './errors.ts';
import { FairQueue } from './fair-queue.ts';
import type { WitnessKey } from './keys.ts';
import type { Metrics } from './metrics.ts';
import { openSigned, refusing } from './opening.ts';

/** A request holds the queue for as long as one verification takes, even where it is refused before. */
const LEAST_MS = 5;
interface SubtreeOptions {
  readonly keys: readonly WitnessKey[];
  readonly live: LiveSettings;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** Milliseconds that never go back. */
  readonly monotonic?: (() => number) | undefined;
}

export class Subtrees {
  readonly #options: SubtreeOptions;
  readonly #queue: FairQueue;
  readonly #perAddress: Window;

  constructor(options: SubtreeOptions) {
    this.#options = options;
    const { live, metrics, monotonic } = options;
    this.#queue = new FairQueue({ limit: () => live.limits.subtrees, atOnce: 1, leastMs: LEAST_MS });
    this.#perAddress = new Window(() => live.rateLimit.window, monotonic);
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
    const { subtreesPerAddress } = this.#options.live.rateLimit;
    if (subtreesPerAddress > 0 && this.#perAddress.isFull(client, subtreesPerAddress)) {
      throw requestError('subtrees-limited', this.#perAddress.retryAfter);
    }
    if (this.#queue.isFull(client)) throw requestError('subtrees-busy');
    this.#perAddress.count(client);
    return await this.#queue.run(client, () => this.#sign(body, origin));
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
}

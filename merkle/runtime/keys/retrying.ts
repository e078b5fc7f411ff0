/** A signer that waits for a token or an ssh-agent to come back instead of failing its callers. */
import { RuntimeError } from '../runtime-errors.ts';
import { backOffMs, SYSTEM_CLOCK } from '../service/back-off.ts';
import type { Logger } from '../service/logger.ts';
import type { Signer } from './types.ts';

const FIRST_DELAY_MS = 50;
const MAX_DELAY_MS = 5_000;
const SLOW_MS = 10_000;

interface RetryOptions {
  /** Called after every attempt that failed, and once when an attempt is slow; `attempt` counts from 1. */
  readonly onError?: (error: RuntimeError, attempt: number) => void;
  /** Called when a signature came after one or more `onError`. */
  readonly onRecover?: (attempts: number) => void;
  /** The longest pause between attempts, in ms. Default 5,000. */
  readonly maxDelayMs?: number;
  /** An attempt that lasts so many ms counts as failed for `healthy`. The signer still takes its answer. Default 10,000. */
  readonly slowMs?: number;
}

/** Options that report failures and recoveries in the operator's log, and count each failure by `onError`. */
export function loggedRetries(logger: Logger, onError: () => void): RetryOptions {
  return {
    onError: ({ code, message }, attempt) => {
      onError();
      logger.warn({ code, attempt, reason: message }, 'signing failed; trying again');
    },
    onRecover: (attempts) => logger.info({ attempts }, 'signing works again'),
  };
}

/**
 * Signs with another signer, and tries again until a signature comes or `close` is called. The pauses double from 50 ms up
 * to 5 s. A token signer opens its session anew in the next attempt. It never offers a refused PIN twice (pkcs11.ts), so
 * another attempt cannot lock a token.
 *
 * Calls get their answers one after another, in their order. `sign` rejects with RuntimeError `aborted` after `close`. It
 * also passes on every error of the other signer that is not a RuntimeError, since such an error is a bug.
 */
export class RetryingSigner implements Signer {
  readonly algorithm: Signer['algorithm'];
  readonly publicKey: Uint8Array;
  readonly #signer: Signer;
  readonly #options: RetryOptions;
  readonly #closing = new AbortController();
  #healthy = true;
  #turn: Promise<unknown> = Promise.resolve();
  #closed: Promise<void> | undefined;

  constructor(signer: Signer, options: RetryOptions = {}) {
    this.algorithm = signer.algorithm;
    this.publicKey = signer.publicKey;
    this.#signer = signer;
    this.#options = options;
  }

  /** False from a failed or slow attempt until the next signature. */
  get healthy(): boolean {
    return this.#healthy;
  }

  sign(message: Uint8Array): Promise<Uint8Array> {
    const result = this.#turn.then(() => this.#signInTurn(message));
    this.#turn = result.catch(() => {});
    return result;
  }

  close(): Promise<void> {
    this.#closing.abort();
    this.#closed ??= this.#turn.then(() => this.#signer.close());
    return this.#closed;
  }

  async #signInTurn(message: Uint8Array): Promise<Uint8Array> {
    for (let attempt = 1; ; attempt++) {
      if (this.#closing.signal.aborted) throw aborted();
      const { slowMs = SLOW_MS } = this.#options;
      const watch = setTimeout(() => this.#fail(slowError(slowMs), attempt), slowMs);
      try {
        const signature = await this.#signer.sign(message);
        this.#recover(attempt);
        return signature;
      } catch (error) {
        if (!(error instanceof RuntimeError)) throw error;
        this.#fail(error, attempt);
      } finally {
        clearTimeout(watch);
      }
      await this.#pause(attempt);
    }
  }

  #fail(error: RuntimeError, attempt: number): void {
    this.#healthy = false;
    this.#options.onError?.(error, attempt);
  }

  #recover(attempts: number): void {
    if (this.#healthy) return;
    this.#healthy = true;
    this.#options.onRecover?.(attempts);
  }

  async #pause(attempt: number): Promise<void> {
    const longestMs = this.#options.maxDelayMs ?? MAX_DELAY_MS;
    await SYSTEM_CLOCK.sleep(backOffMs({ firstMs: FIRST_DELAY_MS, longestMs }, attempt), this.#closing.signal);
  }
}

function aborted(): RuntimeError {
  return new RuntimeError('aborted', 'the signer was closed before the key gave a signature');
}

function slowError(ms: number): RuntimeError {
  return new RuntimeError(
    'pkcs11-unavailable',
    `the key has not answered for ${ms} ms: check the token or the agent and its connection`,
  );
}

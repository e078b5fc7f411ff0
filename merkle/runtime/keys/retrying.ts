/** A signer that waits for a token to come back instead of failing its callers. */
import { RuntimeError, type RuntimeErrorCode } from '../runtime-errors.ts';
import { backOffMs, SYSTEM_CLOCK } from '../service/back-off.ts';
import type { Signer } from './types.ts';

const FIRST_DELAY_MS = 50;
const MAX_DELAY_MS = 5_000;
const SLOW_MS = 10_000;

interface RetryOptions {
  /** Called after every attempt that failed, and once when an attempt is slow; `attempt` counts from 1. */
  readonly onError?: (error: RuntimeError, attempt: number) => void;
  /** Called when a signature came after one or more `onError`. */
  readonly onRecover?: (attempts: number) => void;
  /** Ends all waiting: callers get `aborted`. */
  readonly signal?: AbortSignal;
  /** The longest pause between attempts, in ms. Default 5,000. */
  readonly maxDelayMs?: number;
  /** After so many ms without an answer an attempt counts as failed for `healthy`, though it is still waited for. Default 10,000. */
  readonly slowMs?: number;
}

export interface RetryingSigner extends Signer {
  /** False from a failed or slow attempt until the next signature: what /readyz shows. */
  readonly healthy: boolean;
  /** Code of the last failure, kept after recovery; undefined where there was none. */
  readonly lastError: RuntimeErrorCode | undefined;
  /** Failed attempts since the start: what metrics show. */
  readonly failures: number;
}

/**
 * Signs with `signer`, and tries again until a signature comes, `close` is called or `signal` aborts: with pauses from 50 ms
 * that double up to 5 s, each shortened at random by up to half, so that many processes do not knock together. A token
 * signer opens its session anew by itself in the next attempt. A refused PIN is not offered twice (pkcs11.ts), so that
 * trying again cannot lock a token.
 *
 * Calls are answered one after another in the order of their coming. `sign` rejects with RuntimeError `aborted`, or with
 * what `signer.sign` throws where that is no RuntimeError: a mistake of the program's.
 */
export function retryingSigner(signer: Signer, options: RetryOptions = {}): RetryingSigner {
  return new Retrying(signer, options);
}

class Retrying implements RetryingSigner {
  readonly algorithm: Signer['algorithm'];
  readonly publicKey: Uint8Array;
  healthy = true;
  lastError: RuntimeErrorCode | undefined;
  failures = 0;
  readonly #signer: Signer;
  readonly #options: RetryOptions;
  readonly #closing = new AbortController();
  readonly #stop: AbortSignal;
  #turn: Promise<unknown> = Promise.resolve();
  #closed: Promise<void> | undefined;

  constructor(signer: Signer, options: RetryOptions) {
    this.algorithm = signer.algorithm;
    this.publicKey = signer.publicKey;
    this.#signer = signer;
    this.#options = options;
    const own = this.#closing.signal;
    this.#stop = options.signal === undefined ? own : AbortSignal.any([options.signal, own]);
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
      if (this.#stop.aborted) throw aborted();
      const watch = setTimeout(() => this.#fail(slowError(this.#slowMs), attempt), this.#slowMs);
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

  get #slowMs(): number {
    return this.#options.slowMs ?? SLOW_MS;
  }

  #fail(error: RuntimeError, attempt: number): void {
    this.healthy = false;
    this.lastError = error.code;
    this.failures++;
    this.#options.onError?.(error, attempt);
  }

  #recover(attempts: number): void {
    if (this.healthy) return;
    this.healthy = true;
    this.#options.onRecover?.(attempts);
  }

  async #pause(attempt: number): Promise<void> {
    const longestMs = this.#options.maxDelayMs ?? MAX_DELAY_MS;
    await SYSTEM_CLOCK.sleep(backOffMs({ firstMs: FIRST_DELAY_MS, longestMs }, attempt), this.#stop);
  }
}

function aborted(): RuntimeError {
  return new RuntimeError('aborted', 'the signer was closed before the key gave a signature');
}

function slowError(ms: number): RuntimeError {
  return new RuntimeError(
    'pkcs11-unavailable',
    `the key has not answered for ${ms} ms: check the token and its connection`,
  );
}

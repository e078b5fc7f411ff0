/**
 * The keys of one issuer while a service runs: fetched, renewed, and given up.
 *
 * - They are renewed in the background, as often as the issuer's `Cache-Control: max-age` says, within bounds. A key that the
 *   issuer takes out of its set verifies nothing from then on.
 * - A token with an unknown key ID, or with a signature that its key does not verify, may be the first of a new key: the set is
 *   fetched at once. Anybody can send such tokens, so after a few fetches each one waits for a pause.
 * - While the issuer is away the last set is used, for a bounded time: without that, each outage of an issuer is one of the service;
 *   without a bound, cutting the service off from an issuer would keep a withdrawn key in use.
 */
import type { KeyObject } from 'node:crypto';
import { IdentityError } from '../types.ts';
import { keyFor, type VerifyingKey } from './key-set.ts';
import type { TokenAlgorithm } from './token-algorithms.ts';

export interface LoadedKeys {
  readonly keys: readonly VerifyingKey[];
  /** How long the issuer says that its set may be kept, in milliseconds. */
  readonly maxAgeMs?: number | undefined;
}

export interface KeyTimes {
  /** Fetches for the sake of a token: three at once, and one more after each such time. */
  readonly pauseMs: number;
  /** The least and the longest time until the set is renewed, and the time where the issuer names none. */
  readonly renewMs: { readonly least: number; readonly usual: number; readonly longest: number };
  /** The longest time that a set is used after it was fetched. */
  readonly keepMs: number;
}

export const FETCHED_TIMES = {
  pauseMs: 10_000,
  renewMs: { least: 60_000, usual: 600_000, longest: 3_600_000 },
} as const;

/** Of a file, which is on this machine. */
export const FILE_TIMES = { pauseMs: 1000, renewMs: { least: 5000, usual: 5000, longest: 5000 } } as const;

const AT_ONCE = 3;

interface IssuerKeysOptions {
  /** For messages: `the issuer https://…`. */
  readonly name: string;
  readonly times: KeyTimes;
  readonly load: (signal: AbortSignal) => Promise<LoadedKeys>;
  /** Milliseconds that never go back. */
  readonly elapsed: () => number;
}

export class IssuerKeys {
  readonly #options: IssuerKeysOptions;
  readonly #stop = new AbortController();
  #keys: readonly VerifyingKey[] | undefined;
  #loadedAt = 0;
  /** Fetches for the sake of a token that may begin now, with a fraction, and when that was so. */
  #allowed = AT_ONCE;
  #allowedAt: number;
  #problem: string | undefined;
  #loading: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: IssuerKeysOptions) {
    this.#options = options;
    this.#allowedAt = options.elapsed();
  }

  /** Why the newest fetch failed; undefined where it did not. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /**
   * The key that verifies a token with this header.
   * @throws IdentityError `token-key`, `token-algorithm`; `identity-unavailable` where the issuer's keys cannot be had
   */
  async find(algorithm: TokenAlgorithm, keyId: string | undefined): Promise<KeyObject> {
    if (this.#current() === undefined) await this.#reload();
    const known = keyFor(this.#usable(), algorithm, keyId);
    if (known !== undefined) return known;
    await this.#reload();
    const found = keyFor(this.#usable(), algorithm, keyId);
    if (found !== undefined) return found;
    const { name } = this.#options;
    // The key may be a new one, which is not to be had now.
    if (this.#problem !== undefined) throw this.#unavailable();
    throw new IdentityError('token-key', `${name} has no key that the token names ("kid")`);
  }

  /**
   * The key that the issuer has now in the place of one that does not verify a token; undefined where it is the same key. An issuer may
   * give a new key the ID of an old one, or none.
   * @throws IdentityError as `find`
   */
  async findAfter(
    failed: KeyObject,
    algorithm: TokenAlgorithm,
    keyId: string | undefined,
  ): Promise<KeyObject | undefined> {
    await this.#reload();
    const key = keyFor(this.#usable(), algorithm, keyId);
    return key?.equals(failed) === true ? undefined : key;
  }

  /** Fetches the set, at once. Never rejects: `problem` says how it ended. */
  async refresh(): Promise<void> {
    this.#loading ??= this.#load().finally(() => {
      this.#loading = undefined;
    });
    await this.#loading;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    clearTimeout(this.#timer);
    await this.#loading;
  }

  /** As `refresh`, for the sake of a token: not more often than is allowed. */
  async #reload(): Promise<void> {
    const { elapsed, times } = this.#options;
    if (this.#loading === undefined) {
      const now = elapsed();
      this.#allowed = Math.min(AT_ONCE, this.#allowed + (now - this.#allowedAt) / times.pauseMs);
      this.#allowedAt = now;
      if (this.#allowed < 1) return;
      this.#allowed -= 1;
    }
    await this.refresh();
  }

  async #load(): Promise<void> {
    const { load, elapsed } = this.#options;
    clearTimeout(this.#timer);
    const askedAt = elapsed();
    let maxAgeMs: number | undefined;
    try {
      const loaded = await load(this.#stop.signal);
      this.#keys = loaded.keys;
      this.#loadedAt = askedAt;
      this.#problem = undefined;
      maxAgeMs = loaded.maxAgeMs;
    } catch (error) {
      this.#problem = (error as Error).message;
    }
    this.#renewLater(maxAgeMs);
  }

  #renewLater(maxAgeMs: number | undefined): void {
    if (this.#stop.signal.aborted) return;
    const { least, usual, longest } = this.#options.times.renewMs;
    const wanted = this.#problem === undefined ? (maxAgeMs ?? usual) : least;
    this.#timer = setTimeout(() => void this.refresh(), Math.min(Math.max(wanted, least), longest));
    // A service that ends does not wait for it.
    this.#timer.unref();
  }

  #current(): readonly VerifyingKey[] | undefined {
    const { elapsed, times } = this.#options;
    return elapsed() - this.#loadedAt <= times.keepMs ? this.#keys : undefined;
  }

  #usable(): readonly VerifyingKey[] {
    const keys = this.#current();
    if (keys === undefined) throw this.#unavailable();
    return keys;
  }

  #unavailable(): IdentityError {
    return new IdentityError(
      'identity-unavailable',
      `the keys of ${this.#options.name} cannot be had now: try again later`,
    );
  }
}

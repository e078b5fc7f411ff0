/** The bundle of an endpoint, fetched again and again: SPIFFE Federation sections 4.1 and 6.2. */
import type { SpiffeBundle } from '../../../spiffe/trust-bundle.ts';
import { type BackOff, backOffMs, type Clock } from '../../service/back-off.ts';
import type { BundleBoard } from './bundle-board.ts';
import { type Endpoint, fetchBundle } from './bundle-endpoint.ts';
import { newerOf } from './bundle-order.ts';
import type { SourceDependencies } from './types.ts';

type Refresh = NonNullable<SourceDependencies['refresh']>;

interface Options {
  readonly board: BundleBoard;
  readonly part: string;
  readonly clock: Clock;
  readonly refresh: Refresh;
}

/** Pauses until the first bundle is there. Later failures wait for the next turn, as section 6.2 asks. */
const BACK_OFF: BackOff = { firstMs: 1000, longestMs: 60_000 };

export class EndpointBundle {
  /** Resolves when the first request has ended, well or not. */
  readonly tried: Promise<void>;
  readonly #endpoint: Endpoint;
  readonly #options: Options;
  readonly #closed = new AbortController();
  readonly #running: Promise<void>;
  #bundle: SpiffeBundle | undefined;

  constructor(endpoint: Endpoint, options: Options) {
    this.#endpoint = endpoint;
    this.#options = options;
    this.tried = this.#fetch();
    this.#running = this.tried.then(() => this.#run());
  }

  async close(): Promise<void> {
    this.#closed.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, refresh } = this.#options;
    const { signal } = this.#closed;
    for (let failures = 0; !signal.aborted; ) {
      failures = this.#bundle === undefined ? failures + 1 : 0;
      await clock.sleep(failures > 0 ? backOffMs(BACK_OFF, failures) : turnOf(this.#bundle!, refresh), signal);
      if (!signal.aborted) await this.#fetch();
    }
  }

  async #fetch(): Promise<void> {
    const { board, part } = this.#options;
    try {
      const { bundle, problem } = newerOf(this.#bundle, await fetchBundle(this.#endpoint, this.#closed.signal));
      this.#bundle = bundle;
      board.put(part, new Map([[bundle.trustDomain, bundle]]));
      board.say(part, problem);
    } catch (error) {
      if (!this.#closed.signal.aborted) board.say(part, (error as Error).message);
    }
  }
}

/** Milliseconds to the next request: the hint of the bundle, within bounds. */
function turnOf({ refreshHint }: SpiffeBundle, { leastMs, mostMs, defaultMs }: Refresh): number {
  return refreshHint === undefined ? defaultMs : Math.min(Math.max(refreshHint * 1000, leastMs), mostMs);
}

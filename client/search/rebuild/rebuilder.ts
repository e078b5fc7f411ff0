/**
 * A rebuilder that runs: it rebuilds in rounds, and says of each checkpoint of the output log whether it may be cosigned. The
 * witness room has all else: the durable record before a cosignature leaves, the step from the last size, times and limits.
 */
import { equal } from '../../../merkle/bytes.ts';
import { EMPTY_ROOT } from '../../../merkle/rfc6962.ts';
import { RuntimeError } from '../../../merkle/runtime/runtime-errors.ts';
import { backOffMs, SYSTEM_CLOCK } from '../../../merkle/runtime/service/back-off.ts';
import { ClientError } from '../../errors.ts';
import type { FollowedLog } from '../../follow/types.ts';
import type { Rebuild } from './map-rebuild.ts';
import type { RebuildStore } from './rebuild-store.ts';
import type { RebuildStatus, WrongLeaf } from './types.ts';

interface RebuilderOptions {
  readonly output: Pick<FollowedLog, 'origin'>;
  readonly rebuild: Rebuild;
  readonly store: RebuildStore;
  /** From the end of one round to the next, in milliseconds. */
  readonly pollMs: number;
  /** First pause after a failure. */
  readonly retryMs: number;
  /** The longest time that a request waits until the rebuild has come so far. */
  readonly waitMs: number;
  readonly onEvent?: (event: RebuilderEvent) => void;
}

export type RebuilderEvent =
  | { readonly type: 'verified'; readonly status: RebuildStatus }
  | { readonly type: 'wrong'; readonly wrong: WrongLeaf; readonly why: string }
  | { readonly type: 'fault'; readonly message: string; readonly attempt: number }
  | { readonly type: 'recovered' };

/** As the witness room has it (witness/judge.ts). */
interface Doubt {
  readonly final: boolean;
  readonly why: string;
}

/** A tree of a log. */
interface OfferedTree {
  readonly origin: string;
  readonly size: number;
  readonly root: Uint8Array;
}

const LONGEST_PAUSE_MS = 60_000;
const LEAST_PAUSE_MS = 200;

export class Rebuilder {
  readonly #options: RebuilderOptions;
  /** A request waits for the next round. */
  #wanted = false;
  #endPause: () => void = () => {};
  /** Ends with each round. */
  #round = ending();
  #failures = 0;
  #fault: string | undefined;

  constructor(options: RebuilderOptions) {
    this.#options = options;
  }

  get status(): RebuildStatus {
    return this.#options.rebuild.status;
  }

  /** Rebuilds until the signal aborts. @throws ClientError `state` and what no later round can mend */
  async run(signal: AbortSignal): Promise<void> {
    const { pollMs, retryMs } = this.#options;
    while (!signal.aborted) {
      this.#wanted = false;
      const ok = await this.#once(signal);
      this.#round.end();
      this.#round = ending();
      if (signal.aborted) return;
      const longestMs = Math.max(pollMs, LONGEST_PAUSE_MS);
      await this.#pause(ok ? pollMs : backOffMs({ firstMs: retryMs, longestMs }, this.#failures), signal);
    }
  }

  /** Whether a checkpoint of the output log is one over leaves that all hold. Waits for a bounded time. */
  async judge({ origin, size, root }: OfferedTree): Promise<Doubt | undefined> {
    const { output, store, waitMs } = this.#options;
    if (origin !== output.origin) return { final: true, why: 'this rebuilder cosigns another log' };
    const end = performance.now() + waitMs;
    for (;;) {
      if (store.halted !== undefined) return { final: true, why: store.halted };
      const { verified } = store.progress;
      if (verified >= size) {
        const own = size === 0 ? EMPTY_ROOT : await store.rootAt(size);
        if (own !== undefined && equal(own, root)) return undefined;
        this.#want();
        return { final: true, why: `the tree of size ${size} that was rebuilt here has another root` };
      }
      const rest = end - performance.now();
      if (rest <= 0) {
        const why = this.status.waiting ?? this.#fault;
        const so = why === undefined ? '' : ` (${why})`;
        return { final: false, why: `the rebuild is at leaf ${verified} of ${size}${so}; retry` };
      }
      const round = this.#round.ended;
      this.#want();
      const late = new AbortController();
      await Promise.race([round, SYSTEM_CLOCK.sleep(rest, late.signal)]);
      // The timer would keep the process.
      late.abort();
    }
  }

  notReady(): readonly string[] {
    const { halted } = this.status;
    if (halted !== undefined) return [halted];
    return this.#fault === undefined ? [] : [`the rebuild cannot go on: ${this.#fault}`];
  }

  alarms(): readonly string[] {
    const { waiting } = this.status;
    return waiting === undefined ? [] : [waiting];
  }

  /** Rounds in a row that failed. */
  get failures(): number {
    return this.#failures;
  }

  async #once(signal: AbortSignal): Promise<boolean> {
    const { rebuild, onEvent } = this.#options;
    const before = this.status.verified;
    try {
      const wrong = await rebuild.round(signal);
      if (wrong !== undefined) onEvent?.({ type: 'wrong', wrong, why: this.status.halted ?? wrong.why });
      else if (this.status.verified !== before) onEvent?.({ type: 'verified', status: this.status });
      if (this.#failures > 0) onEvent?.({ type: 'recovered' });
      this.#failures = 0;
      this.#fault = undefined;
      return true;
    } catch (error) {
      if (signal.aborted) return true;
      const passing = error instanceof RuntimeError || (error instanceof ClientError && error.code !== 'state');
      if (!passing) throw error;
      if (error instanceof RuntimeError) rebuild.reload();
      this.#failures++;
      this.#fault = error.message;
      onEvent?.({ type: 'fault', message: error.message, attempt: this.#failures });
      return false;
    }
  }

  #want(): void {
    this.#wanted = true;
    this.#endPause();
  }

  async #pause(ms: number, signal: AbortSignal): Promise<void> {
    // Requests that wait must not make a round follow a round.
    const least = Math.min(ms, LEAST_PAUSE_MS);
    await SYSTEM_CLOCK.sleep(least, signal);
    if (this.#wanted) return;
    const ended = new AbortController();
    this.#endPause = () => ended.abort();
    await SYSTEM_CLOCK.sleep(ms - least, AbortSignal.any([signal, ended.signal]));
    this.#endPause = () => {};
  }
}

function ending(): { readonly ended: Promise<void>; readonly end: () => void } {
  let end = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  return { ended, end };
}

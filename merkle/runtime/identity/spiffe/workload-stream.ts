/**
 * A stream of the Workload API that is opened again whenever it ends, with pauses that grow: SPIFFE Workload API section 4.2.
 *
 * Each message is the whole truth (section 4.4). One that cannot be used changes nothing, and is a problem until a better one
 * comes. A denial takes away what was given before (sections 5.2.1 and 5.2.2).
 */
import { type BackOff, backOffMs, type Clock } from '../../service/back-off.ts';
import { listenTo } from './workload-api.ts';
import type { WorkloadCalls } from './workload-messages.ts';
import type { WorkloadSocket } from './workload-socket.ts';

type StreamName = Parameters<typeof listenTo>[1];

interface WorkloadStreamOptions<Name extends StreamName> {
  /** Uses a message. What it throws is the problem of the message; the error must hold no part of a key. */
  readonly take: (message: WorkloadCalls[Name][1]) => void;
  /** This process has no identity any more. */
  readonly deny: () => void;
  /** Undefined where the newest message is in use and the stream is open. */
  readonly onProblem: (problem: string | undefined) => void;
  readonly clock: Clock;
  readonly firstMs: number;
}

/** Pauses after failures in a row. */
const BACK_OFF: BackOff = { firstMs: 500, longestMs: 30_000 };

export class WorkloadStream<Name extends StreamName> {
  readonly #socket: WorkloadSocket;
  readonly #name: Name;
  readonly #options: WorkloadStreamOptions<Name>;
  readonly #closed = new AbortController();
  #connection = new AbortController();
  readonly #running: Promise<void>;
  /** Resolves at the first message or at the end of the first attempt. */
  readonly tried: Promise<void>;
  #onTried = () => {};

  constructor(socket: WorkloadSocket, name: Name, options: WorkloadStreamOptions<Name>) {
    this.#socket = socket;
    this.#name = name;
    this.#options = options;
    this.tried = new Promise((resolve) => {
      this.#onTried = resolve;
    });
    this.#running = this.#run();
  }

  /** Opens the stream again: the API answers each request at once, so that a silent one shows. */
  renew(): void {
    this.#connection.abort();
  }

  async close(): Promise<void> {
    this.#closed.abort();
    this.#connection.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { take, deny, onProblem, clock, firstMs } = this.#options;
    for (let failures = 0; !this.#closed.signal.aborted; ) {
      this.#connection = new AbortController();
      let good = false;
      const end = await listenTo(this.#socket, this.#name, {
        firstMs,
        signal: this.#connection.signal,
        onMessage: (message) => {
          try {
            take(message);
            good = true;
            onProblem(undefined);
          } catch (error) {
            onProblem(
              `the Workload API at ${this.#socket.name} gives what cannot be used: ${(error as Error).message}`,
            );
          }
          this.#onTried();
        },
        onMalformed: (problem) => {
          onProblem(problem);
          this.#onTried();
        },
      });
      this.#onTried();
      if (end === undefined) continue;
      if (end.denied) deny();
      onProblem(end.problem);
      if (!end.mayRetry) return;
      failures = good ? 1 : failures + 1;
      await clock.sleep(backOffMs(BACK_OFF, failures), this.#closed.signal);
    }
  }
}

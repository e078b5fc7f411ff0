/** Collects bodies into batches for the workers, and resolves each body with its result. Does not depend on entries. */
import type { Encoding, IngestedBody } from '../types.ts';
import { INTERNAL } from './ingest-body.ts';
import { type Body, packBatch, unpackAnswers } from './packed.ts';

/** A batch ends at either limit. It is large enough to pay for the round trip, and small enough to keep all threads busy. */
const BATCH_BODIES = 64;
const BATCH_BYTES = 1024 * 1024;
/** Splitting fewer bodies over the threads costs more than it saves. */
const SPLIT_FROM = 8;

interface BatchOptions {
  /** Runs one batch in a worker: packed bodies in, packed answers out. */
  readonly run: (batch: ArrayBuffer) => Promise<ArrayBuffer>;
  readonly threads: number;
  /** Most batches that run at once. */
  readonly atOnce: number;
  readonly onError: (error: unknown) => void;
}

interface Waiting extends Body {
  readonly answer: (answer: IngestedBody) => void;
}

export class Batches {
  readonly #options: BatchOptions;
  #waiting: Waiting[] = [];
  #batches = 0;
  #bodies = 0;
  #scheduled = false;
  #closed = false;
  #retries: Promise<void> = Promise.resolve();

  constructor(options: BatchOptions) {
    this.#options = options;
  }

  get queue(): { waiting: number; running: number } {
    return { waiting: this.#waiting.length, running: this.#bodies };
  }

  /** Never rejects. The result is the refusal `internal` after `close`, or if workers fail twice on this body alone. */
  submit(body: Uint8Array, encoding: Encoding): Promise<IngestedBody> {
    if (this.#closed) return Promise.resolve({ refusal: INTERNAL });
    return new Promise((answer) => {
      this.#waiting.push({ body, encoding, answer });
      if (!this.#scheduled) {
        this.#scheduled = true;
        // setImmediate runs after the I/O callbacks of this turn, so the bodies of all of them go into one batch.
        setImmediate(() => {
          this.#scheduled = false;
          this.#dispatch();
        });
      }
    });
  }

  /** Refuses waiting and later bodies as `internal`. Running batches end when `run` ends. */
  close(): void {
    this.#closed = true;
    for (const body of this.#waiting.splice(0)) body.answer({ refusal: INTERNAL });
  }

  #dispatch(): void {
    const { threads, atOnce } = this.#options;
    while (this.#waiting.length > 0 && this.#batches < atOnce) {
      const share = Math.max(SPLIT_FROM, Math.ceil(this.#waiting.length / threads));
      const size = batchSize(this.#waiting, Math.min(BATCH_BODIES, share));
      void this.#run(this.#waiting.splice(0, size));
    }
  }

  async #run(batch: readonly Waiting[]): Promise<void> {
    this.#batches += 1;
    this.#bodies += batch.length;
    let answers: readonly IngestedBody[] | undefined;
    try {
      answers = unpackAnswers(await this.#options.run(packBatch(batch)), batch.length);
    } catch (error) {
      this.#report(error);
    }
    this.#batches -= 1;
    this.#bodies -= batch.length;
    if (answers !== undefined) {
      for (const [index, body] of batch.entries()) body.answer(answers[index]!);
    } else {
      await this.#afterFailure(batch);
    }
    this.#dispatch();
  }

  /** Runs each body of a failed batch again alone: if one body kills its worker, only that body fails. */
  async #afterFailure(batch: readonly Waiting[]): Promise<void> {
    for (const body of batch) {
      // Bodies of all failed batches run one at a time: two bodies that may kill a worker must not share one.
      const turn = this.#retries.then(() => this.#alone(body));
      this.#retries = turn;
      await turn;
    }
  }

  /** Tries twice, because another batch may have killed the worker of the first try. Never rejects. */
  async #alone(body: Waiting): Promise<void> {
    for (let tries = 0; tries < 2 && !this.#closed; tries++) {
      try {
        body.answer(unpackAnswers(await this.#options.run(packBatch([body])), 1)[0]!);
        return;
      } catch (error) {
        this.#report(error);
      }
    }
    body.answer({ refusal: INTERNAL });
  }

  /** After `close` a batch fails because its threads end, which is no news. */
  #report(error: unknown): void {
    if (!this.#closed) this.#options.onError(error);
  }
}

/** How many of the first waiting bodies fit into a batch: at least 1. */
function batchSize(waiting: readonly Body[], most: number): number {
  let bytes = 0;
  for (let count = 0; count < most; count++) {
    const next = waiting[count];
    if (next === undefined || (count > 0 && bytes + next.body.length > BATCH_BYTES)) return count;
    bytes += next.body.length;
  }
  return most;
}

/**
 * Work that strangers ask for, a few pieces at a time, so that it never takes more than their time from anything else. The
 * clients take turns: a client that asks for much waits for itself alone.
 */

interface FairQueueOptions {
  /** Most pieces that wait, of all clients together; a client holds a quarter of them at most. */
  readonly limit: () => number;
  /** Pieces that run at one time. */
  readonly atOnce: number;
  /** A piece holds its place for so many milliseconds at least: also a refusal has a cost. */
  readonly leastMs: number;
}

export class FairQueue {
  readonly #options: FairQueueOptions;
  /** By client, in the order of their turns. */
  readonly #waiting = new Map<string, (() => Promise<void>)[]>();
  #count = 0;
  #running = 0;

  constructor(options: FairQueueOptions) {
    this.#options = options;
  }

  /** Number of pieces that wait. */
  get length(): number {
    return this.#count;
  }

  /** Whether no more work of this client is taken now. */
  isFull(client: string): boolean {
    const limit = this.#options.limit();
    const own = this.#waiting.get(client)?.length ?? 0;
    return this.#count >= limit || own >= Math.max(1, Math.floor(limit / 4));
  }

  /** Runs `work` in the turn of `client`, and resolves or rejects with it. Ask `isFull` before. */
  run<T>(client: string, work: () => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const own = this.#waiting.get(client);
      const piece = () => work().then(resolve, reject);
      if (own === undefined) this.#waiting.set(client, [piece]);
      else own.push(piece);
      this.#count++;
      if (this.#running < this.#options.atOnce) void this.#runAll();
    });
  }

  async #runAll(): Promise<void> {
    this.#running++;
    for (const [client, pieces] of this.#turns()) {
      const started = performance.now();
      const piece = pieces.shift()!;
      this.#count--;
      // The client goes to the end of the line.
      this.#waiting.delete(client);
      if (pieces.length > 0) this.#waiting.set(client, pieces);
      await piece();
      const rest = this.#options.leastMs - (performance.now() - started);
      if (rest > 0) await new Promise((resolve) => setTimeout(resolve, rest));
    }
    this.#running--;
  }

  /** The client whose turn it is, for as long as anybody waits. */
  *#turns(): Generator<[string, (() => Promise<void>)[]]> {
    for (let next = this.#first(); next !== undefined; next = this.#first()) yield next;
  }

  #first(): [string, (() => Promise<void>)[]] | undefined {
    return this.#waiting.entries().next().value;
  }
}

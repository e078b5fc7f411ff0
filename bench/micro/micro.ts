/** What a micro-benchmark is: one function of the hot path, with inputs as the server sees them. */
export interface Micro {
  readonly name: string;
  /** What `per` counts. */
  readonly unit: string;
  /** How many units one call of `run` does; many, where one takes less than the clock can tell. */
  readonly per: number;
  readonly run: () => unknown;
  readonly close?: () => Promise<void>;
}

/** Runs `work` `times` times in one call; the result is used, so that the compiler cannot remove the work. */
export function repeat(times: number, work: (i: number) => { length: number } | boolean | undefined): () => number {
  return () => {
    let used = 0;
    for (let i = 0; i < times; i++) {
      const result = work(i);
      used += typeof result === 'object' ? result.length : Number(result);
    }
    return used;
  };
}

/** A micro-benchmark measures one function of the hot path, with realistic inputs. */
export interface Micro {
  readonly name: string;
  /** The unit of the result. */
  readonly unit: string;
  /** Number of units in one call of `run`. One unit may be too short for the clock. */
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

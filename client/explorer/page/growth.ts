/** The growth of a log, from the checkpoints that this browser remembers. */
import type { RememberedHead } from '../model/looks.ts';

export interface Growth {
  /** Times in seconds since 1970, ascending, each later than the one before. */
  readonly times: readonly number[];
  readonly sizes: readonly number[];
  /** Entries an hour over the last day that is known; undefined with fewer than two checkpoints of it. */
  readonly perHour: number | undefined;
  /** The time over which `perHour` is, in ms. */
  readonly over: number;
}

const DAY = 86_400;
/** A rate over a shorter time says nothing, in seconds. */
const LEAST_OVER = 60;

export function growthOf(heads: readonly RememberedHead[]): Growth {
  const times: number[] = [];
  const sizes: number[] = [];
  for (const { size, seen, cosigned } of heads) {
    const time = Math.floor((cosigned ?? seen) / 1000);
    // The clocks of witnesses may differ: a plot goes forward.
    if (times.length > 0 && time <= times.at(-1)!) {
      sizes[sizes.length - 1] = size;
      continue;
    }
    times.push(time);
    sizes.push(size);
  }
  const last = times.at(-1) ?? 0;
  const first = times.findIndex((time) => time >= last - DAY);
  const over = last - (times[first] ?? last);
  const perHour = over >= LEAST_OVER ? ((sizes.at(-1)! - sizes[first]!) / over) * 3600 : undefined;
  return { times, sizes, perHour, over: over * 1000 };
}

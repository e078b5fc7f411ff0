/** Extracts the keys of entries: of a few on this thread, of many in the worker pool. */
import { createPool, type Pool, workerUrl } from '../../../merkle/runtime/threads/pool.ts';
import { extractBatch, packBodies, type RunKeys, unpackKeys } from './extract-batch.ts';

/** So few entries stay on this thread: a pool costs 0.3 s to start and a round trip. */
const INLINE_ENTRIES = 16;
const INLINE_BYTES = 64 * 1024;
/** A task of a worker ends at either bound. Long tasks find more keys that are the same. */
const TASK_ENTRIES = 512;
const TASK_BYTES = 2 * 1024 * 1024;

/** The keys of entries from the place `first` on. */
export interface ExtractedRun extends RunKeys {
  readonly first: number;
}

export interface KeyExtractor {
  /** In the order of the entries. @throws RuntimeError `pool` */
  extract(bodies: readonly Uint8Array[]): Promise<ExtractedRun[]>;
  close(): Promise<void>;
}

/** @param threads of the pool, which starts with the first task; 0: everything runs on the calling thread */
export function keyExtractor(threads: number): KeyExtractor {
  let pool: Pool | undefined;

  const run = async (bodies: readonly Uint8Array[]): Promise<RunKeys> => {
    const bytes = bodies.reduce((sum, { length }) => sum + length, 0);
    const inline = threads === 0 || (bodies.length <= INLINE_ENTRIES && bytes <= INLINE_BYTES);
    if (inline) return unpackKeys(extractBatch(packBodies(bodies)));
    pool ??= createPool({ file: workerUrl('client/search/map/map-worker'), threads, youngMb: 16 });
    return unpackKeys(await pool.run(packBodies(bodies)));
  };

  return {
    async extract(bodies) {
      const runs: Promise<ExtractedRun>[] = [];
      for (let first = 0; first < bodies.length; ) {
        const from = first;
        let bytes = 0;
        while (first < bodies.length && first - from < TASK_ENTRIES && bytes < TASK_BYTES)
          bytes += bodies[first++]!.length;
        runs.push(run(bodies.slice(from, first)).then((keys) => ({ ...keys, first: from })));
      }
      return await Promise.all(runs);
    },
    async close() {
      await pool?.close();
    },
  };
}

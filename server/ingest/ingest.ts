/**
 * The ingest stage: turns bodies into entries, in the worker pool. Bodies that arrive in one turn of the event loop, or
 * while all threads are busy, share a batch: a round trip to a thread costs 25 to 77 µs, as much as a verification.
 */
import { digestVerifier } from '../../merkle/runtime/crypto/digest.ts';
import { createPool, TASKS_PER_THREAD, workerUrl } from '../../merkle/runtime/threads/pool.ts';
import type { Encoding, IngestedBody } from '../types.ts';
import { Batches } from './batches.ts';
import { DEFAULT_LIMITS, type IngestLimits } from './ingest-body.ts';
import type { IngestWorkerData } from './ingest-worker.ts';

export interface IngestOptions {
  /** Number of worker threads, from 1. */
  readonly threads: number;
  readonly limits?: Partial<IngestLimits>;
  /** `noble`: never verify with OpenSSL. */
  readonly force?: 'noble';
  /** Receives the error of a failed batch: a worker died or threw, because of a bug or a lack of memory. */
  readonly onError?: (error: unknown) => void;
}

export interface Ingest {
  /**
   * Resolves with the entries, in order, or with the refusal. `body` must not change until then. Never rejects and never
   * hangs: if a worker dies, each of its bodies runs again alone, and is refused as `internal` if it fails again.
   *
   * Entries of one batch share one buffer: a caller that keeps an entry for long copies the entry.
   */
  ingest(body: Uint8Array, encoding: Encoding): Promise<IngestedBody>;
  /** Number of bodies that wait for a thread, and number of bodies in threads. */
  readonly queue: { readonly waiting: number; readonly running: number };
  /** Whether OpenSSL verifies ECDSA, and if not, why. */
  readonly fast: { readonly fast: boolean; readonly why?: string };
  /** Ends the threads and refuses running bodies as `internal`. Idempotent. */
  close(): Promise<void>;
}

/** Starts the worker pool. @throws RuntimeError `file` if the worker's file is not built */
export function createIngest({ threads, limits = {}, force, onError = () => {} }: IngestOptions): Ingest {
  const workerData: IngestWorkerData = { limits: { ...DEFAULT_LIMITS, ...limits }, force };
  const pool = createPool({ file: workerUrl('server/ingest/ingest-worker'), threads, workerData });
  const batches = new Batches({ run: pool.run, threads, atOnce: threads * TASKS_PER_THREAD, onError });
  const { fast, why } = digestVerifier(force);
  return {
    ingest: (body, encoding) => batches.submit(body, encoding),
    get queue() {
      return batches.queue;
    },
    fast: why === undefined ? { fast } : { fast, why },
    async close() {
      batches.close();
      await pool.close();
    },
  };
}

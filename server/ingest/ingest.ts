/**
 * The ingest stage: bodies to entries, in the worker pool.
 *
 * Bodies that come in one turn of the event loop, or while all threads have work, go over in one batch: a round trip to
 * a thread costs 25 to 77 µs, as much as a verification, and a batch pays it once.
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
  /** `noble`: never verify in OpenSSL. */
  readonly force?: 'noble';
  /** Called when a batch failed: a worker died or threw, which is a bug or a lack of memory. */
  readonly onError?: (error: unknown) => void;
}

export interface Ingest {
  /**
   * Resolves with the entries, in order, or the refusal. `body` must not change until then. Never rejects and never
   * hangs: the bodies of a worker that dies are tried again alone, then refused as `internal`.
   *
   * Entries of one batch share one buffer: copy an entry that is kept for long.
   */
  ingest(body: Uint8Array, encoding: Encoding): Promise<IngestedBody>;
  /** Bodies that wait for a thread, and those that one has. */
  readonly queue: { readonly waiting: number; readonly running: number };
  /** Whether ECDSA is verified in OpenSSL, and if not, why. */
  readonly fast: { readonly fast: boolean; readonly why?: string };
  /** Ends the threads and refuses running bodies as `internal`. Idempotent. */
  close(): Promise<void>;
}

/** @throws RuntimeError `file`: the worker has not been built. */
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

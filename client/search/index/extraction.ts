/**
 * Reads the keys of entries, a block at a time: a few entries on this thread, many in the worker pool.
 *
 * ```
 * task:    u32 count, count * u32 length, then the bodies; all u32 are little-endian
 * answer:  a run: block.ts
 * ```
 */
import type { IndexKey, KeyKind } from '../../../merkle/index/keys.ts';
import { createPool, type Pool, TASKS_PER_THREAD, workerUrl } from '../../../merkle/runtime/threads/pool.ts';
import { fastKeys } from '../fast-keys.ts';
import { encodeRun } from './block.ts';

export interface ExtractWorkerData {
  readonly kinds: readonly KeyKind[];
}

/** Reads the keys of one entry after another. */
type ReadKeys = (body: Uint8Array) => readonly IndexKey[];

export function keyReader(kinds: readonly KeyKind[]): ReadKeys {
  const wanted = new Set(kinds);
  return (body) => fastKeys(body).filter(({ kind }) => wanted.has(kind));
}

/** So few entries stay on this thread: a pool costs 0.3 s to start and a round trip. */
const INLINE_ENTRIES = 32;

export class Extraction {
  readonly #kinds: readonly KeyKind[];
  readonly #threads: number;
  readonly #read: ReadKeys;
  #pool: Pool | undefined;
  #closed = false;

  /** @param threads of the pool, which starts with the first task; 0: everything runs on this thread */
  constructor(kinds: readonly KeyKind[], threads: number) {
    this.#kinds = kinds;
    this.#threads = threads;
    this.#read = keyReader(kinds);
  }

  /** What is to be written of each run of entries, in the order of the runs: block.ts. @throws RuntimeError `pool` */
  async read(runs: readonly (readonly Uint8Array[])[]): Promise<Uint8Array[]> {
    const count = runs.reduce((sum, bodies) => sum + bodies.length, 0);
    const found: Uint8Array[] = [];
    if (this.#threads === 0 || count <= INLINE_ENTRIES) {
      for (const bodies of runs) {
        found.push(encodeRun(bodies.map(this.#read)));
        // The other work of this thread gets its turn.
        if (count > INLINE_ENTRIES) await new Promise((resolve) => setImmediate(resolve));
      }
      return found;
    }
    // A lane for each task that the threads take at once bounds the copies of bodies.
    let next = 0;
    const lane = async (): Promise<void> => {
      for (let at = next++; at < runs.length; at = next++) found[at] = await this.#inPool(runs[at]!);
    };
    await Promise.all(Array.from({ length: this.#threads * TASKS_PER_THREAD }, lane));
    return found;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#pool?.close();
  }

  async #inPool(bodies: readonly Uint8Array[]): Promise<Uint8Array> {
    const workerData: ExtractWorkerData = { kinds: this.#kinds };
    const file = workerUrl('client/search/index/extract-worker');
    this.#pool ??= createPool({ file, threads: this.#threads, youngMb: 32, workerData });
    try {
      return new Uint8Array(await this.#pool.run(packBodies(bodies)));
    } catch (error) {
      if (this.#closed) throw error;
      // Another task may have killed the worker. The caller gets a second failure, and tries again.
      return new Uint8Array(await this.#pool.run(packBodies(bodies)));
    }
  }
}

function packBodies(bodies: readonly Uint8Array[]): ArrayBuffer {
  let size = 4 + 4 * bodies.length;
  for (const body of bodies) size += body.length;
  const buffer = new ArrayBuffer(size);
  const view = new DataView(buffer);
  const bytes = new Uint8Array(buffer);
  view.setUint32(0, bodies.length, true);
  let at = 4 + 4 * bodies.length;
  for (const [i, body] of bodies.entries()) {
    view.setUint32(4 + 4 * i, body.length, true);
    bytes.set(body, at);
    at += body.length;
  }
  return buffer;
}

/** What a worker answers to a task. */
export function answerTask(task: ArrayBuffer, read: ReadKeys): ArrayBuffer {
  const view = new DataView(task);
  const count = view.getUint32(0, true);
  const keys: (readonly IndexKey[])[] = [];
  let at = 4 + 4 * count;
  for (let i = 0; i < count; i++) {
    const length = view.getUint32(4 + 4 * i, true);
    keys.push(read(new Uint8Array(task, at, length)));
    at += length;
  }
  const answer = encodeRun(keys);
  return answer.buffer.slice(answer.byteOffset, answer.byteOffset + answer.length) as ArrayBuffer;
}

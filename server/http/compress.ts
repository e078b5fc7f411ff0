/**
 * Bundles compressed with gzip, each once, and two at a time: zlib works in libuv's few threads, which the store's fsyncs
 * use as well. A client that comes meanwhile gets its bundle uncompressed, which is always correct.
 */
import { promisify } from 'node:util';
import { gzip as gzipCallback } from 'node:zlib';
import acceptNegotiator from '@fastify/accept-negotiator';

const gzip = promisify(gzipCallback);
const AT_ONCE = 2;

/** Whether the client accepts gzip and does not prefer the plain bytes (RFC 9110 section 12.5.3). */
export function acceptsGzip(acceptEncoding: string | string[] | undefined): boolean {
  if (typeof acceptEncoding !== 'string') return false;
  return acceptNegotiator.negotiate(acceptEncoding.toLowerCase(), ['gzip', 'identity']) === 'gzip';
}

export class Compressor {
  readonly #limit: number;
  /** Least recently used first. */
  readonly #cache = new Map<string, Buffer>();
  readonly #running = new Map<string, Promise<Buffer>>();
  #bytes = 0;

  constructor(limitBytes: number) {
    this.#limit = limitBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /**
   * `bytes` compressed; undefined if they should be sent uncompressed. `key` always names the same bytes: they were verified
   * against the tree (tree/verified.ts).
   */
  async gzip(key: string, bytes: Uint8Array): Promise<Buffer | undefined> {
    const held = this.held(key);
    if (held !== undefined) return held;
    let running = this.#running.get(key);
    if (running === undefined) {
      if (this.#running.size >= AT_ONCE) return undefined;
      running = gzip(bytes);
      this.#running.set(key, running);
      try {
        this.#keep(key, await running);
      } finally {
        this.#running.delete(key);
      }
    }
    return running;
  }

  /** The kept copy of the bytes that `key` names. */
  held(key: string): Buffer | undefined {
    const kept = this.#cache.get(key);
    if (kept === undefined) return undefined;
    this.#cache.delete(key);
    this.#cache.set(key, kept);
    return kept;
  }

  #keep(key: string, compressed: Buffer): void {
    this.#bytes += compressed.length - (this.#cache.get(key)?.length ?? 0);
    this.#cache.delete(key);
    this.#cache.set(key, compressed);
    for (const [oldest, dropped] of this.#cache) {
      if (this.#bytes <= this.#limit) break;
      this.#cache.delete(oldest);
      this.#bytes -= dropped.length;
    }
  }
}

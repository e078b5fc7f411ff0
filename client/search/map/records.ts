/**
 * Records of one size in typed arrays, for a trie of millions of keys: an object for each would take five times the memory.
 *
 * A snapshot of the trie reads old records while a new version is built beside it. So a record that the snapshot may reach is
 * never changed: it is retired, and is free again once the snapshot moves on. A record that is younger than the snapshot is
 * free at once.
 */
const CHUNK_BITS = 14;
const CHUNK = 1 << CHUNK_BITS;

export class Records {
  readonly size: number;
  readonly #words: number;
  readonly #chunks: Int32Array<ArrayBuffer>[] = [];
  readonly #bytes: Uint8Array<ArrayBuffer>[] = [];
  /** 1: the record is younger than the snapshot. */
  readonly #young: Uint8Array[] = [];
  #free: number[] = [];
  #retired: number[] = [];
  #next = 0;

  /** @param size bytes of a record, a multiple of 4 */
  constructor(size: number) {
    this.size = size;
    this.#words = size / 4;
  }

  /** Bytes of memory that all records take. */
  get memory(): number {
    return this.#chunks.length * CHUNK * (this.size + 1);
  }

  /** Records that wait for the snapshot to move on. */
  get retired(): number {
    return this.#retired.length;
  }

  /** The number of a record whose bytes are of no meaning yet. */
  make(): number {
    const id = this.#free.pop() ?? this.#next++;
    const chunk = id >>> CHUNK_BITS;
    if (chunk === this.#chunks.length) {
      const buffer = new ArrayBuffer(CHUNK * this.size);
      this.#chunks.push(new Int32Array(buffer));
      this.#bytes.push(new Uint8Array(buffer));
      this.#young.push(new Uint8Array(CHUNK));
    }
    this.#young[chunk]![id & (CHUNK - 1)] = 1;
    return id;
  }

  /** Nothing but the snapshot reads the record from now on. */
  drop(id: number): void {
    if (this.isYoung(id)) this.#free.push(id);
    else this.#retired.push(id);
  }

  /** Whether the snapshot cannot reach the record, so that it may be changed in its place. */
  isYoung(id: number): boolean {
    return this.#young[id >>> CHUNK_BITS]![id & (CHUNK - 1)] === 1;
  }

  /** The snapshot reads what is there now, and nothing that was dropped before. */
  moveOn(): void {
    this.#free = this.#free.concat(this.#retired);
    this.#retired = [];
    for (const young of this.#young) young.fill(0);
  }

  words(id: number): Int32Array {
    return this.#chunks[id >>> CHUNK_BITS]!;
  }

  /** Where the record begins in `words`. */
  wordAt(id: number): number {
    return (id & (CHUNK - 1)) * this.#words;
  }

  bytes(id: number): Uint8Array {
    return this.#bytes[id >>> CHUNK_BITS]!;
  }

  /** Where the record begins in `bytes`. */
  byteAt(id: number): number {
    return (id & (CHUNK - 1)) * this.size;
  }
}

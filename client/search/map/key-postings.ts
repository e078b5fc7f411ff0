/**
 * The postings of a key as the map keeps them: docs/index.md says what they are.
 *
 * Postings come in chunks of 256. A full chunk is a record of its own that never changes; what is behind the last full chunk is
 * in the record of the key. Each record also holds the right edge of the posting log before its first posting (the roots of the
 * perfect subtrees, the largest first), so that the posting log of any earlier size follows from one record, however many
 * postings the key has.
 *
 * ```
 * key:    varint count, the hashes of the edge before the rest, the rest as varints; without a rest, a varint of the last posting
 * chunk:  the hashes of the edge before the chunk, 256 varints
 * ```
 * The first varint of a list is a posting, each later one the distance from the posting before. 7 bits a byte, the lowest first.
 * A key with one posting, as most are, takes 3 to 6 bytes besides its hash.
 */
import { MerkleError } from '../../../merkle/errors.ts';

export const CHUNK = 256;
const HASH = 32;

export interface KeyPostings {
  /** Postings in all. */
  readonly count: number;
  /** The right edge of the posting log of the full chunks: one hash for each 1 in the binary form of their number. */
  readonly edge: readonly Uint8Array[];
  /** The postings behind the full chunks: fewer than 256. */
  readonly rest: readonly number[];
  /** The last posting; -1 where there is none. */
  readonly last: number;
}

/** The postings of a chunk, and the edge before it. */
export type Chunk = Pick<KeyPostings, 'edge' | 'rest'>;

export const NO_POSTINGS: KeyPostings = { count: 0, edge: [], rest: [], last: -1 };

export function encodeKey({ count, edge, rest, last }: KeyPostings): Uint8Array {
  const out = new Writer(10 + edge.length * HASH + 8 * rest.length + 8);
  out.number(count);
  for (const hash of edge) out.bytes(hash);
  if (rest.length === 0) out.number(last);
  else out.list(rest);
  return out.done();
}

/** The postings of a key with one. */
export function onePosting(posting: number): KeyPostings {
  return { count: 1, edge: NO_POSTINGS.edge, rest: [posting], last: posting };
}

/** As `encodeKey` of `onePosting`. */
export function encodeOne(posting: number): Buffer {
  const record = Buffer.allocUnsafe(9);
  record[0] = 1;
  let at = 1;
  let left = posting;
  for (; left >= 128; left = Math.floor(left / 128)) record[at++] = (left % 128) + 128;
  record[at++] = left;
  return record.subarray(0, at);
}

/** The posting of a record whose key has one; undefined for every other record. @throws MerkleError `bad-state` */
export function singlePosting(record: Uint8Array): number | undefined {
  if (record[0] !== 1) return undefined;
  const read = new Reader(record, 1);
  const posting = read.number();
  read.end();
  return posting;
}

/** @throws MerkleError `bad-state`: not a record of `encodeKey` */
export function decodeKey(record: Uint8Array): KeyPostings {
  const read = new Reader(record);
  const count = read.number();
  const edge = read.hashes(ones(Math.floor(count / CHUNK)));
  const rest = read.list(count % CHUNK);
  const last = rest.length > 0 ? rest[rest.length - 1]! : read.number();
  read.end();
  return { count, edge, rest, last };
}

/** @param chunk with 256 postings */
export function encodeChunk({ edge, rest }: Chunk): Uint8Array {
  const out = new Writer(edge.length * HASH + 8 * rest.length);
  for (const hash of edge) out.bytes(hash);
  out.list(rest);
  return out.done();
}

/** @param index of the chunk: it has the postings from 256 * index on. @throws MerkleError `bad-state` */
export function decodeChunk(index: number, record: Uint8Array): Chunk {
  const read = new Reader(record);
  const edge = read.hashes(ones(index));
  const rest = read.list(CHUNK);
  read.end();
  return { edge, rest };
}

/** The ones in the binary form of `value`. */
function ones(value: number): number {
  let count = 0;
  for (let rest = value; rest > 0; rest = Math.floor(rest / 2)) count += rest % 2;
  return count;
}

class Writer {
  readonly #out: Uint8Array;
  #at = 0;

  constructor(size: number) {
    this.#out = new Uint8Array(size);
  }

  number(value: number): void {
    let rest = value;
    while (rest >= 128) {
      this.#out[this.#at++] = (rest % 128) + 128;
      rest = Math.floor(rest / 128);
    }
    this.#out[this.#at++] = rest;
  }

  bytes(bytes: Uint8Array): void {
    this.#out.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  list(values: readonly number[]): void {
    let before = 0;
    for (const value of values) {
      this.number(value - before);
      before = value;
    }
  }

  done(): Uint8Array {
    return this.#out.subarray(0, this.#at);
  }
}

class Reader {
  readonly #in: Uint8Array;
  #at: number;

  constructor(bytes: Uint8Array, at = 0) {
    this.#in = bytes;
    this.#at = at;
  }

  number(): number {
    let value = 0;
    for (let scale = 1; scale <= 2 ** 49; scale *= 128) {
      const byte = this.#in[this.#at++];
      if (byte === undefined) throw damaged();
      value += (byte % 128) * scale;
      if (byte < 128) return value <= Number.MAX_SAFE_INTEGER ? value : fail();
    }
    return fail();
  }

  hashes(count: number): Uint8Array[] {
    const end = this.#at + count * HASH;
    if (end > this.#in.length) throw damaged();
    const hashes = Array.from({ length: count }, (_, i) =>
      this.#in.slice(this.#at + i * HASH, this.#at + (i + 1) * HASH),
    );
    this.#at = end;
    return hashes;
  }

  list(count: number): number[] {
    const values: number[] = [];
    let before = 0;
    for (let i = 0; i < count; i++) {
      const step = this.number();
      if (i > 0 && step === 0) throw damaged();
      before += step;
      values.push(before);
    }
    return values;
  }

  end(): void {
    if (this.#at !== this.#in.length) throw damaged();
  }
}

function fail(): never {
  throw damaged();
}

function damaged(): MerkleError {
  return new MerkleError('bad-state', 'a record of postings is damaged');
}

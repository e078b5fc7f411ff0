/**
 * The rows of the attestation store in LevelDB. The bytes of a piece are in a file of its own (piece-store.ts).
 *
 *   m                    what is kept, all together: JSON of `Totals`
 *   r || digest          JSON of `PieceRecord`
 *   t || digest          the hashes of its terms, 32 bytes each; those that are counted come first
 *   s || sequence        the digest: pieces in the order in which they came
 *   i || term || sequence    the digest: a piece that has the term
 *   c || term            how many pieces have the term, 4 bytes; only of terms with a limit
 *   x || digest          a digest that is kept out: the hash of what it was about, or nothing where that is not known
 *   y || content         the digest for which all bundles of this content are kept out
 *
 * A digest, a term and a content have 32 bytes; a sequence number has 8, big-endian.
 */
import { concat, decodeUtf8, encodeUtf8 } from '../../../merkle/bytes.ts';
import { RuntimeError } from '../../../merkle/runtime/runtime-errors.ts';
import type { PieceDescription } from './piece-facts.ts';

export interface Totals {
  /** The sequence number of the newest piece. */
  readonly sequence: number;
  readonly pieces: number;
  readonly bytes: number;
}

export interface PieceRecord extends PieceDescription {
  readonly sequence: number;
  /** Bytes of the piece. */
  readonly size: number;
  /** When the store took it: milliseconds since 1970. */
  readonly time: number;
  /** Lower-case hex. */
  readonly content: string;
  /** How many of its terms are counted. */
  readonly counted: number;
}

const tagged = (tag: string, ...rest: readonly Uint8Array[]) => concat(encodeUtf8(tag), ...rest);

export const ROW = {
  totals: tagged('m'),
  record: (digest: Uint8Array) => tagged('r', digest),
  terms: (digest: Uint8Array) => tagged('t', digest),
  order: (sequence: number) => tagged('s', numberBytes(sequence)),
  posting: (term: Uint8Array, sequence: number) => tagged('i', term, numberBytes(sequence)),
  count: (term: Uint8Array) => tagged('c', term),
  blocked: (digest: Uint8Array) => tagged('x', digest),
  blockedContent: (content: Uint8Array) => tagged('y', content),
} as const;

/** All rows of pieces in their order, from a sequence number on. */
export function orderFrom(sequence: number) {
  return { gte: ROW.order(sequence), lt: tagged('t') };
}

export function sequenceOf(key: Uint8Array): number {
  return Number(Buffer.from(key.buffer, key.byteOffset, key.length).readBigUInt64BE(key.length - 8));
}

export function readTotals(value: Uint8Array | undefined): Totals {
  return value === undefined ? { sequence: 0, pieces: 0, bytes: 0 } : readJson(value);
}

export function readRecord(value: Uint8Array): PieceRecord {
  return readJson(value);
}

export function jsonRow(value: Totals | PieceRecord): Uint8Array {
  return encodeUtf8(JSON.stringify(value));
}

export function readCount(value: Uint8Array | undefined): number {
  return value === undefined ? 0 : Buffer.from(value.buffer, value.byteOffset, value.length).readUInt32BE();
}

export function countRow(count: number): Uint8Array {
  const row = Buffer.alloc(4);
  row.writeUInt32BE(count);
  return row;
}

function numberBytes(value: number): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

function readJson<T>(value: Uint8Array): T {
  try {
    return JSON.parse(decodeUtf8(value)) as T;
  } catch (cause) {
    throw new RuntimeError('store', 'a row of the attestation store cannot be read: its bytes are damaged', { cause });
  }
}

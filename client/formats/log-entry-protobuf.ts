/**
 * `dev.sigstore.rekor.v1.TransparencyLogEntry` in protobuf's binary form (sigstore/protobuf-specs 0.5, sigstore_rekor.proto),
 * as gitsign keeps it in a signature. log-entry.ts has the same in JSON.
 *
 *   1 logIndex   2 logId { 1 keyId }   3 kindVersion { 1 kind, 2 version }   4 integratedTime
 *   5 inclusionPromise { 1 signedEntryTimestamp }
 *   6 inclusionProof { 1 logIndex, 2 rootHash, 3 treeSize, 4 hashes …, 5 checkpoint { 1 envelope } }   7 canonicalizedBody
 *
 * Stricter than protobuf: an unknown field, a field that stands there twice and an overlong number are errors, because nobody
 * writes them, and readers would differ.
 */
import { decodeUtf8 } from '../../merkle/bytes.ts';
import { MAX_NOTE } from '../../merkle/note.ts';
import { MAX_PROOF } from '../../merkle/proof.ts';
import { malformed } from './json.ts';
import type { InclusionProof, TlogEntry } from './log-entry.ts';

const WHAT = 'the log entry in the signature';
const MAX_BYTES = 64 * 1024;

/** An entry whose body is to be rebuilt. Nothing is verified. @throws ClientError `malformed` */
export function readLogEntryProtobuf(bytes: Uint8Array): Omit<TlogEntry, 'body'> {
  if (bytes.length > MAX_BYTES) throw malformed(WHAT, `has ${bytes.length} bytes; the limit is ${MAX_BYTES}`);
  const entry = message(bytes, [1, 2, 3, 4, 5, 6, 7]);
  if (entry.bytes(7).length > 0) throw malformed(WHAT, 'holds a body, which gitsign leaves out');
  const kind = message(entry.bytes(3), [1, 2]);
  const promise = message(entry.bytes(5), [1]).bytes(1);
  const proof = entry.has(6) ? readProof(entry.bytes(6)) : undefined;
  return {
    index: entry.number(1),
    logId: exactly(message(entry.bytes(2), [1]).bytes(1), 32),
    kind: text(kind.bytes(1)),
    version: text(kind.bytes(2)),
    integratedTime: entry.number(4),
    ...(promise.length === 0 ? {} : { promise }),
    ...(proof === undefined ? {} : { proof }),
  };
}

function readProof(bytes: Uint8Array): InclusionProof {
  const proof = message(bytes, [1, 2, 3, 5], [4]);
  const checkpoint = text(message(proof.bytes(5), [1]).bytes(1));
  if (checkpoint.length > MAX_NOTE) throw malformed(WHAT, `has a checkpoint longer than ${MAX_NOTE} bytes`);
  const hashes = proof.all(4);
  if (hashes.length > MAX_PROOF) throw malformed(WHAT, `has a proof of more than ${MAX_PROOF} hashes`);
  return {
    index: proof.number(1),
    treeSize: proof.number(3),
    root: exactly(proof.bytes(2), 32),
    hashes: hashes.map((hash) => exactly(hash, 32)),
    ...(checkpoint === '' ? {} : { checkpoint }),
  };
}

type Value = number | Uint8Array;

interface Fields {
  has(field: number): boolean;
  /** 0 where the field is absent, as protobuf has it. */
  number(field: number): number;
  /** Empty where the field is absent. */
  bytes(field: number): Uint8Array;
  all(field: number): Uint8Array[];
}

function message(bytes: Uint8Array, single: readonly number[], repeated: readonly number[] = []): Fields {
  const values = new Map<number, Value[]>();
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; shift < 56; shift += 7) {
      const byte = bytes[at++];
      if (byte === undefined) throw malformed(WHAT, 'ends early');
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) {
        if ((byte === 0 && shift > 0) || !Number.isSafeInteger(value)) break;
        return value;
      }
    }
    throw malformed(WHAT, 'has a number that is too long, negative, or not in its shortest form');
  };
  while (at < bytes.length) {
    const tag = varint();
    const field = Math.floor(tag / 8);
    const known = values.get(field) ?? [];
    if (!repeated.includes(field) && (!single.includes(field) || known.length > 0)) {
      throw malformed(WHAT, `has the field ${field} twice, or does not know it`);
    }
    if (tag % 8 === 0) known.push(varint());
    else if (tag % 8 === 2) {
      const length = varint();
      const value = bytes.subarray(at, at + length);
      if (value.length !== length) throw malformed(WHAT, 'ends early');
      known.push(value);
      at += length;
    } else throw malformed(WHAT, `has a field of the wire type ${tag % 8}`);
    values.set(field, known);
  }
  const one = (field: number, absent: Value): Value => {
    const [value = absent] = values.get(field) ?? [];
    if (typeof value !== typeof absent) throw malformed(WHAT, `has a field ${field} of another type`);
    return value;
  };
  return {
    has: (field) => values.has(field),
    number: (field) => one(field, 0) as number,
    bytes: (field) => one(field, new Uint8Array(0)) as Uint8Array,
    all: (field) =>
      (values.get(field) ?? []).map((value) => {
        if (typeof value === 'number') throw malformed(WHAT, `has a field ${field} of another type`);
        return value;
      }),
  };
}

function exactly(bytes: Uint8Array, size: number): Uint8Array {
  if (bytes.length === size) return bytes;
  throw malformed(WHAT, `has a hash or an ID of ${bytes.length} bytes, not ${size}`);
}

function text(bytes: Uint8Array): string {
  try {
    return decodeUtf8(bytes);
  } catch (cause) {
    throw malformed(WHAT, 'has text that is not UTF-8', cause);
  }
}

/**
 * The key hashes of a run of entries, in one buffer each way: extraction runs in the worker pool.
 *
 * ```
 * task:    u32 count, count * u32 length, the bodies
 * answer:  u32 keys, keys * 32 bytes (in order, none twice), keys * u32 postings, the postings as u32: places in the task
 * ```
 * All u32 are little-endian; both sides are this file.
 */
import { fastKeyHash, fastKeys } from '../fast-keys.ts';

const HASH = 32;

interface FoundKey {
  readonly hash: Uint8Array;
  readonly places: number[];
}

/** The keys of a run of entries, each with the places of the entries that have it, ascending. */
export interface RunKeys {
  readonly length: number;
  /** 32 bytes a key. */
  readonly hashes: Uint8Array;
  /** How many entries have each key. */
  readonly counts: Uint32Array;
  /** Of all keys, one after the other. */
  readonly places: Uint32Array;
}

export function packBodies(bodies: readonly Uint8Array[]): ArrayBuffer {
  let size = 4 + 4 * bodies.length;
  for (const body of bodies) size += body.length;
  const buffer = new ArrayBuffer(size);
  const lengths = new Uint32Array(buffer, 0, 1 + bodies.length);
  const bytes = new Uint8Array(buffer);
  lengths[0] = bodies.length;
  let at = lengths.byteLength;
  for (const [i, body] of bodies.entries()) {
    lengths[i + 1] = body.length;
    bytes.set(body, at);
    at += body.length;
  }
  return buffer;
}

export function extractBatch(task: ArrayBuffer): ArrayBuffer {
  const count = new Uint32Array(task, 0, 1)[0]!;
  const lengths = new Uint32Array(task, 4, count);
  const found = new Map<string, FoundKey>();
  /** By kind and value. Values come again and again: an issuer, a repository. */
  const known: Record<string, Map<string, FoundKey>> = {};
  let at = 4 + 4 * count;
  for (let place = 0; place < count; place++) {
    const body = new Uint8Array(task, at, lengths[place]!);
    at += body.length;
    for (const key of fastKeys(body)) {
      known[key.kind] ??= new Map();
      const ofKind = known[key.kind]!;
      let one = ofKind.get(key.value);
      if (one === undefined) {
        const hash = fastKeyHash(key);
        const name = Buffer.from(hash.buffer, hash.byteOffset, HASH).toString('latin1');
        one = found.get(name) ?? { hash, places: [] };
        found.set(name, one);
        ofKind.set(key.value, one);
      }
      if (one.places[one.places.length - 1] !== place) one.places.push(place);
    }
  }
  const keys = [...found.values()].sort((a, b) => Buffer.compare(a.hash, b.hash));
  const total = keys.reduce((sum, { places }) => sum + places.length, 0);
  const answer = new ArrayBuffer(4 + keys.length * (HASH + 4) + 4 * total);
  new Uint32Array(answer, 0, 1)[0] = keys.length;
  const { hashes, counts, places } = views(answer, total);
  let next = 0;
  for (const [i, key] of keys.entries()) {
    hashes.set(key.hash, i * HASH);
    counts[i] = key.places.length;
    places.set(key.places, next);
    next += key.places.length;
  }
  return answer;
}

export function unpackKeys(answer: ArrayBuffer): RunKeys {
  const length = new Uint32Array(answer, 0, 1)[0]!;
  return views(answer, (answer.byteLength - 4 - length * (HASH + 4)) / 4);
}

function views(buffer: ArrayBuffer, total: number): RunKeys {
  const length = new Uint32Array(buffer, 0, 1)[0]!;
  const hashes = new Uint8Array(buffer, 4, length * HASH);
  const counts = new Uint32Array(buffer, 4 + length * HASH, length);
  return { length, hashes, counts, places: new Uint32Array(buffer, 4 + length * (HASH + 4), total) };
}

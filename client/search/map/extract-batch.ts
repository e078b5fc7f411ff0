/**
 * The key hashes of a run of entries, in one buffer each way: extraction runs in the worker pool.
 *
 * ```
 * task:    u32 count, count * u32 length, the bodies
 * answer:  u32 keys, keys * 32 bytes (none twice), keys * u32 postings, the postings as u32: places in the task
 * ```
 * All u32 are little-endian; both sides are this file.
 */
import { fastKeyHash, fastKeys } from '../fast-keys.ts';

const HASH = 32;
/** An entry with a certificate has about as many keys. */
const KEYS_EACH = 16;

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
  /** The number of a key by kind and value. Values come again and again: an issuer, a repository. */
  const known: Record<string, Map<string, number>> = {};
  let hashes = new Uint8Array(count * KEYS_EACH * HASH);
  /** The places of each key: a number for one, as most have. */
  const found: (number | number[])[] = [];
  let total = 0;
  let at = 4 + 4 * count;
  for (let place = 0; place < count; place++) {
    const body = new Uint8Array(task, at, lengths[place]!);
    at += body.length;
    // No key is there twice.
    for (const key of fastKeys(body)) {
      known[key.kind] ??= new Map();
      const ofKind = known[key.kind]!;
      const number = ofKind.get(key.value);
      total++;
      if (number === undefined) {
        ofKind.set(key.value, found.length);
        if (hashes.length === found.length * HASH) hashes = doubled(hashes);
        fastKeyHash(key, hashes, found.push(place) * HASH - HASH);
        continue;
      }
      const places = found[number]!;
      if (typeof places === 'number') found[number] = [places, place];
      else places.push(place);
    }
  }
  const answer = new ArrayBuffer(4 + found.length * (HASH + 4) + 4 * total);
  new Uint32Array(answer, 0, 1)[0] = found.length;
  const run = views(answer, total);
  run.hashes.set(hashes.subarray(0, found.length * HASH));
  let next = 0;
  for (const [i, places] of found.entries()) {
    if (typeof places === 'number') {
      run.counts[i] = 1;
      run.places[next++] = places;
    } else {
      run.counts[i] = places.length;
      run.places.set(places, next);
      next += places.length;
    }
  }
  return answer;
}

function doubled(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const more = new Uint8Array(2 * bytes.length + HASH);
  more.set(bytes);
  return more;
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

/** SHA-256 for Node, with the shape that `merkle` takes as its hasher. */
import * as crypto from 'node:crypto';

const HASH_SIZE = 32;

/**
 * SHA-256 of `data` (any length): 32 fresh bytes.
 *
 * `crypto.hash` needs no hash object, and its latin1 string (one byte a character; Node's types know the encoding by
 * its older name, 'binary') is far cheaper to make than a Buffer of its own; writing the characters one by one into a
 * Uint8Array beats `latin1Write` and `Buffer.from`. Measured on 65-byte nodes, Node 20.20, 2 cores: 0.66 µs, against
 * 0.88 (`Buffer.from(…, 'latin1')`), 1.5 (`crypto.hash` to a Buffer), 2.4 (`createHash`) and 2.7 (noble).
 */
export function fastSha256(data: Uint8Array): Uint8Array {
  const characters = crypto.hash('sha256', data, 'binary');
  const out = new Uint8Array(HASH_SIZE);
  for (let i = 0; i < HASH_SIZE; i++) out[i] = characters.charCodeAt(i);
  return out;
}

/** Bits and first bytes of key hashes, within larger arrays. */

/** Bytes of a key hash in an entry of the trie. */
export const PREFIX_BYTES = 12;

/** The bit at `depth` of the key that begins at `at`. */
export function bitOf(bytes: Uint8Array, at: number, depth: number): number {
  return (bytes[at + (depth >>> 3)]! >>> (7 - (depth & 7))) & 1;
}

/** Copies a few dozen bytes: a view for `set` would cost more. */
export function copy(from: Uint8Array, at: number, to: Uint8Array, place: number, length: number): void {
  for (let i = 0; i < length; i++) to[place + i] = from[at + i]!;
}

/** Whether two keys begin with the same 12 bytes. */
export function samePrefix(a: Uint8Array, at: number, b: Uint8Array, place: number): boolean {
  return comparePrefix(a, at, b, place) === 0;
}

/** The order of two keys by their first 12 bytes. */
export function comparePrefix(a: Uint8Array, at: number, b: Uint8Array, place: number): number {
  for (let i = 0; i < PREFIX_BYTES; i++) {
    const order = a[at + i]! - b[place + i]!;
    if (order !== 0) return order;
  }
  return 0;
}

/** The first 12 bytes of a key as a text, to find them in a map. */
export function prefixName(bytes: Uint8Array, at: number): string {
  return nameOf(bytes.subarray(at, at + PREFIX_BYTES));
}

/** Bytes as a text of one character a byte. */
export function nameOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

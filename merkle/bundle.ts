/**
 * Entry bundles of c2sp.org/tlog-tiles, section "Log entries" (C2SP 1cd32db, 2026-02-05): the entries of one level 0
 * tile, each after its length.
 *
 *   bundle = 1 to 256 times: uint16 length, big-endian || entry of that length
 *
 * Worked example: the entries "a" and "bc" are 00 01 61 00 02 62 63. A narrower bundle of the same index is a prefix.
 */
import { MerkleError } from './errors.ts';

/** Longest entry in bytes: the largest value of its 2-byte length prefix. */
export const MAX_ENTRY = 65_535;

/** Entries in a full bundle. */
export const BUNDLE_WIDTH = 256;

/** @throws MerkleError `bad-bundle` unless there are 1 to 256 entries, each of at most 65,535 bytes */
export function encodeBundle(entries: readonly Uint8Array[]): Uint8Array {
  checkWidth(entries.length);
  let length = 0;
  for (const entry of entries) {
    if (entry.length > MAX_ENTRY) {
      throw new MerkleError(
        'bad-bundle',
        `an entry has ${entry.length} bytes; an entry of a bundle has at most ${MAX_ENTRY}`,
      );
    }
    length += 2 + entry.length;
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const entry of entries) {
    bytes[at] = entry.length >> 8;
    bytes[at + 1] = entry.length & 255;
    bytes.set(entry, at + 2);
    at += 2 + entry.length;
  }
  return bytes;
}

/**
 * Parses a bundle of exactly `width` entries (1 to 256), and returns them as views of `bytes`.
 * @throws MerkleError `bad-bundle` if `bytes` end within an entry or continue after the last one.
 */
export function parseBundle(bytes: Uint8Array, width: number): Uint8Array[] {
  checkWidth(width);
  const entries: Uint8Array[] = [];
  let at = 0;
  for (let i = 0; i < width; i++) {
    const end = entryEnd(bytes, at, i, width);
    entries.push(bytes.subarray(at + 2, end));
    at = end;
  }
  if (at !== bytes.length) {
    throw new MerkleError('bad-bundle', `${bytes.length - at} bytes follow the ${width} entries of a bundle`);
  }
  return entries;
}

/** The first `width` entries (1 to 256), as a view of `bytes`. @throws MerkleError `bad-bundle` if there are fewer */
export function cutBundle(bytes: Uint8Array, width: number): Uint8Array {
  checkWidth(width);
  let at = 0;
  for (let i = 0; i < width; i++) at = entryEnd(bytes, at, i, width);
  return bytes.subarray(0, at);
}

function entryEnd(bytes: Uint8Array, at: number, i: number, width: number): number {
  // Bytes past the end of the bundle count as 0. `end` is past the end too then, and the check below fails.
  const end = at + 2 + ((bytes[at] ?? 0) << 8) + (bytes[at + 1] ?? 0);
  if (end > bytes.length) throw new MerkleError('bad-bundle', `a bundle of ${width} entries ends within entry ${i}`);
  return end;
}

function checkWidth(width: number): void {
  if (!Number.isInteger(width) || width < 1 || width > BUNDLE_WIDTH) {
    throw new MerkleError('bad-bundle', `a bundle holds 1 to ${BUNDLE_WIDTH} entries, not ${String(width)}`);
  }
}

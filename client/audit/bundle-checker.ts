/**
 * Compares entry bundles with the level 0 tiles above them, in the worker threads. All of it happens in one piece of memory,
 * without an object for each entry.
 *
 *   prefix (1) || leaf hashes (256 * 32) … tile (256 * 32) … bundle (up to 16 MiB)
 *
 * RFC 6962 puts a byte before what it hashes: 0x00 before an entry, 0x01 before two hashes. The checker writes this byte over
 * the byte in front, which it no longer needs: the second byte of the entry's length, or the last byte of the hash before.
 */
import { HASH_SIZE } from '../../merkle/rfc6962.ts';
import { type RangeHasher, rangeHasher, rootInPlace } from '../../merkle/runtime/crypto/rangehash.ts';
import { entryBundlePath, TILE_WIDTH, tilePath } from '../../merkle/tile.ts';
import { maxBundle } from '../tiles/limits.ts';
import type { EntryCheck } from './entry-signatures.ts';
import type { CorruptionCode } from './types.ts';

const HASHES = 1;
const TILE = 9 * 1024;
const BUNDLE = 18 * 1024;
const FULL_TILE = TILE_WIDTH * HASH_SIZE;

/** A corruption as a worker reports it. */
export interface Finding {
  readonly code: CorruptionCode;
  readonly path: string;
  readonly index: number;
  readonly message: string;
  /** Where entry and tile disagree: the entry's leaf hash, and the one in the tile. */
  readonly leaves?: { readonly computed: Uint8Array; readonly stored: Uint8Array };
}

export class BundleChecker {
  /** The caller puts the bundle here; one byte longer than any bundle. */
  readonly bundle: Uint8Array;
  /** The caller puts the tile here; one byte longer than any tile. */
  readonly tile: Uint8Array;
  verified = 0;
  notChecked = 0;
  readonly #hasher: RangeHasher;
  readonly #memory: Uint8Array;
  readonly #starts = new Float64Array(TILE_WIDTH + 1);
  readonly #checkEntry: ((entry: Uint8Array) => EntryCheck) | undefined;

  constructor(checkEntry?: (entry: Uint8Array) => EntryCheck, force?: 'node') {
    const longest = maxBundle(TILE_WIDTH) + 1;
    this.#hasher = rangeHasher(BUNDLE + longest, force);
    this.#memory = this.#hasher.memory;
    this.bundle = this.#memory.subarray(BUNDLE, BUNDLE + longest);
    this.tile = this.#memory.subarray(TILE, TILE + FULL_TILE + 1);
    this.#checkEntry = checkEntry;
  }

  /** The first thing that is wrong with the bundle of `width` entries or its tile. Lengths in bytes. Overwrites the bundle. */
  check(index: number, width: number, bundleLength: number, tileLength: number): Finding | undefined {
    const cut = this.#hashEntries(width, bundleLength);
    const different = this.#firstDifference(Math.min(cut, Math.floor(tileLength / HASH_SIZE)));
    const [bundlePath, path] = [entryBundlePath(index, width), tilePath({ level: 0, index, width })];
    const first = index * TILE_WIDTH;
    if (different >= 0) return this.#disagree(bundlePath, path, first + different, different);
    if (cut < width) {
      const message = `${bundlePath} ends within entry ${first + cut}, after ${bundleLength} bytes`;
      return { code: 'corrupt', path: bundlePath, index: first + cut, message };
    }
    const left = BUNDLE + bundleLength - this.#starts[width]!;
    if (left > 0) {
      const message = `${bundlePath} goes on for ${left} bytes after its ${width} entries`;
      return { code: 'corrupt', path: bundlePath, index: first, message };
    }
    if (tileLength !== width * HASH_SIZE) {
      const message = `${path} has ${tileLength} bytes, and ${width} hashes have ${width * HASH_SIZE}`;
      return { code: 'corrupt', path, index: first, message };
    }
    return this.#checkSignatures(first, width, bundlePath);
  }

  /** A copy of the leaf hashes of the last bundle. */
  leafHashes(width: number): Uint8Array {
    return this.#memory.slice(HASHES, HASHES + width * HASH_SIZE);
  }

  /** A copy of the root over the 256 leaf hashes of the last bundle, which are overwritten. Costs 255 hashes. */
  root(): Uint8Array {
    rootInPlace(this.#hasher, HASHES, TILE_WIDTH);
    return this.#memory.slice(HASHES, HASHES + HASH_SIZE);
  }

  /** Hashes the whole entries, at most `width`, and returns their number. */
  #hashEntries(width: number, length: number): number {
    const memory = this.#memory;
    const end = BUNDLE + length;
    let at = BUNDLE;
    for (let i = 0; i < width; i++) {
      this.#starts[i] = at;
      const next = at + 2 + memory[at]! * 256 + memory[at + 1]!;
      if (at + 2 > end || next > end) return i;
      memory[at + 1] = 0;
      this.#hasher.hash(at + 1, next - at - 1, HASHES + i * HASH_SIZE);
      at = next;
    }
    this.#starts[width] = at;
    return width;
  }

  /** The first of `count` hashes that differs from the tile's; -1 where none does. */
  #firstDifference(count: number): number {
    const length = count * HASH_SIZE;
    const hashes = this.#memory.subarray(HASHES, HASHES + length);
    const tile = this.#memory.subarray(TILE, TILE + length);
    if (Buffer.compare(hashes, tile) === 0) return -1;
    return Math.floor(hashes.findIndex((byte, i) => byte !== tile[i]) / HASH_SIZE);
  }

  #disagree(bundlePath: string, path: string, index: number, at: number): Finding {
    const leaf = (from: number) => this.#memory.slice(from + at * HASH_SIZE, from + (at + 1) * HASH_SIZE);
    const message = `${path} does not follow from ${bundlePath}: they differ from entry ${index} on`;
    const leaves = { computed: leaf(HASHES), stored: leaf(TILE) };
    return { code: 'corrupt', path: bundlePath, index, message, leaves };
  }

  #checkSignatures(first: number, width: number, path: string): Finding | undefined {
    if (this.#checkEntry === undefined) return undefined;
    let [verified, notChecked] = [0, 0];
    for (let i = 0; i < width; i++) {
      const entry = this.#memory.subarray(this.#starts[i]! + 2, this.#starts[i + 1]!);
      const outcome = this.#checkEntry(entry);
      if (typeof outcome === 'object') {
        const message = `${path}: entry ${first + i}: ${outcome.wrong}`;
        return { code: 'bad-signature', path, index: first + i, message };
      }
      if (outcome === 'verified') verified++;
      else notChecked++;
    }
    this.verified += verified;
    this.notChecked += notChecked;
    return undefined;
  }
}

/** What every driver of `TileStore` shares: which blobs there can be, and the refusals. */
import assert from 'node:assert';
import { BUNDLE_WIDTH, MAX_ENTRY } from '../../merkle/bundle.ts';
import { equal } from '../../merkle/bytes.ts';
import { HASH_SIZE } from '../../merkle/rfc6962.ts';
import { parseEntryBundlePath, parseTilePath } from '../../merkle/tile.ts';
import { ServerError } from '../errors.ts';
import type { TileBlob } from './types.ts';

/** A signed note of this size has thousands of signatures. */
export const MAX_CHECKPOINT_BYTES = 1024 * 1024;

const LENGTH_PREFIX = 2;

/**
 * How many bytes the blob at `path` has.
 *
 * @throws MerkleError `bad-tile` where `path` is not exactly the path of a tile or an entry bundle, so that no other file
 * can be reached through it
 */
export function blobBounds(path: string): { readonly min: number; readonly max: number } {
  if (path.startsWith('tile/entries/')) {
    const { width } = parseEntryBundlePath(path);
    return { min: width * LENGTH_PREFIX, max: Math.min(width, BUNDLE_WIDTH) * (LENGTH_PREFIX + MAX_ENTRY) };
  }
  const length = parseTilePath(path).width * HASH_SIZE;
  return { min: length, max: length };
}

/**
 * The blobs by path, each path once.
 *
 * @throws MerkleError `bad-tile`; ServerError `tile-conflict` where one path comes with different bytes
 */
export function blobsByPath(blobs: readonly TileBlob[]): Map<string, Uint8Array> {
  const byPath = new Map<string, Uint8Array>();
  for (const { path, bytes } of blobs) {
    const { min, max } = blobBounds(path);
    assert(bytes.length >= min && bytes.length <= max, `${path} has ${min} to ${max} bytes, not ${bytes.length}`);
    checkSame(path, byPath.get(path), bytes);
    byPath.set(path, bytes);
  }
  return byPath;
}

/** @throws ServerError `tile-conflict` where other bytes are there */
export function checkSame(path: string, there: Uint8Array | undefined, bytes: Uint8Array): void {
  if (there !== undefined && !equal(there, bytes)) throw conflict(path);
}

export function conflict(path: string): ServerError {
  return new ServerError(
    'tile-conflict',
    `${path} is there with other bytes than the committed tree has, and was left as it is: stop the log, run \`stele log check\`, ` +
      'and find out what else writes to this directory',
  );
}

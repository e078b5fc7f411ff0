/** What drivers of `TileStore` and `CheckpointStore` share: which blobs and notes there can be, and the refusals. */
import assert from 'node:assert';
import { BUNDLE_WIDTH, MAX_ENTRY } from '../../merkle/bundle.ts';
import { equal } from '../../merkle/bytes.ts';
import { HASH_SIZE } from '../../merkle/rfc6962.ts';
import { parseEntryBundlePath, parseTilePath } from '../../merkle/tile.ts';
import { ServerError } from '../errors.ts';
import type { TileBlob } from './types.ts';

/** The address of the published checkpoint in c2sp.org/tlog-tiles. */
export const CHECKPOINT_NAME = 'checkpoint';

/** A signed note of this size has thousands of signatures. */
export const MAX_CHECKPOINT_BYTES = 1024 * 1024;

const LENGTH_PREFIX = 2;

/**
 * How many bytes the blob at `name` has.
 * @throws MerkleError `bad-tile` where `name` is not exactly the address of a tile or an entry bundle, so that no caller
 * reaches another file through it
 */
export function blobBounds(name: string): { readonly min: number; readonly max: number } {
  if (name.startsWith('tile/entries/')) {
    const { width } = parseEntryBundlePath(name);
    return { min: width * LENGTH_PREFIX, max: Math.min(width, BUNDLE_WIDTH) * (LENGTH_PREFIX + MAX_ENTRY) };
  }
  const length = parseTilePath(name).width * HASH_SIZE;
  return { min: length, max: length };
}

/** The blobs by name. @throws MerkleError `bad-tile`; ServerError `tile-conflict` where one name has different bytes */
export function blobsByName(blobs: readonly TileBlob[]): Map<string, Uint8Array> {
  const byName = new Map<string, Uint8Array>();
  for (const { name, bytes } of blobs) {
    const { min, max } = blobBounds(name);
    assert(bytes.length >= min && bytes.length <= max, `${name} has ${min} to ${max} bytes, not ${bytes.length}`);
    checkSame(name, byName.get(name), bytes);
    byName.set(name, bytes);
  }
  return byName;
}

/** @throws ServerError `tile-conflict` where the stored bytes are others */
export function checkSame(name: string, stored: Uint8Array | undefined, bytes: Uint8Array): void {
  if (stored !== undefined && !equal(stored, bytes)) throw tileConflict(name);
}

export function tileConflict(name: string): ServerError {
  return new ServerError(
    'tile-conflict',
    `${name} is stored with other bytes than the committed tree has, and was left as it is: stop the log, run ` +
      '`stele log check`, and find out what else writes there',
  );
}

export function assertNote(note: Uint8Array): void {
  assert(note.length > 0 && note.length <= MAX_CHECKPOINT_BYTES, 'a checkpoint has 1 byte to 1 MiB');
}

/** The compare of the compare-and-swap. @throws ServerError `conflict` unless both are the same note, or both are missing */
export function compareNotes(stored: Uint8Array | undefined, expected: Uint8Array | undefined): void {
  const same = stored === undefined || expected === undefined ? stored === expected : equal(stored, expected);
  if (same) return;
  throw new ServerError(
    'conflict',
    'another checkpoint is published than the log expects: something else has replaced it. Find out what, and stop it',
  );
}

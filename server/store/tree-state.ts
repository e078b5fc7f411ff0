/**
 * What every driver of `StateStore` shares: the stored form of the tree state, and what a commit must satisfy.
 *
 * The stored form is JSON on one line, in this order and without spaces. The last three appear where they are set:
 *
 *   {"version":1,"size":3,"root":"<base64, 32 bytes>","filed":0,"status":"open",
 *    "unpublished":true,"lastCheckpoint":"<base64>","plainCheckpoint":"<base64>"}
 */
import assert from 'node:assert';
import { BUNDLE_WIDTH, MAX_ENTRY } from '../../merkle/bundle.ts';
import { decodeBase64, decodeUtf8, encodeBase64, encodeUtf8, equal } from '../../merkle/bytes.ts';
import { HASH_SIZE } from '../../merkle/rfc6962.ts';
import { ServerError } from '../errors.ts';
import type { Commit, LogStatus, TreeState } from './types.ts';

const VERSION = 1;
const STATUSES: readonly LogStatus[] = ['open', 'freezing', 'frozen'];

/** Two states are the same where these bytes are the same. */
export function encodeState(state: TreeState): Uint8Array {
  const { size, filed, status, unpublished, lastCheckpoint, plainCheckpoint } = state;
  const fields = { version: VERSION, size, root: encodeBase64(state.root), filed, status };
  const last = lastCheckpoint && { lastCheckpoint: encodeBase64(lastCheckpoint) };
  const plain = plainCheckpoint && { plainCheckpoint: encodeBase64(plainCheckpoint) };
  return encodeUtf8(JSON.stringify({ ...fields, ...(unpublished && { unpublished }), ...last, ...plain }));
}

/**
 * @throws ServerError `format-version` where another version of Stele wrote it, `corrupt` where the bytes are not
 * exactly what `encodeState` writes for a possible state
 */
export function decodeState(bytes: Uint8Array): TreeState {
  const fields = parse(bytes);
  if (Number.isSafeInteger(fields.version) && fields.version !== VERSION) {
    throw new ServerError(
      'format-version',
      `the stored tree state has format ${String(fields.version)}, and this version of Stele reads ${VERSION}: use the ` +
        'version that wrote it',
    );
  }
  try {
    const { size, root, filed, status, unpublished, lastCheckpoint, plainCheckpoint } = fields;
    const state = {
      size,
      root: decodeBase64(root as string),
      filed,
      status,
      ...(unpublished !== undefined && { unpublished }),
      ...(lastCheckpoint !== undefined && { lastCheckpoint: decodeBase64(lastCheckpoint as string) }),
      ...(plainCheckpoint !== undefined && { plainCheckpoint: decodeBase64(plainCheckpoint as string) }),
    } as TreeState;
    assertState(state);
    if (equal(encodeState(state), bytes)) return state;
  } catch (error) {
    throw corrupt(error);
  }
  throw corrupt();
}

function parse(bytes: Uint8Array): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(decodeUtf8(bytes));
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch (error) {
    throw corrupt(error);
  }
  throw corrupt();
}

function corrupt(cause?: unknown): ServerError {
  return new ServerError('corrupt', 'the stored tree state cannot be read: restore the data directory from a backup', {
    cause,
  });
}

function assertState(state: TreeState): void {
  const { size, root, filed, status, unpublished } = state;
  assert(Number.isSafeInteger(size) && size >= 0, 'size is a safe integer');
  assert(root instanceof Uint8Array && root.length === HASH_SIZE, 'root has 32 bytes');
  assert(Number.isSafeInteger(filed) && filed >= 0 && filed % BUNDLE_WIDTH === 0, 'filed is a multiple of 256');
  assert(filed <= size, 'filed <= size');
  assert(STATUSES.includes(status), 'status is known');
  assert(unpublished === undefined || unpublished === true, 'unpublished is true or not there');
  assert(unpublished === undefined || size > 0, 'a tree without entries is never marked as unpublished');
  assert((state.lastCheckpoint !== undefined) === (status === 'frozen'), 'only a frozen log has a last checkpoint');
  assert(state.plainCheckpoint === undefined || status === 'frozen', 'only a frozen log has a plain checkpoint');
}

/** A commit that breaks these is a bug of ours, never bad input: it would write a second history over the first. */
export function assertCommit(change: Commit): void {
  const { expected, next, entries } = change;
  assertState(next);
  assert(next.size === (expected?.size ?? 0) + entries.length, 'next.size is expected.size with the entries added');
  for (const { leafHash, body } of entries) {
    assert(leafHash.length === HASH_SIZE, 'a leaf hash has 32 bytes');
    assert(body.length >= 1 && body.length <= MAX_ENTRY, 'an entry has 1 to 65,535 bytes');
  }
  if (expected === undefined) return;
  assert(next.filed >= expected.filed, 'filed never shrinks');
  assert(
    next.unpublished === undefined || expected.unpublished === true || expected.size === 0,
    'a log that has published stays one that has published',
  );
  assert(entries.length > 0 || equal(next.root, expected.root), 'the root stays while no entry is added');
  assert(entries.length === 0 || expected.status === 'open', 'only an open log takes entries');
  assert(STATUSES.indexOf(next.status) >= STATUSES.indexOf(expected.status), 'the status never goes back');
  assert(expected.status !== 'frozen' || equal(encodeState(next), encodeState(expected)), 'frozen is for good');
}

/** The compare of compare-and-swap. @throws ServerError `conflict` unless both are the same state, or both are missing */
export function compareStates(stored: Uint8Array | undefined, expected: TreeState | undefined): void {
  const same =
    stored === undefined || expected === undefined ? stored === expected : equal(stored, encodeState(expected));
  if (same) return;
  throw new ServerError(
    'conflict',
    'the store holds another tree state than the log expects: something else has written to it. Find out what, and stop it',
  );
}

export function tailGap(index: number): ServerError {
  return new ServerError(
    'tail-gap',
    `entry ${index} is missing in the stored tail: run \`stele log check\`, and restore the data directory from a backup`,
  );
}

/** The one state of a snapshot. @throws ServerError `corrupt` where its parts had no state or several */
export function snapshotState(states: readonly TreeState[]): TreeState {
  const [state, second] = states;
  if (state !== undefined && second === undefined) return state;
  throw new ServerError('corrupt', `the copy of the state holds ${states.length} tree states instead of one`);
}

/** For a snapshot of a store without a state. @throws ServerError `store` */
export function nothingStored(): never {
  throw new ServerError('store', 'nothing to copy: the store has no tree state yet');
}

export function assertRange(from: number, to: number): void {
  assert(Number.isSafeInteger(from) && Number.isSafeInteger(to) && from >= 0 && from <= to, '0 <= from <= to');
}

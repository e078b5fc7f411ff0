/**
 * A data directory:
 *
 *     stele.json     which log the directory belongs to: format, origin, verifier keys
 *     key.pem        the signing key, where it is the default one
 *     admin.token    the token for the calls of the admin port that change something
 *     halted         written where a witness holds another history of this log: why, with the evidence; stops every start
 *     lock/          held by the process that owns the directory; owner.json says which process
 *     state/         level: tree state, tail, index of duplicates
 *     state.rebuilt/ a state store that `stele log check --repair` makes anew; `state.replaced/` is the one before
 *     leaf-filter    which leaf hashes the log has (dedup/known.ts); written at a clean end, and made anew where missing
 *     scrub.json     how far the scrub has come (tree/scrub.ts); a round begins anew where it is missing
 *     used.tokens/   level: which bearer tokens were shown, until they expire, where the log takes tokens
 *     public/        the public tree of tlog-tiles: checkpoint, tile/…, and checkpoint.plain of a frozen log; a static
 *                    server may serve it
 */
import { join } from 'node:path';
import { couldNotTry } from '../../merkle/runtime/disk/errno.ts';
import { isThere, moveDurable, removeTree } from '../../merkle/runtime/disk/files.ts';
import { ServerError } from '../errors.ts';
import { openFileStore } from '../store/files/files.ts';
import { openLevelState } from '../store/level/level.ts';
import type { Stores } from '../store/types.ts';

export const layout = {
  state: (dir: string): string => join(dir, 'state'),
  rebuiltState: (dir: string): string => join(dir, 'state.rebuilt'),
  leafFilter: (dir: string): string => join(dir, 'leaf-filter'),
  scrub: (dir: string): string => join(dir, 'scrub.json'),
  public: (dir: string): string => join(dir, 'public'),
  /** In the public tree `dir`: the plain checkpoint of a frozen log. */
  plain: (dir: string): string => join(dir, 'checkpoint.plain'),
  adminToken: (dir: string): string => join(dir, 'admin.token'),
  usedTokens: (dir: string): string => join(dir, 'used.tokens'),
  halted: (dir: string): string => join(dir, 'halted'),
} as const;

/**
 * Opens the stores of a data directory, which the process MUST own.
 * @throws ServerError `locked`, `store`
 */
export async function openDirStores(dir: string): Promise<Stores> {
  await finishRebuild(dir);
  const files = await openFileStore(layout.public(dir));
  try {
    const state = await openLevelState(layout.state(dir));
    return { tiles: files, checkpoint: files, state };
  } catch (error) {
    await files.close();
    if (!(error instanceof ServerError) || error.code !== 'store' || couldNotTry(error)) throw error;
    const what = 'If the disk is sound, restore the directory from a backup with `stele log restore`.';
    throw new ServerError('store', `${error.message}. ${what}`, { cause: error });
  }
}

/**
 * Puts the rebuilt state store, which must be whole and closed, in the place of the other one. A crash between the two moves
 * leaves no store in the place: `finishRebuild` goes on there.
 */
export async function putInPlace(dir: string): Promise<void> {
  const before = join(dir, 'state.replaced');
  await removeTree(before);
  await moveDurable(layout.state(dir), before);
  await finishRebuild(dir);
  await removeTree(before);
}

/** Ends a rebuild that a crash cut off between its two moves. Before the first move, the old store is still the good one. */
export async function finishRebuild(dir: string): Promise<void> {
  if (await isThere(layout.state(dir))) return;
  const made = layout.rebuiltState(dir);
  if (await isThere(made)) await moveDurable(made, layout.state(dir));
}

/**
 * A data directory:
 *
 *     stele.json     which log the directory belongs to: format, origin, verifier keys
 *     key.pem        the signing key, where it is the default one
 *     admin.token    the token for the calls of the admin port that change something
 *     halted         written where a witness holds another history of this log: why, with the evidence; stops every start
 *     lock/          held by the process that owns the directory; owner.json says which process
 *     state/         level: tree state, tail, index of duplicates
 *     leaf-filter    which leaf hashes the log has (dedup/known.ts); written at a clean end, and made anew where missing
 *     public/        the public tree of tlog-tiles: checkpoint, tile/…; a static server may serve it
 */
import { join } from 'node:path';
import { openFileStore } from '../store/files/files.ts';
import { openLevelState } from '../store/level/level.ts';
import type { Stores } from '../store/types.ts';

export const layout = {
  state: (dir: string): string => join(dir, 'state'),
  leafFilter: (dir: string): string => join(dir, 'leaf-filter'),
  public: (dir: string): string => join(dir, 'public'),
  adminToken: (dir: string): string => join(dir, 'admin.token'),
  halted: (dir: string): string => join(dir, 'halted'),
} as const;

/**
 * Opens the stores of a data directory, which the process MUST own.
 * @throws ServerError `locked`, `store`
 */
export async function openDirStores(dir: string): Promise<Stores> {
  const files = await openFileStore(layout.public(dir));
  try {
    const state = await openLevelState(layout.state(dir));
    return { tiles: files, checkpoint: files, state };
  } catch (error) {
    await files.close();
    throw error;
  }
}

/** `stele log backup` and `stele log export`: consistent copies of a log that may be running. */
import { isEmptyDir, makeDirDurable } from '../../merkle/runtime/files.ts';
import { ServerError } from '../errors.ts';
import { type Identity, writeIdentity } from '../identity.ts';
import { layout } from '../layout.ts';
import type { CommittedTree } from '../tree/committed.ts';
import type { TreeReader } from '../tree/reader.ts';
import { fullFiles, type OnProgress, partialFiles, writeTree } from './copy.ts';

/**
 * Copies the committed state and the public files below `dir`, which must be empty or missing, and resolves with the
 * number of entries. Tiles never change and the tree only grows, so the order makes the copy consistent: `checkpoint` was
 * public before the state is copied, and the state before the files that it calls for.
 *
 * `stele.json` comes last and says that this is a copy: one that was cut off is no data directory, and a whole one is
 * started only by way of `stele log restore`.
 */
export async function backupTree(
  dir: string,
  tree: CommittedTree,
  checkpoint: string,
  identity: Omit<Identity, 'copy'>,
  onProgress?: OnProgress,
): Promise<number> {
  await emptyDir(dir);
  const state = await tree.copyStateTo(layout.state(dir));
  const files = fullFiles(state.filed, tree.tileStore());
  await writeTree(layout.public(dir), files, files.count, checkpoint, onProgress);
  await writeIdentity(dir, { ...identity, copy: true });
  return state.size;
}

/**
 * Writes the complete static tree of a published checkpoint below `dir`, partial tiles and bundle too, the checkpoint
 * last. `dir` may hold an older export of the same log: what is there already is compared and left.
 */
export async function exportTree(
  dir: string,
  reader: TreeReader,
  store: ReturnType<CommittedTree['tileStore']>,
  checkpoint: string,
  onProgress?: OnProgress,
): Promise<number> {
  const { size } = reader.snapshot;
  const full = fullFiles(size, store);
  const partial = partialFiles(reader);
  function* files() {
    yield* full;
    yield* partial;
  }
  await writeTree(dir, files(), full.count + partial.length, checkpoint, onProgress);
  return size;
}

/** Makes `dir`, or takes it where it is empty. */
export async function emptyDir(dir: string): Promise<void> {
  await makeDirDurable(dir);
  if (!(await isEmptyDir(dir))) {
    throw new ServerError(
      'config',
      `the directory ${dir} is not empty. Name one that is empty or that does not exist yet.`,
    );
  }
}

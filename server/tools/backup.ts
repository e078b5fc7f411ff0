/** `stele log backup` and `stele log export`: consistent copies of a log that may be running. */
import { dirname, resolve } from 'node:path';
import { encodeUtf8 } from '../../merkle/bytes.ts';
import { isThere, makeDirDurable, namesIn, writeFileDurable } from '../../merkle/runtime/disk/files.ts';
import { identityPath, type LogIdentity, writeIdentity } from '../dir/identity.ts';
import { layout } from '../dir/layout.ts';
import { ServerError } from '../errors.ts';
import type { Published } from '../log/types.ts';
import type { CommittedTree } from '../tree/committed.ts';
import { copyState, fullFiles, type OnProgress, partialFiles, writeTree } from './copy.ts';

/**
 * Copies the committed state and the public files below `dir`, which must be empty or missing, and resolves with the
 * number of entries. Tiles never change and the tree only grows, so the order makes the copy consistent: `checkpoint` was
 * public before the state is copied, and the state is copied before the files that it calls for.
 *
 * `stele.json` comes last and says that this is a copy. So a copy that was cut off is not a data directory, and a log
 * starts on a whole copy only after `stele log restore`.
 * @param isMade of the options: the caller has checked and made `dir`
 * @throws ServerError `config` where `dir` is not empty or inside a data directory; `store`, `corrupt`
 */
export async function backupTree(
  dir: string,
  tree: CommittedTree,
  checkpoint: string,
  identity: Omit<LogIdentity, 'copy'>,
  { onProgress, isMade = false }: { readonly onProgress?: OnProgress | undefined; readonly isMade?: boolean } = {},
): Promise<number> {
  if (!isMade) await emptyDir(dir);
  const state = await copyState(tree.stateSnapshot(), layout.state(dir));
  const files = fullFiles(state.filed, tree.tileStore());
  await writeTree(layout.public(dir), files, files.count, checkpoint, onProgress);
  await writeIdentity(dir, { ...identity, copy: true });
  return state.size;
}

/**
 * Writes the complete static tree of a published checkpoint below `dir`, with the partial tiles and the partial bundle, and
 * the checkpoint last. `dir` must be empty or missing: nothing of another tree may be left in it.
 * @throws ServerError `config` where `dir` is not empty or inside a data directory
 */
export async function exportTree(
  dir: string,
  { reader, checkpoint, plain }: Published,
  store: ReturnType<CommittedTree['tileStore']>,
  onProgress?: OnProgress,
): Promise<number> {
  await emptyDir(dir);
  const { size } = reader.snapshot;
  const full = fullFiles(size, store);
  const partial = partialFiles(reader);
  function* files() {
    yield* full;
    yield* partial;
  }
  if (plain !== undefined) await writeFileDurable(layout.plain(dir), encodeUtf8(plain), { mode: 0o644 });
  await writeTree(dir, files(), full.count + partial.length, checkpoint, onProgress);
  return size;
}

/** Makes `dir`, or takes it where it is empty. @throws ServerError `config` */
export async function emptyDir(dir: string): Promise<void> {
  await refuseDataDir(dir);
  await makeDirDurable(dir);
  if ((await namesIn(dir)).length > 0) {
    throw new ServerError(
      'config',
      `the directory ${dir} is not empty. Name one that is empty or that does not exist yet.`,
    );
  }
}

/** Only the log writes its own directory, and a copy inside is lost together with the log. */
async function refuseDataDir(dir: string): Promise<void> {
  for (let at = resolve(dir), above = dirname(at); ; at = above, above = dirname(at)) {
    if (await isThere(identityPath(at))) {
      const what = at === resolve(dir) ? dir : `${dir} is inside ${at}, which`;
      throw new ServerError('config', `${what} holds a log or a backup. Name a directory outside.`);
    }
    if (at === above) return;
  }
}

/** `stele log restore`: makes a data directory out of a backup, where that cannot fork the log. */
import { equal } from '../../merkle/bytes.ts';
import { parseCheckpoint } from '../../merkle/checkpoint.ts';
import { MerkleError } from '../../merkle/errors.ts';
import { noteVerifier, openNote, parseVerifierKey } from '../../merkle/note.ts';
import { readFileIfThere } from '../../merkle/runtime/files.ts';
import { fastSha256 } from '../../merkle/runtime/hash.ts';
import { ServerError } from '../errors.ts';
import { readIdentity, writeIdentity } from '../identity.ts';
import { layout, openDirStores } from '../layout.ts';
import { CommittedTree } from '../tree/committed.ts';
import { emptyDir } from './backup.ts';
import { type CheckOptions, checkDir } from './check.ts';
import { fullFiles, writeTree } from './copy.ts';

export interface RestoreOptions extends Omit<CheckOptions, 'verifierKeys'> {
  /** The backup. */
  readonly from: string;
  /** The data directory to make: empty or missing. */
  readonly to: string;
  /** File with the newest checkpoint of this log that is known from elsewhere: a monitor, a mirror, a client's proof. */
  readonly atLeast: string;
}

const MAX_NOTE = 1024 * 1024;

/**
 * Checks the backup whole, and that its tree extends the checkpoint `atLeast`; then copies it. A log that signs on from a
 * tree that lacks entries which somebody has a proof for shows two histories, and can never be trusted again.
 *
 * @throws ServerError `rollback` where the backup does not extend `atLeast`; `config`, and what `checkDir` throws
 */
export async function restore(options: RestoreOptions): Promise<{ size: number; atLeast: number }> {
  const { from, to } = options;
  const identity = await readIdentity(from);
  if (identity?.copy !== true) {
    throw new ServerError('config', `${from} is no backup that \`stele log backup\` made. Name the directory of one.`);
  }
  const known = await readKnown(options.atLeast, identity.origin, identity.verifierKeys);
  await checkDir(from, options);

  const stores = await openDirStores(from);
  let tree: CommittedTree | undefined;
  try {
    tree = await CommittedTree.open(stores, fastSha256);
    const { size } = tree.snapshot;
    if (known.size > size) {
      throw new ServerError(
        'rollback',
        `the backup has ${size} entries, and ${options.atLeast} shows that the log had ${known.size}: entries that ` +
          'somebody holds a proof for are missing. Use a newer backup; without one, start a new log with a new origin.',
      );
    }
    if (!equal(await tree.reader().rootAt(known.size), known.root)) {
      throw new ServerError(
        'rollback',
        `the backup is not the log that ${options.atLeast} shows: their trees differ at size ${known.size}. Do not start ` +
          'either before you know why.',
      );
    }
    await emptyDir(to);
    const checkpoint = await stores.tiles.getCheckpoint();
    await tree.copyStateTo(layout.state(to));
    const files = fullFiles(tree.state.filed, stores.tiles);
    await writeTree(layout.public(to), files, files.count, Buffer.from(checkpoint!).toString());
    // Last: until it is there, `to` is no data directory.
    await writeIdentity(to, { ...identity, copy: false });
    return { size, atLeast: known.size };
  } finally {
    if (tree === undefined) await Promise.allSettled([stores.tiles.close(), stores.state.close()]);
    await tree?.close();
  }
}

async function readKnown(file: string, origin: string, verifierKeys: readonly string[]) {
  const note = await readFileIfThere(file, MAX_NOTE);
  if (note === undefined) throw new ServerError('config', `the checkpoint ${file} is not there.`);
  try {
    const own = noteVerifier(parseVerifierKey(verifierKeys[0]!));
    const checkpoint = parseCheckpoint(openNote(note, [own]).text);
    if (checkpoint.origin === origin) return checkpoint;
    throw new ServerError('config', `the checkpoint ${file} is of the log "${checkpoint.origin}", not of "${origin}".`);
  } catch (error) {
    if (!(error instanceof MerkleError)) throw error;
    throw new ServerError('config', `${file} is no checkpoint that this log signed: ${error.message}`);
  }
}

/** `stele log restore`: makes a data directory out of a backup, where that cannot fork the log. */
import { decodeUtf8, equal } from '../../merkle/bytes.ts';
import { parseCheckpoint } from '../../merkle/checkpoint.ts';
import { MerkleError } from '../../merkle/errors.ts';
import { noteVerifier, openNote, parseNote, parseVerifierKey } from '../../merkle/note.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { nodeNotePrimitives } from '../../merkle/runtime/crypto/verify.ts';
import { readFileIfThere } from '../../merkle/runtime/disk/files.ts';
import { checkHeads, fetchHead } from '../cosign/heads.ts';
import { endpointsOf, readPolicy } from '../cosign/policy.ts';
import { isFailed, WitnessClient } from '../cosign/witness-client.ts';
import { type Identity, readIdentity, writeIdentity } from '../dir/identity.ts';
import { layout, openDirStores } from '../dir/layout.ts';
import { ServerError } from '../errors.ts';
import { closeStores } from '../store/stores.ts';
import { CommittedTree } from '../tree/committed.ts';
import type { TreeReader } from '../tree/reader.ts';
import { emptyDir } from './backup.ts';
import { type CheckOptions, checkDir } from './check.ts';
import { copyState, fullFiles, writeTree } from './copy.ts';

export interface RestoreOptions extends Omit<CheckOptions, 'verifierKeys'> {
  /** The backup. */
  readonly from: string;
  /** The data directory to make: empty or missing. */
  readonly to: string;
  /** File with the newest checkpoint of this log that is known from elsewhere: a monitor, a mirror, a client's proof. */
  readonly atLeast: string;
  /** The log's witness policy, where it has one: what its witnesses hold is compared too. */
  readonly policy?: string | undefined;
}

/** What a witness of the policy holds of the log: the size, or why that is not known. */
export interface WitnessReport {
  readonly witness: string;
  /** 0 where it knows nothing of the log; undefined where `failed` says why it could not be asked. */
  readonly size: number | undefined;
  readonly failed?: string;
}

export interface RestoreReport {
  readonly size: number;
  readonly atLeast: number;
  readonly witnesses: readonly WitnessReport[];
}

const MAX_NOTE = 1024 * 1024;
/** The extension line of a frozen log's last checkpoint. */
const FROZEN = /^Log frozen — /;
/** How long a witness has to show its checkpoint, in milliseconds. */
const WITNESS_TIMEOUT_MS = 10_000;

/**
 * Checks the backup whole, and that its tree extends the checkpoint `atLeast` and those that witnesses hold; then copies it. A log that signs on from a
 * tree that lacks entries which somebody has a proof for shows two histories, and can never be trusted again.
 *
 * @throws ServerError `rollback` where the backup does not extend one of them; `config`, `policy`, and what `checkDir` throws
 */
export async function restore(options: RestoreOptions): Promise<RestoreReport> {
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
    if (known.extensions.some((line) => FROZEN.test(line)) && tree.state.status === 'open') {
      throw new ServerError(
        'rollback',
        `${options.atLeast} shows that the log was frozen for ever, and the backup is from before: it would take entries ` +
          'and sign again. Use a backup that was made afterwards.',
      );
    }
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
    const witnesses = await askWitnesses(options.policy, identity, tree.reader());
    await emptyDir(to);
    await copyState(tree.stateSnapshot(), layout.state(to));
    const files = fullFiles(tree.state.filed, stores.tiles);
    await writeTree(layout.public(to), files, files.count, decodeUtf8(tree.checkpoint!));
    // Last: until it is there, `to` is no data directory.
    await writeIdentity(to, { ...identity, copy: false });
    return { size, atLeast: known.size, witnesses };
  } finally {
    if (tree === undefined) await closeStores(stores);
    await tree?.close();
  }
}

/** A witness that cannot be asked is told of, and is no reason to refuse: its machine may be what was lost. */
async function askWitnesses(
  file: string | undefined,
  { origin, verifierKeys }: Identity,
  tree: TreeReader,
): Promise<WitnessReport[]> {
  if (file === undefined) return [];
  const keys = verifierKeys.map(parseVerifierKey);
  const endpoints = endpointsOf(await readPolicy(file), keys);
  const client = new WitnessClient();
  try {
    const heads = await Promise.all(
      endpoints.map(async (endpoint) => ({
        endpoint,
        head: await fetchHead(client, endpoint, { origin, keys }, nodeNotePrimitives, WITNESS_TIMEOUT_MS),
      })),
    );
    await checkHeads(heads, tree);
    return heads.map(({ endpoint: { name }, head }) =>
      head !== undefined && isFailed(head)
        ? { witness: name, size: undefined, failed: head.text }
        : { witness: name, size: head?.size ?? 0 },
    );
  } finally {
    client.close();
  }
}

async function readKnown(file: string, origin: string, verifierKeys: readonly string[]) {
  const note = await readFileIfThere(file, MAX_NOTE);
  if (note === undefined) throw new ServerError('config', `the checkpoint ${file} is not there.`);
  try {
    const own = noteVerifier(parseVerifierKey(verifierKeys[0]!), nodeNotePrimitives);
    const checkpoint = parseCheckpoint(openNote(parseNote(note), [own]).text);
    if (checkpoint.origin === origin) return checkpoint;
    throw new ServerError('config', `the checkpoint ${file} is of the log "${checkpoint.origin}", not of "${origin}".`);
  } catch (error) {
    if (!(error instanceof MerkleError)) throw error;
    throw new ServerError('config', `${file} is no checkpoint that this log signed: ${error.message}`);
  }
}

/** `stele log restore`: makes a data directory from a backup, where that cannot fork the log. */
import { decodeUtf8 } from '../../merkle/bytes.ts';
import { parseVerifierKey } from '../../merkle/note.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { makeDirDurable } from '../../merkle/runtime/disk/files.ts';
import { type OutgoingSettings, openConfiguredOutgoing } from '../../merkle/runtime/identity/outgoing.ts';
import { checkHeads } from '../cosign/heads.ts';
import { checkWitnessIds, endpointsOf, readPolicy } from '../cosign/policy.ts';
import { isFailed, WitnessClient } from '../cosign/witness-client.ts';
import { type LogIdentity, readIdentity, writeIdentity } from '../dir/identity.ts';
import { layout, openDirStores } from '../dir/layout.ts';
import { ServerError } from '../errors.ts';
import { checkKnown, readKnown } from '../log/known-head.ts';
import { type FurtherShard, readChain } from '../shards/chain.ts';
import { copyShardFiles } from '../shards/shard-copy.ts';
import { shardDir } from '../shards/shard-record.ts';
import { CommittedTree } from '../tree/committed.ts';
import type { TreeReader } from '../tree/reader.ts';
import { emptyDir } from './backup.ts';
import { type CheckOptions, checkDir } from './check.ts';
import { checkEnd } from './check-shards.ts';
import { copyState, fullFiles, writeTree } from './copy.ts';

export interface RestoreOptions extends Omit<CheckOptions, 'verifierKeys'> {
  /** The backup. */
  readonly from: string;
  /** The data directory to make: empty or missing. */
  readonly to: string;
  /** File with the newest checkpoint of this log that the operator can find: from a monitor, a mirror, a client's proof. */
  readonly atLeast: string;
  /** The log's witness policy, where it has one. The backup must extend what the witnesses hold, too. */
  readonly policy?: string | undefined;
  /** How the log reaches its witnesses. */
  readonly outgoing?: OutgoingSettings | undefined;
}

/** The size that a witness of the policy holds of the log, or why the size is unknown. */
interface WitnessReport {
  readonly witness: string;
  /** 0 where the witness does not know the log; undefined where `failed` says why the witness gave no answer. */
  readonly size: number | undefined;
  readonly failed?: string;
}

interface RestoreReport {
  readonly size: number;
  readonly atLeast: number;
  readonly witnesses: readonly WitnessReport[];
}

/** How long a witness has to show its checkpoint, in milliseconds. */
const WITNESS_TIMEOUT_MS = 10_000;

/** A shard of the backup that has begun. */
interface Copied {
  readonly from: string;
  readonly to: string;
  readonly identity: LogIdentity;
  /** The shard after it, where there is one. */
  readonly next: FurtherShard | undefined;
}

/**
 * Checks the whole backup, and that its tree extends the checkpoint `atLeast` and those of the witnesses. Then copies it. Of
 * several shards, these are about the newest one that has begun; each earlier one must have ended as the next one has pinned.
 * Without these checks, a log could go on from a tree that lacks entries somebody has a proof for: it would show two
 * histories, and no client could trust it again.
 *
 * A crash in between leaves a directory without `stele.json`, which no log starts on.
 * @throws ServerError `rollback` where the backup does not extend one of them; `config`, `policy`, and what `checkDir` throws
 */
export async function restore(options: RestoreOptions): Promise<RestoreReport> {
  const { from, to } = options;
  const identity = await readIdentity(from);
  if (identity?.copy !== true) {
    throw new ServerError('config', `${from} is not a backup of \`stele log backup\`. Name the directory of one.`);
  }
  const chain = await readChain(from);
  const shards: Copied[] = [
    { from, to, identity, next: chain[0] },
    ...chain.flatMap(({ dir, record, identity }, i) =>
      identity === undefined ? [] : [{ from: dir, to: shardDir(to, record.origin), identity, next: chain[i + 1] }],
    ),
  ];
  const newest = shards.at(-1)!;
  const known = await readKnown(options.atLeast, newest.identity.origin, newest.identity.verifierKeys);
  for (const shard of shards) {
    await checkDir(shard.from, options);
    await checkEnd(shard.from, shard.next);
  }
  const witnesses = await withTree(newest.from, async (tree) => {
    await checkKnown(tree, known, {
      what: 'the backup',
      frozen: 'Use a backup that was made afterwards.',
      less: 'Use a newer backup; without one, start a new log with a new origin.',
    });
    return await askWitnesses(options, newest.identity, tree.reader());
  });
  await emptyDir(to);
  for (const { dir, record } of chain) {
    const target = shardDir(to, record.origin);
    await makeDirDurable(target, { mode: 0o700 });
    await copyShardFiles(dir, target);
  }
  let size = 0;
  // Last the first one: without its `stele.json`, `to` is not a data directory.
  for (const shard of shards.toReversed()) {
    const copied = await copyShard(shard);
    if (shard === newest) size = copied;
  }
  return { size, atLeast: known.size, witnesses };
}

async function copyShard({ from, to, identity }: Copied): Promise<number> {
  return await withTree(from, async (tree) => {
    await copyState(tree.stateSnapshot(), layout.state(to));
    const files = fullFiles(tree.state.filed, tree.tileStore());
    await writeTree(layout.public(to), files, files.count, decodeUtf8(tree.checkpoint!));
    await writeIdentity(to, { ...identity, copy: false });
    return tree.snapshot.size;
  });
}

async function withTree<T>(dir: string, work: (tree: CommittedTree) => Promise<T>): Promise<T> {
  const tree = await CommittedTree.open(await openDirStores(dir), fastSha256);
  try {
    return await work(tree);
  } finally {
    await tree.close();
  }
}

/** A witness that gives no answer is reported, and does not stop the restore: the lost machine may be the witness's. */
async function askWitnesses(
  { policy: file, outgoing: settings }: RestoreOptions,
  { origin, verifierKeys }: LogIdentity,
  tree: TreeReader,
): Promise<WitnessReport[]> {
  if (file === undefined) return [];
  const keys = verifierKeys.map(parseVerifierKey);
  const policy = await readPolicy(file);
  const endpoints = endpointsOf(policy, keys);
  checkWitnessIds(policy, settings?.witnessIds ?? []);
  const outgoing = settings && (await openConfiguredOutgoing(settings));
  const client = new WitnessClient(outgoing);
  try {
    const heads = await checkHeads(client, endpoints, { origin, keys }, WITNESS_TIMEOUT_MS, tree);
    return heads.map(({ name, head }) =>
      head !== undefined && isFailed(head)
        ? { witness: name, size: undefined, failed: `${head.text}${head.detail ?? ''}` }
        : { witness: name, size: head?.size ?? 0 },
    );
  } finally {
    client.close();
    await outgoing?.close();
  }
}

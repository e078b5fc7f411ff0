/** `stele log check` of a whole log: every shard that has begun, and that each ended as the one after it has pinned. */
import { parseVerifierKey } from '../../merkle/note.ts';
import { readIdentity } from '../dir/identity.ts';
import { layout } from '../dir/layout.ts';
import { ServerError } from '../errors.ts';
import { type FurtherShard, readChain } from '../shards/chain.ts';
import { checkPinned } from '../shards/pin.ts';
import { openLevelState } from '../store/level/level.ts';
import { type CheckOptions, type CheckReport, checkDir } from './check.ts';

/** As `checkDir`; `shards` has a report for each further shard that has begun. */
export async function checkLog(
  dir: string,
  options: CheckOptions = {},
): Promise<CheckReport & { readonly shards?: readonly CheckReport[] }> {
  const chain = (await readIdentity(dir)) === undefined ? [] : await readChain(dir);
  // Without further shards every given key is for this one.
  const own = chain.length === 0 ? {} : keysOf((await readIdentity(dir))?.origin, options);
  const report = await checkDir(dir, { ...options, ...own });
  await checkEnd(dir, chain[0]);
  const shards: CheckReport[] = [];
  for (const [i, { dir: shard, record, identity }] of chain.entries()) {
    if (identity === undefined) continue;
    shards.push(await checkDir(shard, { ...options, ...keysOf(record.origin, options) }));
    await checkEnd(shard, chain[i + 1]);
  }
  return shards.length === 0 ? report : { ...report, shards };
}

/** @throws ServerError `rollback` where the log in `dir` did not end with the checkpoint that `next` has pinned */
export async function checkEnd(dir: string, next: FurtherShard | undefined): Promise<void> {
  if (next?.pin === undefined) return;
  const store = await openLevelState(layout.state(dir), { create: false });
  try {
    const state = await store.read();
    if (state === undefined) throw new ServerError('corrupt', `${dir} has no tree state.`);
    checkPinned({ state }, next.pin);
  } finally {
    await store.close();
  }
}

/** The given keys of one shard; those that the directory names where there is none. */
function keysOf(origin: string | undefined, { verifierKeys }: CheckOptions): Pick<CheckOptions, 'verifierKeys'> {
  const own = verifierKeys?.filter((key) => origin === undefined || parseVerifierKey(key).name === origin) ?? [];
  return own.length === 0 ? { verifierKeys: undefined } : { verifierKeys: own };
}

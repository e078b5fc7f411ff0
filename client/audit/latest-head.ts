/** The current checkpoint of a log, held against the one that an earlier audit has seen. */

import { HASH_SIZE } from '../../merkle/rfc6962.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { SYSTEM_CLOCK } from '../../merkle/runtime/service/back-off.ts';
import { type FetchTile, TILE_WIDTH } from '../../merkle/tile.ts';
import { ClientError, cancelled } from '../errors.ts';
import { standing } from '../follow/open-head.ts';
import { isBeginning, tilesOf } from '../tiles/tree-proofs.ts';
import type { TileSource } from '../tiles/types.ts';
import type { AuditHead, SeenHead } from './audit-head.ts';
import { historyProblem, otherTree } from './audit-history.ts';
import { AuditProblem } from './audit-problem.ts';
import type { AuditState } from './audit-state.ts';
import { Levels } from './levels.ts';

/** Looks past caches, before a log is said to have gone back. */
const LOOKS = 3;
/** Pause between two such looks, in milliseconds. A directory is read again at once. */
const PAUSE_MS = 1000;

/**
 * The checkpoint that the log shows, and in `problem` why it is not accepted. Where the checkpoint is missing or smaller than
 * before, a cache may be to blame, so the log is asked again, past caches.
 *
 * @param read verifies a checkpoint
 * @returns `problem`: ClientError `stale` for a smaller checkpoint that is the beginning of the tree seen before; AuditProblem
 *   `bad-checkpoint` for one that is of another tree, or not shown to be of the same
 * @throws AuditProblem `missing`, and what `read` throws; what the source throws
 */
export async function latestHead(
  source: TileSource,
  state: AuditState | undefined,
  read: (bytes: Uint8Array) => Promise<AuditHead>,
  signal: AbortSignal,
): Promise<{ readonly head: AuditHead; readonly problem?: ClientError }> {
  const last = state?.heads.at(-1);
  if (state === undefined || last === undefined) return { head: await read(await source.checkpoint(signal)) };
  const isBehind = (head: AuditHead) => head.origin === state.origin && standing(last, head) === 'smaller';
  let newest: AuditHead | undefined;
  let gone: ClientError | undefined;
  for (let look = 0; look <= LOOKS; look++) {
    if (look > 1 && source.directory === undefined) await SYSTEM_CLOCK.sleep(PAUSE_MS, signal);
    if (signal.aborted) throw cancelled();
    try {
      const head = await read(await source.checkpoint(signal, look > 0));
      if (!isBehind(head)) return { head };
      if (newest === undefined || head.size > newest.size) newest = head;
    } catch (error) {
      if (!(error instanceof ClientError) || error instanceof AuditProblem || error.code !== 'missing') throw error;
      gone = error;
    }
  }
  if (newest !== undefined) return { head: newest, problem: await judge(newest, last, state, source, signal) };
  // A log that was there before must still be there.
  throw new AuditProblem('missing', 'checkpoint', gone!.message, undefined, { cause: gone });
}

/** What to say of a checkpoint that is smaller than the last one, after all looks. */
async function judge(
  head: AuditHead,
  last: SeenHead,
  state: AuditState,
  source: TileSource,
  signal: AbortSignal,
): Promise<ClientError> {
  const ofSameSize = [...state.proven, ...state.heads].find(({ size }) => size === head.size);
  if (ofSameSize !== undefined && standing(ofSameSize, head) === 'other-root') return otherTree(ofSameSize, head);
  const back = `it has shown a tree of ${last.size} entries, and now shows one of ${head.size}, asked ${LOOKS + 1} times`;
  const tiles = tilesOf(source, signal);
  const isProven = state.complete && ofSameSize !== undefined;
  const beginning =
    isProven ||
    ((await isBeginning(head, last, tiles, fastSha256)) ?? (await isBeginningOfState(head, state, source, tiles)));
  if (beginning === true) {
    return new ClientError(
      'stale',
      `the log is stale or was rolled back: ${back}, which is the beginning of the larger one. The state stays as it is`,
    );
  }
  const why =
    beginning === false
      ? 'which is not the beginning of the larger one'
      : 'and does not serve the tiles that would show whether that is the beginning of the larger one';
  const what = beginning === false ? 'the log shows another tree than before' : 'the log went back';
  return historyProblem(`${what}: ${back}, ${why}`, head);
}

/** As `isBeginning`, of the tree of an audit that came to its end. The state has the unfinished tiles of that tree. */
async function isBeginningOfState(
  head: AuditHead,
  { bundles, edge, tail, complete }: AuditState,
  source: TileSource,
  tiles: FetchTile,
): Promise<boolean | undefined> {
  // A state without a tail, as older versions wrote it, has the full bundles alone.
  const size = bundles * TILE_WIDTH + tail.length / HASH_SIZE;
  const levels = new Levels(source);
  // The bundles of an audit that was interrupted were not held against a signed root.
  if (!complete || head.size > size || !levels.restore(bundles, edge)) return undefined;
  const unfinished = [tail, ...edge];
  const kept: FetchTile = async (tile) => {
    const hashes = unfinished[tile.level];
    const isKept = hashes !== undefined && tile.index === Math.floor(bundles / TILE_WIDTH ** tile.level);
    return isKept ? hashes : await tiles(tile);
  };
  return await isBeginning(head, { size, root: levels.rootWith(tail) }, kept, fastSha256);
}

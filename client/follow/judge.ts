/** Whether the feed accepts a checkpoint that the log signed, after all that it knows of the log. */
import { equal } from '../../merkle/bytes.ts';
import { EMPTY_ROOT } from '../../merkle/rfc6962.ts';
import { ClientError } from '../errors.ts';
import { tilesOf } from '../tiles/tree-proofs.ts';
import type { TileSource } from '../tiles/types.ts';
import { isEmptyEnd } from '../trust/last-checkpoint.ts';
import { keysOf } from './compare-trees.ts';
import { checkedEvidence, compareTrees } from './consistency.ts';
import { standing } from './open-head.ts';
import { quorumMissing, quorumSeen } from './signed-head.ts';
import type { Cursor, Fact, FollowedLog, SignedHead } from './types.ts';

/**
 * Why the feed does not accept `head`; undefined where it does.
 *
 * @param cursor what the feed knows; undefined before the first commit
 * @throws ClientError: the log does not serve the tiles that would decide it
 */
export async function judge(
  log: FollowedLog,
  cursor: Cursor | undefined,
  head: SignedHead,
  source: TileSource,
  signal: AbortSignal,
): Promise<Fact | undefined> {
  return (
    emptyRoot(head) ??
    (await compareWithLast(cursor?.head, head, source, signal)) ??
    (await compareWithPinned(log.last, head, source, signal)) ??
    grewAfterFreeze(log, cursor, head) ??
    withoutQuorum(log, head)
  );
}

/**
 * A checkpoint that the quorum cosigned too long ago. The feed accepts it all the same: the tree is true, but a log that
 * always shows the same checkpoint hides its newer entries.
 *
 * @param now milliseconds since 1970
 */
export function tooOld(log: FollowedLog, head: SignedHead, now: number): Fact | undefined {
  // The last checkpoint of a frozen log stays as it is.
  if (log.maxCheckpointAge === undefined || head.frozen) return undefined;
  const seen = quorumSeen(log, head);
  if (seen === undefined || now - seen <= log.maxCheckpointAge) return undefined;
  return { type: 'old-checkpoint', proven: true, head, seen };
}

function emptyRoot(head: SignedHead): Fact | undefined {
  if (head.size > 0 || equal(head.root, EMPTY_ROOT)) return undefined;
  return { type: 'empty-root', proven: true, head };
}

async function compareWithLast(
  before: SignedHead | undefined,
  head: SignedHead,
  source: TileSource,
  signal: AbortSignal,
): Promise<Fact | undefined> {
  const stands = before === undefined ? 'same' : standing(before, head);
  if (before === undefined || stands === 'same') return undefined;
  const tiles = tilesOf(source, signal);
  if (stands !== 'smaller') {
    const evidence = await compareTrees(before, head, tiles);
    return evidence && { type: 'fork', proven: true, before, head, evidence };
  }
  const evidence = await compareTrees(head, before, tiles).catch((error: unknown) => {
    // A log that went back no longer has the tiles that would show a fork.
    if (error instanceof ClientError && error.code !== 'cancelled') return undefined;
    throw error;
  });
  if (evidence === undefined) return { type: 'rollback', proven: false, before, head };
  return { type: 'fork', proven: true, before, head, evidence };
}

/** The pinned last checkpoint is a tree that the log has shown, to its operator. Growth past it is a lie by itself. */
async function compareWithPinned(
  last: SignedHead | undefined,
  head: SignedHead,
  source: TileSource,
  signal: AbortSignal,
): Promise<Fact | undefined> {
  if (last === undefined || standing(last, head) !== 'larger') return await compareWithLast(last, head, source, signal);
  const evidence = checkedEvidence({ keys: keysOf(last, head), first: last.own, second: head.own });
  return { type: 'grew-after-freeze', proven: true, size: last.size, head, ...(evidence && { evidence }) };
}

function grewAfterFreeze(log: FollowedLog, cursor: Cursor | undefined, head: SignedHead): Fact | undefined {
  const declared = typeof log.frozen === 'number' ? log.frozen : undefined;
  const size = Math.min(cursor?.frozen?.size ?? Infinity, declared ?? Infinity);
  if (head.size <= size) return undefined;
  const last = cursor?.frozen?.head;
  const evidence = last && checkedEvidence({ keys: keysOf(last, head), first: last.own, second: head.own });
  return { type: 'grew-after-freeze', proven: true, size, head, ...(evidence && { evidence }) };
}

function withoutQuorum(log: FollowedLog, head: SignedHead): Fact | undefined {
  if (log.last !== undefined && isEmptyEnd(head, [log.last])) return undefined;
  const why = quorumMissing(log, head);
  return why === undefined ? undefined : { type: 'quorum-missing', proven: false, head, why };
}

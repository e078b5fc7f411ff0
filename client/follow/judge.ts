/** Whether a checkpoint that the log signed may be believed, after all that is known of the log. */
import { equal } from '../../merkle/bytes.ts';
import { EMPTY_ROOT } from '../../merkle/rfc6962.ts';
import { ClientError } from '../errors.ts';
import type { Misbehaviour } from '../monitor/fact-alerts.ts';
import type { FollowedLog } from '../monitor/follow-settings.ts';
import type { LogState } from '../monitor/log-state.ts';
import type { TileSource } from '../tiles/types.ts';
import { checked, compareTrees, tilesOf } from './consistency.ts';
import { describeHead, type Head, quorumMissing, quorumSeen, sameTree } from './signed-head.ts';

/**
 * Why `head` may not be believed; undefined where it may.
 *
 * @param state what is known; undefined where the log is seen for the first time
 * @throws ClientError where it cannot be told: the log does not serve the tiles that would show it
 */
export async function judge(
  log: FollowedLog,
  state: LogState | undefined,
  head: Head,
  source: TileSource,
  signal: AbortSignal,
): Promise<Misbehaviour | undefined> {
  return (
    impossible(head) ??
    (await compareWithLast(state?.head, head, source, signal)) ??
    grewAfterFreeze(log, state, head) ??
    withoutQuorum(log, head)
  );
}

/** A checkpoint that is too old by its witnesses, and may still be believed: a log that always shows the same one hides the rest. */
export const OLD = 'old checkpoint';

/** @param now milliseconds since 1970 */
export function tooOld(log: FollowedLog, head: Head, now: number): Misbehaviour | undefined {
  // The last one of a log that has ended says so.
  if (log.maxCheckpointAge === undefined || head.frozen) return undefined;
  const seen = quorumSeen(log, head);
  if (seen === undefined || now - seen <= log.maxCheckpointAge) return undefined;
  const since = new Date(seen).toISOString();
  const summary = `"${log.origin}" shows a checkpoint that its witnesses saw last at ${since} (${describeHead(head)}): what it has taken since is not shown`;
  return { kind: 'stale', condition: OLD, detail: since, summary, proven: true };
}

function impossible(head: Head): Misbehaviour | undefined {
  if (head.size > 0 || equal(head.root, EMPTY_ROOT)) return undefined;
  const detail = describeHead(head);
  const summary = `"${head.origin}" signed a root for the empty tree that the empty tree does not have: ${detail}`;
  return { kind: 'inconsistent', condition: 'inconsistent', detail, summary, proven: true };
}

async function compareWithLast(
  last: Head | undefined,
  head: Head,
  source: TileSource,
  signal: AbortSignal,
): Promise<Misbehaviour | undefined> {
  if (last === undefined || sameTree(last, head)) return undefined;
  const [before, now] = [describeHead(last), describeHead(head)];
  const detail = `${before}; ${now}`;
  const { origin } = head;
  if (head.size < last.size) return await wentBack(last, head, detail, source, signal);
  const evidence = await compareTrees(last, head, tilesOf(source, signal));
  if (evidence === undefined) return undefined;
  const shared = { detail, proven: true, evidence };
  if (head.size === last.size) {
    const summary = `"${origin}" signed two different trees of one size: first ${before}, now ${now}`;
    return { ...shared, kind: 'split-view', condition: 'split-view', summary };
  }
  const summary = `"${origin}" signed a tree that does not continue the one before: first ${before}, now ${now}`;
  return { ...shared, kind: 'inconsistent', condition: 'inconsistent', summary };
}

/** An old checkpoint may come out of a cache, and is no lie until it stays; one of another history is one at once. */
async function wentBack(
  last: Head,
  head: Head,
  detail: string,
  source: TileSource,
  signal: AbortSignal,
): Promise<Misbehaviour> {
  const { origin } = head;
  const said = `it had signed ${describeHead(last)}, and now shows ${describeHead(head)}`;
  const evidence = await compareTrees(head, last, tilesOf(source, signal)).catch((error: unknown) => {
    // A log that went back no longer has the tiles that would show it.
    if (error instanceof ClientError && error.code !== 'cancelled') return undefined;
    throw error;
  });
  if (evidence === undefined) {
    const summary = `"${origin}" went back: ${said}`;
    return { kind: 'rollback', condition: 'rollback', detail, summary, proven: false };
  }
  const summary = `"${origin}" went back to another history: ${said}`;
  return { kind: 'inconsistent', condition: 'inconsistent', detail, summary, proven: true, evidence };
}

function grewAfterFreeze(log: FollowedLog, state: LogState | undefined, head: Head): Misbehaviour | undefined {
  const declared = typeof log.frozen === 'number' ? log.frozen : undefined;
  const size = Math.min(state?.frozen?.size ?? Infinity, declared ?? Infinity);
  if (head.size <= size) return undefined;
  const last = state?.frozen?.head;
  const keys = [...new Set([...(last?.keys ?? []), ...head.keys])];
  const evidence = last && checked({ keys, first: last.own, second: head.own });
  return {
    kind: 'frozen-grew',
    condition: 'frozen-grew',
    detail: `${size}; ${describeHead(head)}`,
    summary: `"${head.origin}" is frozen at size ${size}, and has signed a larger tree: ${describeHead(head)}`,
    proven: true,
    ...(evidence && { evidence }),
  };
}

/** A witness that is late adds its cosignature afterwards, so this too must stay for a while. */
function withoutQuorum(log: FollowedLog, head: Head): Misbehaviour | undefined {
  const why = quorumMissing(log, head);
  if (why === undefined) return undefined;
  const detail = describeHead(head);
  const summary = `the checkpoint of "${head.origin}" (${detail}) is without its quorum: ${why}`;
  return { kind: 'quorum-missing', condition: 'quorum-missing', detail, summary, proven: false };
}

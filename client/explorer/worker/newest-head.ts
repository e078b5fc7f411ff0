/** The newest checkpoint of a log, which the log signed. */
import type { ExplorerLog } from '../../../merkle/explorer-config.ts';
import { nobleNotePrimitives } from '../../../merkle/noble.ts';
import { openHeadWith, quorumMissingWith, withPlainBy } from '../../follow/open-head.ts';
import type { FollowedLog, SignedHead } from '../../follow/types.ts';
import { openInBrowser } from '../model/browser-files.ts';

interface NewestHead {
  readonly head: SignedHead;
  /** Why the quorum of the policy is missing; undefined where it is met or no policy is known. */
  readonly quorumMissing: string | undefined;
}

/** @throws ClientError `bad-checkpoint`, `missing`; of `openInBrowser` */
export async function newestHead(log: ExplorerLog, signal: AbortSignal): Promise<NewestHead> {
  const source = openInBrowser(log.url);
  const own = openHeadWith(nobleNotePrimitives, followed(log), await source.checkpoint(signal, true));
  const head = await withPlainBy(nobleNotePrimitives, followed(log), own, source, signal);
  return { head, quorumMissing: quorumMissingWith(nobleNotePrimitives, log, head) };
}

/** The part of a log's trust that checkpoints are verified by. */
export function followed({ origin, keys, policy }: ExplorerLog): Pick<FollowedLog, 'origin' | 'keys' | 'policy'> {
  return { origin, keys, ...(policy && { policy }) };
}

/** What is wrong with the log itself, beside what a view shows of it: it went back, forked, or lacks its quorum. */
import type { ExplorerLog } from '../../../merkle/explorer-config.ts';
import { claimsOfLook } from '../model/look-claims.ts';
import { ClaimList } from './page-claim.tsx';
import { useTask } from './use-task.ts';

export function LogWarnings({ log }: { readonly log: ExplorerLog }) {
  const { value } = useTask('lookAtLog', { log }, log.origin);
  const failed = value === undefined ? [] : claimsOfLook(log, value).filter(({ state }) => state === 'failed');
  return failed.length === 0 ? null : <ClaimList claims={failed} label="What is wrong with the log" />;
}

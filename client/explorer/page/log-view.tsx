/** The state of the log: its newest checkpoint, and what is known of it. */
import { useEffect, useState } from 'preact/hooks';
import { claimChecked, claimFailed, claimNotChecked, type PageClaim } from '../model/claims.ts';
import type { LogLook } from '../worker/look-at-log.ts';
import { inWorker, TaskError } from './in-worker.ts';
import { ClaimList, shownText } from './page-claim.tsx';
import type { ViewProps } from './types.ts';

export function LogView({ log }: ViewProps) {
  const [look, setLook] = useState<LogLook | TaskError>();
  useEffect(() => {
    const stop = new AbortController();
    inWorker('lookAtLog', { log }, { signal: stop.signal }).then(setLook, (error: TaskError) => {
      if (!stop.signal.aborted) setLook(error);
    });
    return () => stop.abort();
  }, [log]);
  const claims: PageClaim[] = [];
  if (look instanceof TaskError) claims.push(claimFailed('The newest checkpoint', look));
  else if (look !== undefined) {
    claims.push(claimChecked(`The log signed its newest checkpoint, of ${look.head.size} entries`));
    if (look.quorumMissing !== undefined) claims.push(claimFailed('The quorum of the witnesses', look.quorumMissing));
    else if (log.policy?.quorum === undefined)
      claims.push(claimNotChecked('A quorum of witnesses', 'explorer.json asks for none'));
    else claims.push(claimChecked('The quorum of the witnesses cosigned it'));
  }
  return (
    <>
      <h1>{shownText(log.origin)}</h1>
      {look === undefined ? (
        <p role="status">Looking at the log …</p>
      ) : (
        <ClaimList claims={claims} label="What was checked" />
      )}
    </>
  );
}

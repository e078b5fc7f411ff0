/** Reads the files that define the trust. */

import type { VerifierKey } from '../../../merkle/note.ts';
import { MAX_POLICY, type Policy } from '../../../merkle/policy.ts';
import { usage } from '../../errors.ts';
import { parseLogKey } from '../../trust/log-key.ts';
import { parseTrustPolicy } from '../../trust/quorum.ts';
import { MAX_TRUSTED_ROOT, parseTrustedRoot, type TrustedRoot } from '../../trust/trusted-root.ts';
import { readWhole } from '../files.ts';
import type { VerifyOptions } from './arguments.ts';

export interface VerifyTrust {
  readonly trustedRoot?: TrustedRoot;
  readonly logKey?: VerifierKey;
  readonly policy?: Policy;
}

/** @throws ClientError `file`, `usage`, `trusted-root`, `log-key`, `policy` */
export async function readVerifyTrust({ trustedRoot, logKey, policy }: VerifyOptions): Promise<VerifyTrust> {
  if (trustedRoot === undefined && logKey === undefined && policy === undefined) {
    throw usage('say which log you trust: --trusted-root, or --log-key, or --policy with witnesses as well');
  }
  return {
    ...(logKey === undefined ? {} : { logKey: parseLogKey(logKey) }),
    ...(trustedRoot === undefined
      ? {}
      : { trustedRoot: parseTrustedRoot(await readWhole(trustedRoot, MAX_TRUSTED_ROOT)) }),
    ...(policy === undefined ? {} : { policy: parseTrustPolicy(await readWhole(policy, MAX_POLICY)) }),
  };
}

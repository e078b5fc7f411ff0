/** Which log the authority writes to, and what it trusts for it. */
import { decodeUtf8 } from '../../merkle/bytes.ts';
import { readFileIfThere } from '../../merkle/runtime/disk/files.ts';
import { RuntimeError } from '../../merkle/runtime/runtime-errors.ts';
import { parseLogUrl } from '../submit/log-url.ts';
import { parseLogKey } from '../trust/log-key.ts';
import { parseTrustPolicy } from '../trust/quorum.ts';
import type { LogTrust } from '../verify/types.ts';
import type { CaConfig } from './ca-config.ts';

const MAX_FILE_BYTES = 1024 * 1024;

/** @throws RuntimeError `file`, `config`; ClientError `log-key`, `policy`, `usage` */
export async function logTrustOf({
  url,
  logKey,
  quorumPolicy,
}: CaConfig['transparencyLog']): Promise<{ readonly url: string; readonly trust: LogTrust }> {
  const key = logKey === undefined ? undefined : parseLogKey(decodeUtf8(await read(logKey)).trim());
  const policy = quorumPolicy === undefined ? undefined : parseTrustPolicy(await read(quorumPolicy));
  const trust = key === undefined ? { policy: policy! } : { logKey: key, ...(policy && { policy }) };
  return { url: parseLogUrl(url), trust };
}

async function read(path: string): Promise<Uint8Array> {
  const bytes = await readFileIfThere(path, MAX_FILE_BYTES);
  if (bytes === undefined) throw new RuntimeError('config', `${path} is not there`);
  return bytes;
}

/** Whether others than the index may write to an output log: one foreign leaf halts every rebuilder for good. */
import { isLoopback } from '../../../merkle/loopback.ts';
import { fetchLogInfo } from '../../submit/log-info.ts';
import { parseLogUrl } from '../../submit/log-url.ts';
import type { LogRequestOptions } from '../../submit/types.ts';

/**
 * As the log itself says. False for a log on this machine, which nobody else reaches, and where the log does not answer: that is told
 * elsewhere.
 *
 * @param location URL of the output log
 */
export async function mayOthersWrite(location: string, requests: LogRequestOptions): Promise<boolean> {
  try {
    if (isLoopback(location)) return false;
    return (await fetchLogInfo(parseLogUrl(location), requests)).openToWriters;
  } catch {
    return false;
  }
}

/** What a log says about itself: `GET /stele/v1/log` (docs/wire.md). */
import { formatVerifierKey, type VerifierKey } from '../../merkle/note.ts';
import { ClientError } from '../errors.ts';
import { array, malformed, parseJson, string } from '../formats/json.ts';
import { parseLogKey } from '../trust/log-key.ts';
import { ask, MAX_REPLY } from './log-request.ts';
import { readReply } from './replies.ts';
import type { LogRequestOptions } from './types.ts';
import { refusalOf, takesRawOnly } from './witness-port.ts';

/** What the server at an address says about its log, unverified. */
export interface LogInfo {
  readonly origin: string;
  /** Verifier keys (c2sp.org/signed-note), the log's own first. */
  readonly verifierKeys: readonly string[];
  /** Where others reach the log, by its own configuration. */
  readonly url: string | undefined;
  /** The log takes opaque entries alone. */
  readonly raw: boolean;
  /** The log takes entries of everybody: it says of no identity that its writers must prove. */
  readonly openToWriters: boolean;
}

/**
 * @param log as `parseLogUrl` gives it
 * @throws ClientError `network`, `unavailable`, `refused`, `bad-reply`, `cancelled`
 */
export async function fetchLogInfo(log: string, options: LogRequestOptions = {}): Promise<LogInfo> {
  const reply = await ask(`${log}/stele/v1/log`, undefined, options);
  if (reply.status !== 200) throw await refusalOf(log, reply, options);
  return readReply(() => {
    const info = parseJson(reply.body, 'the description of the log', MAX_REPLY);
    // Not `object`, which refuses unknown names: a newer log may say more about itself.
    if (typeof info !== 'object' || info === null) throw malformed('the description of the log', 'is not an object');
    const { origin, verifierKeys, url, writes } = info as Record<string, unknown>;
    const keys = array(verifierKeys, 'verifierKeys', 16).map((key) => string(key, 'verifierKeys'));
    return {
      origin: string(origin, 'origin'),
      verifierKeys: keys,
      url: url === undefined ? undefined : string(url, 'url'),
      raw: takesRawOnly(info),
      openToWriters: writes === undefined,
    };
  });
}

/**
 * The key that the log itself names: trust on first use. The server at `log` may name any key, so the caller must say so
 * to its user, and should keep the key for the next time.
 *
 * @returns the key and its text form
 * @throws ClientError as `fetchLogInfo`
 */
export async function askLogKey(
  log: string,
  options: LogRequestOptions = {},
): Promise<{ key: VerifierKey; text: string }> {
  const { verifierKeys } = await fetchLogInfo(log, options);
  const [first] = verifierKeys;
  if (first === undefined) throw new ClientError('bad-reply', 'the log names no verifier key of its own');
  try {
    const key = parseLogKey(first);
    return { key, text: formatVerifierKey(key) };
  } catch (cause) {
    throw new ClientError('bad-reply', 'the log names a verifier key that is malformed', { cause });
  }
}

/** Opaque entries of a log with `entries: raw`: docs/wire.md, `POST /add`. */
import { parseDecimal } from '../../merkle/bytes.ts';
import { MerkleError } from '../../merkle/errors.ts';
import { ClientError } from '../errors.ts';
import { FrozenLog } from './frozen-log.ts';
import { ask, describeReply, refusal } from './log-request.ts';
import { isFrozen } from './replies.ts';
import type { LogRequestOptions } from './types.ts';

const MAX_INDEX = 64;

/**
 * Logs the bytes as they are. The same bytes again have the same index, so that a repeat after a crash or a lost answer makes no
 * second entry.
 *
 * @param log as `parseLogUrl` gives it
 * @param body 1 to 65,535 bytes
 * @returns the index of the entry, which is durable; a later checkpoint covers it
 * @throws ClientError `network`, `unavailable`, `refused`, `bad-reply`, `cancelled`
 */
export async function addRaw(log: string, body: Uint8Array, options: LogRequestOptions): Promise<number> {
  const reply = await ask(`${log}/add`, body, { ...options, contentType: 'application/octet-stream' });
  if (isFrozen(reply)) throw new FrozenLog(describeReply(reply));
  if (reply.status !== 200) throw refusal(reply);
  const text = new TextDecoder().decode(reply.body.subarray(0, MAX_INDEX)).trim();
  try {
    return parseDecimal(text);
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    throw new ClientError('bad-reply', `${log} does not answer with the index of the entry`, { cause });
  }
}

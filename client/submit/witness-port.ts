/**
 * The address of a witness (c2sp.org/tlog-witness) in the place of a log's. A witness knows no path of a log, and its 404 does
 * not say what it is. But it knows `add-checkpoint`, and an empty request there is malformed, which is status 400.
 */
import { ClientError } from '../errors.ts';
import { attempt, DEFAULTS, type HttpReply, MAX_REPLY, refusal } from './log-request.ts';
import type { LogRequestOptions } from './types.ts';

/**
 * The error for an answer that no retry changes; it says where the address is a witness's.
 *
 * @param log as `parseLogUrl` gives it
 */
export async function refusalOf(log: string, reply: HttpReply, options: LogRequestOptions): Promise<ClientError> {
  return (reply.status === 404 ? await witnessAt(log, options) : undefined) ?? refusal(reply);
}

/** The error where the address is a witness's; undefined where it is not. @throws ClientError `cancelled` */
export async function witnessAt(log: string, options: LogRequestOptions): Promise<ClientError | undefined> {
  if (!(await isWitness(log, options))) return undefined;
  return new ClientError('refused', `${log} is the address of a witness, not of a log: give the log's own address`);
}

async function isWitness(log: string, options: LogRequestOptions): Promise<boolean> {
  try {
    const made = await attempt(`${log}/add-checkpoint`, '', DEFAULTS.reach, MAX_REPLY, options);
    return 'reply' in made && made.reply.status === 400;
  } catch (error) {
    if (error instanceof ClientError && error.code !== 'cancelled') return false;
    throw error;
  }
}

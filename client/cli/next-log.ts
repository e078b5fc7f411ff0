/**
 * What a signer does where a log is frozen: it goes on at the log to which the followed repository leads now. The answer of
 * the frozen log alone leads nowhere: whoever has its address could send signers to a log of their own.
 */
import { ClientError } from '../errors.ts';
import type { FrozenLog } from '../submit/frozen-log.ts';
import type { NewLog } from '../submit/queue/queue-item.ts';
import { followedTrust, isFollowedLog } from './followed-trust.ts';
import { type GivenTrust, isTrustGiven, type LogArguments, readLogTrust } from './log-options.ts';
import { freshTrust } from './refresh-trust.ts';
import { note } from './report.ts';
import { logsOf, withServices } from './signing-services.ts';

interface ChosenLog extends LogArguments {
  readonly log?: string;
  readonly signingConfig?: string;
}

interface NextLog {
  /** URLs of all logs that each signature goes to. */
  readonly logs: readonly string[];
  readonly given: GivenTrust;
}

/**
 * The logs that the followed repository names after its news; undefined where they are the same, where none is followed, and
 * where the user named the log or whom to trust.
 *
 * @param frozen URLs of the logs that were used
 * @throws ClientError as `freshTrust`
 */
export async function nextLog(options: ChosenLog, frozen: readonly string[]): Promise<NextLog | undefined> {
  if (options.log !== undefined || options.signingConfig !== undefined || isTrustGiven(options)) return undefined;
  const followed = await freshTrust(options);
  if (followed === undefined) return undefined;
  try {
    const logs = logsOf(await withServices(options, followed));
    if (logs.every((log) => frozen.includes(log))) return undefined;
    note(`${frozen.join(', ')} is frozen, and the followed repository leads to ${logs.join(', ')}`);
    return { logs, given: await readLogTrust(options, logs, followed) };
  } catch (error) {
    // The time of the frozen log is over, and no other one has begun.
    if (error instanceof ClientError && error.code === 'signing-config') return undefined;
    throw error;
  }
}

/**
 * The log that takes what waits in a queue for a log that is frozen; undefined where no followed repository knows the frozen
 * one and leads to another one.
 *
 * @throws ClientError as `freshTrust`
 */
export async function nextOfQueued(options: ChosenLog, frozen: string): Promise<NewLog | undefined> {
  if (options.log !== undefined || options.signingConfig !== undefined || isTrustGiven(options)) return undefined;
  const followed = await freshTrust(options);
  if (followed === undefined || !isFollowedLog(followed, frozen)) return undefined;
  try {
    const [log, ...more] = logsOf(await withServices(options, followed));
    if (log === undefined || more.length > 0 || log === frozen) return undefined;
    const { logKey, policy } = await readLogTrust(options, [log], followed);
    return { log, logKey, policy };
  } catch (error) {
    if (error instanceof ClientError && error.code === 'signing-config') return undefined;
    throw error;
  }
}

/** The error of a log that is frozen, with what to do. */
export function stillFrozen(error: FrozenLog, options: ChosenLog): ClientError {
  const { log, signingConfig } = options;
  const follows = log === undefined && signingConfig === undefined && !isTrustGiven(options);
  const advice = follows
    ? 'the followed repository leads to no other log yet: when its operator has published the next one, give the same command again'
    : followedTrust(options) === undefined
      ? 'name the log that follows it, or follow the repository of its operator once (`stele trust use`): its news lead there'
      : 'leave out the options that name the log and its key: the followed repository leads to the log that follows it';
  return new ClientError('refused', `${error.message}. Nothing was logged: ${advice}`, { cause: error });
}

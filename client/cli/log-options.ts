/** The options of every command that writes to a log: the log, the trust in it, and the time to try. */
import type { Command } from 'commander';
import { decodeUtf8, encodeUtf8 } from '../../merkle/bytes.ts';
import { formatVerifierKey } from '../../merkle/note.ts';
import { MAX_POLICY } from '../../merkle/policy.ts';
import { ClientError, usage } from '../errors.ts';
import { askLogKey } from '../submit/log-info.ts';
import type { LogRequestOptions } from '../submit/types.ts';
import { parseLastCheckpoint } from '../trust/last-checkpoint.ts';
import { parseLogKey, rootVerifierKeys } from '../trust/log-key.ts';
import { parseTrustPolicy } from '../trust/quorum.ts';
import { MAX_TRUSTED_ROOT, parseTrustedRoot, type TrustedRoot } from '../trust/trusted-root.ts';
import type { FollowedTrust } from '../trust/tuf/load-trust.ts';
import type { LogTrust } from '../verify/types.ts';
import { readWhole, verifierKeyText } from './files.ts';
import { followedLastCheckpoints, followedPolicy, followedRoot } from './followed-files.ts';
import { isFollowedLog } from './followed-trust.ts';
import { note, warn } from './report.ts';
import { addTlsOptions, fetchOf, type TlsOptions, tokenFetchOf } from './tls-authorities.ts';
import { addTrustOptions, type TrustOptions } from './trust-options.ts';

export interface LogArguments extends TrustOptions, TlsOptions {
  readonly logKey?: string;
  readonly policy?: string;
  readonly trustedRoot?: string;
  readonly log?: string;
  readonly bearerTokenFile?: string;
  readonly timeout: string;
  readonly json?: boolean;
}

export function addLogOptions(command: Command): Command {
  const named = command
    .option('--log <url>', 'the log, such as https://log.example.com')
    .option(
      '--log-key <vkey>',
      "the log's verifier key, or a file with it; without one or a policy, the command trusts the key that the log names",
    )
    .option('--policy <path>', 'trust policy (tlog-policy): its log and its quorum of witnesses must have signed')
    .option('--trusted-root <path>', "Sigstore's trusted_root.json: a log in it must have signed");
  return addTlsOptions(addTrustOptions(named))
    .option(
      '--bearer-token-file <path>',
      'show the bearer token in this file to the log of --log, where it takes tokens',
    )
    .option('--timeout <seconds>', 'how long to try', '120')
    .option('--json', 'print the result as JSON');
}

/** The trust that the options give, as values and as the texts that a queue keeps. */
export interface GivenTrust {
  readonly trust: LogTrust | undefined;
  /** Verifier key. */
  readonly logKey: string | undefined;
  /** Text of the policy. */
  readonly policy: string | undefined;
  /** The authorities of signers; absent where nothing says which count. @throws ClientError `trusted-root` */
  readonly root?: (() => TrustedRoot) | undefined;
}

/** Whether an option says which logs are trusted. */
export function isTrustGiven({ logKey, policy, trustedRoot }: LogArguments): boolean {
  return logKey !== undefined || policy !== undefined || trustedRoot !== undefined;
}

/**
 * The trust that the options give, or else the followed repository for the logs that it knows. Sends no request.
 *
 * @param logs URLs of the logs that the command writes to
 * @param certified an authority certifies the signer, which the trusted root must have: then it may stand beside a key or a
 *   policy, which say which log counts
 * @throws ClientError `log-key`, `policy`, `trusted-root`, `usage`, `file`, `trust`
 */
export async function readLogTrust(
  options: LogArguments,
  logs: readonly string[] = [],
  followed?: FollowedTrust,
  certified = false,
): Promise<GivenTrust> {
  if (followed !== undefined && !isTrustGiven(options)) {
    if (logs.every((log) => isFollowedLog(followed, log))) return trustOfFollowed(followed);
    // As without a followed repository: a log of somebody else is not a lie.
    return { trust: undefined, logKey: undefined, policy: undefined };
  }
  const { trustedRoot: path, ...others } = options;
  if (path !== undefined && certified && (others.logKey !== undefined || others.policy !== undefined)) {
    const root = parseTrustedRoot(await readWhole(path, MAX_TRUSTED_ROOT, 'a trusted root'));
    return { ...(await readLogTrust(others)), root: () => root };
  }
  if (path !== undefined) return await rootTrust(path, options);
  const key = options.logKey === undefined ? undefined : parseLogKey(await verifierKeyText(options.logKey));
  const logKey = key && formatVerifierKey(key);
  if (options.policy === undefined) return { trust: key && { logKey: key }, logKey, policy: undefined };
  const file = await readWhole(options.policy, MAX_POLICY, 'a policy');
  const policy = parseTrustPolicy(file);
  return { trust: key === undefined ? { policy } : { logKey: key, policy }, logKey, policy: decodeUtf8(file) };
}

/** The logs of a trusted root whose keys count now, as a policy: a queue keeps its text. */
async function rootTrust(path: string, { logKey, policy: other }: LogArguments): Promise<GivenTrust> {
  if (logKey !== undefined || other !== undefined) {
    throw usage('the logs are trusted by one of --trusted-root, --log-key and --policy: keep one');
  }
  return policyOfRoot(await readWhole(path, MAX_TRUSTED_ROOT, 'a trusted root'), path);
}

/** The policy of the followed repository, or that of its trusted root. @throws ClientError `policy`, `trusted-root`, `trust` */
export function trustOfFollowed(followed: FollowedTrust): GivenTrust {
  const policy = followedPolicy(followed);
  if (policy === undefined) return policyOfRoot(followedRoot(followed), 'the followed trusted root');
  const lastCheckpoints = followedLastCheckpoints(followed).map(parseLastCheckpoint);
  const trust = { policy: parseTrustPolicy(encodeUtf8(policy)), lastCheckpoints };
  return { trust, logKey: undefined, policy, root: () => parseTrustedRoot(followedRoot(followed)) };
}

/** @param name of the trusted root, for errors. @throws ClientError `trusted-root` */
function policyOfRoot(file: Uint8Array, name: string): GivenTrust {
  const root = parseTrustedRoot(file);
  const keys = rootVerifierKeys(root, Date.now()).map(formatVerifierKey);
  if (keys.length === 0) {
    const why = `${name} has no log whose key counts now and signs checkpoints under the name of the log's address`;
    throw new ClientError('trusted-root', why);
  }
  const policy = [...keys.map((key) => `log ${key}`), 'quorum none', ''].join('\n');
  return { trust: { policy: parseTrustPolicy(encodeUtf8(policy)) }, logKey: undefined, policy, root: () => root };
}

/** The given trust, or else the key that the log names, with a warning. @throws ClientError the codes of `askLogKey` */
export async function givenOrFirstUse(
  given: LogTrust | undefined,
  log: string,
  http: LogRequestOptions,
): Promise<{ readonly trust: LogTrust; readonly firstUse: boolean }> {
  if (given !== undefined) return { trust: given, firstUse: false };
  const { key, text } = await askLogKey(log, http);
  warnFirstUse(log, text);
  return { trust: { logKey: key }, firstUse: true };
}

export function warnFirstUse(log: string, vkey: string): void {
  warn(
    `without --log-key this command trusts the key that ${log} names. Compare it with the key that the operator publishes: ${vkey}`,
  );
}

export type CommandRequests = LogRequestOptions & Required<Pick<LogRequestOptions, 'deadline' | 'signal'>>;

/** Requests that report each retry on stderr. The first SIGINT cancels them, and a second one ends the process. @throws ClientError `usage`, `file` */
export async function requestOptions(options: LogArguments): Promise<CommandRequests> {
  if (!/^[1-9][0-9]{0,4}$/.test(options.timeout)) {
    throw usage('--timeout is not a whole number of seconds from 1 to 99999');
  }
  const { bearerTokenFile: file, log } = options;
  const fetch = file === undefined ? await fetchOf(options) : await tokenFetchOf(options, log, file);
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  return {
    ...(fetch === undefined ? {} : { fetch }),
    deadline: Number(options.timeout) * 1000,
    signal: stop.signal,
    onRetry: ({ url, why, wait }) => noteRetry(url, why, wait),
  };
}

/** @param ms of the wait */
export function noteRetry(url: string, why: string, ms: number): void {
  note(`${url}: ${why}; trying again in ${(ms / 1000).toFixed(1)} s`);
}

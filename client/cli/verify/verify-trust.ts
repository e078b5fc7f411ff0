/** Reads the files that define the trust and the expected signer. */
import { encodeUtf8 } from '../../../merkle/bytes.ts';
import { MAX_POLICY } from '../../../merkle/policy.ts';
import { compileExact, hasPattern, type IdentityTest } from '../../../merkle/x509/identity-rule.ts';
import { usage } from '../../errors.ts';
import type { PublicKey } from '../../formats/key.ts';
import { withClientErrors } from '../../merkle-errors.ts';
import { MAX_LAST_CHECKPOINT, parseLastCheckpoint } from '../../trust/last-checkpoint.ts';
import { parseLogKey } from '../../trust/log-key.ts';
import { parseTrustPolicy } from '../../trust/quorum.ts';
import type { SpiffeBundles } from '../../trust/spiffe-bundles.ts';
import { MAX_TRUSTED_ROOT, parseTrustedRoots } from '../../trust/trusted-root.ts';
import type { FollowedTargets } from '../../trust/tuf/followed-targets.ts';
import type { CheckpointTrust, TrustedRoots } from '../../verify/types.ts';
import { readPublicKey, readWhole, verifierKeyText } from '../files.ts';
import { warn } from '../report.ts';
import { readSpiffeFiles } from '../spiffe-files.ts';
import { maxAgeOf, OR_FOLLOW, trustDirOf } from '../trust-options.ts';
import type { RequestedSigner, VerifyOptions } from './arguments.ts';
import { presentTime } from './demands.ts';

/** `CheckpointTrust` with one trusted root or several. */
export interface VerifyTrust extends Omit<CheckpointTrust, 'trustedRoot'> {
  readonly trustedRoot?: TrustedRoots | undefined;
  readonly spiffeBundles?: SpiffeBundles;
}

/** The files of a trust, and the text of a log's key. */
interface TrustBytes {
  readonly logKey: string | undefined;
  readonly trustedRoot: Uint8Array | undefined;
  /** The quorum policy. */
  readonly policy: Uint8Array | undefined;
  readonly lastCheckpoints: readonly Uint8Array[];
  /** Of a followed repository: the last millisecond since 1970 at which it may be used without an update. */
  readonly usableUntil?: number;
}

/** @throws ClientError `file`, `usage`, `trusted-root`, `log-key`, `policy`, `trust` */
export async function readVerifyTrust(options: VerifyOptions): Promise<VerifyTrust> {
  const { logKey, trustedRoot, policy, lastCheckpoints } = await readTrustBytes(options, '--policy');
  return {
    logKey: logKey === undefined ? undefined : parseLogKey(logKey),
    trustedRoot: trustedRoot === undefined ? undefined : parseTrustedRoots(trustedRoot),
    policy: policy === undefined ? undefined : parseTrustPolicy(policy),
    lastCheckpoints: lastCheckpoints.map(parseLastCheckpoint),
    ...(await readSpiffeBundles(options.spiffeBundle)),
  };
}

/** Loaded late, as most checks need none of it. @throws ClientError `file`, `spiffe-bundle` */
async function readSpiffeBundles(given: VerifyOptions['spiffeBundle']): Promise<Pick<VerifyTrust, 'spiffeBundles'>> {
  if (given === undefined) return {};
  const { parseSpiffeBundles } = await import('../../trust/spiffe-bundles.ts');
  return { spiffeBundles: parseSpiffeBundles(await readSpiffeFiles(given)) };
}

/**
 * What the options say, or where they say nothing, what the followed repository says.
 *
 * @param policyFlag the option of the quorum policy, for messages
 * @throws ClientError `file`, `usage`, `log-key`, `trust`
 */
export async function readTrustBytes(options: VerifyOptions, policyFlag: string): Promise<TrustBytes> {
  const { trustedRoot, logKey, policy, lastCheckpoint = [] } = options;
  if (trustedRoot === undefined && logKey === undefined && policy === undefined) {
    const followed = await followedOf(options);
    if (followed !== undefined) return await ofFollowed(followed, lastCheckpoint);
    throw usage(
      `say which log you trust: --trusted-root, or --log-key, or ${policyFlag} with witnesses as well${OR_FOLLOW}`,
    );
  }
  if (options.trust !== undefined || options.maxTrustAge !== undefined) {
    throw usage('the other options say which log is trusted: leave out --trust and --max-trust-age');
  }
  return {
    logKey: logKey === undefined ? undefined : await verifierKeyText(logKey),
    trustedRoot:
      trustedRoot === undefined ? undefined : await readWhole(trustedRoot, MAX_TRUSTED_ROOT, 'a trusted root'),
    policy: policy === undefined ? undefined : await readWhole(policy, MAX_POLICY, 'a policy'),
    lastCheckpoints: await readLastCheckpoints(lastCheckpoint),
  };
}

async function readLastCheckpoints(paths: readonly string[]): Promise<Uint8Array[]> {
  return await Promise.all(paths.map((path) => readWhole(path, MAX_LAST_CHECKPOINT, 'a checkpoint')));
}

/** Loaded late, as a check by files of trust needs none of it; and of it only what the last update has not checked already. */
async function followedOf(options: VerifyOptions): Promise<FollowedTargets | undefined> {
  const { checkedTrust } = await import('../../trust/tuf/checked-store.ts');
  const now = presentTime(options);
  const checked = checkedTrust(trustDirOf(options), { now, maxAge: maxAgeOf(options), warn });
  if (checked !== undefined) return checked;
  const { followedTrust } = await import('../followed-trust.ts');
  return followedTrust(options, now);
}

/** All that the repository says must hold: a key of its trusted root, the quorum of its policy, the ends of frozen logs. */
async function ofFollowed(followed: FollowedTargets, given: readonly string[]): Promise<TrustBytes> {
  const { followedLastCheckpoints, followedPolicy, followedRoot } = await import('../followed-files.ts');
  const policy = followedPolicy(followed);
  const trustedRoot = followedRoot(followed);
  return {
    logKey: undefined,
    trustedRoot,
    policy: policy === undefined ? undefined : encodeUtf8(policy),
    lastCheckpoints: [...followedLastCheckpoints(followed), ...(await readLastCheckpoints(given))],
    // Last: it is that of all that was taken.
    usableUntil: followed.usableUntil,
  };
}

type ReadSigner =
  | { readonly key: PublicKey }
  | ({ readonly identity: IdentityTest } & Pick<VerifyTrust, 'trustedRoot' | 'spiffeBundles'>);

/**
 * The key, or the test of the identity. Loads the engine for patterns only for a rule with a pattern: loading it is slow.
 *
 * @throws ClientError `file`, `key`, `usage`
 */
export async function readSigner(
  signer: RequestedSigner,
  { trustedRoot, spiffeBundles }: Pick<VerifyTrust, 'trustedRoot' | 'spiffeBundles'>,
): Promise<ReadSigner> {
  if ('key' in signer) return { key: await readPublicKey(signer.key) };
  if (trustedRoot === undefined && spiffeBundles === undefined) {
    throw usage(
      'an identity is only as good as the authority that certified it: give --trusted-root with that authority, or --spiffe-bundle of its trust domain',
    );
  }
  const { identity: rule } = signer;
  const identity = hasPattern(rule)
    ? (await import('../../trust/identity.ts')).compileRule(rule)
    : withClientErrors(() => compileExact(rule));
  return { identity, trustedRoot, ...(spiffeBundles && { spiffeBundles }) };
}

/** Reads what decisions are made by: the policy, the files that it names, and the files of trust. */
import { resolve } from 'node:path';
import { loadDecisionPolicy } from '../../../merkle/runtime/policy/load-policy.ts';
import { readKeyText } from '../../../merkle/runtime/policy/policy-signers.ts';
import { MAX_POLICY_FILE } from '../../../merkle/runtime/policy/policy-values.ts';
import type { DecisionPolicy } from '../../../merkle/runtime/policy/types.ts';
import { usage } from '../../errors.ts';
import type { DecisionBasis, TrustBasis } from '../../policy/decision-basis.ts';
import { readWhole } from '../files.ts';
import { inputName, STANDARD_INPUT } from '../input.ts';
import { readSpiffeFiles, spiffePathOf } from '../spiffe-files.ts';
import { trustDirOf } from '../trust-options.ts';
import { sctWish, thresholds } from '../verify/demands.ts';
import { readTrustBytes } from '../verify/verify-trust.ts';
import type { DecideOptions } from './decide-options.ts';

/** @throws ClientError as `readTrustBytes`; RuntimeError `decision-policy` */
export async function readBasis(
  options: DecideOptions,
): Promise<{ readonly basis: DecisionBasis; readonly loaded: DecisionPolicy }> {
  const { policy } = options;
  if (policy === undefined) throw usage('say what must hold: --policy with a decision policy (docs/policy.md)');
  const file = policy === STANDARD_INPUT ? inputName(policy) : policy;
  const bytes = await readWhole(policy, MAX_POLICY_FILE, 'a decision policy');
  const { keyFiles, loaded } = await loadWithKeys(bytes, file);
  return { basis: { policy: { file, bytes }, keyFiles, ...(await readTrustBasis(options)) }, loaded };
}

/** The files of trust alone. @throws ClientError as `readTrustBytes` */
export async function readTrustBasis(options: DecideOptions): Promise<TrustBasis> {
  const { trust, maxTrustAge, trustedRoot, logKey, lastCheckpoint, at, witnessTime, quorumPolicy } = options;
  const given = { trust, maxTrustAge, trustedRoot, logKey, lastCheckpoint, at, policy: quorumPolicy };
  const { policy: quorum, ...read } = await readTrustBytes(
    Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
    '--quorum-policy',
  );
  const wanted = thresholds(options);
  if (wanted.requireTimestamps !== undefined && read.trustedRoot === undefined) {
    throw usage('--require-timestamps needs a --trusted-root with time-stamp authorities');
  }
  const asked = { ...wanted, ...sctWish(options), witnessTime: witnessTime === true };
  const spiffe = options.spiffeBundle;
  const spiffeBundles = spiffe === undefined ? undefined : await readSpiffeFiles(spiffe);
  return { ...read, quorumPolicy: quorum, ...(spiffeBundles && { spiffeBundles }), asked };
}

/** The policy, and the texts of the files of keys that it names. @throws RuntimeError `decision-policy` */
async function loadWithKeys(bytes: Uint8Array, file: string) {
  const keyFiles: Record<string, string> = {};
  const readKey = (path: string, name: string): string => {
    keyFiles[path] = readKeyText(path, name);
    return keyFiles[path];
  };
  return { loaded: await loadDecisionPolicy(bytes, { file, readKey }), keyFiles };
}

/** The files and folders that `readBasis` reads, for a service that watches them. */
export async function basisPaths(options: DecideOptions): Promise<readonly string[]> {
  const { policy, trustedRoot, logKey, quorumPolicy, lastCheckpoint = [], spiffeBundle = [] } = options;
  const more = [...lastCheckpoint, ...spiffeBundle.map(spiffePathOf)];
  const named = [policy, trustedRoot, quorumPolicy, ...more].filter((path) => path !== undefined);
  const followed = trustedRoot === undefined && logKey === undefined && quorumPolicy === undefined;
  const { basis } = await readBasis(options);
  return [...named, ...Object.keys(basis.keyFiles), ...(followed ? [trustDirOf(options)] : [])].map((path) =>
    resolve(path),
  );
}

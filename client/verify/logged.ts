/** The log entries of a bundle: each must be about what was signed, and be where its log says. */

import { encodeBase64, equal } from '../../merkle/bytes.ts';
import { formatVerifierKey, type VerifierKey } from '../../merkle/note.ts';
import type { Policy } from '../../merkle/policy.ts';
import { leafHash, type Sha256 } from '../../merkle/rfc6962.ts';
import type { Primitives } from '../crypto.ts';
import { ClientError } from '../errors.ts';
import type { InclusionProof, TlogEntry } from '../log-entry.ts';
import { type Cosigned, logKeyOf, quorumTime, verifyQuorum } from '../quorum.ts';
import { timeText, within } from '../x509/time.ts';
import type { Claim } from './claim.ts';
import { type LogKey, rootLogKeys, userLogKey } from './log-key.ts';
import type { Check, VerifiedEntry, VerifiedTime } from './outcome.ts';
import { checkPromise } from './promise.ts';
import { checkEntry } from './rebuild.ts';
import { checkInclusion, openTree, type SignedTree } from './tree.ts';
import type { TrustedRoot } from './trusted-root.ts';

/** Who says which logs and witnesses count. One of the first three is there; all that are must hold. */
export interface LogTrust {
  readonly root: TrustedRoot | undefined;
  readonly logKey: VerifierKey | undefined;
  readonly policy: Policy | undefined;
  readonly witnessTime: boolean;
}

export interface CheckedEntry {
  readonly verified: VerifiedEntry;
  readonly times: readonly VerifiedTime[];
  readonly checks: readonly Check[];
  /** What the trusted root says of the key that signed; it must count at the time. None where there is no trusted root. */
  readonly keys: readonly LogKey[];
}

export interface Logged {
  readonly entries: readonly CheckedEntry[];
  readonly times: readonly VerifiedTime[];
  readonly checks: readonly Check[];
}

/**
 * @param stamps times that are known already
 * @throws ClientError `entry-mismatch`, `bad-promise`, `bad-proof`, `bad-checkpoint`, `policy`, `quorum`, `unsupported`,
 * `malformed`
 */
export function checkLogged(
  entries: readonly TlogEntry[],
  claim: Claim,
  trust: LogTrust,
  stamps: readonly VerifiedTime[],
  primitives: Primitives,
): Logged {
  const checked = entries.map((entry) => checkOne(entry, claim, trust, primitives));
  for (const { keys, times, verified } of checked) {
    checkKeyTime(keys, [...stamps, ...times], verified.log);
  }
  return {
    entries: checked,
    times: checked.flatMap(({ times }) => times),
    checks: checked.flatMap(({ checks }) => checks),
  };
}

function checkOne(entry: TlogEntry, claim: Claim, trust: LogTrust, primitives: Primitives): CheckedEntry {
  checkEntry(entry, claim, primitives);
  const keys = keysFor(entry, trust, primitives);
  const sha256: Sha256 = (data) => primitives.hash('sha256', data);
  const leaf = leafHash(entry.body, sha256);
  const { kind, version } = entry;
  const checks: Check[] = [
    { name: 'entry', detail: `${kind} ${version}, held against file, signature and key: it is about exactly these` },
  ];
  const times: VerifiedTime[] = [];
  let by = keys[0]!;
  if (entry.promise !== undefined) {
    by = checkPromise(entry, keys, primitives);
    const time = entry.integratedTime * 1000;
    times.push({ kind: 'promise', time, by: by.label });
    checks.push({ name: 'promise', detail: `the log took the entry at ${timeText(time)}`, by: by.label });
  }
  const { proof } = entry;
  if (proof?.checkpoint === undefined) {
    if (trust.policy !== undefined) throw onlyPromise();
    // Nobody signed this root, but a proof that does not even lead to it is of another entry.
    if (proof !== undefined) checkInclusion(proof, leaf, { size: proof.treeSize, root: proof.root }, sha256);
    const verified = { origin: by.label, log: by.label, kind, version, index: entry.index, leafHash: leaf };
    return { verified: { ...verified, cosigned: [], unverified: [] }, times, checks, keys: [] };
  }
  checkIndexes(entry, proof);
  const { tree, key } = openWith(proof, keys, primitives);
  const { policy } = trust;
  // A policy may leave the log to the trusted root, and name witnesses alone.
  const extra =
    policy === undefined || policy.logs.length === 0 ? undefined : userLogKey(logKeyOf(policy, proof.checkpoint));
  if (extra !== undefined && !isSame(extra, key)) openTree(proof, extra, primitives);
  checkInclusion(proof, leaf, tree.checkpoint, sha256);
  checks.push(
    {
      name: 'inclusion',
      detail: `entry ${proof.index} of ${proof.treeSize}, by ${proof.hashes.length} hash(es) from the leaf ${encodeBase64(leaf)} to the root ${encodeBase64(proof.root)}`,
    },
    { name: 'checkpoint', detail: 'the tree is signed by the log', by: key.label },
  );
  const cosigned = checkWitnesses(proof.checkpoint, trust, primitives, checks, times);
  const known = new Set(cosigned.map(({ verifierKey }) => verifierKey.slice(0, verifierKey.indexOf('+'))));
  const verified: VerifiedEntry = {
    origin: tree.checkpoint.origin,
    log: key.label,
    kind,
    version,
    index: proof.index,
    leafHash: leaf,
    tree: { size: proof.treeSize, root: proof.root, hashes: proof.hashes, checkpoint: proof.checkpoint },
    cosigned,
    unverified: tree.others.filter((name) => !known.has(name) && name !== extra?.label.split('+')[0]),
  };
  // Of several keys under one log ID, that which signed must count.
  return { verified, times, checks, keys: trust.root === undefined ? [] : keys.filter((one) => isSame(one, key)) };
}

/** Appends to `checks` and `times`. */
function checkWitnesses(
  note: string,
  { policy, witnessTime }: LogTrust,
  primitives: Primitives,
  checks: Check[],
  times: VerifiedTime[],
): readonly Cosigned[] {
  if (policy === undefined) return [];
  const cosigned = verifyQuorum(policy, note, primitives.cosignature);
  for (const { verifierKey, timestamp } of cosigned) {
    checks.push({ name: 'cosignature', detail: `witnessed at ${timeText(timestamp * 1000)}`, by: verifierKey });
  }
  const { quorum } = policy;
  if (quorum === undefined) return cosigned;
  checks.push({ name: 'quorum', detail: `"${quorum.name}" of the policy is met` });
  const seconds = witnessTime ? quorumTime(policy, cosigned) : undefined;
  if (seconds !== undefined) {
    const time = seconds * 1000;
    times.push({ kind: 'witness', time, by: `the quorum "${quorum.name}" of the policy` });
    checks.push({ name: 'witness-time', detail: `enough witnesses had seen the tree at ${timeText(time)}` });
  }
  return cosigned;
}

/** The keys that may have signed: of the trusted root for this log ID, else the one that the user gives. */
function keysFor(entry: TlogEntry, trust: LogTrust, primitives: Primitives): LogKey[] {
  const { root, logKey, policy } = trust;
  const given = logKey ?? (root === undefined ? policyKey(policy, entry) : undefined);
  if (given !== undefined) {
    const key = userLogKey(given);
    if (!equal(key.logId, entry.logId)) {
      throw new ClientError(
        'bad-checkpoint',
        `the entry says that it is in another log than that of the given key ${formatVerifierKey(given)}`,
      );
    }
    if (root === undefined) return [key];
  }
  const keys = rootLogKeys(root!, entry.logId, primitives);
  if (keys.length === 0) {
    throw new ClientError(
      'bad-checkpoint',
      `the trusted root has no log with the ID ${encodeBase64(entry.logId)}: the entry is in a log that you do not trust`,
    );
  }
  const [first] = keys;
  if (given !== undefined && !isSame(userLogKey(given), first!)) {
    throw new ClientError('bad-checkpoint', 'the given key of the log is not the one that the trusted root has for it');
  }
  return keys;
}

function policyKey(policy: Policy | undefined, { proof }: TlogEntry): VerifierKey {
  if (proof?.checkpoint !== undefined && policy !== undefined) return logKeyOf(policy, proof.checkpoint);
  throw onlyPromise();
}

function onlyPromise(): ClientError {
  return new ClientError('quorum', "there is only the log's promise, and no checkpoint that witnesses could cosign");
}

function isSame(a: LogKey, b: LogKey): boolean {
  return a.spki !== undefined && b.spki !== undefined && equal(a.spki, b.spki) && equal(a.logId, b.logId);
}

function openWith(
  proof: InclusionProof,
  keys: readonly LogKey[],
  primitives: Primitives,
): { readonly tree: SignedTree; readonly key: LogKey } {
  let failure: unknown;
  for (const key of keys) {
    try {
      return { tree: openTree(proof, key, primitives), key };
    } catch (error) {
      failure ??= error;
    }
  }
  throw failure;
}

/** A promise covers time and index (in Rekor v1 the log's index counts over shards); without one nobody vouches for them. */
function checkIndexes({ index, integratedTime, promise }: TlogEntry, proof: InclusionProof): void {
  if (promise !== undefined) return;
  if (integratedTime !== 0) {
    throw new ClientError('bad-promise', 'the entry names a time, and the log did not sign a promise of it');
  }
  if (index !== proof.index) {
    throw new ClientError('bad-proof', `the entry has two indexes, ${index} and ${proof.index} in its proof`);
  }
}

/** @throws ClientError `bad-checkpoint` where a time is known at which none of the keys counts */
function checkKeyTime(keys: readonly LogKey[], times: readonly VerifiedTime[], label: string): void {
  if (keys.length === 0) return;
  const early = times.find(
    ({ time }) => !keys.some(({ validFor }) => validFor === undefined || within(validFor, time)),
  );
  if (early === undefined) return;
  throw new ClientError(
    'bad-checkpoint',
    `the trusted root does not give the key of the log ${label} for ${timeText(early.time)}, when the entry was made`,
  );
}

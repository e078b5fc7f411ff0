/** The log entries of a bundle: each must be about what was signed, and be where its log says. */

import { encodeBase64, equal } from '../../merkle/bytes.ts';
import { formatVerifierKey, type VerifierKey } from '../../merkle/note.ts';
import type { Policy } from '../../merkle/policy.ts';
import type { Primitives } from '../../merkle/rekor/primitives.ts';
import { leafHash, type Sha256 } from '../../merkle/rfc6962.ts';
import { timeText, within } from '../../merkle/x509/utc-time.ts';
import { ClientError } from '../errors.ts';
import type { InclusionProof, TlogEntry } from '../formats/log-entry.ts';
import { isSameLog, type LogKey, rootLogKeys, userLogKey } from '../trust/log-key.ts';
import { logKeyOf } from '../trust/quorum.ts';
import { checkWitnesses, type LogTrust, openCheckpoint } from './checkpoint.ts';
import type { Claim } from './claim.ts';
import type { Check, VerifiedEntry, VerifiedTime } from './outcome.ts';
import { checkPromise } from './promise.ts';
import { checkEntry } from './rebuild.ts';
import { checkInclusion, readNote } from './tree.ts';

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
  const known = trust.memory?.find(entry, trust, primitives);
  const keys = known?.keys ?? keysFor(entry, trust, primitives);
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
  const note = proof.checkpoint;
  const opened = known ?? openCheckpoint(proof, note, keys, trust, primitives);
  const { checkpoint, key } = opened;
  checkInclusion(proof, leaf, checkpoint, sha256);
  const witnessed = known ?? checkWitnesses(opened, note, trust, primitives);
  if (known === undefined) trust.memory?.keep(entry.logId, note, witnessed, trust, primitives);
  const verified: VerifiedEntry = {
    origin: checkpoint.origin,
    log: key.label,
    kind,
    version,
    index: proof.index,
    leafHash: leaf,
    tree: { size: proof.treeSize, root: checkpoint.root, hashes: proof.hashes, checkpoint: note },
    cosigned: witnessed.cosigned,
    unverified: witnessed.unverified,
  };
  const inclusion: Check = {
    name: 'inclusion',
    detail: `entry ${proof.index} of ${proof.treeSize}, by ${proof.hashes.length} hash(es) from the leaf ${encodeBase64(leaf)} to the root ${encodeBase64(proof.root)}`,
  };
  return {
    verified,
    times: [...times, ...witnessed.times],
    checks: [...checks, inclusion, ...witnessed.checks],
    // Of several keys under one log ID, that which signed must count.
    keys: trust.root === undefined ? [] : keys.filter((one) => isSameLog(one, key)),
  };
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
  if (given !== undefined && !isSameLog(userLogKey(given), first!)) {
    throw new ClientError('bad-checkpoint', 'the given key of the log is not the one that the trusted root has for it');
  }
  return keys;
}

function policyKey(policy: Policy | undefined, { proof }: TlogEntry): VerifierKey {
  if (proof?.checkpoint !== undefined && policy !== undefined) return logKeyOf(policy, readNote(proof.checkpoint));
  throw onlyPromise();
}

function onlyPromise(): ClientError {
  return new ClientError('quorum', "there is only the log's promise, and no checkpoint that witnesses could cosign");
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

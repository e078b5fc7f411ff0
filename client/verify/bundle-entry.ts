/** The log entries of a bundle: each is about what was signed, and is in its log. */
import { encodeBase64, encodeHex, encodeUtf8 } from '../../merkle/bytes.ts';
import type { Primitives } from '../../merkle/rekor/primitives.ts';
import { leafHash } from '../../merkle/rfc6962.ts';
import { timeText, within } from '../../merkle/x509/utc-time.ts';
import { ClientError } from '../errors.ts';
import type { InclusionProof, TlogEntry } from '../formats/log-entry.ts';
import { isSameLog, type LogKey } from '../trust/log-key.ts';
import { quorumTime } from '../trust/quorum.ts';
import { isTrustedLog, logKeys } from './checkpoint.ts';
import type { CheckpointMemory } from './checkpoint-memory.ts';
import type { Claim } from './claim.ts';
import { checkCosigned, checkPast } from './clock.ts';
import { checkInclusion, checkLeaf, sha256Of, unpromised } from './leaf.ts';
import type { Check, VerifiedEntry, VerifiedTime } from './outcome.ts';
import { countLogs } from './parties.ts';
import { checkEntry } from './rebuild.ts';
import type { CheckpointTrust, VerifiedCheckpoint } from './types.ts';

export interface EntryTrust extends CheckpointTrust {
  /** Take the time from the witnesses of the policy: the least t such that the cosignatures up to t meet its quorum. */
  readonly witnessTime?: boolean | undefined;
  /** For many bundles: the verifier does not check a checkpoint again that it finds here. */
  readonly memory?: CheckpointMemory | undefined;
  /** The present in milliseconds since 1970: evidence that is more than five minutes later is refused. */
  readonly now?: number | undefined;
  /** How many different logs must hold the signature; by default one. */
  readonly requireLogs?: number | undefined;
}

export interface CheckedEntries {
  /** At least one. */
  readonly checked: readonly CheckedEntry[];
  /** IDs of the logs of further entries. These logs are not trusted, so nothing of the entries was checked. */
  readonly strangers: readonly Uint8Array[];
}

interface CheckedEntry {
  readonly verified: VerifiedEntry;
  readonly times: readonly VerifiedTime[];
  /** When the quorum of the policy had cosigned the tree, which was signed earlier: against the end of the log's key. */
  readonly seen?: VerifiedTime | undefined;
  readonly checks: readonly Check[];
  /** The key that signed. */
  readonly key: LogKey;
  /**
   * The trusted root's keys of which one must count at the time of the entry; empty without a trusted root, and for an entry
   * in the last tree of a frozen log, which needs no time.
   */
  readonly keys: readonly LogKey[];
}

/**
 * An entry in a log that the trust does not name gives nothing, and spoils nothing if another entry is in a log that it
 * names.
 *
 * @param stamps times that the caller has verified
 * @throws ClientError `entry-mismatch`, `bad-promise`, `bad-proof`, `bad-checkpoint`, `policy`, `quorum`, `unsupported`,
 * `malformed`, `future-time`
 */
export function checkEntries(
  entries: readonly TlogEntry[],
  claim: Claim,
  trust: EntryTrust,
  stamps: readonly VerifiedTime[],
  primitives: Primitives,
): CheckedEntries {
  const named = entries.length === 1 ? entries : entries.filter((entry) => isTrustedLog(trust, entry));
  // If the trust names none of the logs, the first entry says what is wrong.
  const tried = named.length === 0 ? entries.slice(0, 1) : named;
  const checked = tried.map((entry) => {
    checkEntry(entry, claim, primitives);
    const { proof } = entry;
    return proof?.checkpoint === undefined
      ? promisedEntry(entry, trust, primitives)
      : provenEntry(entry, proof, proof.checkpoint, trust, primitives);
  });
  for (const { keys, times, seen, verified } of checked) {
    checkKeyTime(keys, [...stamps, ...times], verified.log);
    checkKeyEnd(keys, seen, verified.log);
  }
  checkCount(checked, trust);
  return { checked, strangers: entries.filter((entry) => !tried.includes(entry)).map(({ logId }) => logId) };
}

function checkCount(checked: readonly CheckedEntry[], { requireLogs = 1, trustedRoot }: EntryTrust): void {
  if (requireLogs <= 1) return;
  const keys = checked.map(({ key }) => key);
  const count = countLogs(keys, trustedRoot);
  if (count >= requireLogs) return;
  throw new ClientError(
    'bad-proof',
    `${requireLogs} different logs are required to hold the signature, and there is proof of ${count}: ${keys.map(({ label }) => label).join(', ')}`,
  );
}

/** An entry in a tree that its log signed. */
function provenEntry(
  entry: TlogEntry,
  proof: InclusionProof,
  checkpoint: string,
  trust: EntryTrust,
  primitives: Primitives,
): CheckedEntry {
  const { kind, version, logId } = entry;
  const { index, hashes, treeSize, root } = proof;
  const leaf = leafHash(entry.body, sha256Of(primitives));
  const claimed = { logId, treeSize, root };
  const found = checkLeaf({ leafHash: leaf, index, hashes, checkpoint, claimed }, trust, primitives, trust.memory);
  const { head, key, keys, cosigned, unverified, isLast } = found;
  const promise = promiseOf(entry, keys, trust, primitives)?.time;
  if (promise === undefined) checkUnpromised(entry, proof);
  checkCosigned(cosigned, trust.now);
  const witnesses = checksOf(found, trust);
  return {
    verified: {
      origin: head.origin,
      log: key.label,
      kind,
      version,
      index,
      leafHash: leaf,
      tree: { size: head.size, root: head.root, hashes, checkpoint },
      cosigned,
      unverified,
    },
    times: [promise, trust.witnessTime === true ? witnesses.time : undefined].filter((time) => time !== undefined),
    seen: witnesses.time,
    checks: [
      { name: 'entry', kind, version },
      ...(promise === undefined ? [] : [promiseCheck(promise)]),
      { name: 'inclusion', index, treeSize: head.size, hashes: hashes.length, leafHash: leaf, root: head.root },
      ...witnesses.checks,
    ],
    key,
    // Of several keys under one log ID, the key that signed must count.
    keys: trust.trustedRoot === undefined || isLast ? [] : keys.filter((one) => isSameLog(one, key)),
  };
}

/** An entry of Rekor v1 without a checkpoint: only the log's promise shows that the log took it. */
function promisedEntry(entry: TlogEntry, trust: EntryTrust, primitives: Primitives): CheckedEntry {
  const { kind, version, index, proof } = entry;
  if (trust.policy !== undefined) {
    throw new ClientError('quorum', "there is only the log's promise, and no checkpoint that witnesses could cosign");
  }
  const keys = logKeys(trust, entry.logId, undefined, primitives);
  const promised = promiseOf(entry, keys, trust, primitives);
  if (promised === undefined) {
    throw new ClientError('bad-proof', 'the entry has neither a checkpoint nor a promise of the log');
  }
  const leaf = leafHash(entry.body, sha256Of(primitives));
  // Nobody signed this root, but a proof that does not even lead to the root is of another entry.
  if (proof !== undefined) {
    const { root, hashes, treeSize: size } = proof;
    checkInclusion({ index: proof.index, size, leafHash: leaf, root, hashes }, primitives);
  }
  const { time: promise, key } = promised;
  const { by: log } = promise;
  return {
    verified: { origin: log, log, kind, version, index, leafHash: leaf, cosigned: [], unverified: [] },
    times: [promise],
    checks: [{ name: 'entry', kind, version }, promiseCheck(promise)],
    key,
    keys: [],
  };
}

/**
 * The signed entry timestamp (SET) of Rekor v1, by one of `keys` that counts at its time: the log's promise that it took the
 * entry then. The log signs the RFC 8785 form of
 *
 *   {"body": base64, "integratedTime": seconds since 1970, "logID": hex, "logIndex": number}
 *
 * @throws ClientError `bad-promise`, `future-time`
 */
function promiseOf(
  entry: TlogEntry,
  keys: readonly LogKey[],
  { now }: EntryTrust,
  primitives: Primitives,
): { readonly time: VerifiedTime; readonly key: LogKey } | undefined {
  const { promise, integratedTime, index: logIndex } = entry;
  if (promise === undefined) return undefined;
  if (integratedTime === 0) {
    throw new ClientError('bad-promise', 'the signed entry timestamp in the bundle is about no time');
  }
  // The members stand in the order of RFC 8785.
  const signed = encodeUtf8(
    JSON.stringify({ body: encodeBase64(entry.body), integratedTime, logID: encodeHex(entry.logId), logIndex }),
  );
  const key = keys.find((one) => one.signed(signed, promise, primitives));
  if (key === undefined) {
    throw new ClientError(
      'bad-promise',
      `the signed entry timestamp is not by the log ${keys[0]?.label}: it was changed, or is of another entry`,
    );
  }
  const time = integratedTime * 1000;
  const counting = keys.find((one) => one.label === key.label && (!one.validFor || within(one.validFor, time)));
  if (counting !== undefined) {
    checkPast(now, time, () => `the promise of the log ${counting.label}`);
    return { time: { kind: 'promise', time, by: counting.label }, key: counting };
  }
  const why = `the log promised the entry at ${timeText(time)}, when the trusted root does not give its key`;
  throw new ClientError('bad-promise', why);
}

function promiseCheck({ time, by }: VerifiedTime): Check {
  return { name: 'promise', time, by };
}

/** A promise covers time and index (in Rekor v1 the log's index counts over shards). Without a promise, nothing does. */
function checkUnpromised({ index, integratedTime }: TlogEntry, proof: InclusionProof): void {
  if (integratedTime !== 0) throw unpromised();
  if (index !== proof.index) {
    throw new ClientError('bad-proof', `the entry has two indexes, ${index} and ${proof.index} in its proof`);
  }
}

/** Who signed and cosigned the checkpoint, and when the witnesses had. */
function checksOf(
  { key, cosigned }: VerifiedCheckpoint,
  { policy, witnessTime }: EntryTrust,
): { readonly checks: readonly Check[]; readonly time: VerifiedTime | undefined } {
  const checks: Check[] = [{ name: 'checkpoint', by: key.label }];
  for (const cosignature of cosigned) checks.push({ name: 'cosignature', cosignature });
  const quorum = policy?.quorum?.name;
  if (policy === undefined || quorum === undefined) return { checks, time: undefined };
  checks.push({ name: 'quorum', quorum });
  const seconds = quorumTime(policy, cosigned);
  if (seconds === undefined) return { checks, time: undefined };
  const time = seconds * 1000;
  if (witnessTime === true) checks.push({ name: 'witness-time', time });
  return { checks, time: { kind: 'witness', time, by: quorum } };
}

/** @throws ClientError `bad-checkpoint` if a time is known at which none of the keys counts */
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

/**
 * Witnesses cosign a tree when the log has signed it. So a tree that no quorum had cosigned before the end of the key was
 * signed after the end, or was never in the log. That needs no wish of the caller, unlike a time for a certificate.
 *
 * @throws ClientError `bad-checkpoint` if each of the keys had ended
 */
function checkKeyEnd(keys: readonly LogKey[], seen: VerifiedTime | undefined, label: string): void {
  if (seen === undefined || keys.length === 0) return;
  const ended = keys.every(({ validFor }) => validFor?.end !== undefined && validFor.end < seen.time);
  if (!ended) return;
  throw new ClientError(
    'bad-checkpoint',
    `the trusted root ends the key of the log ${label} before ${timeText(seen.time)}, when enough witnesses had cosigned the tree`,
  );
}

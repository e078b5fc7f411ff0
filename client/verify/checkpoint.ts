/**
 * Checkpoints (c2sp.org/tlog-checkpoint): which log signed one, and whether the witnesses of the policy cosigned it.
 *
 * A checkpoint of Rekor v1 has the origin "name - tree ID" and an extension line with a time.
 */
import { encodeBase64, equal } from '../../merkle/bytes.ts';
import { type Checkpoint, parseCheckpoint } from '../../merkle/checkpoint.ts';
import { MerkleError } from '../../merkle/errors.ts';
import { formatVerifierKey, openNote, parseNote, type SignedNote, type VerifierKey } from '../../merkle/note.ts';
import { printable } from '../../merkle/printable.ts';
import type { Primitives } from '../../merkle/rekor/primitives.ts';
import { ClientError } from '../errors.ts';
import type { TlogEntry } from '../formats/log-entry.ts';
import { isLastTree } from '../trust/last-checkpoint.ts';
import { isSameLog, type LogKey, rootLogKeys, userLogKey } from '../trust/log-key.ts';
import { isBy, logKeyOf, verifyQuorum, witnessName } from '../trust/quorum.ts';
import type { CheckpointMemory } from './checkpoint-memory.ts';
import type { CheckpointTrust, VerifiedCheckpoint } from './types.ts';

/**
 * Verifies a checkpoint: one key of the log signed it, the log of the policy signed it, and the policy's quorum cosigned it. It
 * is not beyond the last checkpoint of the log, where the trust pins one.
 *
 * @param checkpoint the signed note
 * @param logId the log that the proof names, 32 bytes; undefined if the proof names none
 * @param memory checkpoints that were verified before
 * @throws ClientError `bad-checkpoint`, `quorum`; `policy` if the policy names no log and no other trust is given
 */
export function verifyCheckpoint(
  checkpoint: string,
  logId: Uint8Array | undefined,
  trust: CheckpointTrust,
  primitives: Primitives,
  memory?: CheckpointMemory,
): VerifiedCheckpoint {
  const known = memory?.find(checkpoint, logId, trust, primitives);
  if (known !== undefined) return known;
  const note = readNote(checkpoint);
  const keys = logKeys(trust, logId, note, primitives);
  const { key, others } = openByOneOf(note, keys, primitives);
  const { policy } = trust;
  // A policy may name witnesses alone, and leave the log to the trusted root or to the given key.
  const policyLog = policy === undefined || policy.logs.length === 0 ? undefined : userLogKey(logKeyOf(policy, note));
  if (policyLog !== undefined && !isSameLog(policyLog, key)) openBy(note, policyLog, primitives);
  const head = readHead(note, key);
  const isLast = isLastTree(head, trust.lastCheckpoints ?? []);
  const cosigned = policy === undefined ? [] : verifyQuorum(policy, note, primitives.cosignature);
  const names = new Set([policyLog?.verifierKey?.name, ...cosigned.map(witnessName)]);
  const verified = { head, key, keys, cosigned, unverified: others.filter((name) => !names.has(name)), isLast };
  memory?.keep(checkpoint, logId, verified, trust, primitives);
  return verified;
}

/**
 * The keys that count for a log: those of the trusted root for this log ID, otherwise the key that the user gave.
 *
 * @param note a checkpoint, not verified, whose signatures choose among the logs of the policy
 * @throws ClientError `bad-checkpoint`, `policy`
 */
export function logKeys(
  { trustedRoot, logKey, policy }: CheckpointTrust,
  logId: Uint8Array | undefined,
  note: SignedNote | undefined,
  primitives: Primitives,
): LogKey[] {
  const fromPolicy = logKey === undefined && trustedRoot === undefined && policy !== undefined && note !== undefined;
  const given = fromPolicy ? logKeyOf(policy, note) : logKey;
  const key = given === undefined ? undefined : userLogKey(given);
  if (given !== undefined && key !== undefined && logId !== undefined && !equal(key.logId, logId)) {
    const why = `the entry says that it is in another log than that of the given key ${formatVerifierKey(given)}`;
    throw new ClientError('bad-checkpoint', why);
  }
  if (trustedRoot === undefined) return key === undefined ? [] : [key];
  const keys = rootLogKeys(trustedRoot, logId, primitives);
  const [first] = keys;
  if (first === undefined) {
    throw new ClientError(
      'bad-checkpoint',
      `the trusted root has no log${logId === undefined ? '' : ` with the ID ${encodeBase64(logId)}`}: the entry is in a log that you do not trust`,
    );
  }
  if (key !== undefined && !isSameLog(key, first)) {
    throw new ClientError('bad-checkpoint', 'the given key of the log is not the one that the trusted root has for it');
  }
  return keys;
}

/**
 * Whether all that is trusted names the log of an entry: by the log ID, which the entry claims and nothing here verifies. A
 * policy may have another key for the log than the trusted root or the user; then the checkpoint must claim a signature of it.
 */
export function isTrustedLog({ trustedRoot, logKey, policy }: CheckpointTrust, { logId, proof }: TlogEntry): boolean {
  const has = (key: VerifierKey) => equal(userLogKey(key).logId, logId);
  if (trustedRoot !== undefined && !trustedRoot.tlogs.some((log) => equal(log.logId, logId))) return false;
  if (logKey !== undefined && !has(logKey)) return false;
  if (policy === undefined || policy.logs.length === 0 || policy.logs.some(({ key }) => has(key))) return true;
  if ((trustedRoot === undefined && logKey === undefined) || proof?.checkpoint === undefined) return false;
  try {
    const note = parseNote(proof.checkpoint);
    return policy.logs.some(({ key }) => note.signatures.some((signature) => isBy(signature, key)));
  } catch (error) {
    // The log is a known one, so its malformed checkpoint is refused.
    if (error instanceof MerkleError) return true;
    throw error;
  }
}

/** @throws ClientError `bad-checkpoint` */
export function readNote(note: string): SignedNote {
  try {
    return parseNote(note);
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    throw new ClientError('bad-checkpoint', `the checkpoint is no signed note: ${cause.message}`, { cause });
  }
}

function openByOneOf(
  note: SignedNote,
  keys: readonly LogKey[],
  primitives: Primitives,
): { readonly key: LogKey; readonly others: readonly string[] } {
  let failure: unknown;
  for (const key of keys) {
    try {
      return { key, others: openBy(note, key, primitives) };
    } catch (error) {
      failure ??= error;
    }
  }
  throw failure;
}

/** Verifies that `key` signed. Returns the names of the signature lines by other keys. */
function openBy(note: SignedNote, key: LogKey, primitives: Primitives): string[] {
  // The first line is the origin. The log vouches for it once its signature verified.
  const name = signingName(note.text.slice(0, note.text.indexOf('\n')), key);
  try {
    return openNote(note, [key.noteVerifier(name, primitives)]).others.map((signature) => signature.name);
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    const why =
      cause.code === 'unknown-key'
        ? 'it has no signature by that key; the entry is in another log, or the log has another key'
        : cause.message;
    throw notOf(key, why, cause);
  }
}

/** The name under which a log with this origin signs. */
function signingName(origin: string, key: LogKey): string {
  const v1 = /^(.+) - [0-9]{1,20}$/.exec(origin)?.[1];
  if (key.isNamed(origin, false)) return origin;
  if (v1 !== undefined && key.isNamed(v1, true)) return v1;
  throw new ClientError(
    'bad-checkpoint',
    `the checkpoint is of a log that calls itself "${printable(origin.slice(0, 120))}", which is not the log ${key.label}`,
  );
}

function readHead({ text }: SignedNote, key: LogKey): Checkpoint {
  try {
    return parseCheckpoint(text);
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    throw notOf(key, cause.message, cause);
  }
}

function notOf(key: LogKey, why: string, cause: MerkleError): ClientError {
  return new ClientError('bad-checkpoint', `the checkpoint is not one of the log ${key.label}: ${why}`, { cause });
}

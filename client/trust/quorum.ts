/**
 * Applies trust policies (c2sp.org/tlog-policy) to a checkpoint: which log must have signed, and which witnesses must have
 * cosigned (c2sp.org/tlog-cosignature).
 */
import { equal } from '../../merkle/bytes.ts';
import { type CosignaturePrimitives, verifyCosignature } from '../../merkle/cosignature.ts';
import { MerkleError } from '../../merkle/errors.ts';
import { formatVerifierKey, type NoteSignature, type SignedNote, type VerifierKey } from '../../merkle/note.ts';
import { type Policy, type PolicyWitness, parsePolicy, quorumMet } from '../../merkle/policy.ts';
import { ClientError } from '../errors.ts';

/** A cosignature that verified. */
export interface Cosigned {
  /** Name of the witness in the policy. */
  readonly witness: string;
  readonly verifierKey: string;
  /** The time at which the witness cosigned by its own clock, in seconds since 1970. */
  readonly timestamp: number;
}

/** The end of the year 9999. */
const MAX_TIMESTAMP = 253_402_300_799;

/** @throws ClientError `policy`; the message names the wrong line */
export function parseTrustPolicy(file: Uint8Array): Policy {
  try {
    return parsePolicy(file);
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    throw new ClientError('policy', `the quorum policy (tlog-policy) cannot be used: ${cause.message}`, { cause });
  }
}

/**
 * The key of the policy's log whose signature the checkpoint has. The signature is not verified here.
 *
 * @throws ClientError `bad-checkpoint` if no log of the policy signed; `policy` if the policy names no log
 */
export function logKeyOf(policy: Policy, { signatures }: SignedNote): VerifierKey {
  if (policy.logs.length === 0) {
    throw new ClientError('policy', 'the policy names no log: give the key of the log as well');
  }
  const log = policy.logs.find(({ key }) => signatures.some((signature) => isBy(signature, key)));
  if (log === undefined) {
    throw new ClientError('bad-checkpoint', 'no log of the policy signed this checkpoint: the proof is of another log');
  }
  return log.key;
}

/**
 * The policy's witnesses that cosigned the checkpoint, each once. A witness that signed twice counts once, at the earlier
 * time. Each signature line with the name and key ID of a witness of the policy must verify, as `openNote` requires of known
 * keys; a cosignature whose time cannot be does not count.
 *
 * @throws ClientError `quorum` if they do not meet the policy's quorum, or if a cosignature does not verify
 */
export function verifyQuorum(
  policy: Policy,
  { text, signatures }: SignedNote,
  primitives: CosignaturePrimitives,
): Cosigned[] {
  const cosigned = new Map<PolicyWitness, Cosigned>();
  for (const witness of policy.witnesses) {
    const timestamp = cosignedAt(witness, text, signatures, primitives);
    if (timestamp === undefined) continue;
    cosigned.set(witness, { witness: witness.name, verifierKey: formatVerifierKey(witness.key), timestamp });
  }
  if (!quorumMet(policy, (witness) => cosigned.has(witness))) {
    const names = [...cosigned.values()].map(({ witness }) => witness).join(', ') || 'none';
    throw new ClientError(
      'quorum',
      `the policy's quorum is not met: of its ${policy.witnesses.length} witnesses, those that cosigned are ${names}. ` +
        'The log may have shown this tree to nobody else',
    );
  }
  return [...cosigned.values()];
}

/** The same policy without its quorum: which log must have signed. */
export function withoutQuorum(policy: Policy): Policy {
  return { ...policy, quorum: undefined };
}

/** The name in the signature lines of a witness, as its verifier key has it. */
export function witnessName({ verifierKey }: Cosigned): string {
  return verifierKey.slice(0, verifierKey.indexOf('+'));
}

/**
 * The time of the witnesses: the least t, in seconds since 1970, such that the witnesses that cosigned up to t meet the
 * quorum. Fewer witnesses than a quorum cannot make this time earlier.
 *
 * @param cosigned the result of `verifyQuorum`
 * @returns undefined if the policy has no quorum
 */
export function quorumTime(policy: Policy, cosigned: readonly Cosigned[]): number | undefined {
  if (policy.quorum === undefined) return undefined;
  const times = [...new Set(cosigned.map(({ timestamp }) => timestamp))].sort((a, b) => a - b);
  return times.find((time) =>
    quorumMet(policy, ({ name }) => cosigned.some((one) => one.witness === name && one.timestamp <= time)),
  );
}

function cosignedAt(
  { key, name }: PolicyWitness,
  text: string,
  signatures: readonly NoteSignature[],
  primitives: CosignaturePrimitives,
): number | undefined {
  // The earliest time counts, whatever the order of the lines, so that further lines never make the time later.
  let earliest: number | undefined;
  for (const [i, signature] of signatures.entries()) {
    if (!isBy(signature, key)) continue;
    // An ML-DSA-44 verification takes milliseconds, so equal lines are verified once.
    const isRepeated = signatures.findIndex((it) => isBy(it, key) && equal(it.signature, signature.signature)) < i;
    if (isRepeated) continue;
    try {
      const { timestamp } = verifyCosignature(key, text, signature.signature, primitives);
      // A witness never gives 0 (c2sp.org/tlog-cosignature), and no calendar has a later time than the maximum.
      if (timestamp === 0 || timestamp > MAX_TIMESTAMP) continue;
      if (earliest === undefined || timestamp < earliest) earliest = timestamp;
    } catch (cause) {
      if (!(cause instanceof MerkleError)) throw cause;
      const why = `the cosignature of the witness ${name} of the policy does not verify: ${cause.message}`;
      throw new ClientError('quorum', why, { cause });
    }
  }
  return earliest;
}

/** Whether a signature line claims to be by this key. */
export function isBy({ name, keyId }: NoteSignature, key: VerifierKey): boolean {
  return name === key.name && equal(keyId, key.keyId);
}

/** One signed tree head on its way through the witnesses, and the cosignatures that it has. */
import { encodeUtf8, equal } from '../../merkle/bytes.ts';
import { isFrozen, parseCheckpoint } from '../../merkle/checkpoint.ts';
import { verifyCosignature } from '../../merkle/cosignature.ts';
import { MerkleError } from '../../merkle/errors.ts';
import { formatNote, type NoteSignature, parseNote, type VerifierKey } from '../../merkle/note.ts';
import { type Policy, type PolicyWitness, quorumMet } from '../../merkle/policy.ts';
import { nodeNotePrimitives } from '../../merkle/runtime/crypto/verify.ts';
import type { TreeReader } from '../tree/reader.ts';
import { type Endpoint, isSameKey } from './policy.ts';
import type { Failed } from './witness-client.ts';

interface Cosignature {
  readonly signature: NoteSignature;
  /** When it came, as `performance.now()` counts. */
  readonly at: number;
  /** When the witness made it, in seconds since 1970. */
  readonly timestamp: number;
}

/** What an answer of an endpoint brought. */
interface Accepted {
  /** The witnesses that signed. */
  readonly signed: readonly PolicyWitness[];
  /** What is wrong with the answer; undefined if every key of the endpoint signed. */
  readonly wrong: Failed | undefined;
}

export class CosignJob {
  /** The note's text. */
  readonly text: string;
  /** The note with the log's own signatures alone, which is all that witnesses get. */
  readonly own: Uint8Array;
  readonly size: number;
  /** The checkpoint says that the log is frozen: it needs no quorum, and no cosignature is made again. */
  readonly final: boolean;
  /** Reads exactly the tree of the checkpoint. */
  readonly reader: TreeReader;
  #policy: Policy;
  readonly #clockSkewMs: number;
  readonly #ownSignatures: readonly NoteSignature[];
  #cosignatures = new Map<PolicyWitness, Cosignature>();
  /** Whether every witness is to cosign anew, whatever cosignatures the note has. */
  readonly #anew: boolean;
  #renewed = new Set<PolicyWitness>();

  /**
   * `note` was verified with `keys`, the log's own. Its cosignatures of the policy are kept if they verify, and if their time
   * is within `clockSkewMs` of this machine's clock.
   */
  constructor(
    note: string,
    keys: readonly VerifierKey[],
    policy: Policy,
    clockSkewMs: number,
    reader: TreeReader,
    anew = false,
  ) {
    this.#anew = anew;
    const { text, signatures } = parseNote(note);
    this.text = text;
    const checkpoint = parseCheckpoint(text);
    this.size = checkpoint.size;
    this.final = isFrozen(checkpoint);
    this.reader = reader;
    this.#policy = policy;
    this.#clockSkewMs = clockSkewMs;
    this.#ownSignatures = signatures.filter((signature) => keys.some((key) => isBy(signature, key)));
    this.own = encodeUtf8(formatNote(text, this.#ownSignatures));
    for (const witness of policy.witnesses) {
      for (const signature of signatures) if (isBy(signature, witness.key)) this.#keep(witness, signature, cameAt);
    }
  }

  /** From now on this policy decides. Cosignatures of its witnesses that came before count. */
  replacePolicy(policy: Policy): void {
    const before = [...this.#cosignatures];
    const renewed = this.#renewed;
    this.#policy = policy;
    this.#cosignatures = new Map();
    this.#renewed = new Set();
    for (const witness of policy.witnesses) {
      const found = before.find(([{ key }]) => isSameKey(key, witness.key));
      if (found === undefined) continue;
      this.#cosignatures.set(witness, found[1]);
      if (renewed.has(found[0])) this.#renewed.add(witness);
    }
  }

  get quorum(): boolean {
    return this.quorumWith(() => false);
  }

  /** Whether the present cosignatures, and those of the witnesses in `more`, meet the quorum. */
  quorumWith(more: (witness: PolicyWitness) => boolean): boolean {
    return quorumMet(this.#policy, (witness) => this.#timely(witness) !== undefined || more(witness));
  }

  /** Number of witnesses that have cosigned, some perhaps too long ago. */
  get count(): number {
    return this.#cosignatures.size;
  }

  /** Whether every cosignature that it has counts now. */
  get timely(): boolean {
    return [...this.#cosignatures.keys()].every((witness) => this.#timely(witness) !== undefined);
  }

  /** When the oldest cosignature of an endpoint came, as `performance.now()` counts; undefined if one is missing. */
  cosignedAt({ witnesses }: Endpoint): number | undefined {
    let oldest = Number.POSITIVE_INFINITY;
    for (const witness of witnesses) {
      const at = this.#cosignatures.get(witness)?.at;
      if (at === undefined || (this.#anew && !this.#renewed.has(witness))) return undefined;
      oldest = Math.min(oldest, at);
    }
    return oldest;
  }

  /**
   * Keeps every signature of an answer that verifies and has a time that is near. Signatures of unknown keys are ignored, as
   * the specification says.
   */
  accept({ witnesses }: Endpoint, signatures: readonly NoteSignature[]): Accepted {
    const signed: PolicyWitness[] = [];
    let wrong: Failed | undefined;
    for (const witness of witnesses) {
      // The policy may have been replaced since the request.
      if (!this.#policy.witnesses.includes(witness)) continue;
      const signature = signatures.find((candidate) => isBy(candidate, witness.key));
      const failed =
        signature === undefined
          ? badReply('did not sign with each of its keys')
          : this.#keep(witness, signature, () => performance.now());
      if (failed === undefined) signed.push(witness);
      wrong ??= failed;
    }
    for (const witness of signed) this.#renewed.add(witness);
    return { signed, wrong };
  }

  /** The note with the cosignatures that count now, in the order of the policy. */
  render(): string {
    const cosignatures = this.#policy.witnesses.flatMap((witness) => this.#timely(witness)?.signature ?? []);
    return formatNote(this.text, [...this.#ownSignatures, ...cosignatures]);
  }

  /** The cosignature of a witness. On a quiet log, one that was not made again gets too old. */
  #timely(witness: PolicyWitness): Cosignature | undefined {
    const found = this.#cosignatures.get(witness);
    return found !== undefined && isNear(found.timestamp, this.#clockSkewMs) ? found : undefined;
  }

  /** Why the signature is not kept; undefined if it is. */
  #keep(witness: PolicyWitness, signature: NoteSignature, when: (timestamp: number) => number): Failed | undefined {
    try {
      const { timestamp } = verifyCosignature(witness.key, this.text, signature.signature, nodeNotePrimitives);
      // A cosignature without a time says nothing about the tree being the newest one.
      if (timestamp === 0) return badReply(DOES_NOT_VERIFY);
      const skewMs = this.#clockSkewMs;
      if (!isNear(timestamp, skewMs)) return wrongClock(timestamp, skewMs);
      this.#cosignatures.set(witness, { signature, at: when(timestamp), timestamp });
      return undefined;
    } catch (error) {
      if (error instanceof MerkleError) return badReply(DOES_NOT_VERIFY);
      throw error;
    }
  }
}

const DOES_NOT_VERIFY = 'answered with a cosignature that does not verify';

function badReply(text: string): Failed {
  return { reason: 'bad-reply', text };
}

function isNear(timestamp: number, skewMs: number): boolean {
  return Math.abs(timestamp * 1000 - Date.now()) <= skewMs;
}

function wrongClock(timestamp: number, skewMs: number): Failed {
  const aheadMs = timestamp * 1000 - Date.now();
  const seconds = Math.round(Math.abs(aheadMs) / 1000);
  const [far, unit] = seconds < 7200 ? [seconds, 's'] : [Math.round(seconds / 3600), 'h'];
  const side = aheadMs > 0 ? 'ahead of' : 'behind';
  // A timestamp may lie beyond what Date can show.
  const time = new Date(timestamp * 1000);
  const shown = Number.isNaN(time.getTime()) ? `${timestamp} s after 1970` : time.toISOString();
  return {
    reason: 'wrong-clock',
    text: `cosigned with the time ${shown}, which is ${far} ${unit} ${side} this log's clock; ${skewMs / 1000} s are allowed (publish.witnessClockSkew): one of the two clocks is wrong`,
  };
}

/** When a cosignature of an earlier process came: it has only its own timestamp, which counts if it is in the past. */
function cameAt(timestamp: number): number {
  return performance.now() - Math.max(0, Date.now() - timestamp * 1000);
}

function isBy(signature: NoteSignature, key: VerifierKey): boolean {
  return signature.name === key.name && equal(signature.keyId, key.keyId);
}

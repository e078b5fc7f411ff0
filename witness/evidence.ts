/**
 * Keeps evidence of a log's misbehavior as files, which an operator can hand to others. `stele witness evidence <file>`
 * checks a file and needs nothing else. The name is `<origin hash, 16 digits>-<hash of the content, 16 digits>.json`, so
 * that the same evidence is kept once.
 */
import { join } from 'node:path';
import { encodeHex, encodeUtf8, equal } from '../merkle/bytes.ts';
import type { Checkpoint } from '../merkle/checkpoint.ts';
import { MerkleError } from '../merkle/errors.ts';
import { type Evidence, formatEvidence, proofOfFork, verifyEvidence } from '../merkle/evidence.ts';
import { formatNote, type NoteSignature, type VerifierKey } from '../merkle/note.ts';
import { fastSha256 } from '../merkle/runtime/crypto/hash.ts';
import { nodeNotePrimitives } from '../merkle/runtime/crypto/verify.ts';
import { isThere, makeDirDurable, namesIn, writeFileDurable } from '../merkle/runtime/disk/files.ts';
import type { Logger } from '../merkle/runtime/service/logger.ts';
import { originHash } from '../merkle/witness.ts';
import type { KnownLog } from './logs.ts';
import type { Cosigned } from './store.ts';

/** A checkpoint of a request, signed by the log. */
export interface Offered extends Pick<Checkpoint, 'origin' | 'size' | 'root'> {
  readonly text: string;
  /** The signatures that verify under the log's keys. */
  readonly signatures: readonly NoteSignature[];
}

/**
 * Evidence against the log from two checkpoints, where the consistency proof from `stored` to `offered` failed; undefined
 * where the two do not contradict each other. `root` is the root at the stored size, where the caller knows it from
 * another source than the proof.
 */
export function findEvidence(
  log: KnownLog,
  stored: Cosigned,
  offered: Offered,
  proof: readonly Uint8Array[],
  root?: Uint8Array,
): Evidence | undefined {
  const first = noteBy(log, stored.text, stored.signatures);
  const second = noteBy(log, offered.text, offered.signatures);
  // The keys of the first may have left the list since. Then nobody could check the evidence.
  if (first === undefined || second === undefined) return undefined;
  const evidence = { keys: keysOf(log, first.signatures, second.signatures), first: first.note, second: second.note };
  if (stored.size === offered.size) return equal(stored.root, offered.root) ? undefined : checked(evidence);
  if (stored.size === 0 || stored.size > offered.size) return undefined;
  if (root !== undefined) return checked({ ...evidence, proof: { root, hashes: proof } });
  const fork = proofOfFork(stored, offered, proof, fastSha256);
  return fork && checked({ ...evidence, proof: fork });
}

/** Only evidence that holds is kept: a wrong accusation does more harm than a missing one. */
function checked(evidence: Evidence): Evidence | undefined {
  try {
    verifyEvidence(evidence, nodeNotePrimitives, fastSha256);
    return evidence;
  } catch (error) {
    if (error instanceof MerkleError) return undefined;
    throw error;
  }
}

/** The note with only the log's own signatures. */
function noteBy(log: KnownLog, text: string, signatures: readonly NoteSignature[]) {
  const own = signatures.filter((signature) => log.keys.some((key) => signedBy(key, signature)));
  return own.length === 0 ? undefined : { note: formatNote(text, own), signatures: own };
}

function keysOf(log: KnownLog, ...notes: readonly (readonly NoteSignature[])[]): VerifierKey[] {
  return log.keys.filter((key) => notes.some((signatures) => signatures.some((it) => signedBy(key, it))));
}

export function signedBy(key: VerifierKey, signature: NoteSignature): boolean {
  return key.name === signature.name && equal(key.keyId, signature.keyId);
}

export class EvidenceFiles {
  readonly #dir: string;
  readonly #max: () => number;
  readonly #logger: Logger;

  constructor(dir: string, max: () => number, logger: Logger) {
    this.#dir = dir;
    this.#max = max;
    this.#logger = logger;
  }

  /** Writes the evidence, unless its file is there. Never throws: a full disk must not change an answer. */
  async keep(origin: string, evidence: Evidence): Promise<void> {
    const bytes = encodeUtf8(formatEvidence(evidence));
    const prefix = `${originHash(origin).slice(0, 16)}-`;
    const name = `${prefix}${encodeHex(fastSha256(bytes)).slice(0, 16)}.json`;
    const path = join(this.#dir, name);
    try {
      if (await isThere(path)) return;
      // Files of earlier starts count too.
      const kept = (await namesIn(this.#dir)).filter((other) => other.startsWith(prefix)).length;
      if (kept >= this.#max()) {
        this.#logger.error({ origin }, 'the log has shown two histories again; no more evidence of it is kept');
        return;
      }
      await makeDirDurable(this.#dir);
      await writeFileDurable(path, bytes);
      this.#logger.error({ origin, file: path }, 'THE LOG HAS SHOWN TWO HISTORIES: the evidence is in the file');
    } catch (error) {
      this.#logger.error({ origin, err: error }, 'evidence of two histories could not be written');
    }
  }
}

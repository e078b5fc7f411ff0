/**
 * Checkpoints that were found to be signed and cosigned. A busy log publishes hundreds of entries with one checkpoint, and
 * whoever verifies many bundles meets it again and again.
 *
 * CPU time a bundle, 64 of them under one checkpoint, Node 20: 265 µs with this, 375 where only the signatures that had
 * verified were remembered, and notes, keys and quorum read anew.
 */
import { equal } from '../../merkle/bytes.ts';
import type { Primitives } from '../../merkle/rekor/primitives.ts';
import type { TlogEntry } from '../formats/log-entry.ts';
import type { LogTrust, WitnessedCheckpoint } from './checkpoint.ts';

/** Characters of all notes that are held, some 6,000 with two cosignatures each; what was found in them takes as much again. */
const MAX_CHARACTERS = 4 * 1024 * 1024;

interface Held {
  readonly logId: Uint8Array;
  readonly witnessed: WitnessedCheckpoint;
}

/**
 * Made for verifying many bundles against one trust: with another one, all is forgotten. What does not hold is never kept.
 *
 * Whether a checkpoint holds is decided by its note, the entry's log ID, the size and root that the proof leads to, the
 * trust and what checks signatures. All of these are compared; what a trust consists of must not be changed meanwhile.
 */
export class CheckpointMemory {
  readonly #maxCharacters: number;
  readonly #held = new Map<string, Held>();
  #characters = 0;
  #trust: LogTrust | undefined;
  #primitives: Primitives | undefined;

  constructor(maxCharacters = MAX_CHARACTERS) {
    this.#maxCharacters = maxCharacters;
  }

  /** What is known of the checkpoint in the entry's proof. */
  find({ logId, proof }: TlogEntry, trust: LogTrust, primitives: Primitives): WitnessedCheckpoint | undefined {
    if (proof?.checkpoint === undefined || !this.#isFor(trust, primitives)) return undefined;
    const held = this.#held.get(proof.checkpoint);
    if (held === undefined || !equal(held.logId, logId)) return undefined;
    const { size, root } = held.witnessed.checkpoint;
    return size === proof.treeSize && equal(root, proof.root) ? held.witnessed : undefined;
  }

  /** @param witnessed what was found of the checkpoint `note`, with this log ID, trust and primitives */
  keep(logId: Uint8Array, note: string, witnessed: WitnessedCheckpoint, trust: LogTrust, primitives: Primitives): void {
    if (note.length > this.#maxCharacters) return;
    if (!this.#isFor(trust, primitives)) this.#forget();
    if (!this.#held.has(note)) this.#characters += note.length;
    if (this.#characters > this.#maxCharacters) {
      this.#forget();
      this.#characters = note.length;
    }
    this.#held.set(note, { logId, witnessed });
    this.#trust = trust;
    this.#primitives = primitives;
  }

  #isFor({ root, logKey, policy, witnessTime }: LogTrust, primitives: Primitives): boolean {
    const mine = this.#trust;
    return (
      mine !== undefined &&
      mine.root === root &&
      mine.logKey === logKey &&
      mine.policy === policy &&
      mine.witnessTime === witnessTime &&
      this.#primitives === primitives
    );
  }

  #forget(): void {
    this.#held.clear();
    this.#characters = 0;
  }
}

/**
 * Checkpoints that were found to be signed and cosigned. A busy log publishes hundreds of entries with one checkpoint, and a
 * caller that verifies many bundles meets the same checkpoint again and again.
 *
 * CPU time a bundle with two cosignatures, Node 20, 24 interleaved pairs: with 64 bundles under one checkpoint 169 µs with
 * the memory and 622 without; with one bundle under each checkpoint the two do not differ.
 */
import { equal } from '../../merkle/bytes.ts';
import type { Primitives } from '../../merkle/rekor/primitives.ts';
import type { CheckpointTrust, VerifiedCheckpoint } from './types.ts';

/** Characters of all notes in memory: some 6,000 notes with two cosignatures each. The results take as much memory again. */
const MAX_CHARACTERS = 4 * 1024 * 1024;

interface Held {
  readonly logId: Uint8Array | undefined;
  readonly verified: VerifiedCheckpoint;
}

/**
 * Remembers checkpoints for one trust at a time: a call with another trust or with other primitives clears the memory. The
 * memory never holds a checkpoint that was refused.
 *
 * Note, log ID, trust and primitives decide whether a checkpoint holds, and the memory compares all four. A caller must not
 * change the parts of a trust after it used the trust here.
 */
export class CheckpointMemory {
  readonly #maxCharacters: number;
  readonly #held = new Map<string, Held>();
  #characters = 0;
  #trust: CheckpointTrust = {};
  #primitives: Primitives | undefined;

  constructor(maxCharacters = MAX_CHARACTERS) {
    this.#maxCharacters = maxCharacters;
  }

  /** The result for the checkpoint `note` of an earlier `keep` with the same arguments. */
  find(
    note: string,
    logId: Uint8Array | undefined,
    trust: CheckpointTrust,
    primitives: Primitives,
  ): VerifiedCheckpoint | undefined {
    if (!this.#isFor(trust, primitives)) return undefined;
    const held = this.#held.get(note);
    return held !== undefined && sameId(held.logId, logId) ? held.verified : undefined;
  }

  /** @param verified the result for the checkpoint `note`, with this log ID, trust and primitives */
  keep(
    note: string,
    logId: Uint8Array | undefined,
    verified: VerifiedCheckpoint,
    trust: CheckpointTrust,
    primitives: Primitives,
  ): void {
    if (note.length > this.#maxCharacters) return;
    if (!this.#isFor(trust, primitives)) this.#begin(trust, primitives);
    if (!this.#held.has(note)) this.#characters += note.length;
    if (this.#characters > this.#maxCharacters) {
      this.#forget();
      this.#characters = note.length;
    }
    this.#held.set(note, { logId, verified });
  }

  #isFor({ trustedRoot, logKey, policy, lastCheckpoints }: CheckpointTrust, primitives: Primitives): boolean {
    const { trustedRoot: root, logKey: key, policy: rules, lastCheckpoints: last } = this.#trust;
    const isSame = root === trustedRoot && key === logKey && rules === policy && last === lastCheckpoints;
    return isSame && this.#primitives === primitives;
  }

  #begin({ trustedRoot, logKey, policy, lastCheckpoints }: CheckpointTrust, primitives: Primitives): void {
    this.#forget();
    // Not the caller's object, which may hold a whole bundle.
    this.#trust = { trustedRoot, logKey, policy, lastCheckpoints };
    this.#primitives = primitives;
  }

  #forget(): void {
    this.#held.clear();
    this.#characters = 0;
  }
}

function sameId(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && equal(a, b));
}

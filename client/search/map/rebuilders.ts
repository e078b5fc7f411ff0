/**
 * Asks the rebuilders for their cosignatures on a checkpoint of the output log, as a log asks its witnesses (c2sp.org/tlog-witness).
 * A rebuilder that is late, away or wrong costs a bounded time, and its line is added when it comes.
 */
import { verifyCosignature } from '../../../merkle/cosignature.ts';
import { MerkleError } from '../../../merkle/errors.ts';
import { type NoteSignature, parseNote } from '../../../merkle/note.ts';
import { type Policy, type PolicyWitness, quorumMet } from '../../../merkle/policy.ts';
import { printable } from '../../../merkle/printable.ts';
import { nodeNotePrimitives } from '../../../merkle/runtime/crypto/verify.ts';
import { RuntimeError } from '../../../merkle/runtime/runtime-errors.ts';
import { SYSTEM_CLOCK } from '../../../merkle/runtime/service/back-off.ts';
import { fetchBounded } from '../../../merkle/runtime/service/fetch.ts';
import { formatAddCheckpoint, parseCosignatures, parseTreeSize, TREE_SIZE_TYPE } from '../../../merkle/witness.ts';
import { ClientError } from '../../errors.ts';
import type { SignedHead } from '../../follow/types.ts';
import { isBy } from '../../trust/quorum.ts';

export interface RebuilderSettings {
  /** `witness` lines are the rebuilders, with their URLs; `quorum` is what an answer should have. */
  readonly policy: Policy;
  /** Longest wait for the quorum, in milliseconds, before a version is given out without it. */
  readonly waitMs: number;
}

/** Where a rebuilder stands. */
export interface RebuilderState {
  readonly name: string;
  /** Size of the output log that it last cosigned; undefined before. */
  readonly size?: number;
  /** Why it did not cosign, when it was last asked. */
  readonly trouble?: string;
}

/** The consistency proof from a smaller tree of the output log to the one that is to be cosigned. */
type ProveFrom = (size: number) => Promise<readonly Uint8Array[]>;

const MAX_REPLY = 64 * 1024;
const ATTEMPT_MS = 10_000;
/** Between two questions to a rebuilder that has not come so far. */
const AGAIN_MS = 500;

export class Rebuilders {
  readonly #settings: RebuilderSettings;
  readonly #fetch: typeof fetch | undefined;
  /** By name: the size that it has, as far as it is known. */
  readonly #sizes = new Map<string, number>();
  readonly #troubles = new Map<string, string>();

  constructor(settings: RebuilderSettings, send?: typeof fetch) {
    this.#settings = settings;
    this.#fetch = send;
  }

  get states(): RebuilderState[] {
    return this.#settings.policy.witnesses.map(({ name }) => {
      const size = this.#sizes.get(name);
      const trouble = this.#troubles.get(name);
      return { name, ...(size !== undefined && { size }), ...(trouble !== undefined && { trouble }) };
    });
  }

  /** Those whose cosignature the note lacks. */
  missing(note: string): readonly PolicyWitness[] {
    const { signatures } = parseNote(note);
    const { witnesses } = this.#settings.policy;
    return witnesses.filter(({ key }) => !signatures.some((signature) => isBy(signature, key)));
  }

  /** The lines of the rebuilders in the note. */
  linesOf(note: string): NoteSignature[] {
    const { witnesses } = this.#settings.policy;
    return parseNote(note).signatures.filter((signature) => witnesses.some(({ key }) => isBy(signature, key)));
  }

  /** Whether the note has the quorum of the rebuilders. Only lines that this class verified may be in it. */
  complete(note: string): boolean {
    const missing = this.missing(note);
    return quorumMet(this.#settings.policy, (witness) => !missing.includes(witness));
  }

  /** Asks until the quorum is there, or the time is over. Resolves with the lines that came. */
  async gather(head: SignedHead, prove: ProveFrom, signal: AbortSignal): Promise<NoteSignature[]> {
    const { policy, waitMs } = this.#settings;
    const end = performance.now() + waitMs;
    const stop = new AbortController();
    const found = new Map<PolicyWitness, readonly NoteSignature[]>();
    const quorum = (): boolean => quorumMet(policy, (witness) => found.has(witness));
    const one = async (witness: PolicyWitness): Promise<void> => {
      for (;;) {
        const lines = await this.#ask(
          witness,
          head,
          prove,
          AbortSignal.any([signal, stop.signal]),
          end - performance.now(),
        );
        if (lines.length > 0) found.set(witness, lines);
        if (quorum()) stop.abort();
        if (lines.length > 0 || stop.signal.aborted || signal.aborted || performance.now() + AGAIN_MS > end) return;
        await SYSTEM_CLOCK.sleep(AGAIN_MS, AbortSignal.any([signal, stop.signal]));
      }
    };
    await Promise.all(policy.witnesses.map(one));
    return [...found.values()].flat();
  }

  /** Asks those once whose lines the note lacks. */
  async askMissing(note: string, head: SignedHead, prove: ProveFrom, signal: AbortSignal): Promise<NoteSignature[]> {
    const lines = await Promise.all(this.missing(note).map((one) => this.#ask(one, head, prove, signal, ATTEMPT_MS)));
    return lines.flat();
  }

  async #ask(
    witness: PolicyWitness,
    head: SignedHead,
    prove: ProveFrom,
    signal: AbortSignal,
    leftMs: number,
  ): Promise<readonly NoteSignature[]> {
    const { name } = witness;
    try {
      const lines = await this.#addCheckpoint(witness, head, prove, signal, Math.max(1, Math.min(ATTEMPT_MS, leftMs)));
      this.#sizes.set(name, head.size);
      this.#troubles.delete(name);
      return lines;
    } catch (error) {
      const known = error instanceof RuntimeError || error instanceof MerkleError || error instanceof ClientError;
      if (!known) throw error;
      if (!signal.aborted) this.#troubles.set(name, printable(error.message));
      return [];
    }
  }

  async #addCheckpoint(
    { name, key, url }: PolicyWitness,
    head: SignedHead,
    prove: ProveFrom,
    signal: AbortSignal,
    timeoutMs: number,
  ): Promise<readonly NoteSignature[]> {
    for (let corrected = false; ; corrected = true) {
      const oldSize = Math.min(this.#sizes.get(name) ?? 0, head.size);
      const body = formatAddCheckpoint({ oldSize, proof: await prove(oldSize), note: Buffer.from(head.own) });
      const about = { limit: MAX_REPLY, timeoutMs, signal, body, read: 'all', fetch: this.#fetch } as const;
      const { status, headers, bytes } = await fetchBounded(`${url!.replace(/\/$/, '')}/add-checkpoint`, about);
      if (status === 200) {
        const own = parseCosignatures(bytes).filter((signature) => isBy(signature, key));
        for (const { signature } of own) verifyCosignature(key, head.signed.text, signature, nodeNotePrimitives);
        if (own.length > 0) return own;
        throw new ClientError('bad-reply', 'answered without a line of its key');
      }
      if (status === 409 && headers.get('content-type') === TREE_SIZE_TYPE && !corrected) {
        const size = parseTreeSize(bytes);
        if (size > head.size)
          throw new ClientError('stale', `has cosigned ${size} leaves already, more than there are`);
        this.#sizes.set(name, size);
        continue;
      }
      const why = printable(new TextDecoder().decode(bytes.subarray(0, 500)).trim());
      throw new ClientError('refused', `answered ${status}${why === '' ? '' : `, "${why}"`}`);
    }
  }
}

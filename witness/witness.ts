/**
 * What a witness does: c2sp.org/tlog-witness (C2SP 95978ca, 2026-07-06), without a network.
 *
 * The way of a checkpoint, in `addCheckpoint`:
 *
 *   origin known? ─ parse ─ log's signature ─┤ one at a time for each log ├─ old size ─ proof ─ cosign ═ STORE ═ reply
 *
 * The cosignatures are made before the checkpoint is stored, and go out after it is durable. So a crash in between loses
 * signatures that nobody has, and never a checkpoint that somebody has our word for.
 */
import { equal } from '../merkle/bytes.ts';
import { parseCheckpoint } from '../merkle/checkpoint.ts';
import { cosign, cosignSubtree, parseCosignature } from '../merkle/cosignature.ts';
import { MerkleError } from '../merkle/errors.ts';
import { formatNote, KEY_TYPE, MAX_SIGNATURES, type NoteSignature, openNoteAsync, parseNote } from '../merkle/note.ts';
import { verifyConsistency } from '../merkle/proof.ts';
import { EMPTY_ROOT } from '../merkle/rfc6962.ts';
import { fastSha256 } from '../merkle/runtime/crypto/hash.ts';
import { backgroundVerifier } from '../merkle/runtime/crypto/verify.ts';
import type { Reopening } from '../merkle/runtime/disk/reopen.ts';
import { RuntimeError } from '../merkle/runtime/runtime-errors.ts';
import type { Logger } from '../merkle/runtime/service/logger.ts';
import { isValidSubtree, verifySubtree } from '../merkle/subtree.ts';
import {
  type AddCheckpoint,
  formatCosignatures,
  parseAddCheckpoint,
  parseSignSubtree,
  peekOrigin,
} from '../merkle/witness.ts';
import { Refusal, WitnessError } from './errors.ts';
import { type EvidenceFiles, findEvidence, type Offered, signedBy } from './evidence.ts';
import type { WitnessKey } from './keys.ts';
import type { KnownLog, Logs } from './logs.ts';
import type { Metrics } from './metrics.ts';
import type { WitnessLimits } from './options.ts';
import { type Cosigned, cosignedOf, type WitnessStore } from './store.ts';
import { Window } from './window.ts';

/** For so long one and the same checkpoint is answered with the cosignatures that it got, in seconds. */
const SAME_ANSWER_S = 5;
/**
 * Subtrees that are being signed at once. Anybody who has one of our cosignatures can ask for them, at 13 ms each of the
 * time that the logs need: so few stand before a log's checkpoint.
 */
const SUBTREES_AT_ONCE = 16;

export interface WitnessOptions {
  readonly store: Reopening<WitnessStore>;
  readonly logs: Logs;
  /** One or more. */
  readonly keys: readonly WitnessKey[];
  readonly limits: WitnessLimits;
  readonly evidence: EvidenceFiles;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** Seconds since 1970. */
  readonly now?: () => number;
}

export class Witness {
  readonly #options: WitnessOptions;
  readonly #queues = new Map<string, { waiting: number; tail: Promise<unknown> }>();
  readonly #perOrigin: Window;
  readonly #now: () => number;
  #signing = 0;
  #subtrees = 0;

  constructor(options: WitnessOptions) {
    this.#options = options;
    this.#perOrigin = new Window(options.limits.perOrigin, options.limits.windowMs);
    this.#now = options.now ?? (() => Math.floor(Date.now() / 1000));
  }

  /**
   * Cosigns the checkpoint of a request body if it extends what was cosigned before; resolves with the signature lines,
   * when the checkpoint is durable.
   *
   * @throws Refusal with the statuses of the specification, 429 and 503
   */
  async addCheckpoint(body: Uint8Array): Promise<string> {
    const log = this.#logOf(body);
    const request = refusing('malformed', () => parseAddCheckpoint(body));
    return await this.update(log, request);
  }

  /** As `addCheckpoint`, for a log and a request that are there already. `root`: see `findEvidence`. */
  async update(log: KnownLog, request: AddCheckpoint, root?: Uint8Array): Promise<string> {
    const offered = await this.#open(log, request.note);
    if (request.oldSize > offered.size) {
      throw new Refusal('old-too-large', `the old size ${request.oldSize} is larger than the checkpoint's`);
    }
    const lines = await this.#inTurn(log.origin, () => this.#next(log, request, offered, root));
    return formatCosignatures(lines);
  }

  /** The last checkpoint cosigned for the log whose origin has this SHA-256, in lower-case hex. */
  checkpoint(originHash: string): string {
    const record = this.#store().getByHash(originHash);
    if (record === undefined) throw new Refusal('not-found', 'no checkpoint of such a log was cosigned');
    return record.note;
  }

  /** The last checkpoint cosigned for a log. */
  cosigned(origin: string): Cosigned | undefined {
    return this.#store().get(origin);
  }

  /**
   * Cosigns a subtree of a checkpoint that this witness has cosigned; resolves with the signature lines.
   *
   * @throws Refusal
   */
  async signSubtree(body: Uint8Array): Promise<string> {
    const signers = this.#options.keys.filter(({ key }) => key.type === KEY_TYPE.mldsa44);
    if (signers.length === 0)
      throw new Refusal('unsupported', 'this witness has no ML-DSA-44 key, and signs no subtrees');
    const log = this.#logOf(body);
    // Before the note is verified, which takes 2 ms.
    if (this.#subtrees >= SUBTREES_AT_ONCE) throw new Refusal('busy', 'too many subtrees are being signed; retry');
    const request = refusing('malformed', () => parseSignSubtree(body));
    const { start, end, hash, proof } = request;
    const { text } = await this.#openNote(request.note, this.#ownVerifiers());
    const { size, root } = refusing('malformed', () => parseCheckpoint(text));
    if (!isValidSubtree(start, end)) throw new Refusal('malformed', `[${start}, ${end}) is not a subtree`);
    if (end > size) throw new Refusal('malformed', 'the subtree ends after the checkpoint');
    refusing('proof', () => verifySubtree({ start, end, size, subtreeHash: hash, root, hashes: proof }, fastSha256));
    const subtree = { origin: log.origin, start, end, hash };
    this.#subtrees++;
    try {
      return formatCosignatures(
        await this.#sign(() => Promise.all(signers.map((signer) => cosignSubtree(signer, subtree)))),
      );
    } finally {
      this.#subtrees--;
    }
  }

  /** What keeps the witness from cosigning, in words; none where it is ready. */
  notReady(): string[] {
    const { store, keys } = this.#options;
    return [
      ...(store.current === undefined ? ['the store is not open'] : []),
      ...keys.filter(({ healthy }) => !healthy).map(({ key }) => `the key of type ${key.type} does not sign`),
    ];
  }

  /** Everything that is under way has ended when it resolves. */
  async idle(): Promise<void> {
    await Promise.allSettled([...this.#queues.values()].map(({ tail }) => tail));
  }

  #logOf(body: Uint8Array): KnownLog {
    const origin = peekOrigin(body);
    if (origin === undefined) throw new Refusal('malformed', 'the body has no checkpoint after an empty line');
    const log = this.#options.logs.get(origin);
    if (log === undefined) throw new Refusal('unknown-log', 'the origin is not that of a log which is witnessed here');
    return log;
  }

  /** Verifies, then parses. */
  async #open(log: KnownLog, note: Uint8Array): Promise<Offered> {
    const { text, verified } = await this.#openNote(note, log.verifiers);
    const { origin, size, root } = refusing('malformed', () => parseCheckpoint(text));
    // The log was found by the first line of the text, which is the origin.
    if (origin !== log.origin) throw new Refusal('malformed', 'the checkpoint has another origin');
    return { origin, size, root, text, signatures: verified };
  }

  async #openNote(note: Uint8Array, verifiers: KnownLog['verifiers']) {
    try {
      return await openNoteAsync(parseNote(note), verifiers);
    } catch (error) {
      if (!(error instanceof MerkleError)) throw error;
      const unsigned = error.code === 'unknown-key' || error.code === 'bad-signature';
      throw new Refusal(unsigned ? 'signature' : 'malformed', error.message);
    }
  }

  #ownVerifiers() {
    return this.#options.keys.map(({ key }) => backgroundVerifier(key));
  }

  /** The checks against what is stored, and the one step from there to the next. */
  async #next(
    log: KnownLog,
    { oldSize, proof }: AddCheckpoint,
    offered: Offered,
    root: Uint8Array | undefined,
  ): Promise<readonly NoteSignature[]> {
    const { metrics } = this.#options;
    this.#checkKnown(offered);
    const stored = this.#store().get(log.origin);
    const storedSize = stored?.size ?? 0;
    try {
      checkStep(stored, oldSize, offered, proof);
    } catch (error) {
      if (stored !== undefined) await this.#lookForEvidence(log, stored, offered, proof, root);
      if (error instanceof Refusal && error.reason === 'proof') metrics.proofFailures.inc();
      throw error;
    }
    const timestamp = this.#now();
    const given = stored?.text === offered.text ? this.#given(stored, timestamp) : undefined;
    if (given !== undefined) return given;
    if (!this.#perOrigin.take(log.origin)) {
      const { retryAfter } = this.#perOrigin;
      throw new Refusal('rate-limited', `this log is cosigned too often; retry in ${retryAfter} s`, { retryAfter });
    }
    const signatures = await this.#sign(() => this.#cosign(offered.text, this.#notBefore(stored, timestamp)));
    this.#checkKnown(offered);
    const note = formatNote(offered.text, [...offered.signatures, ...signatures].slice(0, MAX_SIGNATURES));
    await this.#put(stored, cosignedOf(note));
    metrics.cosigned.inc();
    if (offered.size > storedSize) metrics.grown.inc();
    return signatures;
  }

  /** The log or its key may have been disabled since the request came: nothing is stored or given for it any more. */
  #checkKnown({ origin, signatures }: Offered): void {
    const log = this.#options.logs.get(origin);
    if (log === undefined) throw new Refusal('unknown-log', 'the log is not witnessed any more');
    if (log.keys.some((key) => signatures.some((signature) => signedBy(key, signature)))) return;
    throw new Refusal('signature', 'the key that signed is not taken any more');
  }

  #cosign(text: string, timestamp: number): Promise<NoteSignature[]> {
    // Each key's signer has verified what it gives.
    return Promise.all(this.#options.keys.map((key) => cosign(key, timestamp, text)));
  }

  /**
   * A cosignature says that the tree was the largest seen at its time: with a clock that was set back, the next one would
   * contradict the one before.
   */
  #notBefore(stored: Cosigned | undefined, timestamp: number): number {
    const times = (stored?.signatures ?? []).flatMap((signature) => this.#timeOf(signature));
    return Math.max(timestamp, ...times);
  }

  /** The cosignatures of the stored checkpoint, while they are new, and there is one of each key. */
  #given(stored: Cosigned, now: number): readonly NoteSignature[] | undefined {
    const own = stored.signatures.filter((signature) => this.#timeOf(signature).length > 0);
    const fresh = own.filter((signature) => now - this.#timeOf(signature)[0]! < SAME_ANSWER_S);
    return fresh.length === this.#options.keys.length ? fresh : undefined;
  }

  #timeOf(signature: NoteSignature): number[] {
    const own = this.#options.keys.find(({ key }) => signedBy(key, signature));
    return own === undefined ? [] : [parseCosignature(own.key, signature.signature).timestamp];
  }

  async #put(stored: Cosigned | undefined, next: Cosigned): Promise<void> {
    try {
      await this.#options.store.use((store) => store.put(stored, next));
    } catch (error) {
      if (error instanceof RuntimeError || (error instanceof WitnessError && error.code === 'conflict')) {
        throw new Refusal('store', 'the checkpoint could not be stored; retry');
      }
      throw error;
    }
  }

  async #lookForEvidence(
    log: KnownLog,
    stored: Cosigned,
    offered: Offered,
    proof: readonly Uint8Array[],
    root: Uint8Array | undefined,
  ): Promise<void> {
    const evidence = findEvidence(log, stored, offered, proof, root);
    if (evidence === undefined) return;
    this.#options.metrics.evidence.inc();
    await this.#options.evidence.keep(log.origin, evidence);
  }

  /** Runs `work` after all that came before it for the same log. */
  async #inTurn<T>(origin: string, work: () => Promise<T>): Promise<T> {
    const queue = this.#queues.get(origin) ?? { waiting: 0, tail: Promise.resolve() };
    if (queue.waiting >= this.#options.limits.waiting) {
      throw new Refusal('busy', 'too many requests about this log are waiting; retry');
    }
    this.#queues.set(origin, queue);
    queue.waiting++;
    const done = queue.tail.then(work);
    queue.tail = done.catch(() => {});
    try {
      return await done;
    } finally {
      queue.waiting--;
      if (queue.waiting === 0) this.#queues.delete(origin);
    }
  }

  async #sign<T>(work: () => Promise<T>): Promise<T> {
    if (this.#signing >= this.#options.limits.signing) throw new Refusal('busy', 'too much is being signed; retry');
    this.#signing++;
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof RuntimeError)) throw error;
      this.#options.logger.error({ err: error }, 'signing failed');
      throw new Refusal('signer', 'the witness cannot sign now; retry');
    } finally {
      this.#signing--;
    }
  }

  #store(): WitnessStore {
    const store = this.#options.store.current;
    if (store === undefined) throw new Refusal('store', 'the store is not open; retry');
    return store;
  }
}

/** The rules of the specification for what is stored, from the old size to the proof. @throws Refusal */
function checkStep(
  stored: Cosigned | undefined,
  oldSize: number,
  offered: Offered,
  proof: readonly Uint8Array[],
): void {
  const size = stored?.size ?? 0;
  if (oldSize !== size) {
    throw new Refusal('conflict', 'the old size is not that of the last cosigned checkpoint', { size });
  }
  if (offered.size === 0 && !equal(offered.root, EMPTY_ROOT)) {
    throw new Refusal('empty-root', 'the root of a checkpoint of size 0 is not the hash of the empty tree');
  }
  if (oldSize === 0) {
    if (proof.length > 0) throw new Refusal('proof', 'a proof from size 0 must be empty');
    return;
  }
  if (oldSize === offered.size && !equal(stored!.root, offered.root)) {
    throw new Refusal('other-root', 'the last cosigned checkpoint of this size has another root');
  }
  const { size: second, root: secondRoot } = offered;
  refusing('proof', () =>
    verifyConsistency({ first: oldSize, second, firstRoot: stored!.root, secondRoot, hashes: proof }, fastSha256),
  );
}

/** What `run` refuses with a `MerkleError`, as a refusal. */
function refusing<T>(reason: 'malformed' | 'proof', run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof MerkleError) throw new Refusal(reason, error.message);
    throw error;
  }
}

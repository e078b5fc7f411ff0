/**
 * A witness: c2sp.org/tlog-witness (C2SP 95978ca, 2026-07-06), without a network.
 *
 * The way of a checkpoint, in `addCheckpoint`:
 *
 *   origin known? ─ parse ─ log's signature ─┤ one at a time for each log ├─ old size ─ proof ─ cosign ═ STORE ═ reply
 *
 * The witness makes the cosignatures before it stores the checkpoint, and sends them after the checkpoint is durable. A
 * crash in between loses cosignatures that nobody has seen. It never loses a checkpoint whose cosignature was sent.
 */
import { equal } from '../merkle/bytes.ts';
import { parseCheckpoint } from '../merkle/checkpoint.ts';
import { cosign, parseCosignature } from '../merkle/cosignature.ts';
import { formatNote, MAX_SIGNATURES, type NoteSignature } from '../merkle/note.ts';
import { verifyConsistency } from '../merkle/proof.ts';
import { EMPTY_ROOT } from '../merkle/rfc6962.ts';
import { fastSha256 } from '../merkle/runtime/crypto/hash.ts';
import type { Reopening } from '../merkle/runtime/disk/reopen.ts';
import { RuntimeError } from '../merkle/runtime/runtime-errors.ts';
import type { Logger } from '../merkle/runtime/service/logger.ts';
import { Window } from '../merkle/runtime/service/window.ts';
import { type AddCheckpoint, formatCosignatures, parseAddCheckpoint, peekOrigin } from '../merkle/witness.ts';
import type { WitnessClock } from './clock.ts';
import type { LiveSettings } from './config.ts';
import { RequestError, requestError, WitnessError } from './errors.ts';
import { type EvidenceFiles, findEvidence, type Offered, signedBy } from './evidence.ts';
import { FairQueue } from './fair-queue.ts';
import type { Doubt, Judge } from './judge.ts';
import type { WitnessKey } from './keys.ts';
import type { KnownLog, Logs } from './logs.ts';
import type { Metrics } from './metrics.ts';
import { openSigned, refusing } from './opening.ts';
import type { Cosigned, WitnessStore } from './store.ts';
import { Subtrees } from './subtrees.ts';

/** Seconds in which a repeated checkpoint gets the cosignatures that it got before. */
const SAME_ANSWER_S = 5;
/** Requests whose signatures are verified at one time: twice the threads of Node's pool. */
const OPENED_AT_ONCE = 8;
/** Bytes of a body beyond what a log needs for its own signatures: parsing 120 KB takes the main thread 2 ms. */
const LARGE_BODY = 16 * 1024;
/** Large bodies have a queue of their own, and take a fifth of the main thread at most. */
const LARGE_MS = 10;
const DAY_MS = 86_400_000;

interface WitnessOptions {
  readonly store: Reopening<WitnessStore>;
  readonly logs: Logs;
  /** One or more. */
  readonly keys: readonly WitnessKey[];
  readonly live: LiveSettings;
  readonly evidence: EvidenceFiles;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly clock: WitnessClock;
  /** Milliseconds that never go back. */
  readonly monotonic?: () => number;
  /** What must hold beyond the rules of a witness. */
  readonly judge?: Pick<Judge, 'judge'> | undefined;
}

/** Seconds after which a checkpoint that could not be judged is worth another request. */
const JUDGE_AGAIN_S = 5;

export class Witness {
  readonly #options: WitnessOptions;
  readonly #queues = new Map<string, { waiting: number; tail: Promise<unknown> }>();
  readonly #perOrigin: Window;
  /** Checkpoints of a day, by log: those that were new, and those that were cosigned again. */
  readonly #daily: { readonly grown: Window; readonly again: Window };
  /** Parses and verifies requests. The logs take turns: requests about one log do not hold up those about the others. */
  readonly #opening: FairQueue;
  readonly #openingLarge: FairQueue;
  /** Requests to `add-checkpoint` that are not answered yet. */
  #underWay = 0;
  readonly #subtrees: Subtrees;

  constructor(options: WitnessOptions) {
    this.#options = options;
    const { monotonic } = options;
    this.#perOrigin = new Window(() => options.live.rateLimit.window, monotonic);
    this.#daily = { grown: new Window(() => DAY_MS, monotonic), again: new Window(() => DAY_MS, monotonic) };
    this.#subtrees = new Subtrees(options);
    const limit = () => options.live.limits.signing;
    this.#opening = new FairQueue({ limit, atOnce: OPENED_AT_ONCE, leastMs: 0 });
    this.#openingLarge = new FairQueue({ limit, atOnce: 1, leastMs: LARGE_MS });
  }

  /**
   * Cosigns the checkpoint of a request body if it extends the last cosigned one. Resolves with the signature lines when
   * the checkpoint is durable.
   * @throws RequestError with the statuses of the specification, 429 and 503
   */
  async addCheckpoint(body: Uint8Array): Promise<string> {
    const log = this.#logOf(body);
    // Before the signatures are verified: the work that is under way is bounded.
    if (this.#underWay >= this.#options.live.limits.signing)
      throw requestError('busy', 'too many checkpoints are under way');
    this.#underWay++;
    try {
      const queue = body.length > LARGE_BODY ? this.#openingLarge : this.#opening;
      const [request, offered] = await queue.run(log.origin, async () => {
        const parsed = refusing('malformed', () => parseAddCheckpoint(body));
        return [parsed, await this.#open(log, parsed.note)] as const;
      });
      return await this.#update(log, request, offered, log.qpd);
    } finally {
      this.#underWay--;
    }
  }

  /** As `addCheckpoint`, for a checkpoint that the witness polled: it is no request of the log. `root`: see `findEvidence`. */
  async addPolled(log: KnownLog, request: AddCheckpoint, root?: Uint8Array): Promise<string> {
    return await this.#update(log, request, await this.#open(log, request.note), undefined, root);
  }

  /** The last checkpoint cosigned for the log whose origin has this SHA-256, in lower-case hex. */
  checkpoint(originHash: string): string {
    const record = this.#store().getByHash(originHash);
    if (record === undefined) throw requestError('not-found', 'no checkpoint of such a log was cosigned');
    return record.note;
  }

  /** The last checkpoint cosigned for a log. */
  cosigned(origin: string): Cosigned | undefined {
    return this.#store().get(origin);
  }

  /**
   * Cosigns a subtree of a checkpoint cosigned here; resolves with the signature lines.
   * @param client the address that the request counts against
   * @throws RequestError
   */
  async signSubtree(body: Uint8Array, client: string): Promise<string> {
    if (!this.#subtrees.served) throw requestError('unsupported');
    return await this.#subtrees.sign(body, this.#logOf(body).origin, client);
  }

  /** Why the witness cannot cosign, one sentence a reason; empty where it can. */
  notReady(): string[] {
    const { store, keys, clock } = this.#options;
    const wrong = clock.wrong();
    return [
      ...(wrong === undefined ? [] : [wrong]),
      ...(store.current === undefined ? ['the store is not open'] : []),
      ...keys.filter(({ healthy }) => !healthy).map(({ key }) => `the key of type ${key.type} does not sign`),
    ];
  }

  /** Resolves when every request under way has ended. */
  async idle(): Promise<void> {
    await Promise.allSettled([...this.#queues.values()].map(({ tail }) => tail));
  }

  async #update(
    log: KnownLog,
    request: AddCheckpoint,
    offered: Offered,
    perDay: number | undefined,
    root?: Uint8Array,
  ): Promise<string> {
    if (request.oldSize > offered.size) {
      throw requestError('old-too-large', request.oldSize);
    }
    const doubt = await this.#doubtOf(request, offered);
    const lines = await this.#inTurn(log.origin, () => this.#next(log, request, offered, perDay, root, doubt));
    return formatCosignatures(lines);
  }

  /** What the judge says. It may wait, so the requests about the log do not wait for each other meanwhile. */
  async #doubtOf({ oldSize }: AddCheckpoint, offered: Offered): Promise<Doubt | undefined> {
    const { judge } = this.#options;
    if (judge === undefined) return undefined;
    const size = this.#store().get(offered.origin)?.size ?? 0;
    if (oldSize !== size) throw requestError('conflict', size);
    return await judge.judge(offered);
  }

  #logOf(body: Uint8Array): KnownLog {
    const origin = peekOrigin(body);
    if (origin === undefined) throw requestError('malformed', 'the body has no checkpoint after an empty line');
    const log = this.#options.logs.get(origin);
    if (log === undefined) throw requestError('unknown-log', 'the origin is not that of a log which is witnessed here');
    return log;
  }

  /** Verifies, then parses. */
  async #open(log: KnownLog, note: Uint8Array): Promise<Offered> {
    const { text, verified } = await openSigned(note, log.verifiers);
    const { origin, size, root } = refusing('malformed', () => parseCheckpoint(text));
    // `#logOf` found the log by the first line of an unverified text.
    if (origin !== log.origin) throw requestError('malformed', 'the checkpoint has another origin');
    return { origin, size, root, text, signatures: verified };
  }

  /** Checks the offered checkpoint against the stored one, cosigns it and stores it. */
  async #next(
    log: KnownLog,
    { oldSize, proof }: AddCheckpoint,
    offered: Offered,
    perDay: number | undefined,
    root: Uint8Array | undefined,
    doubt: Doubt | undefined,
  ): Promise<readonly NoteSignature[]> {
    const { keys, metrics } = this.#options;
    this.#checkKnown(offered);
    const stored = this.#store().get(log.origin);
    const storedSize = stored?.size ?? 0;
    try {
      checkStep(stored, oldSize, offered, proof);
    } catch (error) {
      if (stored !== undefined) await this.#lookForEvidence(log, stored, offered, proof, root);
      if (error instanceof RequestError && error.code === 'proof') metrics.proofFailures.inc();
      throw error;
    }
    // After the step, so that two histories are found whatever the judge says.
    if (doubt?.final === true) throw requestError('wrong', doubt.why);
    if (doubt !== undefined) throw requestError('undecided', doubt.why, JUDGE_AGAIN_S);
    const timestamp = this.#options.clock.now();
    const given = stored?.text === offered.text ? this.#given(stored, timestamp) : undefined;
    if (given !== undefined) return given;
    const daily = this.#checkLimits(log.origin, stored?.text === offered.text, perDay);
    const time = this.#notBefore(stored, timestamp);
    // Each signer verifies its signatures itself.
    const signatures = await this.#sign(() => Promise.all(keys.map((key) => cosign(key, time, offered.text))));
    this.#checkKnown(offered);
    const all = [...offered.signatures, ...signatures].slice(0, MAX_SIGNATURES);
    await this.#put(stored, { ...offered, signatures: all, note: formatNote(offered.text, all) }, time);
    daily?.count(log.origin);
    metrics.cosigned.inc();
    if (offered.size > storedSize) metrics.grown.inc();
    return signatures;
  }

  /**
   * Counts a checkpoint that may be cosigned now. Returns the counter of the day, for when the checkpoint is stored.
   *
   * Anybody can send a log's published checkpoint again, so such a request takes nothing from the log's new checkpoints.
   * @throws RequestError `rate-limited`, `daily-limit`
   */
  #checkLimits(origin: string, again: boolean, perDay: number | undefined): Window | undefined {
    const { perOrigin } = this.#options.live.rateLimit;
    if (perOrigin > 0 && this.#perOrigin.isFull(origin, perOrigin)) {
      throw requestError('rate-limited', this.#perOrigin.retryAfter);
    }
    const daily = again ? this.#daily.again : this.#daily.grown;
    if (perDay !== undefined && daily.isFull(origin, perDay)) {
      throw requestError('daily-limit', perDay, daily.retryAfter);
    }
    this.#perOrigin.count(origin);
    return perDay === undefined ? undefined : daily;
  }

  /** The operator may have disabled the log or its key since the request came: then nothing is stored or sent. */
  #checkKnown({ origin, signatures }: Offered): void {
    const log = this.#options.logs.get(origin);
    if (log === undefined) throw requestError('unknown-log', 'the log is not witnessed any more');
    if (log.keys.some((key) => signatures.some((signature) => signedBy(key, signature)))) return;
    throw requestError('signature', 'the key that signed is not taken any more');
  }

  /** After a clock was set back, the time of the last cosignature: an earlier one would contradict it. */
  #notBefore(stored: Cosigned | undefined, timestamp: number): number {
    const times = (stored?.signatures ?? []).flatMap((signature) => this.#timeOf(signature));
    return Math.max(timestamp, ...times);
  }

  /** The cosignatures of the stored checkpoint, where each key has one that is new. */
  #given(stored: Cosigned, now: number): readonly NoteSignature[] | undefined {
    const own = stored.signatures.filter((signature) => this.#timeOf(signature).length > 0);
    const fresh = own.filter((signature) => now - this.#timeOf(signature)[0]! < SAME_ANSWER_S);
    return fresh.length === this.#options.keys.length ? fresh : undefined;
  }

  /** Empty for a time that a wrong clock gave: it is after every time since the right one was accepted. */
  #timeOf(signature: NoteSignature): number[] {
    const own = this.#options.keys.find(({ key }) => signedBy(key, signature));
    if (own === undefined) return [];
    const { timestamp } = parseCosignature(own.key, signature.signature);
    return timestamp <= (this.#store().newest ?? timestamp) ? [timestamp] : [];
  }

  async #put(stored: Cosigned | undefined, next: Cosigned, time: number): Promise<void> {
    try {
      await this.#options.store.use((store) => store.put(stored, next, time));
    } catch (error) {
      if (error instanceof RuntimeError || (error instanceof WitnessError && error.code === 'conflict')) {
        throw requestError('store', 'the checkpoint could not be stored');
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

  /** Runs `work` after all earlier work for the same log. */
  async #inTurn<T>(origin: string, work: () => Promise<T>): Promise<T> {
    const queue = this.#queues.get(origin) ?? { waiting: 0, tail: Promise.resolve() };
    if (queue.waiting >= this.#options.live.limits.waiting) {
      throw requestError('busy', 'too many requests about this log are waiting');
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
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof RuntimeError)) throw error;
      this.#options.logger.error({ err: error }, 'signing failed');
      throw requestError('signer');
    }
  }

  #store(): WitnessStore {
    const store = this.#options.store.current;
    if (store === undefined) throw requestError('store', 'the store is not open');
    return store;
  }
}

/** The rules of the specification for the step from the stored checkpoint to the offered one. @throws RequestError */
function checkStep(
  stored: Cosigned | undefined,
  oldSize: number,
  offered: Offered,
  proof: readonly Uint8Array[],
): void {
  const size = stored?.size ?? 0;
  if (oldSize !== size) {
    throw requestError('conflict', size);
  }
  if (offered.size === 0 && !equal(offered.root, EMPTY_ROOT)) {
    throw requestError('empty-root');
  }
  if (oldSize === 0) {
    if (proof.length > 0) throw requestError('proof', 'a proof from size 0 must be empty');
    return;
  }
  if (oldSize === offered.size && !equal(stored!.root, offered.root)) {
    throw requestError('other-root');
  }
  const { size: second, root: secondRoot } = offered;
  refusing('proof', () =>
    verifyConsistency({ first: oldSize, second, firstRoot: stored!.root, secondRoot, hashes: proof }, fastSha256),
  );
}

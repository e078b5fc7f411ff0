/**
 * Asks the witnesses of the policy for cosignatures (c2sp.org/tlog-witness C2SP 95978ca, 2026-07-06; tlog-policy 1896a5a).
 *
 * One tree head at a time is the newest one. Each witness works towards it alone (cosign/witness.ts). When their
 * cosignatures meet the quorum, `quorum` resolves with the note to publish; later cosignatures are handed over once more.
 * Without a quorum `quorum` waits without a limit: no client sees a tree head that the policy does not accept, unless
 * `failOpen` allows it.
 */
import { isLoopback } from '../../merkle/loopback.ts';
import type { VerifierKey } from '../../merkle/note.ts';
import { type Policy, type PolicyWitness, quorumMet } from '../../merkle/policy.ts';
import type { Logger } from '../../merkle/runtime/service/logger.ts';
import type { ServerError } from '../errors.ts';
import type { TreeReader } from '../tree/reader.ts';
import { Confirmation } from './confirmation.ts';
import { checkHeads, conflictWith, cosignersOf, fetchHead, type HeldHead, showsNone } from './heads.ts';
import { CosignJob } from './job.ts';
import { type Endpoint, endpointsOf } from './policy.ts';
import { Witness, type WitnessSettings } from './witness.ts';
import { type Failed, type FailureReason, isFailed, WitnessClient, type WitnessConnections } from './witness-client.ts';
import type { WitnessMetrics } from './witness-metrics.ts';

/** What the cosigner needs from the log. */
interface CosignerHooks {
  /** Reads the newest committed tree. */
  committed(): TreeReader;
  /** The newest committed tree, signed. Called while the log waits for a confirmation, where that tree does not grow. */
  head(): Promise<{ readonly note: string; readonly reader: TreeReader }>;
  /** The wait that `awaitConfirmation` began is over: the log may sign and take entries. */
  confirmed(): void;
  /** The note of the public checkpoint with more, or newer, cosignatures. */
  late(note: string): void;
  /** A witness holds a checkpoint that the log must have signed and does not extend; `evidence` is its note. */
  conflict(error: ServerError, evidence: string): void;
}

interface CosignerOptions {
  readonly policy: Policy;
  readonly origin: string;
  /** The log's own keys. */
  readonly keys: readonly VerifierKey[];
  readonly settings: WitnessSettings & {
    /** Publish without the quorum if the witnesses cannot be reached. */
    readonly failOpen: boolean;
  };
  readonly metrics: WitnessMetrics;
  readonly logger: Logger;
  /** As for `WitnessClient`. */
  readonly outgoing?: WitnessConnections | undefined;
}

/**
 * How long after a tree head was handed over its later cosignatures are added, all in one step, in milliseconds. On a busy
 * log the next tree head is public by then; adding to each one would cost a third of publishing it.
 */
const LATE_MS = 100;

export class Cosigner {
  readonly #options: CosignerOptions;
  readonly #client: WitnessClient;
  #policy: Policy;
  #witnesses: readonly Witness[];
  #hooks: CosignerHooks | undefined;
  /** Set while the log waits for its witnesses. */
  #confirmation: Confirmation | undefined;
  #job: CosignJob | undefined;
  /** The newest tree head that may be public. */
  #handed: CosignJob | undefined;
  /** When `#handed` was handed over, as `performance.now()` counts. */
  #handedAt = 0;
  /** The note of `#handed` as it was handed over last. */
  #note = '';
  /** Publishes the newest tree head if it may be public; undefined once it was handed over. */
  #decide: (() => void) | undefined;
  #late: NodeJS.Timeout | undefined;
  readonly #alarmed = new Map<Endpoint, number>();

  /** @throws ServerError `policy` */
  constructor(options: CosignerOptions) {
    this.#options = options;
    this.#client = new WitnessClient(options.outgoing);
    this.#policy = options.policy;
    const endpoints = endpointsOf(options.policy, options.keys);
    this.#witnesses = endpoints.map((endpoint) => this.#witness(endpoint));
  }

  start(hooks: CosignerHooks): void {
    this.#hooks = hooks;
  }

  get policy(): Policy {
    return this.#policy;
  }

  /**
   * From now on this policy decides, also about the tree head that waits for its quorum. Cosignatures that came before
   * count. The checkpoint that is public stays public.
   * @throws ServerError `policy`; nothing has changed then
   */
  replacePolicy(policy: Policy): void {
    const endpoints = endpointsOf(policy, this.#options.keys);
    const before = this.#witnesses;
    for (const witness of before) witness.close();
    this.#policy = policy;
    const waited = this.#confirmation;
    this.#confirmation = policy.quorum === undefined ? undefined : waited?.under(policy);
    for (const job of [this.#job, this.#handed]) job?.replacePolicy(policy);
    this.#witnesses = endpoints.map((endpoint) => {
      const witness = this.#witness(endpoint);
      const same = before.find((one) => one.endpoint.url === endpoint.url);
      if (same !== undefined) witness.learn(same.known);
      return witness;
    });
    const named = new Set(endpoints.map(({ name }) => name));
    for (const { endpoint } of before) {
      if (!named.has(endpoint.name)) this.#options.metrics.size.remove({ witness: endpoint.name });
    }
    if (this.#job !== undefined) this.#offer(this.#job);
    else if (this.#confirmation !== undefined) for (const witness of this.#witnesses) witness.look();
    // As at a start with this policy, which waits for nothing where it has no quorum.
    if (waited !== undefined && this.#confirmation === undefined) this.#hooks?.confirmed();
    this.#confirm([]);
    this.#decide?.();
  }

  /** Requests from now on go over these connections. */
  useConnections(outgoing: WitnessConnections | undefined): void {
    this.#client.use(outgoing);
  }

  /** Whether every witness is on this machine. */
  get loopback(): boolean {
    return this.#witnesses.every(({ endpoint }) => isLoopback(endpoint.url));
  }

  /**
   * Requests from each witness the checkpoint that it holds of this log, for as long as one request may take.
   * @throws ServerError `rollback` if `tree` does not extend one of them: nothing may be signed then
   */
  async check(tree: TreeReader): Promise<void> {
    const endpoints = this.#witnesses.map(({ endpoint }) => endpoint);
    const heads = await checkHeads(this.#client, endpoints, this.#options, this.#options.settings.timeoutMs, tree);
    for (const [i, { head }] of heads.entries()) {
      if (head === undefined || showsNone(head)) continue;
      if (isFailed(head)) this.#witnesses[i]!.look(head);
      else this.#witnesses[i]!.learn(head.size);
    }
  }

  /**
   * The log was there before this start: from now on it waits for its witnesses (confirmation.ts).
   * @returns false for a policy without a quorum, whose witnesses cannot confirm anything: the log waits for nothing
   */
  awaitConfirmation(): boolean {
    if (this.#policy.quorum === undefined) return false;
    this.#confirmation = new Confirmation(this.#policy);
    return true;
  }

  /**
   * Asks the witnesses about a log that has published no entry, for `awaitConfirmation`. They get the committed tree: every
   * tree that an older log committed is the beginning of the newest one, so signing it adds nothing. A log without entries
   * has nothing that it could send, and its witnesses must show that they hold nothing.
   */
  async askUnpublished(): Promise<void> {
    const hooks = this.#hooks!;
    if (hooks.committed().snapshot.size === 0) {
      for (const witness of this.#witnesses) witness.look(witness.failed);
      return;
    }
    const { note, reader } = await hooks.head();
    this.#offer(this.#newJob(note, reader));
  }

  /** Takes the checkpoint that is public when a store is opened. It is cosigned further, and again when it gets old. */
  adopt(note: string, reader: TreeReader): void {
    // An older version published the empty tree. No witness is asked about it any more.
    if (reader.snapshot.size === 0) return;
    this.#handed = this.#newJob(note, reader);
    this.#offer(this.#handed);
  }

  /**
   * Resolves with the note and its cosignatures once it may be published. `note` is signed by the log and replaces every
   * note before it. Rejects with the reason of `signal` once that is aborted.
   */
  quorum(note: string, reader: TreeReader, signal: AbortSignal): Promise<string> {
    const job = this.#newJob(note, reader);
    return new Promise((resolve, reject) => {
      const started = performance.now();
      const { failOpen, timeoutMs } = this.#options.settings;
      let timer: NodeJS.Timeout | undefined;
      const end = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', abort);
        if (this.#job === job) this.#decide = undefined;
      };
      const abort = () => {
        end();
        reject(signal.reason);
      };
      this.#decide = () => {
        const late = performance.now() - started >= timeoutMs;
        const met = job.quorum;
        if (!met && !(failOpen && (late || this.#hopeless(job)))) return;
        if (!met) this.#openly(job);
        end();
        resolve(this.#hand(job));
      };
      if (signal.aborted) return abort();
      signal.addEventListener('abort', abort);
      if (failOpen) timer = setTimeout(() => this.#decide?.(), timeoutMs + 1);
      this.#offer(job);
      this.#decide();
    });
  }

  /**
   * Asks every witness to cosign the last checkpoint of a frozen log, which needs no quorum. Resolves with the note and the
   * cosignatures that it got, when each witness has answered, and after `timeoutMs` at the latest. Rejects with the reason
   * of `signal` once that is aborted.
   */
  async collect(note: string, reader: TreeReader, signal: AbortSignal): Promise<string> {
    const job = this.#newJob(note, reader);
    await new Promise<void>((resolve, reject) => {
      const end = (settle: () => void) => {
        clearTimeout(timer);
        signal.removeEventListener('abort', abort);
        if (this.#job === job) this.#decide = undefined;
        settle();
      };
      const abort = () => end(() => reject(signal.reason));
      const timer = setTimeout(() => end(resolve), this.#options.settings.timeoutMs);
      this.#decide = () => {
        if (this.#witnesses.every((witness) => witness.answered(job))) end(resolve);
      };
      if (signal.aborted) return abort();
      signal.addEventListener('abort', abort);
      this.#offer(job);
    });
    return this.#hand(job);
  }

  /** Why nothing is published, or soon will not be: each reason in one sentence. */
  notReady(): string[] {
    const confirmation = this.#confirmation;
    if (confirmation !== undefined) {
      const missing = this.#witnesses.filter(({ endpoint }) => !confirmation.has(endpoint));
      const each = missing.map(({ endpoint, failed }) => `${endpoint.name} ${failed?.text ?? 'has not answered yet'}`);
      return [`witnesses that have not confirmed the newest tree here: ${each.join('; ')}`];
    }
    const why = this.#missing(({ text, detail = '' }) => `${text}${detail}`);
    return why === undefined ? [] : [why];
  }

  /** Why nothing is published, for the clients of the log: without what only its operator may know. */
  whyLate(): string | undefined {
    return this.#missing(({ text }) => text);
  }

  #missing(describe: (failed: Failed) => string): string | undefined {
    if (!this.#hopeless(this.#job)) return undefined;
    const failing = this.#witnesses.flatMap(({ endpoint, failed }) =>
      failed === undefined ? [] : [`${endpoint.name} ${describe(failed)}`],
    );
    return `the quorum of the witnesses cannot be reached: ${failing.join('; ')}`;
  }

  /**
   * One sentence for each witness that does not come back by itself: its clock, or this log's, is wrong, so that its
   * cosignatures count for nothing; or it holds the empty tree and takes no other.
   */
  alarms(): string[] {
    return this.#witnesses.flatMap(({ endpoint, failed }) =>
      failed?.reason === 'wrong-clock' || failed?.reason === 'stuck'
        ? [`the witness ${endpoint.name} ${failed.text}`]
        : [],
    );
  }

  close(): void {
    clearTimeout(this.#late);
    for (const witness of this.#witnesses) witness.close();
    this.#client.close();
  }

  /** The note of a tree head that may be public now. */
  #hand(job: CosignJob): string {
    this.#handed = job;
    this.#handedAt = performance.now();
    this.#note = job.render();
    return this.#note;
  }

  #newJob(note: string, reader: TreeReader): CosignJob {
    const { keys, settings } = this.#options;
    return new CosignJob(note, keys, this.#policy, settings.clockSkewMs, reader, this.#confirmation !== undefined);
  }

  #offer(job: CosignJob): void {
    this.#job = job;
    for (const witness of this.#witnesses) witness.offer(job);
  }

  #lacksQuorum(job: CosignJob | undefined): boolean {
    return job?.quorum === false && !this.#options.settings.failOpen;
  }

  /** Whether the quorum needs a witness whose last request failed. */
  #hopeless(job: CosignJob | undefined): boolean {
    if (job?.final === true) return false;
    const failing = new Set(
      this.#witnesses.flatMap((witness) => (witness.failed === undefined ? [] : witness.endpoint.witnesses)),
    );
    const answers = (witness: PolicyWitness) => witness.url !== undefined && !failing.has(witness);
    return !(job?.quorumWith(answers) ?? quorumMet(this.#policy, answers));
  }

  #openly(job: CosignJob): void {
    const { logger, metrics } = this.#options;
    metrics.withoutQuorum.inc();
    logger.warn({ size: job.size, cosignatures: job.count }, 'publishing without the quorum: publish.failOpen is set');
  }

  #witness(endpoint: Endpoint): Witness {
    const { metrics, logger, settings } = this.#options;
    const label = { witness: endpoint.name };
    const latency = metrics.latency.labels(endpoint.name);
    const size = metrics.size.labels(label);
    let failing: FailureReason | undefined;
    const witness: Witness = new Witness(endpoint, this.#client, settings, {
      look: () => this.#look(endpoint),
      cosigned: (job, signed) => {
        this.#confirm(signed);
        this.#cosigned(job);
      },
      done: (seconds, failed) => {
        latency.observe(seconds);
        if (failed !== undefined) metrics.failures.labels({ ...label, reason: failed.reason }).inc();
        if (failed !== undefined && failed.reason !== failing) {
          const err = failed.cause === undefined ? {} : { err: failed.cause };
          logger.warn({ ...label, reason: failed.reason, ...err }, `the witness ${failed.text}`);
        }
        if (failed === undefined && failing !== undefined) logger.info(label, 'the witness cosigns again');
        failing = failed?.reason;
        this.#decide?.();
      },
      size: (entries) => size.set(entries),
      larger: (entries) => this.#larger(endpoint, entries),
      inconsistent: async () => void (await this.#inspect(endpoint)),
    });
    return witness;
  }

  #cosigned(job: CosignJob): void {
    if (job === this.#job && this.#decide !== undefined) this.#decide();
    // The tree head that was handed over stays public until the next one has its quorum.
    else if (job === this.#handed) this.#late ??= setTimeout(() => this.#handLate(), LATE_MS);
  }

  #handLate(): void {
    const early = this.#handedAt + LATE_MS - performance.now();
    this.#late = early > 1 ? setTimeout(() => this.#handLate(), early) : undefined;
    if (this.#late !== undefined) return;
    // The cosignatures of a quiet log's checkpoint may be of another day: it stays public until new ones suffice.
    // The last checkpoint of a frozen log keeps what it has.
    if (this.#handed?.final === true ? !this.#handed.timely : this.#lacksQuorum(this.#handed)) return;
    const note = this.#handed?.render() ?? '';
    // On a busy log the timer of one tree head ends while the next is public, which may have no later cosignature.
    if (note === this.#note) return;
    this.#note = note;
    this.#hooks?.late(note);
  }

  #confirm(witnesses: readonly PolicyWitness[]): void {
    const confirmation = this.#confirmation;
    if (confirmation === undefined) return;
    confirmation.add(witnesses);
    if (!confirmation.done) return;
    this.#confirmation = undefined;
    this.#hooks?.confirmed();
  }

  async #larger(endpoint: Endpoint, size: number): Promise<boolean> {
    const committed = this.#hooks?.committed().snapshot.size;
    if (committed === undefined) return false;
    if (size <= committed) return this.#confirmation !== undefined && (await this.#confirmLarger(endpoint, size));
    if (this.#alarmed.get(endpoint) !== size) {
      this.#alarmed.set(endpoint, size);
      this.#options.metrics.alarms.labels({ witness: endpoint.name }).inc();
      this.#options.logger.error(
        { witness: endpoint.name, size, committed },
        'a witness names a larger tree than this log has: either the witness is wrong, or this data directory is an old copy',
      );
    }
    await this.#inspect(endpoint);
    return false;
  }

  /**
   * A witness holds more than was published, within the committed tree: a crash came between its cosignature and the
   * publication. It counts if the checkpoint that it shows is as large as it says. Many witnesses show none to the log: they
   * get the committed tree, which has what they hold.
   */
  async #confirmLarger(endpoint: Endpoint, size: number): Promise<boolean> {
    const witness = this.#witnesses.find((one) => one.endpoint === endpoint)!;
    const head = await this.#inspect(endpoint);
    if (head !== undefined && !isFailed(head) && head.size >= size) this.#confirm(cosignersOf(head, endpoint));
    if (this.#confirmation === undefined || this.#confirmation.has(endpoint)) {
      witness.offer(undefined);
      return true;
    }
    const { note, reader } = await this.#hooks!.head();
    witness.offer(this.#newJob(note, reader));
    return true;
  }

  async #look(endpoint: Endpoint): Promise<Failed | undefined> {
    const head = await this.#inspect(endpoint);
    if (head !== undefined && isFailed(head) && !showsNone(head)) return head;
    const nothing = head === undefined || isFailed(head) || head.size === 0;
    if (nothing && this.#hooks?.committed().snapshot.size === 0) this.#confirm(endpoint.witnesses);
    return undefined;
  }

  /**
   * The checkpoint that the witness holds. Stops the log if that checkpoint shows that this log signed another history.
   */
  async #inspect(endpoint: Endpoint): Promise<HeldHead | undefined | Failed> {
    const head = await fetchHead(this.#client, endpoint, this.#options, this.#options.settings.timeoutMs);
    const hooks = this.#hooks;
    if (head === undefined || isFailed(head) || hooks === undefined) return head;
    const conflict = await conflictWith(endpoint.name, head, hooks.committed());
    if (conflict === undefined) return head;
    hooks.conflict(conflict, head.note);
    return { reason: 'disagrees', text: 'holds another history of this log' };
  }
}

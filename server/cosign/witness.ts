/**
 * One URL of the policy. Each works alone towards the newest tree head that it was offered, one request at a time. So a
 * slow or broken witness delays no other, and it skips the tree heads that it missed.
 */
import { MerkleError } from '../../merkle/errors.ts';
import type { PolicyWitness } from '../../merkle/policy.ts';
import { printable } from '../../merkle/printable.ts';
import { type BackOff, backOffMs } from '../../merkle/runtime/service/back-off.ts';
import { formatAddCheckpoint, parseCosignatures, parseTreeSize, TREE_SIZE_TYPE } from '../../merkle/witness.ts';
import type { CosignJob } from './job.ts';
import type { Endpoint } from './policy.ts';
import { type Failed, type FailureReason, isFailed, type Reply, type WitnessClient } from './witness-client.ts';

export interface WitnessSettings {
  /** How long a request may take, in milliseconds. */
  readonly timeoutMs: number;
  /** Age at which a cosignature is requested again while its checkpoint is still the newest, in milliseconds. */
  readonly refreshMs: number;
  /** How far the time of a cosignature may be from this machine's clock, before or after, in milliseconds. */
  readonly clockSkewMs: number;
}

interface WitnessEvents {
  /**
   * Requests the checkpoint that the witness holds. Resolves with why the witness gave no usable answer, or with undefined.
   */
  look(): Promise<Failed | undefined>;
  /** Some or all keys of the endpoint signed: those of `signed`. */
  cosigned(job: CosignJob, signed: readonly PolicyWitness[]): void;
  /** A request ended after so many seconds; `failed` is undefined if every key signed. */
  done(seconds: number, failed: Failed | undefined): void;
  /** The witness has a tree of this size. */
  size(size: number): void;
  /**
   * The witness names a tree that is larger than this job's. Resolves when the log has looked into it: with true where the
   * witness needs no other request about this job.
   */
  larger(size: number): Promise<boolean>;
  /** The witness says that this job's tree does not extend its own. */
  inconsistent(): Promise<void>;
}

/** Failures after which the same request may succeed. */
const PASSING: readonly FailureReason[] = ['unreachable', 'timeout', 'identity'];

const RETRY: BackOff = { firstMs: 100, longestMs: 5000 };

export class Witness {
  readonly endpoint: Endpoint;
  readonly #client: WitnessClient;
  readonly #settings: WitnessSettings;
  readonly #events: WitnessEvents;
  #job: CosignJob | undefined;
  /** The tree head of the last request that ended. */
  #answered: CosignJob | undefined;
  /** Whether to look at the witness while no tree head is offered, so that the log can say who is missing. */
  #looking = false;
  /** Size of the witness's tree, as the witness said or as its cosignatures show. */
  #known = 0;
  #failures = 0;
  #failed: Failed | undefined;
  #retryAt = 0;
  #closed = false;
  #wake: () => void = () => {};

  constructor(endpoint: Endpoint, client: WitnessClient, settings: WitnessSettings, events: WitnessEvents) {
    this.endpoint = endpoint;
    this.#client = client;
    this.#settings = settings;
    this.#events = events;
    void this.#run();
  }

  /** Why the last request failed; undefined if it did not. */
  get failed(): Failed | undefined {
    return this.#failed;
  }

  /** Size of the tree that the witness has, as far as it is known. */
  get known(): number {
    return this.#known;
  }

  /** Whether a request about this tree head has ended, well or not. */
  answered(job: CosignJob): boolean {
    return this.#answered === job;
  }

  /** From now on this tree head is to be cosigned; none if it is undefined. */
  offer(job: CosignJob | undefined): void {
    this.#job = job;
    this.#wake();
  }

  /** A first guess of the witness's size; its own answer overrides it. */
  learn(size: number): void {
    this.#known = size;
    this.#events.size(size);
  }

  /**
   * Has the log look at the checkpoint that the witness holds until that succeeds, unless a tree head is offered first.
   * `failed`: the look before this one failed, and the next comes after a pause.
   */
  look(failed?: Failed): void {
    this.#failed = failed;
    this.#failures = failed === undefined ? 0 : 1;
    this.#retryAt = performance.now() + (failed === undefined ? 0 : backOffMs(RETRY, 1));
    this.#looking = true;
    this.#wake();
  }

  close(): void {
    this.#closed = true;
    this.#wake();
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      const wait = this.#due() - performance.now();
      if (wait > 0) await this.#sleep(wait);
      else if (this.#job !== undefined) await this.#request(this.#job);
      else await this.#look();
    }
  }

  /** When to send the next request, as `performance.now()` counts: setting a clock, here or there, must not change the pace. */
  #due(): number {
    if (this.#job === undefined) return this.#looking ? this.#retryAt : Number.POSITIVE_INFINITY;
    if (this.#failures > 0) return this.#retryAt;
    const at = this.#job.cosignedAt(this.endpoint);
    if (at === undefined) return Number.NEGATIVE_INFINITY;
    return this.#job.final ? Number.POSITIVE_INFINITY : at + this.#settings.refreshMs;
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      // A timer takes 31 bits; waking early does no harm.
      const timer = Number.isFinite(ms) ? setTimeout(resolve, Math.min(ms, 2 ** 31 - 1)).unref() : undefined;
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  async #look(): Promise<void> {
    const started = performance.now();
    const failed = await this.#events.look().catch(
      (cause: unknown): Failed => ({
        reason: 'internal',
        text: 'holds a checkpoint that this log could not check',
        cause,
      }),
    );
    this.#looking = failed !== undefined;
    this.#ended(started, failed);
  }

  async #request(job: CosignJob): Promise<void> {
    const started = performance.now();
    let failed: Failed | undefined;
    try {
      failed = await this.#addCheckpoint(job);
    } catch (cause) {
      // The store under the job's reader failed: the log opens it again and offers another job.
      failed = { reason: 'internal', text: 'got no request: this log could not make the consistency proof', cause };
    }
    this.#answered = job;
    // A witness that refuses the last checkpoint of a frozen log refuses it for ever.
    const refused = failed !== undefined && !PASSING.includes(failed.reason);
    if (job.final && refused && this.#job === job) this.#job = undefined;
    this.#ended(started, failed);
  }

  #ended(started: number, failed: Failed | undefined): void {
    if (this.#closed) return;
    this.#failed = failed;
    this.#failures = failed === undefined ? 0 : this.#failures + 1;
    if (failed !== undefined) this.#retryAt = performance.now() + backOffMs(RETRY, this.#failures);
    this.#events.done((performance.now() - started) / 1000, failed);
  }

  async #addCheckpoint(job: CosignJob): Promise<Failed | undefined> {
    for (let corrected = false; ; corrected = true) {
      const oldSize = Math.min(this.#known, job.size);
      const proof = await job.reader.consistencyProof(oldSize, job.size);
      const reply = await this.#client.call({
        method: 'POST',
        endpoint: this.endpoint,
        path: 'add-checkpoint',
        body: formatAddCheckpoint({ oldSize, proof, note: job.own }),
        timeoutMs: this.#settings.timeoutMs,
      });
      if (isFailed(reply)) return reply;
      if (reply.status === 200) return this.#accept(job, reply);
      if (reply.status !== 409) return await this.#refused(reply, oldSize);
      const size = readSize(reply);
      if (typeof size !== 'number') return size;
      if (size === oldSize) return failure('disagrees', 'refuses the size that it names itself');
      this.learn(size);
      if (size > job.size) {
        if (await this.#events.larger(size)) return undefined;
        return failure('disagrees', `has a tree of ${size} entries, and was sent one of ${job.size}`);
      }
      // A second correction would mean that another program moves its size, or that it makes sizes up.
      if (corrected) return failure('disagrees', 'names another size in each answer');
    }
  }

  #accept(job: CosignJob, reply: Reply): Failed | undefined {
    let accepted: ReturnType<CosignJob['accept']>;
    try {
      accepted = job.accept(this.endpoint, parseCosignatures(reply.body));
    } catch (error) {
      if (!(error instanceof MerkleError)) throw error;
      return failure('bad-reply', 'answered with something other than signature lines');
    }
    const { signed, wrong } = accepted;
    if (signed.length > 0) {
      this.learn(job.size);
      this.#events.cosigned(job, signed);
    }
    return wrong;
  }

  async #refused({ status, body }: Reply, oldSize: number): Promise<Failed> {
    const identity = identityRefusal(status, body);
    if (identity !== undefined) return identity;
    if (status === 404) return failure('unknown-log', 'does not know this log: its operator must add the verifier key');
    if (status === 403) return failure('unknown-key', 'does not know the keys that this log signs with');
    if (status !== 422) return failure('refused', `answered ${status}`);
    await this.#events.inconsistent();
    // From size 0 every tree is consistent. Sunlight up to 0.8.1 refuses all once it holds the empty tree.
    if (oldSize === 0) return failure('stuck', STUCK);
    return failure('disagrees', 'says that this tree does not extend the one that it has');
  }
}

/** A witness of Stele begins the reasons about the caller's identity with their code; another 403 is about the log's keys. */
function identityRefusal(status: number, body: Uint8Array): Failed | undefined {
  const text = printable(Buffer.from(body.subarray(0, MAX_REASON)).toString('utf8').trim());
  if (status !== 401 && !(status === 403 && text.startsWith('not-allowed: '))) return undefined;
  return { reason: 'identity', text: 'does not take the identity of this log', detail: `: ${text}` };
}

/** Bytes of a reason that are shown. */
const MAX_REASON = 500;

const STUCK =
  'refuses each tree that follows the empty tree of this log, which it has stored (Sunlight up to 0.8.1 does so): its ' +
  'operator must stop it, empty the stored checkpoint of this log as docs/operation.md says, and start it again';

function readSize(reply: Reply): number | Failed {
  try {
    if (reply.contentType === TREE_SIZE_TYPE) return parseTreeSize(reply.body);
  } catch (error) {
    if (!(error instanceof MerkleError)) throw error;
  }
  return failure('bad-reply', 'answered 409 without naming its size');
}

function failure(reason: FailureReason, text: string): Failed {
  return { reason, text };
}

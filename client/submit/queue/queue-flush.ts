/**
 * The flush of a queue. It sends the entries that wait, checks each answer as a verifier would, writes the bundles, and
 * removes an entry last. What each crash leaves to the next flush:
 *
 * | crash                      | the next flush                                                          |
 * |----------------------------|-------------------------------------------------------------------------|
 * | before or after a request  | sends the same request; the log answers with the entry that it has      |
 * | after `update`             | finds the log's answer, verifies it and writes it, without a request    |
 * | after `deliver`            | writes the same bytes                                                   |
 * | after `record`             | writes the same bytes and the same record                               |
 * | after `remove`             | has nothing to do                                                       |
 * | while entries move         | finds one for the frozen log, or for the next one, or both: moves it     |
 */
import type { VerifierKey } from '../../../merkle/note.ts';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import { RuntimeError } from '../../../merkle/runtime/runtime-errors.ts';
import { ClientError, cancelled } from '../../errors.ts';
import { createEntryRequest } from '../../formats/entry-request.ts';
import type { LogEntry } from '../../formats/log-entry.ts';
import { parseLogKey } from '../../trust/log-key.ts';
import { verifyReply } from '../../verify/leaf.ts';
import type { LogTrust } from '../../verify/types.ts';
import { FrozenLog } from '../frozen-log.ts';
import { askLogKey } from '../log-info.ts';
import { pause } from '../log-request.ts';
import { trustedKeys } from '../log-signatures.ts';
import { sendAll } from '../sender.ts';
import { completeBundle, type Submission } from '../submission.ts';
import type { LogRequestOptions, NotLogged, Stopped } from '../types.ts';
import {
  movedItem,
  type NewLog,
  type Problem,
  problemOf,
  type Queued,
  type QueueItem,
  submissionOf,
  trustOfItem,
} from './queue-item.ts';
import type { Damaged, DoneRecord, QueueLog, SubmissionQueue } from './queue-store.ts';

/** A queue may wait for a log for days. */
const PAUSES = { first: 200, longest: 30_000 };

export interface FlushOptions extends Pick<LogRequestOptions, 'signal' | 'fetch' | 'attemptTimeout'> {
  /** Send only the entries for this log; a URL as `parseLogUrl` gives it. */
  readonly log?: string | undefined;
  /** The trust to use instead of the key and the policy in the entries. */
  readonly trust?: LogTrust | undefined;
  /** How long to try, in milliseconds; 120,000 by default. With Infinity the flush goes on until all is done. */
  readonly deadline?: number;
  /** The first pause and the longest one, in milliseconds; 200 and 30,000 by default. */
  readonly pauses?: LogRequestOptions['pauses'];
  /** Called with the result of each entry, once this flush is done with the entry. */
  readonly onResult?: (result: FlushResult) => void;
  /** Called before each wait. `ms` is in milliseconds. */
  readonly onWait?: (wait: { readonly log: string; readonly why: string; readonly ms: number }) => void;
  /** Called for a log that names its own key, which this flush and all later ones trust. */
  readonly onTrust?: (log: string, verifierKey: string) => void;
  /**
   * Names the log that follows a frozen one, and the trust in it; undefined where nobody knows it yet. Entries for the frozen
   * log then wait for that one. It must not ask the frozen log, which could send them anywhere. Without it they stay.
   */
  readonly next?: (frozen: string) => Promise<NewLog | undefined>;
  /** Called before the entries for `from` become entries for `to`. */
  readonly onMove?: (from: string, to: string) => void;
  /** Called with the number of entries that have a result, and the number of all. */
  readonly onProgress?: (done: number, total: number) => void;
}

export type FlushResult =
  | ({ readonly state: 'done' } & DoneRecord)
  | ({ readonly state: 'refused' | 'pending'; readonly problem: Problem } & Queued);

export interface FlushReport {
  readonly results: readonly FlushResult[];
  /** Files that this flush set aside, or that cannot be read. `file` is where they are now. */
  readonly damaged: readonly Damaged[];
}

/**
 * Sends what waits, and holds the lock of the queue meanwhile. An entry that stays in the queue is not an error: the report
 * says why it stays.
 *
 * @throws ClientError `cancelled`, `file`; RuntimeError `locked`, `file`, `store`
 */
export async function flushQueue(store: SubmissionQueue, options: FlushOptions = {}): Promise<FlushReport> {
  const lock = await store.lock();
  try {
    return await new Flush(store, options, await store.logs()).run();
  } finally {
    await lock.release();
  }
}

/** The part of an entry that stays in memory while the entry waits for its turn. */
interface Waiting extends Queued {
  /** The entry names neither a key nor a policy of the log. */
  readonly needsKey: boolean;
  /** The keys of the log that the entry names. */
  readonly keys: readonly VerifierKey[];
  readonly load: () => Promise<string>;
}

class Flush {
  readonly #store: SubmissionQueue;
  readonly #options: FlushOptions;
  readonly #logs: Map<string, QueueLog>;
  readonly #end: number;
  /** The keys in the trust of entries, by its text: many entries name the same. */
  readonly #keys = new Map<string, readonly VerifierKey[]>();
  readonly #results = new Map<string, FlushResult>();
  readonly #damaged: Damaged[] = [];
  #total = 0;
  #keeping: Promise<void> = Promise.resolve();

  constructor(store: SubmissionQueue, options: FlushOptions, logs: Map<string, QueueLog>) {
    this.#store = store;
    this.#options = options;
    this.#logs = logs;
    this.#end = Date.now() + (options.deadline ?? 120_000);
  }

  async run(): Promise<FlushReport> {
    const byLog = new Map<string, Waiting[]>();
    for (const id of await this.#store.pending()) {
      if (this.#options.signal?.aborted) throw cancelled();
      const item = await this.#read(id);
      if (item === undefined || (this.#options.log !== undefined && item.log !== this.#options.log)) continue;
      this.#total++;
      // The proof is here already, so no request is needed.
      if (item.logged !== undefined && this.#holds(item, item.logged)) await this.#deliver(item, item.logged);
      else {
        const others = byLog.get(item.log);
        if (others === undefined) byLog.set(item.log, [this.#waiting(item)]);
        else others.push(this.#waiting(item));
      }
    }
    // Wait for all logs, also after a failure: nothing may be under way when the lock is released.
    const sent = await Promise.allSettled([...byLog].map(([log, waiting]) => this.#send(log, waiting)));
    for (const one of sent) if (one.status === 'rejected') throw one.reason;
    return { results: [...this.#results.values()], damaged: this.#damaged };
  }

  /** The entry in a file; undefined where it is gone or damaged. A damaged file is set aside. */
  async #read(id: string): Promise<QueueItem | undefined> {
    const read = await this.#store.read(id).catch((error: unknown) => {
      // The file may be whole: report it, and leave it where it is.
      if (!(error instanceof RuntimeError) || error.code !== 'file') throw error;
      this.#damaged.push({ file: this.#store.fileOf(id), reason: error.message });
      return undefined;
    });
    if (read === undefined) return undefined;
    if ('item' in read) {
      try {
        submissionOf(read.item);
        return read.item;
      } catch (error) {
        if (!(error instanceof ClientError)) throw error;
        return await this.#setAside({ file: this.#store.fileOf(id), reason: error.message });
      }
    }
    return await this.#setAside(read.damaged);
  }

  async #setAside(damaged: Damaged): Promise<undefined> {
    this.#damaged.push({ file: await this.#store.setAside(damaged), reason: damaged.reason });
    return undefined;
  }

  #waiting(item: QueueItem): Waiting {
    const { id, queued, log, out, logKey, policy } = item;
    const load = async () => createEntryRequest((await this.#loaded(id)).submitted.signed);
    const needsKey = logKey === undefined && policy === undefined;
    return { id, queued, log, out, needsKey, keys: this.#keysOf(item), load };
  }

  /** Reads the entry again from disk. No other process removes or changes the entry while the lock is held. */
  async #loaded(id: string): Promise<{ item: QueueItem; submitted: Submission }> {
    const read = await this.#store.read(id);
    if (read === undefined || !('item' in read)) {
      throw new ClientError('file', `${this.#store.fileOf(id)} was removed or damaged during the flush: flush again`);
    }
    return { item: read.item, submitted: submissionOf(read.item) };
  }

  async #send(log: string, waiting: readonly Waiting[]): Promise<void> {
    const { signal, fetch, attemptTimeout, pauses = PAUSES, onWait } = this.#options;
    const http = {
      ...(signal === undefined ? {} : { signal }),
      ...(fetch === undefined ? {} : { fetch }),
      ...(attemptTimeout === undefined ? {} : { attemptTimeout }),
    };
    let stopped = (await this.#waitForLog(log)) ?? (await this.#learnKey(log, waiting, http));
    if (stopped === undefined) {
      const onRetry = ({ why, wait }: { why: string; wait: number }) => onWait?.({ log, why, ms: wait });
      const logKeys = this.#trustedKeys(log, waiting);
      const options = { ...http, logKeys, pauses, deadline: this.#end - Date.now(), onRetry };
      stopped = await sendAll(log, waiting, options, {
        logged: (one, entry) => this.#logged(one, entry),
        notLogged: (one, why) => this.#notLogged(one, why),
      });
    } else for (const one of waiting) this.#stays(one, stopped.error);
    await this.#keepState(log, stopped);
    if (stopped?.error instanceof FrozenLog) await this.#move(log, waiting, stopped.error);
  }

  /** Entries that a frozen log did not take become entries for the log that follows it, and are sent there. */
  async #move(log: string, waiting: readonly Waiting[], { message }: FrozenLog): Promise<void> {
    const left = waiting.filter(({ id }) => !this.#results.has(id));
    const next = await this.#options.next?.(log);
    if (next === undefined) {
      const why =
        'the entry stays in the queue until the trust that is followed leads to another log (`stele trust use`)';
      for (const one of left) this.#stays(one, new ClientError('refused', `${message}. ${why}`));
      return;
    }
    this.#options.onMove?.(log, next.log);
    const moved: Waiting[] = [];
    for (const { id } of left) {
      const read = await this.#store.read(id);
      if (read === undefined || !('item' in read)) continue;
      const item = movedItem(read.item, next);
      await this.#store.add(item);
      // A crash here: both are there, and the next flush moves the entry again, to the same name.
      await this.#store.remove(id);
      moved.push(this.#waiting(item));
    }
    if (moved.length > 0) await this.#send(next.log, moved);
  }

  /** Waits until the time that the log named at an earlier flush. Returns the error where that time is after the deadline. */
  async #waitForLog(log: string): Promise<Stopped | undefined> {
    const { notBefore } = this.#logs.get(log) ?? {};
    const at = notBefore === undefined ? 0 : Date.parse(notBefore);
    // A time more than a day from now comes from a clock that was wrong.
    if (at <= Date.now() || at > Date.now() + 86_400_000) return undefined;
    if (at < this.#end) {
      const ms = at - Date.now();
      this.#options.onWait?.({ log, why: 'the log takes no requests yet', ms });
      await pause(ms, this.#options.signal);
      return undefined;
    }
    return { error: new ClientError('unavailable', `${log} takes no requests before ${notBefore}`), notBefore: at };
  }

  /** Trusts on first use, where entries name no key, and no key was given or kept. */
  async #learnKey(log: string, waiting: readonly Waiting[], http: LogRequestOptions): Promise<Stopped | undefined> {
    if (this.#options.trust !== undefined || this.#logs.get(log)?.verifierKey !== undefined) return undefined;
    if (!waiting.some(({ needsKey }) => needsKey)) return undefined;
    try {
      const { text } = await askLogKey(log, { ...http, deadline: Math.min(this.#end - Date.now(), 2 ** 31 - 1) });
      // Make the key durable before it verifies anything: the next flush must not accept another one.
      this.#logs.set(log, { ...this.#logs.get(log), verifierKey: text });
      await this.#keepLogs();
      this.#options.onTrust?.(log, text);
      return undefined;
    } catch (error) {
      if (error instanceof ClientError && error.code !== 'cancelled') return { error };
      throw error;
    }
  }

  /** Each write waits for the one before it: otherwise the older of two writes might end last. */
  async #keepLogs(): Promise<void> {
    this.#keeping = this.#keeping.catch(() => {}).then(() => this.#store.keepLogs(this.#logs));
    await this.#keeping;
  }

  async #keepState(log: string, stopped: Stopped | undefined): Promise<void> {
    const before = this.#logs.get(log);
    const { verifierKey } = before ?? {};
    const now: QueueLog = {
      ...(verifierKey === undefined ? {} : { verifierKey }),
      ...(stopped === undefined ? {} : { problem: problemOf(stopped.error) }),
      ...(stopped?.notBefore === undefined ? {} : { notBefore: new Date(stopped.notBefore).toISOString() }),
    };
    if (before?.problem === undefined && before?.notBefore === undefined && stopped === undefined) return;
    this.#logs.set(log, now);
    await this.#keepLogs();
  }

  /** Verifies an answer and keeps it. Throws ClientError where the answer does not hold. */
  async #logged(one: Waiting, entry: LogEntry): Promise<void> {
    const { item, submitted } = await this.#loaded(one.id);
    verifyReply(entry, submitted.signed, this.#trustOf(item), nodePrimitives());
    await this.#store.update({ ...item, logged: entry, problem: undefined });
    await this.#deliver({ ...item, logged: entry }, entry);
  }

  async #notLogged(one: Waiting, { reason, error }: NotLogged): Promise<void> {
    const read = reason === 'unsent' ? undefined : await this.#store.read(one.id);
    if (read === undefined || !('item' in read)) return this.#stays(one, error);
    const { item } = read;
    const problem = problemOf(error);
    if (reason === 'refused') {
      await this.#store.refuse({ ...item, problem });
      this.#ends({ state: 'refused', ...aboutOf(item), problem });
    } else {
      await this.#store.update({ ...item, problem });
      this.#stays(item, error);
    }
  }

  /** Whether an answer from an earlier flush still verifies: the file, or the trusted key, may have changed since. */
  #holds(item: QueueItem, entry: LogEntry): boolean {
    try {
      verifyReply(entry, submissionOf(item).signed, this.#trustOf(item), nodePrimitives());
      return true;
    } catch (error) {
      if (error instanceof ClientError) return false;
      throw error;
    }
  }

  /** Writes the bundle of an entry whose answer is verified. */
  async #deliver(item: QueueItem, entry: LogEntry): Promise<void> {
    const { id, queued, log, out } = item;
    try {
      await this.#store.deliver(item, completeBundle(submissionOf(item), entry));
      const record = { id, queued, done: new Date().toISOString(), log, out, index: entry.index };
      await this.#store.record(record);
      await this.#store.remove(id);
      this.#ends({ state: 'done', ...record });
    } catch (error) {
      const problem = asClientError(error);
      await this.#store.update({ ...item, problem: problemOf(problem) }).catch(() => {});
      this.#stays(item, problem);
    }
  }

  /** The keys by which the log may be known, each once. */
  #trustedKeys(log: string, waiting: readonly Waiting[]): readonly VerifierKey[] {
    const { trust } = this.#options;
    if (trust !== undefined) return trustedKeys(trust);
    const { verifierKey } = this.#logs.get(log) ?? {};
    return [
      ...new Set(waiting.flatMap(({ keys }) => keys)),
      ...(verifierKey === undefined ? [] : [parseLogKey(verifierKey)]),
    ];
  }

  /** None where the entry names no trust, or one that cannot be used: its answer will say so. */
  #keysOf(item: QueueItem): readonly VerifierKey[] {
    const { logKey = '', policy = '' } = item;
    const text = `${logKey}\n${policy}`;
    const known = this.#keys.get(text);
    if (known !== undefined) return known;
    let keys: readonly VerifierKey[] = [];
    try {
      const trust = trustOfItem(item);
      if (trust !== undefined) keys = trustedKeys(trust);
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
    }
    this.#keys.set(text, keys);
    return keys;
  }

  #trustOf(item: QueueItem): LogTrust {
    const given = this.#options.trust ?? trustOfItem(item);
    if (given !== undefined) return given;
    const { verifierKey } = this.#logs.get(item.log) ?? {};
    if (verifierKey === undefined) throw new ClientError('log-key', `the key of ${item.log} is not known`);
    return { logKey: parseLogKey(verifierKey) };
  }

  #stays(item: Queued, error: ClientError): void {
    // It may go to another log: `#move` reports it.
    if (error instanceof FrozenLog) return;
    this.#ends({ state: 'pending', ...aboutOf(item), problem: problemOf(error) });
  }

  #ends(result: FlushResult): void {
    this.#results.set(result.id, result);
    this.#options.onResult?.(result);
    this.#options.onProgress?.(this.#results.size, this.#total);
  }
}

function aboutOf({ id, queued, log, out }: Queued): Queued {
  return { id, queued, log, out };
}

/** The error of one entry, which does not keep the flush from the others. */
function asClientError(error: unknown): ClientError {
  if (error instanceof ClientError && error.code !== 'cancelled') return error;
  if (error instanceof RuntimeError && error.code === 'file')
    return new ClientError('file', error.message, { cause: error });
  throw error;
}

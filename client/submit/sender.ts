/**
 * Sends entries to one log until each has an answer for good, the log cannot be used, or the time is over. Everything in
 * the client that writes to a log sends through this file. replies.ts says what each answer means.
 *
 * The same request is sent again after a time-out, a lost reply, a 429 or a 503: a log that took the entry already answers
 * with that entry. So a failure never costs an entry, and never makes two of one.
 *
 * Many entries go by the bulk call (`POST /api/v2/log/entries:batch`, docs/wire.md). One alone goes by
 * `POST /api/v2/log/entries`, and so does every entry where a log has no bulk call.
 *
 * No entry keeps another from the log, whatever is wrong with it:
 *
 * - An answer about a bulk call as a whole does not tell which entry is at fault. After an answer that no retry changes,
 *   each half of the call is sent as a call of its own, until the entry at fault stands alone.
 * - After an answer that says "not now", the entries of that call go to the end of the line. Where nothing was answered
 *   since the last pause either, the next call is half as wide. Each call that succeeds doubles the width again. So a log
 *   that is away sees small calls, and an entry that alone makes calls fail comes to stand alone too.
 *
 * All entries share the pause, as the log is one: after the first "not now" no new call starts until the pause is over.
 */
import { backOffMs, parseRetryAfter } from '../../merkle/runtime/service/back-off.ts';
import { ClientError, type ClientErrorCode } from '../errors.ts';
import type { LogEntry } from '../formats/log-entry.ts';
import { FrozenLog } from './frozen-log.ts';
import { type Attempt, attempt, backOffOf, DEFAULTS, describeReply, gaveUp, mayPass, pause } from './log-request.ts';
import { type EntryAnswer, isFrozen, maxReply, readBulk, readSingle } from './replies.ts';
import type { NotLogged, Outgoing, Results, SendOptions, Stopped } from './types.ts';
import { refusalOf } from './witness-port.ts';

const BULK_ITEMS = 256;
/** Bytes of one bulk call: half of what a log takes. */
const BULK_BYTES = 2 * 1024 * 1024;
const PARALLEL_BULK = 2;
const PARALLEL_SINGLE = 8;
/** Results of one call that are kept at once: a queue writes each to disk and syncs it. */
const PARALLEL_RESULTS = 8;
/** Bulk calls refused in a row before the log counts as one without a bulk call. One bad entry among 256 makes eight. */
const BULK_REFUSALS = 16;

/**
 * @param log as `parseLogUrl` gives it
 * @returns undefined where each entry has its answer
 * @throws ClientError `cancelled`; and whatever `load` and `results` throw, except a ClientError of `logged`
 */
export async function sendAll<T extends Outgoing>(
  log: string,
  items: readonly T[],
  options: SendOptions,
  results: Results<T>,
): Promise<Stopped | undefined> {
  return await new Sender(log, items, options, results).run();
}

interface Call<T> {
  readonly item: T;
  readonly request: string;
}

/** Ends the sending of everything. */
class Stop extends Error {
  readonly stopped: Stopped;
  constructor(stopped: Stopped) {
    super(stopped.error.message);
    this.stopped = stopped;
  }
}

/** Why entries are sent again after a pause. */
interface Later {
  readonly why: string;
  readonly made: Attempt | undefined;
  /** Milliseconds that the log asks for. */
  readonly retryAfter?: number | undefined;
  /** The error of the entry once the time is over; one about the attempt where it is undefined. */
  readonly error?: ClientError;
}

class Sender<T extends Outgoing> {
  readonly #log: string;
  readonly #options: SendOptions & Required<Pick<SendOptions, 'attemptTimeout' | 'deadline'>>;
  readonly #results: Results<T>;
  /** Entries without a result, in the order in which they are sent. */
  #line: readonly T[];
  readonly #open: Set<T>;
  readonly #start = Date.now();
  #deadlineFrom = this.#start;
  #reached = false;
  #attempts = 0;
  #waits = 0;
  /** Rounds in a row without a result. */
  #failures = 0;
  /** Entries in the next call, and the most that there may be. */
  #width: number;
  #ceiling: number;
  #bulkWorks = false;
  #noBulk = false;
  #bulkRefusals = 0;
  #noSuchPath: Promise<ClientError> | undefined;
  /** Why the round ends: the log said "not now". */
  #pause: Later | undefined;
  /** Loaded, and not sent because of the pause. */
  #held: T[] = [];
  #postponed: T[] = [];

  constructor(log: string, items: readonly T[], options: SendOptions, results: Results<T>) {
    this.#log = log;
    this.#options = { ...DEFAULTS, reach: Number.POSITIVE_INFINITY, ...options };
    this.#results = results;
    this.#line = items;
    this.#open = new Set(items);
    this.#ceiling = this.#mostItems;
    this.#width = this.#ceiling;
  }

  get #mostItems(): number {
    return Math.max(1, this.#options.bulkItems ?? BULK_ITEMS);
  }

  async run(): Promise<Stopped | undefined> {
    try {
      while (this.#line.length > 0) {
        const before = this.#open.size;
        this.#pause = undefined;
        this.#held = [];
        this.#postponed = [];
        const rest = await this.#round();
        this.#line = [...this.#held, ...rest, ...this.#postponed];
        if (this.#line.length > 0) await this.#wait();
        this.#failures = this.#open.size < before ? 0 : this.#failures + 1;
      }
      return undefined;
    } catch (error) {
      if (!(error instanceof Stop)) throw error;
      for (const item of [...this.#open]) await this.#settle(item, 'unsent', error.stopped.error);
      return error.stopped;
    }
  }

  /** Sends the entries of the line, each at most once, until the log says "not now". Resolves with those that are left. */
  async #round(): Promise<readonly T[]> {
    const line = this.#line;
    let next = 0;
    let failed = false;
    await atOnce(this.#noBulk ? PARALLEL_SINGLE : PARALLEL_BULK, async () => {
      while (next < line.length && this.#pause === undefined && !failed) {
        const from = next;
        next = Math.min(line.length, from + (this.#noBulk ? 1 : this.#width));
        try {
          await this.#load(line.slice(from, next));
        } catch (error) {
          failed = true;
          throw error;
        }
      }
    });
    return line.slice(next);
  }

  /** Sends entries in as few calls as the bytes of a call allow. */
  async #load(items: readonly T[]): Promise<void> {
    let calls: Call<T>[] = [];
    let bytes = 0;
    for (const item of items) {
      const request = await item.load();
      if (calls.length > 0 && bytes + request.length > BULK_BYTES) {
        await this.#send(calls);
        calls = [];
        bytes = 0;
      }
      calls.push({ item, request });
      bytes += request.length;
    }
    await this.#send(calls);
  }

  async #send(calls: readonly Call<T>[]): Promise<void> {
    if (this.#pause !== undefined) this.#held.push(...calls.map(({ item }) => item));
    else if (calls.length === 1) await this.#single(calls[0]!);
    else if (this.#noBulk) await this.#singly(calls);
    else await this.#bulk(calls);
  }

  async #singly(calls: readonly Call<T>[]): Promise<void> {
    let next = 0;
    await atOnce(PARALLEL_SINGLE, async () => {
      for (let call = calls[next++]; call !== undefined; call = calls[next++]) await this.#send([call]);
    });
  }

  async #single(call: Call<T>): Promise<void> {
    const answer = await this.#ask('/api/v2/log/entries', call.request, call);
    if (answer === undefined) return;
    if (answer.kind !== 'duplicate' || answer.index === undefined) return await this.#answer(call, answer);
    // A log that is configured to answer duplicates with an error still has the entry.
    const there = await this.#ask(`/stele/v1/entries/${answer.index}`, undefined, call);
    if (there === undefined) return;
    if (there.kind === 'logged') return await this.#answer(call, there);
    const found = await this.#inFiles(answer.index, answer.error);
    if (found !== undefined) return await this.#answer(call, found);
    const why = `it has the entry at index ${answer.index}, and its checkpoint does not cover it yet`;
    this.#postpone([call], { why, made: undefined, error: answer.error });
  }

  /**
   * The entry that the log has already, by its public files: other logs than Stele's show a single entry nowhere else.
   * Undefined where they do not show it yet.
   */
  async #inFiles(index: number, conflict: ClientError): Promise<EntryAnswer | undefined> {
    const { logKeys = [] } = this.#options;
    if (logKeys.length === 0) return { kind: 'failed', error: conflict };
    try {
      const { entryInTiles } = await import('./logged-before.ts');
      const entry = await entryInTiles(this.#log, index, logKeys, this.#options);
      return entry && { kind: 'logged', entry };
    } catch (cause) {
      if (!(cause instanceof ClientError) || cause.code === 'cancelled') throw cause;
      const why = `${conflict.message}, and its public files do not show the entry: ${cause.message}`;
      return { kind: 'failed', error: new ClientError(conflict.code, why, { cause }) };
    }
  }

  /** One request about one entry; undefined where the entry is sent again. */
  async #ask(path: string, body: string | undefined, call: Call<T>): Promise<EntryAnswer | undefined> {
    const made = await this.#attempt(path, body, 1);
    if (made instanceof ClientError) return { kind: 'failed', error: made };
    const answer = 'reply' in made ? readSingle(made.reply) : undefined;
    if (!('reply' in made) || answer?.kind === 'later') {
      this.#postpone([call], laterOf(made));
      return undefined;
    }
    if (made.reply.status === 404 && body !== undefined) {
      // All entries go to one address: one look at it suffices.
      this.#noSuchPath ??= refusalOf(this.#log, made.reply, this.#options);
      return { kind: 'failed', error: await this.#noSuchPath };
    }
    // The entry by itself is too large, so the size of the calls was not at fault.
    if (made.reply.status === 413) this.#ceiling = this.#mostItems;
    else if (answer?.kind === 'logged') this.#widen(1);
    return answer;
  }

  async #bulk(calls: readonly Call<T>[]): Promise<void> {
    const body = `{"requests":[${calls.map(({ request }) => request).join(',')}]}`;
    const made = await this.#attempt('/api/v2/log/entries:batch', body, calls.length);
    if (made instanceof ClientError) return await this.#divide(calls, undefined);
    if (!('reply' in made)) return this.#postpone(calls, laterOf(made));
    const { reply } = made;
    if (mayPass(reply.status) && reply.status !== NOT_IMPLEMENTED) return this.#postpone(calls, laterOf(made));
    if (isFrozen(reply)) throw new Stop({ error: new FrozenLog(describeReply(reply)) });
    const answers = readBulk(reply, calls.length);
    if (answers === undefined) return await this.#divide(calls, reply.status);
    this.#bulkWorks = true;
    this.#bulkRefusals = 0;
    this.#widen(calls.length);
    let next = 0;
    await atOnce(PARALLEL_RESULTS, async () => {
      let failed: unknown;
      for (let at = next++; at < calls.length; at = next++) {
        try {
          await this.#itemAnswer(calls[at]!, answers[at]!, made);
        } catch (error) {
          // The others have their answers too.
          failed ??= error;
        }
      }
      if (failed !== undefined) throw failed;
    });
  }

  async #itemAnswer(call: Call<T>, answer: EntryAnswer, made: Attempt): Promise<void> {
    // The bulk call does not say where the entry is.
    if (answer.kind === 'duplicate') await this.#send([call]);
    else if (answer.kind === 'later') this.#postponeItem(call.item, { ...laterOf(made), why: answer.why });
    else await this.#answer(call, answer);
  }

  /** The answer was about the call as a whole: sends its parts. */
  async #divide(calls: readonly Call<T>[], status: number | undefined): Promise<void> {
    const half = Math.floor(calls.length / 2);
    // The log takes fewer at once, or smaller bodies; or one of these entries is too large.
    if (status === 413) this.#ceiling = this.#width = half;
    this.#bulkRefusals++;
    const noSuchCall = status === 404 || status === 405 || status === NOT_IMPLEMENTED;
    if ((!this.#bulkWorks && noSuchCall) || this.#bulkRefusals > BULK_REFUSALS) {
      this.#noBulk = true;
      return await this.#singly(calls);
    }
    await this.#send(calls.slice(0, half));
    await this.#send(calls.slice(half));
  }

  /** Ends an entry whose answer is for good. */
  async #answer({ item }: Call<T>, answer: EntryAnswer): Promise<void> {
    if (answer.kind === 'logged') await this.#logged(item, answer.entry);
    else if (answer.kind === 'frozen') throw new Stop({ error: answer.error });
    else if (answer.kind === 'refused') await this.#settle(item, 'refused', answer.error);
    else if (answer.kind !== 'later') await this.#settle(item, 'failed', answer.error);
  }

  async #logged(item: T, entry: LogEntry): Promise<void> {
    try {
      await this.#results.logged(item, entry);
    } catch (error) {
      if (!(error instanceof ClientError) || error.code === 'cancelled') throw error;
      if (error.code === 'quorum') return this.#postponeItem(item, { why: error.message, made: undefined, error });
      await this.#settle(item, 'failed', error);
      if (NOT_THIS_LOG.includes(error.code)) throw new Stop({ error });
      return;
    }
    this.#close(item);
  }

  async #settle(item: T, reason: NotLogged['reason'], error: ClientError): Promise<void> {
    this.#close(item);
    await this.#results.notLogged(item, { reason, error });
  }

  #close(item: T): void {
    this.#open.delete(item);
    if (this.#options.renewDeadline === true) this.#deadlineFrom = Date.now();
  }

  get #end(): number {
    return this.#deadlineFrom + this.#options.deadline;
  }

  /** Resolves with a ClientError where the reply is too long. */
  async #attempt(path: string, body: string | undefined, items: number): Promise<Attempt | ClientError> {
    this.#attempts++;
    // A shorter time-out would cut off an answer that is on its way.
    const timeout = Math.max(SHORTEST_TIMEOUT, Math.min(this.#options.attemptTimeout, this.#end - Date.now()));
    try {
      const made = await attempt(`${this.#log}${path}`, body, timeout, maxReply(items), this.#options);
      this.#reached ||= 'reply' in made || made.sent;
      return made;
    } catch (error) {
      if (!(error instanceof ClientError) || error.code === 'cancelled') throw error;
      if (error.code === 'bad-reply') return error;
      throw new Stop({ error });
    }
  }

  /** The answer to the whole call is "not now". */
  #postpone(calls: readonly Call<T>[], later: Later): void {
    // The first failure keeps the width: a log that limits the number of requests must not get more of them.
    if (this.#failures > 0) this.#width = Math.max(1, Math.min(this.#width, Math.floor(calls.length / 2)));
    for (const { item } of calls) this.#postponeItem(item, later);
  }

  #postponeItem(item: T, later: Later): void {
    this.#postponed.push(item);
    this.#pause = { ...later, retryAfter: Math.max(later.retryAfter ?? 0, this.#pause?.retryAfter ?? 0) };
  }

  #widen(sent: number): void {
    this.#width = Math.min(this.#ceiling, Math.max(this.#width, 2 * sent));
  }

  async #wait(): Promise<void> {
    const { why, retryAfter = 0, made, error } = this.#pause!;
    const ms = backOffMs(backOffOf(this.#options), this.#failures + 1, retryAfter);
    const end = this.#reached ? this.#end : Math.min(this.#end, this.#start + (this.#options.reach ?? Infinity));
    if (Date.now() + ms >= end) {
      const tried = { attempts: this.#attempts, reached: this.#reached, why, ms: Date.now() - this.#start };
      throw new Stop({
        error: error ?? gaveUp(this.#log, made, tried),
        ...(retryAfter === 0 ? {} : { notBefore: Date.now() + retryAfter }),
      });
    }
    this.#options.onRetry?.({ url: this.#log, why, wait: ms, attempt: ++this.#waits });
    await pause(ms, this.#options.signal);
  }
}

/** These say that another log answers, or that no answer can be checked. */
const NOT_THIS_LOG: readonly ClientErrorCode[] = ['bad-checkpoint', 'policy', 'log-key'];
const NOT_IMPLEMENTED = 501;
const SHORTEST_TIMEOUT = 250;

function laterOf(made: Attempt): Later {
  if (!('reply' in made)) return { why: made.why, made };
  const retryAfter = parseRetryAfter(made.reply.headers.get('retry-after'));
  return { why: describeReply(made.reply), made, retryAfter };
}

/** Runs `work` several times at once. Throws the first error once all have ended, as nothing may be under way then. */
async function atOnce(times: number, work: () => Promise<void>): Promise<void> {
  const ended = await Promise.allSettled(Array.from({ length: times }, work));
  for (const one of ended) if (one.status === 'rejected') throw one.reason;
}

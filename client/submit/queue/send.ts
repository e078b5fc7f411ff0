/**
 * Sends many entries to one log, until each has an answer for good, the log cannot be used, or the time is over.
 *
 * The same request is sent again after a time-out, a lost reply, a 429 or 503: a log that took the entry already answers
 * with it. Many go by the bulk call of the log (`POST /api/v2/log/entries:batch`, docs/wire.md), one alone, and all where
 * a log has no bulk call, by `POST /api/v2/log/entries`.
 *
 * The log is one for all of them, and so is the pause: the first that is turned away holds the others back. A pause is at
 * least what `Retry-After` says, and doubles from 200 ms up to 30 s while nothing is taken, half of it at random.
 */
import { printable } from '../../../merkle/printable.ts';
import { ClientError } from '../../errors.ts';
import { array, object, parseJson } from '../../formats/json.ts';
import { type LogEntry, parseLogEntry } from '../../formats/log-entry.ts';
import { describe, entryOf, type HttpOptions, type Outcome, once, retriable, retryAfter, sleep } from '../http.ts';

export interface SendOptions extends Pick<HttpOptions, 'fetch' | 'attemptTimeout' | 'signal'> {
  /** When to stop trying, in milliseconds since 1970; Infinity to go on for ever. */
  readonly end: number;
  /** Milliseconds of the first pause and of the longest; 200 and 30,000 unless told. */
  readonly pauses?: { readonly first: number; readonly longest: number };
  readonly onWait?: (wait: { readonly why: string; readonly ms: number }) => void;
}

/** One entry to send. `load` gives its CreateEntryRequest, the same each time. */
export interface Sendable {
  readonly load: () => Promise<string>;
}

/** What the log answers for good. */
export type Answer = { readonly entry: LogEntry } | { readonly refused: ClientError };

/** What the caller makes of an answer: `later` to ask again, for the sake of what is missing in it still. */
export type Settled = 'settled' | { readonly later: ClientError };

/** Why the rest was not sent. */
export interface Stopped {
  readonly error: ClientError;
  /** Milliseconds since 1970 before which the log wants no more requests. */
  readonly notBefore?: number;
}

/** Entries in one bulk call: the limit of the log. */
export const MAX_BULK = 256;
/** Bytes of requests in one bulk call, a quarter of what a log takes. */
const MAX_BULK_BYTES = 1024 * 1024;
/** An answer repeats each entry, and carries a proof and a checkpoint with each. */
const MAX_BULK_REPLY = 32 * 1024 * 1024;
const PARALLEL_BULK = 2;
const PARALLEL_SINGLE = 8;
const PARALLEL_ANSWERS = 8;
/** gRPC codes of one item (google.rpc.Code). */
const INVALID_ARGUMENT = 3;
const ALREADY_EXISTS = 6;
const FAILED_PRECONDITION = 9;
/** What may be otherwise at the next attempt: UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, INTERNAL, UNAVAILABLE. */
const RETRIABLE = [2, 4, 8, 10, 13, 14];

/**
 * Resolves when nothing is left, with undefined, or with the reason why something is. `settle` is told each answer, one
 * at a time for an item; what it throws as ClientError stops the rest as well, as such a log is not to be sent more.
 *
 * @throws ClientError `cancelled`; and what `settle` and `load` throw otherwise
 */
export async function sendAll<T extends Sendable>(
  log: string,
  items: readonly T[],
  options: SendOptions,
  settle: (item: T, answer: Answer) => Promise<Settled>,
): Promise<Stopped | undefined> {
  return await new Sender(log, options, settle).run(items);
}

interface Call<T> {
  readonly item: T;
  readonly request: string;
}

/** Nothing more is sent. */
class Stop extends Error {
  readonly stopped: Stopped;
  constructor(stopped: Stopped) {
    super(stopped.error.message);
    this.stopped = stopped;
  }
}

class Sender<T extends Sendable> {
  readonly #log: string;
  readonly #options: SendOptions;
  readonly #settle: (item: T, answer: Answer) => Promise<Settled>;
  /** Entries in a call; 1 for a log without a bulk call. */
  #width = MAX_BULK;
  #failures = 0;
  /** Set while a round is under way in which the log turned somebody away. */
  #pause: { readonly why: string; readonly asked: number | undefined; readonly error: ClientError } | undefined;
  #later: T[] = [];

  constructor(log: string, options: SendOptions, settle: (item: T, answer: Answer) => Promise<Settled>) {
    this.#log = log;
    this.#options = options;
    this.#settle = settle;
  }

  async run(items: readonly T[]): Promise<Stopped | undefined> {
    try {
      for (let left = items; left.length > 0; left = this.#later) {
        this.#later = [];
        this.#pause = undefined;
        await this.#round(left);
        if (this.#later.length === 0) break;
        this.#failures = this.#later.length < left.length ? 0 : this.#failures + 1;
        await this.#wait();
      }
      return undefined;
    } catch (error) {
      if (error instanceof Stop) return error.stopped;
      throw error;
    }
  }

  /** Sends each of `left` once at most. */
  async #round(left: readonly T[]): Promise<void> {
    let next = 0;
    const parallel = this.#width === 1 ? PARALLEL_SINGLE : PARALLEL_BULK;
    let failed: unknown;
    const worker = async (): Promise<void> => {
      while (next < left.length && failed === undefined) {
        // Whoever is turned away now would be so behind the others too.
        if (this.#pause !== undefined) {
          this.#later.push(...left.slice(next));
          next = left.length;
          return;
        }
        const mine = left.slice(next, next + this.#width);
        next += mine.length;
        try {
          await this.#calls(mine);
        } catch (error) {
          failed ??= error;
        }
      }
    };
    await Promise.all(Array.from({ length: parallel }, worker));
    if (failed !== undefined) throw failed;
  }

  /** As few calls as the bytes of a call allow. */
  async #calls(items: readonly T[]): Promise<void> {
    let call: Call<T>[] = [];
    let bytes = 0;
    for (const [at, item] of items.entries()) {
      const request = await item.load();
      call.push({ item, request });
      bytes += request.length;
      if (bytes < MAX_BULK_BYTES && at < items.length - 1) continue;
      if (this.#pause !== undefined) this.#later.push(...call.map(({ item: one }) => one));
      else await (call.length === 1 ? this.#single(call[0]!) : this.#bulk(call));
      call = [];
      bytes = 0;
    }
  }

  async #single(call: Call<T>): Promise<void> {
    const outcome = await this.#once('/api/v2/log/entries', call.request);
    const reply = this.#replyOf(outcome, [call.item]);
    if (reply === undefined) return;
    if (reply.status === 201 || reply.status === 200) {
      return await this.#answer(call.item, { entry: this.#checked(() => entryOf(reply.body)) });
    }
    // A log that is configured to answer duplicates with an error still has the entry: fetch it.
    const index = reply.headers.get('x-log-index');
    if (reply.status === 409 && index !== null && /^[0-9]{1,16}$/.test(index)) {
      const there = this.#replyOf(await this.#once(`/stele/v1/entries/${index}`, undefined), [call.item]);
      if (there === undefined) return;
      if (there.status === 200) {
        return await this.#answer(call.item, { entry: this.#checked(() => entryOf(there.body)) });
      }
    }
    const error = new ClientError('refused', `the log refuses the request: ${describe(reply)}`);
    // Only these say that the entry is at fault; any other is about the log or its address.
    if (reply.status !== 400 && reply.status !== 413 && reply.status !== 422) throw new Stop({ error });
    await this.#answer(call.item, { refused: error });
  }

  async #bulk(call: readonly Call<T>[]): Promise<void> {
    const items = call.map(({ item }) => item);
    const body = `{"requests":[${call.map(({ request }) => request).join(',')}]}`;
    const reply = this.#replyOf(await this.#once('/api/v2/log/entries:batch', body), items);
    if (reply === undefined) return;
    if (reply.status !== 200) {
      if (reply.status === 413 && this.#width > 1) this.#width = Math.max(1, Math.floor(call.length / 2));
      else this.#width = 1;
      // At once: the call was at fault, or a single entry of it, which will show.
      for (const one of call) {
        if (this.#pause === undefined) await this.#single(one);
        else this.#later.push(one.item);
      }
      return;
    }
    const results = this.#checked(() => resultsOf(reply.body, call.length));
    const asked = retryAfter(reply.headers);
    let next = 0;
    let failed: unknown;
    // Each answer is written and fsynced, which several do faster than one after the other.
    const worker = async (): Promise<void> => {
      for (let at = next++; at < results.length; at = next++) {
        const result = results[at]!;
        const { item } = call[at]!;
        try {
          if ('entry' in result) await this.#answer(item, result);
          else if (result.code === ALREADY_EXISTS) await this.#single(call[at]!);
          else await this.#itemError(item, result, asked);
        } catch (error) {
          // The others have their answers, too.
          failed ??= error;
        }
      }
    };
    await Promise.all(Array.from({ length: PARALLEL_ANSWERS }, worker));
    if (failed !== undefined) throw failed;
  }

  async #itemError(item: T, { code, message }: ItemError, asked: number | undefined): Promise<void> {
    const why = `code ${code}, "${printable(message)}"`;
    if (RETRIABLE.includes(code)) return this.#postpone([item], why, asked);
    const error = new ClientError('refused', `the log refuses the request: ${why}`);
    if (code === INVALID_ARGUMENT) return await this.#answer(item, { refused: error });
    if (code === FAILED_PRECONDITION) throw new Stop({ error });
    throw new Stop({ error: new ClientError('bad-reply', `the log answers an entry with ${why}`) });
  }

  async #answer(item: T, answer: Answer): Promise<void> {
    let settled: Settled;
    try {
      settled = await this.#settle(item, answer);
    } catch (error) {
      if (error instanceof ClientError && error.code !== 'cancelled') throw new Stop({ error });
      throw error;
    }
    if (settled !== 'settled') this.#postpone([item], settled.later.message, undefined, settled.later);
  }

  async #once(path: string, body: string | undefined): Promise<Outcome> {
    const { attemptTimeout = 30_000, end } = this.#options;
    // A time-out of less would cut off an answer that is on its way.
    const timeout = Math.max(250, Math.min(attemptTimeout, end - Date.now()));
    try {
      return await once(`${this.#log}${path}`, body, timeout, { ...this.#options, maxReply: MAX_BULK_REPLY });
    } catch (error) {
      if (error instanceof ClientError && error.code !== 'cancelled') throw new Stop({ error });
      throw error;
    }
  }

  /** Undefined where the items have to be sent again. */
  #replyOf(outcome: Outcome, items: readonly T[]) {
    if (!('reply' in outcome)) {
      this.#postpone(items, outcome.why, undefined, new ClientError('network', `${this.#log}: ${outcome.why}`));
      return undefined;
    }
    if (!retriable(outcome.reply.status)) return outcome.reply;
    this.#postpone(items, describe(outcome.reply), retryAfter(outcome.reply.headers));
    return undefined;
  }

  #postpone(items: readonly T[], why: string, asked: number | undefined, error?: ClientError): void {
    this.#later.push(...items);
    const longest = Math.max(asked ?? 0, this.#pause?.asked ?? 0);
    this.#pause = {
      why,
      asked: longest === 0 ? undefined : longest,
      error: error ?? new ClientError('unavailable', `${this.#log} does not take entries now: ${why}`),
    };
  }

  async #wait(): Promise<void> {
    const { first, longest } = this.#options.pauses ?? { first: 200, longest: 30_000 };
    const { why, asked = 0, error } = this.#pause ?? { why: 'entries are left', error: leftError };
    const backOff = Math.min(longest, first * 2 ** Math.min(this.#failures, 20)) * (0.5 + Math.random() / 2);
    const ms = Math.round(Math.max(asked, backOff));
    if (Date.now() + ms >= this.#options.end) {
      throw new Stop({ error, ...(asked === 0 ? {} : { notBefore: Date.now() + asked }) });
    }
    this.#options.onWait?.({ why, ms });
    await sleep(ms, this.#options.signal);
  }

  #checked<R>(parse: () => R): R {
    try {
      return parse();
    } catch (cause) {
      if (!(cause instanceof ClientError)) throw cause;
      const why = cause.code === 'bad-reply' ? cause.message : `the log answered with something else: ${cause.message}`;
      throw new Stop({ error: new ClientError('bad-reply', why, { cause }) });
    }
  }
}

const leftError = new ClientError('unavailable', 'the log did not take all entries in the time given');

interface ItemError {
  readonly code: number;
  readonly message: string;
}

/** @throws ClientError `malformed` */
function resultsOf(body: Uint8Array, count: number): ({ entry: LogEntry } | ItemError)[] {
  const { results } = object(parseJson(body, 'the reply', MAX_BULK_REPLY), 'the reply', ['results']);
  const list = array(results, 'results', MAX_BULK);
  if (list.length !== count) {
    throw new ClientError('malformed', `results has ${list.length} items for ${count} requests`);
  }
  return list.map((item, at) => {
    const { entry, error } = object(item, `results[${at}]`, ['entry', 'error']);
    if (error === undefined) return { entry: parseLogEntry(entry, `results[${at}].entry`) };
    const { code, message } = object(error, `results[${at}].error`, ['code', 'message', 'details']);
    return { code: typeof code === 'number' ? code : 2, message: typeof message === 'string' ? message : '' };
  });
}

/**
 * What the answers of a log's write API mean (docs/wire.md, "Errors").
 *
 * | answer to an entry that is sent alone                    | meaning                                                      |
 * |----------------------------------------------------------|--------------------------------------------------------------|
 * | 200, 201 with an entry                                   | logged                                                       |
 * | 409 with `x-log-index`                                   | logged before: the entry is at that index                    |
 * | 400, 413, 422                                            | refused: this entry, for good                                |
 * | 405 that says "frozen"                                   | the log takes no entries any more                            |
 * | 408, 429, 5xx, no answer, half an answer                 | not now: sent again later                                    |
 * | any other status, or an answer that cannot be read       | failed: the fault may be that of the log, a proxy or the URL |
 *
 * A bulk call answers 200 with one result an item. The codes of its items mean the same; any other answer is about the
 * call as a whole, and does not tell which entry is at fault.
 */
import { printable } from '../../merkle/printable.ts';
import { ClientError } from '../errors.ts';
import { array, malformed, parseJson } from '../formats/json.ts';
import { type LogEntry, parseLogEntry } from '../formats/log-entry.ts';
import { FrozenLog } from './frozen-log.ts';
import { callerAdvice, describeReply, type HttpReply, MAX_REPLY, mayPass, refusal, refusalFor } from './log-request.ts';

/** One entry of a bulk reply: a body of 64 KiB in base64, with a proof and a checkpoint that many witnesses have cosigned. */
const MAX_BULK_ITEM = 192 * 1024;
const REPLY_ROOM = 64 * 1024;

/** What an answer means for one entry. */
export type EntryAnswer =
  | { readonly kind: 'logged'; readonly entry: LogEntry }
  /** The log says that it has the entry, at `index` if it names one. */
  | { readonly kind: 'duplicate'; readonly index: number | undefined; readonly error: ClientError }
  | { readonly kind: 'refused'; readonly error: ClientError }
  | { readonly kind: 'frozen'; readonly error: FrozenLog }
  | { readonly kind: 'later'; readonly why: string }
  | { readonly kind: 'failed'; readonly error: ClientError };

/** The most bytes of a reply to a call of `items` entries. */
export function maxReply(items: number): number {
  return items === 1 ? MAX_REPLY : REPLY_ROOM + items * MAX_BULK_ITEM;
}

/** The answer to an entry that was sent alone, or to a GET of an entry. */
export function readSingle(reply: HttpReply): EntryAnswer {
  const { status } = reply;
  if (status === 200 || status === 201) {
    return entryAnswer(() => parseJson(reply.body, 'the reply', MAX_REPLY));
  }
  if (mayPass(status)) return { kind: 'later', why: describeReply(reply) };
  const error = refusal(reply);
  if (isFrozen(reply)) return { kind: 'frozen', error: new FrozenLog(describeReply(reply)) };
  const index = reply.headers.get('x-log-index');
  if (status === 409 && index !== null && /^[0-9]{1,16}$/.test(index)) {
    return { kind: 'duplicate', index: Number(index), error };
  }
  return { kind: status === 400 || status === 413 || status === 422 ? 'refused' : 'failed', error };
}

/** The results of a bulk call, in order; undefined where the answer is about the call as a whole, or cannot be read. */
export function readBulk({ status, body }: HttpReply, items: number): EntryAnswer[] | undefined {
  if (status !== 200) return undefined;
  let results: readonly unknown[];
  try {
    const reply = parseJson(body, 'the reply', maxReply(items)) as { results?: unknown } | null;
    results = array(reply?.results, 'results', items);
  } catch (error) {
    if (error instanceof ClientError) return undefined;
    throw error;
  }
  return results.length === items ? results.map(readItem) : undefined;
}

/** A log that takes no entries any more answers 405 in plain text, as Rekor v2 does. A 405 of a proxy says something else. */
export function isFrozen({ status, body }: HttpReply): boolean {
  return status === 405 && new TextDecoder().decode(body.subarray(0, 100)).includes('frozen');
}

/** Codes of google.rpc.Code. */
const INVALID_ARGUMENT = 3;
const ALREADY_EXISTS = 6;
const PERMISSION_DENIED = 7;
const FAILED_PRECONDITION = 9;
const UNAUTHENTICATED = 16;
/** UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, INTERNAL, UNAVAILABLE. */
const LATER: readonly unknown[] = [2, 4, 8, 10, 13, 14];

function readItem(item: unknown): EntryAnswer {
  const { entry, error } = (item ?? {}) as Record<string, unknown>;
  if (entry !== undefined && entry !== null) return entryAnswer(() => entry);
  const { code, message } = (error ?? {}) as Record<string, unknown>;
  if (typeof code !== 'number') {
    return entryAnswer(() => {
      throw malformed('a result', 'has neither an entry nor an error');
    });
  }
  const why = typeof message === 'string' ? `"${printable(message)}"` : `code ${code}`;
  if (LATER.includes(code)) return { kind: 'later', why };
  const refused = refusalFor(why, callerAdvice(code === UNAUTHENTICATED ? 401 : code === PERMISSION_DENIED ? 403 : 0));
  if (code === ALREADY_EXISTS) return { kind: 'duplicate', index: undefined, error: refused };
  if (code === FAILED_PRECONDITION) return { kind: 'frozen', error: new FrozenLog(why) };
  return { kind: code === INVALID_ARGUMENT ? 'refused' : 'failed', error: refused };
}

function entryAnswer(json: () => unknown): EntryAnswer {
  try {
    return { kind: 'logged', entry: readReply(() => parseLogEntry(json(), 'the reply')) };
  } catch (error) {
    if (error instanceof ClientError) return { kind: 'failed', error };
    throw error;
  }
}

/** The result of `parse`. Its errors say that the reply is at fault. @throws ClientError `bad-reply` */
export function readReply<T>(parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    if (!(cause instanceof ClientError)) throw cause;
    const why = `the log answered with something else than it should: ${cause.message}. Is the URL that of a log?`;
    throw new ClientError('bad-reply', why, { cause });
  }
}

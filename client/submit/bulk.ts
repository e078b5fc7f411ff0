/**
 * Many entries in one call: `POST /api/v2/log/entries:batch` of Stele's own API (docs/wire.md).
 *
 *   {"requests": [CreateEntryRequest, …]}    →    {"results": [{"entry": …} or {"error": {"code", "message"}}, …]}
 *
 * As with single entries the same bytes are sent again until the log has answered for good, here for those items alone that
 * it has not answered yet.
 */
import { printable } from '../../merkle/printable.ts';
import { ClientError } from '../errors.ts';
import { array, malformed, parseJson } from '../formats/json.ts';
import { type LogEntry, parseLogEntry } from '../formats/log-entry.ts';
import {
  AGAIN_IS_SAFE,
  ask,
  backOff,
  checked,
  type HttpOptions,
  type Reply,
  refused,
  retryAfter,
  sleep,
  submitEntry,
} from './http.ts';

/** Requests of one bulk call where the log does not say how many it takes: docs/wire.md. */
const BULK_ITEMS = 256;
/** Bytes of one bulk call; a log takes 4 MiB. */
const BULK_BYTES = 2 * 1024 * 1024;
const REPLY_ROOM = 64 * 1024;
/** An entry of 64 KiB in base64, with a proof and a checkpoint that many have cosigned. */
const MAX_BULK_ITEM = 192 * 1024;
/** Requests at once at a log that knows no bulk call. */
const SINGLE_CALLS = 8;

export interface BulkOptions extends HttpOptions {
  /** Most requests in one call, as the log's description says (`limits.bulkItems`); 256 unless told. */
  readonly bulkItems?: number;
  /** Told the result of each request, once, as it comes: an entry that must be verified before use, or why there is none. */
  readonly onResult?: (index: number, result: LogEntry | ClientError) => void;
}

/**
 * Posts many CreateEntryRequests with the bulk call, and resolves with what became of each, in order. One that fails costs
 * the others nothing. A log without the bulk call is asked one by one, eight at a time.
 *
 * `deadline` counts for each bulk call. Once the log cannot be reached any more, the rest fails at once.
 *
 * @param log as `parseLogUrl` gives it
 * @throws ClientError `cancelled`; every other error is the result of a request
 */
export async function submitEntries(
  log: string,
  requests: readonly string[],
  options: BulkOptions = {},
): Promise<(LogEntry | ClientError)[]> {
  const results: (LogEntry | ClientError)[] = [];
  const settle = (index: number, result: LogEntry | ClientError): void => {
    results[index] = result;
    options.onResult?.(index, result);
  };
  let gone: ClientError | undefined;
  let bulk = true;
  for (const chunk of chunks(requests, Math.max(1, options.bulkItems ?? BULK_ITEMS))) {
    if (gone === undefined && bulk) {
      const outcome = await submitChunk(log, requests, chunk, options, settle);
      bulk = outcome !== 'no-bulk';
      if (outcome instanceof ClientError) gone = outcome;
    }
    if (gone === undefined && !bulk) gone = await submitSingly(log, requests, chunk, options, settle);
    if (gone !== undefined) for (const index of chunk) if (results[index] === undefined) settle(index, gone);
  }
  return results;
}

/** Indexes of requests that go into one call each. */
function* chunks(requests: readonly string[], items: number): Generator<number[]> {
  let chunk: number[] = [];
  let length = 0;
  for (const [index, request] of requests.entries()) {
    if (chunk.length > 0 && (chunk.length === items || length + request.length > BULK_BYTES)) {
      yield chunk;
      chunk = [];
      length = 0;
    }
    chunk.push(index);
    length += request.length;
  }
  if (chunk.length > 0) yield chunk;
}

type Settle = (index: number, result: LogEntry | ClientError) => void;

/** All of a chunk until it is settled. An error is one of the log as a whole, that leaves requests unsettled. */
async function submitChunk(
  log: string,
  requests: readonly string[],
  chunk: readonly number[],
  options: HttpOptions,
  settle: Settle,
): Promise<undefined | 'no-bulk' | ClientError> {
  const end = Date.now() + (options.deadline ?? 120_000);
  let left = chunk;
  for (let attempt = 1; ; attempt++) {
    const body = `{"requests":[${left.map((index) => requests[index]).join(',')}]}`;
    const maxReply = REPLY_ROOM + left.length * MAX_BULK_ITEM;
    let reply: Reply;
    let items: BulkItem[];
    try {
      const deadline = Math.max(1, end - Date.now());
      reply = await ask(`${log}/api/v2/log/entries:batch`, body, { ...options, deadline, maxReply });
      if (reply.status === 404 || reply.status === 405 || reply.status === 501) {
        if (attempt === 1 && !frozen(reply)) return 'no-bulk';
      }
      if (reply.status === 413 && left.length > 1) {
        // The log takes fewer at once, or smaller bodies.
        const half = Math.ceil(left.length / 2);
        const first = await submitChunk(log, requests, left.slice(0, half), options, settle);
        return first instanceof ClientError ? first : submitChunk(log, requests, left.slice(half), options, settle);
      }
      if (reply.status !== 200) return refused(reply);
      items = bulkItems(reply.body, left.length, maxReply);
    } catch (error) {
      if (!(error instanceof ClientError) || error.code === 'cancelled') throw error;
      return error;
    }
    const again: number[] = [];
    let why = '';
    for (const [at, index] of left.entries()) {
      const item = items[at]!;
      if (!('code' in item)) settle(index, readEntry(item));
      else if (item.code === ALREADY_EXISTS) settle(index, await one(log, requests[index]!, options));
      else if (RETRIABLE_CODES.includes(item.code)) {
        again.push(index);
        why = item.message;
      } else settle(index, new ClientError('refused', `the log refuses the request: "${item.message}"`));
    }
    if (again.length === 0) return undefined;
    left = again;
    const wait = Math.round(Math.max(retryAfter(reply.headers) ?? 0, backOff(attempt)));
    if (Date.now() + wait >= end) {
      const what = `${log} did not take the entry within ${Math.ceil((options.deadline ?? 120_000) / 1000)} s`;
      for (const index of left) {
        settle(index, new ClientError('unavailable', `${what}: "${why}". ${AGAIN_IS_SAFE}`));
      }
      return undefined;
    }
    options.onRetry?.({ why: `${left.length} of ${chunk.length} entries are not logged yet: "${why}"`, wait, attempt });
    await sleep(wait, options.signal);
  }
}

/** @returns the error that ended it, where the log is gone */
async function submitSingly(
  log: string,
  requests: readonly string[],
  chunk: readonly number[],
  options: HttpOptions,
  settle: Settle,
): Promise<ClientError | undefined> {
  let gone: ClientError | undefined;
  const left = [...chunk];
  const work = async (): Promise<void> => {
    for (let index = left.shift(); index !== undefined && gone === undefined; index = left.shift()) {
      const result = await one(log, requests[index]!, options);
      if (result instanceof ClientError && (result.code === 'network' || result.code === 'unavailable')) gone = result;
      settle(index, result);
    }
  };
  await Promise.all(Array.from({ length: SINGLE_CALLS }, work));
  return gone;
}

async function one(log: string, request: string, options: HttpOptions): Promise<LogEntry | ClientError> {
  try {
    return await submitEntry(log, request, options);
  } catch (error) {
    if (!(error instanceof ClientError) || error.code === 'cancelled') throw error;
    return error;
  }
}

/** gRPC codes in the items of a bulk call: deadline exceeded, resource exhausted, aborted, internal, unavailable. */
const RETRIABLE_CODES: readonly number[] = [4, 8, 10, 13, 14];
const ALREADY_EXISTS = 6;

type BulkItem = { readonly entry: unknown } | { readonly code: number; readonly message: string };

function bulkItems(body: Uint8Array, count: number, limit: number): BulkItem[] {
  return checked(() => {
    const results = array(
      (parseJson(body, 'the reply', limit) as { results?: unknown } | null)?.results,
      'results',
      count,
    );
    if (results.length !== count) throw malformed('results', `has ${results.length} items for ${count} requests`);
    return results.map((item, at): BulkItem => {
      const { entry, error } = (item ?? {}) as Record<string, unknown>;
      if (entry !== undefined && entry !== null) return { entry };
      const { code, message } = (error ?? {}) as Record<string, unknown>;
      if (typeof code !== 'number') throw malformed(`results[${at}]`, 'has neither an entry nor an error');
      return { code, message: printable(typeof message === 'string' ? message : `code ${code}`) };
    });
  });
}

function readEntry({ entry }: { readonly entry: unknown }): LogEntry | ClientError {
  try {
    return checked(() => parseLogEntry(entry, 'the reply'));
  } catch (error) {
    return error as ClientError;
  }
}

function frozen({ body }: Reply): boolean {
  return new TextDecoder().decode(body.subarray(0, 100)).includes('frozen');
}

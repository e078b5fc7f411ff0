/**
 * Why the index answers a request with an error: `{ "code", "message" }`, with a code of a closed list (docs/search.md). The
 * message is for the caller: it holds no path, stack or text of a library.
 */
import { CodedError } from '../../merkle/errors.ts';
import { IdentityError } from '../../merkle/runtime/identity/types.ts';
import { jsonAnswer, RouteError } from '../../merkle/runtime/service/app.ts';
import type { Answer, Refusal } from '../../merkle/runtime/service/http-server.ts';
import { BODY_PROBLEMS, type BodyRefusal } from '../../merkle/runtime/service/request-bodies.ts';
import { SEARCH_ERRORS, SearchError } from './search-errors.ts';

/** Each code of the service itself, and its HTTP status. */
export const INDEX_ERRORS = {
  ...SEARCH_ERRORS,
  malformed: 400, // the request is not one of this API
  'not-found': 404, // there is no such path, or what is asked for is not here
  'method-not-allowed': 405, // the path takes another method
  timeout: 408, // the request came too slowly
  'too-large': 413, // the body is longer than this service reads
  'uri-too-long': 414, // the URL is longer than this service reads
  'rate-limited': 429, // this address asks too often
  'headers-too-large': 431, // the headers are longer than this service reads
  internal: 500, // a bug
  'too-slow': 503, // the query takes longer than this service gives one
  closing: 503, // the service is shutting down
} as const;

type IndexErrorCode = keyof typeof INDEX_ERRORS;

interface IndexErrorData {
  /** Seconds. */
  readonly retryAfter?: number;
  /** The methods of the path. */
  readonly allow?: string;
}

export class IndexError extends CodedError<IndexErrorCode, IndexErrorData> {
  override readonly name = 'IndexError';

  constructor(code: IndexErrorCode, message: string, data: IndexErrorData = {}, options?: ErrorOptions) {
    super(code, message, data, options);
  }
}

/** Pages of any origin may read the index. No credentials count here. */
export const FOR_PAGES = { 'access-control-allow-origin': '*' };
/** Seconds after which a client may ask again, where nothing better is known. */
const RETRY_AFTER = 2;

/** What stands before a client for anything that was thrown. */
export function toIndexError(error: unknown): IndexError {
  if (error instanceof IndexError) return error;
  if (error instanceof SearchError) return new IndexError(error.code, error.message, {}, { cause: error });
  if (error instanceof RouteError) return routeError(error);
  return new IndexError('internal', 'the index failed', {}, { cause: error });
}

/** The reply for anything that was thrown. A caller without an identity, or without the right, gets the status of that. */
export function indexErrorAnswer(error: unknown): Answer<string> {
  if (error instanceof IdentityError) {
    const { status, code, message } = error;
    const headers: Record<string, string> = {};
    // RFC 9110 section 15.5.2: a 401 names what is asked for.
    if (status === 401) headers['www-authenticate'] = 'Bearer';
    if (status === 429 || status === 503) headers['retry-after'] = String(RETRY_AFTER);
    return reply(status, code, message, headers);
  }
  const { code, message, data } = toIndexError(error);
  const status = INDEX_ERRORS[code];
  const retry = data.retryAfter ?? (status === 429 || status === 503 ? RETRY_AFTER : undefined);
  return reply(status, code, message, {
    ...(retry !== undefined && { 'retry-after': String(retry) }),
    ...(data.allow !== undefined && { allow: data.allow }),
  });
}

function reply(status: number, code: string, message: string, headers: Answer['headers']): Answer<string> {
  return jsonAnswer(status, { code, message }, { ...FOR_PAGES, 'cache-control': 'no-store', ...headers });
}

function routeError({ code, data }: RouteError): IndexError {
  switch (code) {
    case 'bad-url':
      return new IndexError('malformed', 'the URL cannot be read');
    case 'method-not-allowed':
      return new IndexError('method-not-allowed', `the method ${data.method} is not allowed here`, {
        allow: data.allow ?? '',
      });
    default:
      return new IndexError('not-found', 'there is no such path: /openapi.json describes every call');
  }
}

export function indexBodyError(why: BodyRefusal, limit: number): IndexError {
  switch (why) {
    case 'too-large':
      return new IndexError('too-large', `the body has more than ${limit} bytes, which is the most that is read here`);
    case 'too-slow':
      return new IndexError('timeout', 'the body came too slowly');
    case 'client-room':
    case 'room':
      return new IndexError('busy', 'too many bodies wait here already: try again later');
    default:
      return new IndexError('malformed', BODY_PROBLEMS[why]);
  }
}

/** Of what never became a request. */
export function refusalError(why: Refusal, text: string | undefined): IndexError {
  switch (why) {
    case 'timeout':
      return new IndexError('timeout', 'the request came too slowly');
    case 'headers-too-large':
      return new IndexError('headers-too-large', 'the headers are longer than this service reads');
    default:
      return new IndexError('malformed', text ?? 'the request is malformed');
  }
}

/**
 * From any error to the reply that a client may see: `{"code", "message", "details": []}` as gRPC gateways write it. The
 * messages of Node, and of any error that is not a `RequestError`, never leave the process.
 */
import type { IncomingMessage } from 'node:http';
import { RouteError } from '../../merkle/runtime/service/app.ts';
import type { Answer, Refusal } from '../../merkle/runtime/service/http-server.ts';
import { BODY_PROBLEMS, type BodyRefusal } from '../../merkle/runtime/service/request-bodies.ts';
import type { Config } from '../config/load.ts';
import { REQUEST_ERRORS, RequestError, requestError } from '../errors.ts';

/** The codes of errors that mean a failing store, in any room. */
const STORE_CODES = new Set<unknown>(['store', 'unavailable', 'conflict', 'file']);

/** Pages of any origin may read the log. */
export const ANY_ORIGIN = { 'access-control-allow-origin': '*' };
/** A page may see when to ask again, which scripts see of no other origin otherwise. */
const RETRY_SHOWN = { 'access-control-expose-headers': 'Retry-After' };

/** `{"code":5,"message":"not found","details":[]}`; for a refused caller also with `error` and `reasons`. */
export function errorJson(error: RequestError): string {
  const { error: code, reasons } = error.data;
  const more =
    code === undefined ? '' : `,${JSON.stringify({ error: code, ...(reasons && { reasons }) }).slice(1, -1)}`;
  return `{"code":${REQUEST_ERRORS[error.code].grpc},"message":${JSON.stringify(error.message)},"details":[]${more}}`;
}

/** The `RequestError` that stands for `error` before a client. */
export function toRequestError(error: unknown): RequestError {
  if (error instanceof RequestError) return error;
  if (error instanceof RouteError) return routeError(error);
  return STORE_CODES.has((error as { code?: unknown } | null | undefined)?.code)
    ? requestError('unavailable')
    : requestError('internal');
}

function routeError({ code, data }: RouteError): RequestError {
  switch (code) {
    case 'bad-url':
      return requestError('malformed', 'the URL is malformed');
    case 'method-not-allowed': {
      const { message } = requestError('method-not-allowed', data.method);
      return new RequestError('method-not-allowed', message, { allow: data.allow });
    }
    default:
      return requestError(code);
  }
}

/**
 * The reply for `error`. Every error reply is made here.
 * @param successor URL of the log that follows a frozen one
 */
export function errorAnswer(
  error: RequestError,
  { retryAfter }: Pick<Config, 'retryAfter'>,
  successor?: string,
): Answer<string> {
  const row = REQUEST_ERRORS[error.code];
  const { index, allow, challenge, retryAfter: seconds } = error.data;
  const headers = {
    'cache-control': 'no-store',
    ...('retry' in row ? { 'retry-after': seconds === undefined ? secondsOf(retryAfter) : String(seconds) } : {}),
    ...(index === undefined ? {} : { 'x-log-index': String(index) }),
    ...(allow === undefined ? {} : { allow }),
    ...(challenge === undefined ? {} : { 'www-authenticate': challenge }),
  };
  if (error.code === 'frozen') {
    // No method is left for this resource: RFC 9110 section 15.5.6 wants `Allow` all the same.
    // A hint for people: a client trusts what it was told of the next log elsewhere.
    const next = successor === undefined ? '' : `The next log is ${successor}\n`;
    const text = { allow: '', 'content-type': 'text/plain; charset=utf-8' };
    return { status: row.status, headers: { ...headers, ...text }, body: `${REQUEST_ERRORS.frozen.message}${next}` };
  }
  return { status: row.status, headers: { ...headers, 'content-type': JSON_TYPE }, body: errorJson(error) };
}

/** The same reply with what a page of another origin needs to read it: every read has it, and a wrong method. */
export function forPages({ method }: IncomingMessage, answer: Answer, error: RequestError): Answer {
  const read = method === 'GET' || method === 'HEAD';
  if (!read && error.code !== 'method-not-allowed') return answer;
  return { ...answer, headers: { ...ANY_ORIGIN, ...RETRY_SHOWN, ...answer.headers } };
}

/** `Retry-After` in whole seconds, rounded up. */
export function secondsOf(retryAfterMs: number): string {
  return String(Math.ceil(retryAfterMs / 1000));
}

/** Without a charset, which JSON does not have. */
const JSON_TYPE = 'application/json';

/** A reply of text that is JSON. */
export function json(body: string | Buffer, headers: Answer['headers'] = {}, status = 200): Answer {
  return { status, headers: { ...headers, 'content-type': JSON_TYPE }, body };
}

/** The reply for what never became a request, or stopped within one. */
export function refusalAnswer(refusal: Refusal, why = ''): Answer<string> {
  // None of these may be tried again: there is no `Retry-After`.
  return errorAnswer(refusal === 'malformed' ? requestError(refusal, why) : requestError(refusal), { retryAfter: 0 });
}

export function bodyError(refusal: BodyRefusal, limit: number): RequestError {
  switch (refusal) {
    case 'too-large':
      return requestError('too-large', limit);
    case 'too-slow':
      return requestError('timeout');
    case 'fragmented':
    case 'stopped':
      return requestError('malformed', BODY_PROBLEMS[refusal]);
    case 'client-room':
      return requestError('address-bodies');
    case 'room':
      return requestError('pushback');
  }
}

/**
 * From any error to the reply that a client may see: `{"code", "message", "details": []}` as gRPC gateways write it. The
 * messages of Fastify, of Node, and of any error that is not a `RequestError` never leave the process.
 */
import type { FastifyError, FastifyReply } from 'fastify';
import type { Answer, Refusal } from '../../merkle/runtime/service/http-server.ts';
import type { BodyRefusal } from '../../merkle/runtime/service/request-bodies.ts';
import type { Config } from '../config/load.ts';
import { REQUEST_ERRORS, RequestError, requestError } from '../errors.ts';

/** The codes of errors that mean a failing store, in any room. */
const STORE_CODES = new Set<unknown>(['store', 'unavailable', 'conflict', 'file']);

/** `{"code":5,"message":"not found","details":[]}` */
export function errorJson(error: RequestError): string {
  return `{"code":${REQUEST_ERRORS[error.code].grpc},"message":${JSON.stringify(error.message)},"details":[]}`;
}

/** The `RequestError` that stands for `error` before a client. */
export function toRequestError(error: unknown, limits: Pick<Config['limits'], 'bodyBytes'>): RequestError {
  if (error instanceof RequestError) return error;
  const known = error as Partial<FastifyError> | null | undefined;
  if (known?.validation !== undefined) return requestError('invalid-argument', validationMessage(known));
  switch (known?.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return requestError('too-large', limits.bodyBytes);
    case 'FST_ERR_BAD_URL':
      return requestError('malformed', 'the URL is malformed');
    case 'FST_ERR_MAX_PARAM_LENGTH':
      return requestError('param-too-long');
    case 'FST_ERR_NOT_FOUND':
      return requestError('not-found');
  }
  if (typeof known?.code === 'string' && known.code.startsWith('FST_ERR_CTP_')) {
    return requestError('malformed', 'the request body cannot be read');
  }
  if (STORE_CODES.has(known?.code)) {
    return requestError('unavailable');
  }
  return requestError('internal');
}

/** The reply for `error`. Every error reply is made here. */
export function errorAnswer(error: RequestError, { retryAfter }: Pick<Config, 'retryAfter'>): Answer<string> {
  const row = REQUEST_ERRORS[error.code];
  const { index } = error.data;
  const headers = {
    'cache-control': 'no-store',
    ...('retry' in row ? { 'retry-after': secondsOf(retryAfter) } : {}),
    ...(index === undefined ? {} : { 'x-log-index': String(index) }),
  };
  if (error.code === 'frozen') {
    // No method is left for this resource: RFC 9110 section 15.5.6 wants `Allow` all the same.
    const text = { allow: '', 'content-type': 'text/plain; charset=utf-8' };
    return { status: row.status, headers: { ...headers, ...text }, body: REQUEST_ERRORS.frozen.message };
  }
  return { status: row.status, headers: { ...headers, 'content-type': JSON_TYPE }, body: errorJson(error) };
}

/** `Retry-After` in whole seconds, rounded up. */
export function secondsOf(retryAfterMs: number): string {
  return String(Math.ceil(retryAfterMs / 1000));
}

export function sendError(reply: FastifyReply, error: RequestError, options: Pick<Config, 'retryAfter'>): FastifyReply {
  const { headers, ...answer } = errorAnswer(error, options);
  // The rate limit has set a better wait.
  const wait = reply.getHeader('retry-after');
  return sendAnswer(reply, {
    ...answer,
    headers: wait === undefined ? headers : { ...headers, 'retry-after': String(wait) },
  });
}

/** Without a charset, which JSON does not have and Fastify would add. */
export const JSON_TYPE = 'application/json';

const asItIs = (payload: string): string => payload;

export function sendAnswer(reply: FastifyReply, { status, headers, body }: Answer): FastifyReply {
  return reply.code(status).headers(headers).serializer(asItIs).send(body);
}

export function sendJson(reply: FastifyReply, json: string | Buffer): FastifyReply {
  return reply.header('content-type', JSON_TYPE).serializer(asItIs).send(json);
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
      return requestError('malformed', 'the request body comes in too many small pieces');
    case 'client-room':
      return requestError('address-bodies');
    case 'room':
      return requestError('pushback');
    case 'stopped':
      return requestError('malformed', 'the request body stopped before its end');
  }
}

/** Names the parameter; the message of the schema compiler would name its own paths. */
function validationMessage(error: Partial<FastifyError>): string {
  const where = error.validationContext === 'params' ? 'path' : 'query';
  const first = error.validation?.[0];
  const params = first?.params as { readonly requiredProperties?: readonly string[] } | undefined;
  const name = params?.requiredProperties?.[0] ?? first?.instancePath.slice(1).split('/')[0];
  switch (first?.keyword) {
    case 'required':
      return `the ${where} parameter ${String(name)} is missing`;
    case 'boolean': // the schema of every other parameter is `false`
    case 'additionalProperties':
      return 'the query has a parameter that is not known here';
    default:
      return `the ${where} parameter ${String(name)} must be one whole number in decimal`;
  }
}

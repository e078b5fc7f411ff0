/** The errors of requests that never reach the witness: what stands between the socket and a route refuses them. */
import { RouteError } from '../merkle/runtime/service/app.ts';
import type { Refusal } from '../merkle/runtime/service/http-server.ts';
import { BODY_PROBLEMS, type BodyRefusal } from '../merkle/runtime/service/request-bodies.ts';
import { RequestError, requestError } from './errors.ts';

/** The `RequestError` that stands for `error` before a client; undefined for a fault of the witness itself. */
export function toRequestError(error: unknown): RequestError | undefined {
  if (error instanceof RequestError) return error;
  if (!(error instanceof RouteError)) return undefined;
  switch (error.code) {
    case 'bad-url':
      return requestError('malformed', 'the URL is malformed');
    case 'method-not-allowed':
      return requestError('method-not-allowed', error.data.method, error.data.allow ?? '');
    default:
      return requestError('not-found', 'not found');
  }
}

/** What never became a request, or stopped within one. */
export function refusalError(refusal: Refusal, why = ''): RequestError {
  return refusal === 'malformed' ? requestError(refusal, why) : requestError(refusal);
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
      return requestError('busy', 'too many request bodies are under way');
  }
}

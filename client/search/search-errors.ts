/** Every refusal of a search, for the callers of the index and of its service. */
import { CodedError } from '../../merkle/errors.ts';

/** Each code, and the HTTP status that it has in the service. */
export const SEARCH_ERRORS = {
  'bad-query': 400, // a term, a range or a limit is not of its form
  'bad-pattern': 400, // a pattern is not RE2, or is too large; the message names the limit
  'bad-page': 400, // the page token is malformed, or is of another query
  'unknown-log': 404, // the index does not follow a log of this origin
  'not-indexed': 404, // the index was not configured for keys of this kind: it cannot know the answer
  expired: 410, // the checkpoint of the page token is kept no longer: ask for the first page again
  'not-ready': 503, // the index has not yet read a whole tree of the log
  'log-away': 503, // the log does not give the entries that were found
  'log-wrong': 502, // the log serves other bytes for an entry than those in the tree that it signed
  busy: 503, // too many searches run already
  store: 503, // the store of the index failed, and is opened again
} as const;

type SearchErrorCode = keyof typeof SEARCH_ERRORS;

/** The message is for a person; what comes from the query or the log is escaped in it. */
export class SearchError extends CodedError<SearchErrorCode> {
  override readonly name = 'SearchError';

  constructor(code: SearchErrorCode, message: string, options?: ErrorOptions) {
    super(code, message, undefined, options);
  }
}

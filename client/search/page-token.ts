/**
 * The token of a page: `base64url(version ‖ query, 16 bytes ‖ size, 6 bytes ‖ position, 6 bytes)`. It is no secret and has no
 * signature: a forged one names another checkpoint that the index kept, or another place, which anybody may ask for.
 */
import { encodeUtf8, equal } from '../../merkle/bytes.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { SearchError } from './search-errors.ts';
import type { SearchQuery } from './types.ts';

const VERSION = 1;
const QUERY = 16;
const NUMBER = 6;
const LENGTH = 1 + QUERY + 2 * NUMBER;

export interface PagePlace {
  /** The tree of the first page. */
  readonly size: number;
  /** The next index to look at. */
  readonly position: number;
}

export function formatPageToken(query: SearchQuery, { size, position }: PagePlace): string {
  const bytes = Buffer.alloc(LENGTH);
  bytes[0] = VERSION;
  bytes.set(queryHash(query), 1);
  bytes.writeUIntBE(size, 1 + QUERY, NUMBER);
  bytes.writeUIntBE(position, 1 + QUERY + NUMBER, NUMBER);
  return bytes.toString('base64url');
}

/** @throws SearchError `bad-page`: it is malformed, or of another query */
export function parsePageToken(query: SearchQuery, token: string): PagePlace {
  const bytes = token.length > 2 * LENGTH ? Buffer.alloc(0) : Buffer.from(token, 'base64url');
  if (bytes.length !== LENGTH || bytes[0] !== VERSION || bytes.toString('base64url') !== token) {
    throw new SearchError('bad-page', 'the page token is malformed: ask for the first page');
  }
  if (!equal(bytes.subarray(1, 1 + QUERY), queryHash(query))) {
    throw new SearchError(
      'bad-page',
      'the page token is of another query: a page goes on with all of the terms of the first',
    );
  }
  const place = { size: bytes.readUIntBE(1 + QUERY, NUMBER), position: bytes.readUIntBE(1 + QUERY + NUMBER, NUMBER) };
  if (place.position >= place.size)
    throw new SearchError('bad-page', 'the page token is malformed: ask for the first page');
  return place;
}

/** Two queries have one hash where one goes on with the other: all but the limit and the page. */
function queryHash({ log, terms, from, to, after, before, order = 'ascending' }: SearchQuery): Uint8Array {
  const parts = [log, terms.map(({ kind, match, value }) => [kind, match, value]), from, to, after, before, order];
  return fastSha256(encodeUtf8(JSON.stringify(parts))).subarray(0, QUERY);
}

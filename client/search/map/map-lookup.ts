/** The answer to a lookup, from the version of the map that is published. It is verified before it leaves. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type IndexKey, keyHash } from '../../../merkle/index/keys.ts';
import { formatLookup, type Lookup, type LookupPlace, parseLookup } from '../../../merkle/index/lookup.ts';
import { lookupPostings } from '../../../merkle/index/map-tree.ts';
import { verifyLookup } from '../../../merkle/index/verify-lookup.ts';
import { consistencyNodes, rootNodes } from '../../../merkle/proof.ts';
import { CompactRange } from '../../../merkle/range.ts';
import { fastSha256 } from '../../../merkle/runtime/crypto/hash.ts';
import { SearchError } from '../search-errors.ts';
import type { Found, IndexMap } from './index-map.ts';
import type { PublishedMap } from './published-map.ts';

/**
 * Most postings of one answer. To compute and to verify them takes 10 ms of this thread, for which others wait; the format
 * would take eight times as many.
 */
export const MOST_POSTINGS = 8192;

const MOST_MOVES = 5;

export interface LookupRequest {
  readonly key: IndexKey;
  /** Postings that the client has. */
  readonly since: number;
  /** Most postings of the answer; `MOST_POSTINGS` by default. */
  readonly limit?: number;
  readonly inputOrigin: string;
  readonly outputOrigin: string;
}

/**
 * @throws SearchError `bad-query`: the key has fewer postings than the client has of it; MerkleError: the answer does not hold, so that it must
 *   not leave
 */
export async function answerLookup(
  map: IndexMap,
  request: LookupRequest,
  published: () => PublishedMap,
): Promise<Uint8Array> {
  const { key, since, inputOrigin, outputOrigin } = request;
  const hash = keyHash(key, fastSha256);
  let version = published();
  let found = await map.find(hash);
  // The map moves on a moment before the version that it is then of.
  for (let i = 0; found?.shown.size !== version.size && i < MOST_MOVES; i++) {
    await nextTurn();
    version = published();
    found = await map.find(hash);
  }
  if (found?.shown.size !== version.size) {
    throw new SearchError('busy', 'new versions of the map come faster than an answer: ask again');
  }
  const place = await placeOf(map, hash, found, since, Math.min(request.limit ?? MOST_POSTINGS, MOST_POSTINGS));
  const lookup: Lookup = {
    siblings: found.siblings,
    place,
    outputLeaf: version.leaf,
    outputProof: version.proof,
    outputCheckpoint: version.checkpoint,
  };
  const bytes = formatLookup(lookup);
  const known =
    place.kind === 'key' && since > 0
      ? { count: since, root: CompactRange.from(since, place.range, fastSha256).root() }
      : undefined;
  const question = { key, inputOrigin, outputOrigin, ...(known !== undefined && { known }) };
  verifyLookup(parseLookup(bytes), question, fastSha256);
  return bytes;
}

async function placeOf(
  map: IndexMap,
  key: Uint8Array,
  found: Found,
  since: number,
  limit: number,
): Promise<LookupPlace> {
  const { postings, other } = found;
  if (postings === undefined) {
    if (since > 0) throw fewer(0);
    if (other === undefined) return { kind: 'empty' };
    return { kind: 'other', leaf: { keyHash: other.key, count: other.count, postingRoot: other.root } };
  }
  const { count } = postings;
  if (since > count) throw fewer(count);
  const reader = map.reader(key, postings);
  const end = Math.min(count, since + limit);
  const nodes = await reader.nodes([...rootNodes(since), ...consistencyNodes(end, count)]);
  return { kind: 'key', ...lookupPostings(count, since, await reader.slice(since, end), nodes, fastSha256) };
}

function fewer(count: number): SearchError {
  return new SearchError('bad-query', `the key has ${count} postings: \`since\` may be 0 to ${count}`);
}

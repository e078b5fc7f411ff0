/** Looks up a key in a verifiable index over HTTP, part by part, and checks each part: check-lookup.ts says what holds then. */
import type { IndexKey } from '../../merkle/index/keys.ts';
import type { KnownPostings } from '../../merkle/index/verify-lookup.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { nodePrimitives } from '../../merkle/runtime/crypto/node-primitives.ts';
import { proveConsistency } from '../../merkle/tile.ts';
import { ClientError } from '../errors.ts';
import { tilesOf } from '../tiles/tree-proofs.ts';
import type { OpenSource } from '../tiles/types.ts';
import { checkLookup, type ProvenLookup } from './check-lookup.ts';
import { fetchLookup, type IndexRequests } from './index-client.ts';
import type { LookupClaim } from './lookup-heads.ts';
import type { LookupMemory, LookupTrust, ProveLookupTree } from './lookup-trust.ts';

interface KeyLookup extends IndexRequests {
  /** The base URL of the index, without a slash at its end. */
  readonly index: string;
  readonly key: IndexKey;
  readonly trust: LookupTrust;
  readonly memory: LookupMemory;
  /** What the caller has of this key. */
  readonly known?: KnownPostings;
  /** Where the tiles of both logs are; without them a log that grew does not hold. */
  readonly places: { readonly input?: string | undefined; readonly output?: string | undefined };
  readonly open: OpenSource;
  /** Called before each part is asked for: an index may need thousands of them, and take its time for each. */
  readonly onPart?: () => Promise<void>;
}

/** A lookup that does not hold. */
export class BadLookup extends ClientError {
  readonly claim: LookupClaim;

  constructor(claim: LookupClaim, why: string) {
    super('bad-index', `the verifiable index does not hold: ${why}`);
    this.claim = claim;
  }
}

/** Parts of one lookup at most: 650 million postings. */
const MAX_PARTS = 10_000;

/**
 * All postings of the key, or those behind `known`, with the facts of the last part.
 *
 * @throws BadLookup: a part does not hold; ClientError `network`, `unavailable`, `refused`, `bad-reply`, `cancelled`, `policy`, and those of
 *   a source of tiles
 */
export async function lookUp(request: KeyLookup): Promise<ProvenLookup> {
  const { index, key, trust, places, open, signal } = request;
  const prove: ProveLookupTree = async (log, older, newer) => {
    const place = places[log];
    if (place === undefined) {
      throw new ClientError(
        'usage',
        `the ${log} log grew since it was seen: say where it is, so that its growth is proven (${log === 'output' ? '--output-log' : '--log-url'}, or a URL in the \`log\` line of its policy)`,
      );
    }
    const source = open(place);
    try {
      return await proveConsistency(older.size, newer.size, tilesOf(source, signal), fastSha256);
    } finally {
      await source.close();
    }
  };
  const indexes: number[] = [];
  let { memory, known } = request;
  for (let part = 0; part < MAX_PARTS; part++) {
    await request.onPart?.();
    const asked = { log: trust.input.origin, key, since: known?.count ?? 0 };
    const bytes = await fetchLookup(index, asked, request);
    const primitives = nodePrimitives();
    const checked = await checkLookup(bytes, key, trust, { primitives, memory, prove, ...(known && { known }) });
    if (!checked.ok) throw new BadLookup(checked.claim, checked.why);
    for (const posting of checked.indexes) indexes.push(posting);
    if (checked.complete) return { ...checked, indexes };
    ({ memory } = checked);
    known = checked.next;
  }
  throw new BadLookup('map', `it gave ${MAX_PARTS} parts, and no end`);
}

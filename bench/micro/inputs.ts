/** The inputs that several benchmarks share: entries, and a tree of them. */
import { randomBytes } from 'node:crypto';
import { leafHash } from '../../merkle/rfc6962.ts';
import { digestVerifier } from '../../merkle/runtime/crypto/digest.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { DEFAULT_LIMITS, ingestBody } from '../../server/ingest/ingest-body.ts';
import type { NewEntry } from '../../server/store/types.ts';
import { emptySnapshot, integrate, type Snapshot } from '../../server/tree/snapshot.ts';
import type { IngestedBody } from '../../server/types.ts';
import { hashedRekordRequest, toJson } from '../../test/support/requests.ts';

/** One request in JSON, and the entry that ingest makes from it. */
export const BODY = toJson(hashedRekordRequest());
export const ANSWER: IngestedBody = ingestBody(BODY, 'json', DEFAULT_LIMITS, digestVerifier());
export const ENTRY_BYTES =
  'items' in ANSWER && 'entries' in ANSWER.items[0]! ? ANSWER.items[0].entries[0]!.body.length : 0;

/** Entries as long as a canonical hashedrekord with a P-256 key. */
export function entries(count: number): NewEntry[] {
  return Array.from({ length: count }, () => {
    const body = randomBytes(ENTRY_BYTES);
    return { body, leafHash: leafHash(body, fastSha256) };
  });
}

export function snapshotOfSize(size: number): Snapshot {
  return integrate(emptySnapshot(fastSha256), entries(size)).after;
}

/** A feed into a map, and the map by its definition from a list of postings. */
import { createHash } from 'node:crypto';
import { Feed } from '../../../../client/follow/follow.ts';
import { IndexMap } from '../../../../client/search/map/index-map.ts';
import type { ExtractedRun, KeyExtractor } from '../../../../client/search/map/key-extractor.ts';
import { CompactRange } from '../../../../merkle/range.ts';
import { leafHash } from '../../../../merkle/rfc6962.ts';
import { fastSha256 } from '../../../../merkle/runtime/crypto/hash.ts';
import type { FakeLog } from '../../../support/fake-log.ts';
import { later } from '../../../support/log-files.ts';

/** Entries whose keys are their own bytes: 32 bytes each. */
export const crafted: KeyExtractor = {
  async extract(bodies) {
    const found = new Map<string, number[]>();
    for (const [place, body] of bodies.entries()) {
      for (let at = 0; at + 32 <= body.length; at += 32) {
        const name = Buffer.from(body.subarray(at, at + 32)).toString('hex');
        const places = found.get(name) ?? [];
        if (places[places.length - 1] !== place) places.push(place);
        found.set(name, places);
      }
    }
    const names = [...found.keys()].sort();
    const run: ExtractedRun = {
      first: 0,
      length: names.length,
      hashes: new Uint8Array(Buffer.from(names.join(''), 'hex')),
      counts: Uint32Array.from(names, (name) => found.get(name)!.length),
      places: Uint32Array.from(names.flatMap((name) => found.get(name)!)),
    };
    return [run];
  },
  async close() {},
};

export function mapFeed(map: IndexMap, log: FakeLog): Feed {
  const feed = new Feed({ origin: log.origin, keys: [log.key], location: 'fake' }, map, {
    open: () => log.source(),
    settings: { partialMs: 0, parallel: 2, chunkBytes: 1_000_000 },
    start: 'start',
  });
  later(() => feed.close());
  return feed;
}

/** Reads all that the log has now. */
export async function readAll(feed: Feed): Promise<void> {
  const { signal } = new AbortController();
  await feed.read(await feed.look(signal), signal);
}

export async function openCrafted(dir: string, log: FakeLog): Promise<IndexMap> {
  const map = await IndexMap.open({
    dir,
    log: { origin: log.origin, keys: [log.key] },
    threads: 0,
    extractor: crafted,
  });
  later(() => map.close());
  return map;
}

/** The root by the definition in docs/index.md. */
export function literalRoot(entries: readonly Uint8Array[]): { root: string; count: number } {
  const postings = literalPostings(entries);
  const leaves = [...postings].map(([name, list]) => {
    const range = CompactRange.empty(fastSha256);
    for (const index of list) range.append(leafHash(uint64(index), fastSha256));
    const key = Buffer.from(name, 'hex');
    return { key, hash: sha256(Buffer.of(2), key, uint64(list.length), range.root()) };
  });
  return { root: Buffer.from(subtree(leaves, 0)).toString('hex'), count: leaves.length };
}

export function literalPostings(entries: readonly Uint8Array[]): Map<string, number[]> {
  const postings = new Map<string, number[]>();
  for (const [index, body] of entries.entries()) {
    for (let at = 0; at + 32 <= body.length; at += 32) {
      const name = Buffer.from(body.subarray(at, at + 32)).toString('hex');
      const list = postings.get(name) ?? [];
      if (list[list.length - 1] !== index) list.push(index);
      postings.set(name, list);
    }
  }
  return postings;
}

interface Leaf {
  readonly key: Buffer;
  readonly hash: Uint8Array;
}

function subtree(leaves: readonly Leaf[], depth: number): Uint8Array {
  if (leaves.length === 0) return new Uint8Array(32);
  if (leaves.length === 1) return leaves[0]!.hash;
  const side = (bit: number) => leaves.filter(({ key }) => ((key[depth >> 3]! >> (7 - (depth & 7))) & 1) === bit);
  return sha256(Buffer.of(3), subtree(side(0), depth + 1), subtree(side(1), depth + 1));
}

function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  return createHash('sha256').update(Buffer.concat(parts)).digest();
}

function uint64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

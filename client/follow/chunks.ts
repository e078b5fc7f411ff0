/**
 * The entries behind a cursor, in chunks of whole bundles.
 *
 * The feed appends the leaf hashes of a chunk to the tree of the cursor, and hands the chunk on only where that tree is
 * the beginning of the tree that the log signed. So each entry is what the log has committed to at its index, before a
 * consumer looks at it. Memory does not grow with the backlog.
 */
import { parseBundle } from '../../merkle/bundle.ts';
import { equal } from '../../merkle/bytes.ts';
import { MerkleError } from '../../merkle/errors.ts';
import type { CompactRange } from '../../merkle/range.ts';
import { leafHash } from '../../merkle/rfc6962.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { type FetchTile, TILE_WIDTH, tileWidth } from '../../merkle/tile.ts';
import { ClientError } from '../errors.ts';
import { proveLeaf } from '../tiles/tree-proofs.ts';
import type { TileSource } from '../tiles/types.ts';
import { isPrefix } from './consistency.ts';
import type { BadEntry, FeedEntry, FeedSettings, SignedHead } from './types.ts';

interface Chunk {
  readonly entries: readonly FeedEntry[];
  /** The tree up to the last of them. */
  readonly range: CompactRange;
}

/**
 * Bundles of one chunk, at most: 1,024 entries. With 16 bundles the memory is 30 to 60 MiB more, past 300 MB, and the
 * processor time a tenth less.
 */
const CHUNK_BUNDLES = 4;
/** The part of a chunk that the first bundle is expected to fill: 2 MiB where a chunk has 16. */
const GUESS = 1 / 8;

/** One run over the entries below `head`. */
export interface Reading {
  readonly source: TileSource;
  readonly log: string;
  readonly head: SignedHead;
  readonly tiles: FetchTile;
  readonly settings: FeedSettings;
  readonly signal: AbortSignal;
  /** Bytes of the longest bundle so far. */
  longest?: number;
}

/** A bundle as the log served it. One that does not parse stays here, as it may be what the log is to blame for. */
interface FetchedBundle {
  readonly index: number;
  readonly width: number;
  readonly bytes: Uint8Array;
}

/**
 * Fetches the next chunk after `from`, up to `end`: 0 < end - from.size, end <= head.size. It does not change `from`, and
 * checks nothing but what the source checks.
 */
export async function fetchChunk(reading: Reading, from: CompactRange, end: number): Promise<readonly FetchedBundle[]> {
  const { source, head, settings, signal } = reading;
  const chunk: FetchedBundle[] = [];
  const last = Math.ceil(end / TILE_WIDTH);
  let next = Math.floor(from.size / TILE_WIDTH);
  let bytes = 0;
  while (next < last && chunk.length < CHUNK_BUNDLES && bytes < settings.chunkBytes) {
    // Bundles of 16 MiB come one by one. Otherwise a log could fill the memory with the bundles under way.
    const longest = reading.longest ?? settings.chunkBytes * GUESS;
    const room = Math.max(1, Math.floor((settings.chunkBytes - bytes) / longest));
    const count = Math.min(settings.parallel, room, last - next, CHUNK_BUNDLES - chunk.length);
    const window = await Promise.all(
      Array.from({ length: count }, async (_, i) => {
        const index = next + i;
        const width = tileWidth(0, index, head.size);
        return { index, width, bytes: await source.entries(index, width, signal) };
      }),
    );
    next += count;
    for (const bundle of window) {
      chunk.push(bundle);
      bytes += bundle.bytes.length;
      reading.longest = Math.max(reading.longest ?? 0, bundle.bytes.length);
    }
  }
  return chunk;
}

/**
 * The entries of the chunk behind `from`, proven; or the entry that the log is to blame for.
 *
 * @throws ClientError `corrupt`: the tiles do not lead to the signed root, and so show nothing; what the source throws
 */
export async function verifyChunk(
  reading: Reading,
  from: CompactRange,
  fetched: readonly FetchedBundle[],
): Promise<Chunk | BadEntry> {
  const { log, head, tiles } = reading;
  const range = from.clone();
  const entries: FeedEntry[] = [];
  try {
    for (const { index, width, bytes } of fetched) {
      for (const [i, body] of parseBundle(bytes, width).entries()) {
        const at = index * TILE_WIDTH + i;
        if (at < from.size) continue;
        const hash = leafHash(body, fastSha256);
        range.append(hash);
        entries.push({ log, index: at, leafHash: hash, body });
      }
    }
    if (await isPrefix(range, head, tiles)) return { entries, range };
  } catch (error) {
    if (!(error instanceof MerkleError)) throw error;
  }
  for (const bundle of fetched) {
    const found = await firstBadEntry(reading, from.size, bundle);
    if (found !== undefined) return found;
  }
  const why = `the tiles that are served do not lead to the root that the log signed for size ${head.size}`;
  throw new ClientError('corrupt', `${why}; the entries from ${from.size} on cannot be checked`);
}

/** The first entry of a bundle, from `since` on, that is not the leaf which the tree has there. */
async function firstBadEntry(
  { head, tiles }: Reading,
  since: number,
  { index, width, bytes }: FetchedBundle,
): Promise<BadEntry | undefined> {
  const leaves = await tiles({ level: 0, index, width });
  const bodies = wholeEntries(bytes);
  for (let i = Math.max(0, since - index * TILE_WIDTH); i < width; i++) {
    const leaf = leaves.slice(32 * i, 32 * i + 32);
    const served = bodies[i];
    if (served !== undefined && equal(leafHash(served, fastSha256), leaf)) continue;
    const at = index * TILE_WIDTH + i;
    const entry = { index: at, leafHash: leaf };
    const hashes = await inclusionHashes(head, at, leaf, tiles);
    const seen = { keys: head.keys, checkpoint: head.own, hashes, served: served ?? new Uint8Array(0) };
    return { type: 'bad-entry', proven: false, head, ...entry, served, evidence: { ...entry, ...seen } };
  }
  return undefined;
}

/** The inclusion proof of a leaf from a tile. @throws ClientError `corrupt`: the tile is not the tree's */
async function inclusionHashes(head: SignedHead, index: number, leaf: Uint8Array, tiles: FetchTile) {
  try {
    return await proveLeaf(head, index, leaf, tiles, fastSha256);
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    const why = `neither the tile nor the bundle of entry ${index} leads to the root that the log signed for size ${head.size}`;
    throw new ClientError('corrupt', `${why}; nothing is proven, and both are asked for again`, { cause });
  }
}

/** The entries of a bundle from the first on, as many as are whole. */
function wholeEntries(bytes: Uint8Array): Uint8Array[] {
  const entries: Uint8Array[] = [];
  for (let at = 0; at + 2 <= bytes.length; ) {
    const end = at + 2 + bytes[at]! * 256 + bytes[at + 1]!;
    if (end > bytes.length) break;
    entries.push(bytes.subarray(at + 2, end));
    at = end;
  }
  return entries;
}

/**
 * The entries after the cursor, in chunks of whole bundles. A chunk is handed on only when the tree that its leaves give,
 * appended to the tree of the cursor, is the beginning of the tree that the log signed: so each entry is what the log has
 * committed to at its index, before anybody looks into it. Memory does not grow with the backlog.
 */
import { parseBundle } from '../../merkle/bundle.ts';
import { equal } from '../../merkle/bytes.ts';
import { MerkleError } from '../../merkle/errors.ts';
import { inclusionNodes, inclusionProof, verifyInclusion } from '../../merkle/proof.ts';
import type { CompactRange } from '../../merkle/range.ts';
import { leafHash } from '../../merkle/rfc6962.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { type FetchTile, readTiles, TILE_WIDTH, tileWidth } from '../../merkle/tile.ts';
import { ClientError } from '../errors.ts';
import type { Misbehaviour } from '../monitor/fact-alerts.ts';
import type { FollowSettings } from '../monitor/follow-settings.ts';
import type { SeenEntry } from '../monitor/types.ts';
import type { TileSource } from '../tiles/types.ts';
import { isPrefix } from './consistency.ts';
import type { Head } from './signed-head.ts';

export interface Chunk {
  readonly entries: readonly SeenEntry[];
  /** The tree up to the last of them. */
  readonly range: CompactRange;
}

/**
 * Bundles of one chunk, at most: 1,024 entries. With 16 the memory is 30 to 60 MiB more, past 300 MB, for a tenth of the
 * processor time.
 */
const CHUNK_BUNDLES = 4;
/** Before one was seen, a bundle is taken to fill this part of a chunk: 2 MiB where a chunk has 16. */
const GUESS = 1 / 8;

export interface Reading {
  readonly source: TileSource;
  readonly log: string;
  readonly head: Head;
  readonly tiles: FetchTile;
  readonly settings: FollowSettings;
  readonly signal: AbortSignal;
  /** Bytes of the longest bundle so far. */
  longest?: number;
}

/** What was fetched: a bundle that does not parse is kept, as it may be the lie itself. */
interface Fetched {
  readonly index: number;
  readonly width: number;
  readonly bytes: Uint8Array;
}

/**
 * The next chunk after `from`, up to `end`: 0 < end - from.size, end <= head.size. Nothing of it has been checked when
 * this resolves but its form; `from` stays as it is.
 */
export async function fetchChunk(reading: Reading, from: CompactRange, end: number): Promise<readonly Fetched[]> {
  const { source, head, settings, signal } = reading;
  const chunk: Fetched[] = [];
  const last = Math.ceil(end / TILE_WIDTH);
  let next = Math.floor(from.size / TILE_WIDTH);
  let bytes = 0;
  while (next < last && chunk.length < CHUNK_BUNDLES && bytes < settings.chunkBytes) {
    // Bundles of 16 MiB are taken one by one, or a log could fill the memory with those under way.
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
 * The entries of the chunk, proven; or why the log can be blamed for it.
 *
 * @throws ClientError `corrupt` where the tiles do not lead to the signed root, so that nothing is shown
 */
export async function verifyChunk(
  reading: Reading,
  from: CompactRange,
  fetched: readonly Fetched[],
): Promise<Chunk | Misbehaviour> {
  const { log, head, tiles } = reading;
  const range = from.clone();
  const entries: SeenEntry[] = [];
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
    const found = await blame(reading, from.size, bundle);
    if (found !== undefined) return found;
  }
  throw new ClientError(
    'corrupt',
    `the tiles that are served do not lead to the root that the log signed for size ${head.size}; the entries from ${from.size} on cannot be checked`,
  );
}

/** The first entry of a bundle, from `since` on, that is not the leaf which the tree has there. */
async function blame(
  { head, tiles }: Reading,
  since: number,
  { index, width, bytes }: Fetched,
): Promise<Misbehaviour | undefined> {
  const leaves = await tiles({ level: 0, index, width });
  const served = entriesOf(bytes);
  for (let i = Math.max(0, since - index * TILE_WIDTH); i < width; i++) {
    const leaf = leaves.slice(32 * i, 32 * i + 32);
    const body = served[i] ?? new Uint8Array(0);
    if (served[i] !== undefined && equal(leafHash(body, fastSha256), leaf)) continue;
    const at = index * TILE_WIDTH + i;
    const hashes = await proven(head, at, leaf, tiles);
    const what =
      served[i] === undefined ? 'the bundle ends before it or does not parse' : 'the bundle has other bytes for it';
    return {
      kind: 'bad-entry',
      condition: 'bad-entry',
      detail: `${at} ${Buffer.from(fastSha256(body)).toString('hex')}`,
      summary: `entry ${at} does not hash into the tree that the log signed (size ${head.size}): ${what}`,
      proven: false,
      entry: { index: at, leafHash: leaf },
      evidence: { keys: head.keys, checkpoint: head.own, index: at, leafHash: leaf, hashes, served: body },
    };
  }
  return undefined;
}

/** The inclusion proof of a leaf from a tile. @throws ClientError `corrupt` where the tile is not the tree's */
async function proven(head: Head, index: number, leaf: Uint8Array, tiles: FetchTile): Promise<Uint8Array[]> {
  try {
    const read = await readTiles(inclusionNodes(index, head.size), head.size, tiles, fastSha256);
    const hashes = inclusionProof(index, head.size, read, fastSha256);
    verifyInclusion({ index, size: head.size, leafHash: leaf, root: head.root, hashes }, fastSha256);
    return hashes;
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    const why = `neither the tile nor the bundle of entry ${index} leads to the root that the log signed for size ${head.size}`;
    throw new ClientError('corrupt', `${why}; nothing is proven, and both are asked for again`, { cause });
  }
}

/** As many entries as can be read, from the first on. */
function entriesOf(bytes: Uint8Array): Uint8Array[] {
  const entries: Uint8Array[] = [];
  for (let at = 0; at + 2 <= bytes.length; ) {
    const end = at + 2 + bytes[at]! * 256 + bytes[at + 1]!;
    if (end > bytes.length) break;
    entries.push(bytes.subarray(at + 2, end));
    at = end;
  }
  return entries;
}

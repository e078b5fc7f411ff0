/** The postings of a key as they were, and as they are with further ones. */
import { ClientError } from '../../errors.ts';
import { CHUNK, type Chunk, type KeyPostings, NO_POSTINGS } from './key-postings.ts';
import type { PostingLog } from './posting-log.ts';

/** A chunk that became full. */
export interface FullChunk {
  readonly index: number;
  readonly chunk: Chunk;
}

export class KeyHistory {
  readonly #chunk: (key: Uint8Array, index: number) => Promise<Chunk>;
  readonly #hashes: PostingLog;

  /** @param chunk reads a full chunk of a key */
  constructor(chunk: (key: Uint8Array, index: number) => Promise<Chunk>, hashes: PostingLog) {
    this.#chunk = chunk;
    this.#hashes = hashes;
  }

  /** The postings below `size`. */
  async below(key: Uint8Array, all: KeyPostings, size: number): Promise<KeyPostings> {
    if (all.last < size) return all;
    if (all.rest.length > 0 && all.rest[0]! < size) {
      const rest = all.rest.slice(0, lowerBound(all.rest, size));
      return { count: all.count - all.rest.length + rest.length, edge: all.edge, rest, last: rest[rest.length - 1]! };
    }
    // The last full chunk that begins below the size.
    let [low, high] = [0, Math.floor(all.count / CHUNK)];
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if ((await this.#chunk(key, middle)).rest[0]! < size) low = middle + 1;
      else high = middle;
    }
    if (low === 0) return NO_POSTINGS;
    const chunk = await this.#chunk(key, low - 1);
    return this.#ofChunk(chunk, low - 1, lowerBound(chunk.rest, size));
  }

  /** The postings up to the first `length` of a chunk, 1 or more. */
  #ofChunk(chunk: Pick<KeyPostings, 'edge' | 'rest'>, index: number, length: number): KeyPostings {
    const last = chunk.rest[length - 1]!;
    const count = index * CHUNK + length;
    if (length === CHUNK) return { count, edge: this.#hashes.edgeBehind(chunk, index), rest: [], last };
    return { count, edge: chunk.edge, rest: chunk.rest.slice(0, length), last };
  }

  /**
   * The postings with further ones, which `onChunk` gets the full chunks of.
   *
   * @param places ascending, from `first` on
   * @throws ClientError `state`: one of them is there already, or a later one
   */
  added(postings: KeyPostings, places: Uint32Array, first: number, onChunk: (chunk: FullChunk) => void): KeyPostings {
    let { edge } = postings;
    let rest = [...postings.rest];
    for (const place of places) rest.push(first + place);
    if (postings.last >= first + places[0]!) {
      throw new ClientError('state', 'the map has a posting that it gets again: build the map again');
    }
    const count = postings.count + places.length;
    for (let index = Math.floor(postings.count / CHUNK); rest.length >= CHUNK; index++) {
      const chunk = { edge, rest: rest.slice(0, CHUNK) };
      onChunk({ index, chunk });
      edge = this.#hashes.edgeBehind(chunk, index);
      rest = rest.slice(CHUNK);
    }
    return { count, edge, rest, last: first + places[places.length - 1]! };
  }
}

/** The number of values below `bound`. */
function lowerBound(values: readonly number[], bound: number): number {
  let [low, high] = [0, values.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (values[middle]! < bound) low = middle + 1;
    else high = middle;
  }
  return low;
}

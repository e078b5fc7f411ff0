/** Streams of indexes, in either order, over the rows of postings. */
import type { LevelRow } from '../../../merkle/runtime/disk/level.ts';
import type { SearchOrder } from '../types.ts';
import type { IndexStore } from './index-store.ts';
import { FAMILY, lastNumber, MAX_NUMBER, numberKey, rowKey, VarintReader } from './layout.ts';
import type { Work } from './work.ts';

/** Indexes in the order of the search. */
export interface IndexStream {
  /** The first index at `target` or behind it, in the order; undefined where there is none. Targets never go back. */
  seek(target: number): Promise<number | undefined>;
}

/** Units of work for a read of the store, and for each row. */
const READ = 100;
const ROW = 8;
const FIRST_ROWS = 2;
const MOST_ROWS = 64;

/** The postings of one value. */
export class PostingStream implements IndexStream {
  readonly #store: IndexStore;
  readonly #prefix: Buffer;
  readonly #ascending: boolean;
  readonly #work: Work;
  /** Indexes that were read, in the order. */
  #read: number[] = [];
  #at = 0;
  #rows = FIRST_ROWS;
  #ended = false;

  /** @param value its key: layout.ts */
  constructor(store: IndexStore, log: number, value: Uint8Array, order: SearchOrder, work: Work) {
    this.#store = store;
    this.#prefix = rowKey(FAMILY.posting, log, value);
    this.#ascending = order === 'ascending';
    this.#work = work;
  }

  async seek(target: number): Promise<number | undefined> {
    for (;;) {
      const last = this.#read.at(-1);
      if (last !== undefined && this.#reaches(last, target)) {
        this.#advance(target);
        return this.#read[this.#at];
      }
      if (this.#ended) return undefined;
      await this.#load(target);
    }
  }

  #reaches(index: number, target: number): boolean {
    return this.#ascending ? index >= target : index <= target;
  }

  /** To the first index that reaches the target: close by as a rule, else by halves. */
  #advance(target: number): void {
    let step = 1;
    let low = this.#at;
    let high = low;
    while (!this.#reaches(this.#read[high]!, target)) {
      low = high + 1;
      high = Math.min(this.#read.length - 1, high + step);
      step *= 2;
    }
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#reaches(this.#read[middle]!, target)) high = middle;
      else low = middle + 1;
    }
    this.#at = low;
  }

  async #load(target: number): Promise<void> {
    const rows = this.#ascending ? await this.#from(target) : await this.#upTo(target);
    this.#work.spend(READ + rows.length * ROW);
    if (rows.length < this.#rows) this.#ended = true;
    const read = rows.flatMap(([key, value]) => {
      const indexes = indexesOf(key, value);
      return this.#ascending ? indexes : indexes.reverse();
    });
    this.#work.spend(read.length / 32);
    this.#read = read;
    this.#at = 0;
    this.#rows = Math.min(MOST_ROWS, 2 * this.#rows);
    await this.#work.breathe();
  }

  /** The row that holds the target, or would, and those behind it. */
  async #from(target: number): Promise<readonly LevelRow[]> {
    const [before] = await this.#store.rows({ gte: this.#key(0), lt: this.#key(target + 1), reverse: true }, 1);
    const gte = before?.[0] ?? this.#key(0);
    return await this.#store.rows({ gte, lt: this.#end() }, this.#rows);
  }

  async #upTo(target: number): Promise<readonly LevelRow[]> {
    return await this.#store.rows({ gte: this.#key(0), lt: this.#key(target + 1), reverse: true }, this.#rows);
  }

  #key(index: number): Buffer {
    return index > MAX_NUMBER ? this.#end() : Buffer.concat([this.#prefix, numberKey(index)]);
  }

  #end(): Buffer {
    return Buffer.concat([this.#prefix, numberKey(MAX_NUMBER), Buffer.of(0)]);
  }
}

function indexesOf(key: Uint8Array, value: Uint8Array): number[] {
  let index = lastNumber(key);
  const indexes = [index];
  const reader = new VarintReader(value);
  while (!reader.done) {
    index += reader.next();
    indexes.push(index);
  }
  return indexes;
}

/** The indexes of several streams, each once. */
export class UnionStream implements IndexStream {
  readonly #streams: { readonly stream: IndexStream; head: number | undefined; begun: boolean }[];
  readonly #ascending: boolean;
  readonly #work: Work;

  constructor(streams: readonly IndexStream[], order: SearchOrder, work: Work) {
    this.#streams = streams.map((stream) => ({ stream, head: undefined, begun: false }));
    this.#ascending = order === 'ascending';
    this.#work = work;
  }

  async seek(target: number): Promise<number | undefined> {
    let best: number | undefined;
    for (const one of this.#streams) {
      const isBehind = one.head !== undefined && (this.#ascending ? one.head < target : one.head > target);
      if (!one.begun || isBehind) {
        one.begun = true;
        one.head = await one.stream.seek(target);
      }
      if (one.head === undefined) continue;
      if (best === undefined || (this.#ascending ? one.head < best : one.head > best)) best = one.head;
    }
    this.#work.spend(this.#streams.length / 16);
    return best;
  }
}

/** Which entries of a tree hold all terms of a query, in its order: as many as a page takes, within a bounded amount of work. */
import type { TermTester } from '../terms.ts';
import type { SearchOrder } from '../types.ts';
import { BlockFilter } from './block-filter.ts';
import type { Comparing } from './comparing.ts';
import type { Expansion } from './expansion.ts';
import type { IndexStore } from './index-store.ts';
import { packValue, valueKey } from './layout.ts';
import { type IndexStream, PostingStream, UnionStream } from './postings.ts';
import { Work } from './work.ts';

interface Wanted {
  /** The number of the log in keys. */
  readonly log: number;
  /** Size of the tree. */
  readonly size: number;
  readonly testers: readonly TermTester[];
  /** Indexes in [from, to). */
  readonly from: number;
  readonly to: number;
  readonly order: SearchOrder;
  readonly limit: number;
}

interface FoundIndexes {
  readonly indexes: readonly number[];
  /** The next index to look at, within the range; undefined where all was looked at. */
  readonly next: number | undefined;
}

interface FindParts {
  readonly store: IndexStore;
  readonly expansion: Expansion;
  readonly comparing: Comparing;
}

/** @throws RuntimeError `store`, `pool`; ClientError `state`, `cancelled` */
export async function findIndexes(wanted: Wanted, parts: FindParts, signal: AbortSignal): Promise<FoundIndexes> {
  const { log, size, testers, from, to, order, limit } = wanted;
  const { store, expansion, comparing } = parts;
  const ascending = order === 'ascending';
  const work = new Work(signal);
  const [exact, unions]: [IndexStream[], IndexStream[]] = [[], []];
  const broad: TermTester[] = [];
  for (const tester of testers) {
    const { term } = tester;
    if (term.match === 'exact') {
      exact.push(new PostingStream(store, log, valueKey(packValue(term)), order, work));
      continue;
    }
    const values = await expansion.values(log, tester, size, signal);
    if (values === 'many') broad.push(tester);
    else {
      const streams = values.map((value) => new PostingStream(store, log, value, order, work));
      unions.push(new UnionStream(streams, order, work));
    }
  }
  // The cheap ones first: they say soon that there is nothing more.
  const streams = [...exact, ...unions];
  const filter = broad.length === 0 ? undefined : new BlockFilter(store, log, broad, comparing, work);
  const indexes: number[] = [];
  const step = ascending ? 1 : -1;
  const isInside = (index: number) => index >= from && index < to;
  let at = ascending ? from : to - 1;
  while (isInside(at)) {
    if (indexes.length === limit || work.isOver) return { indexes, next: at };
    const met = await meeting(streams, at, work);
    if (met === undefined || !isInside(met.index)) break;
    at = met.index;
    if (!met.all) continue;
    if (filter === undefined || (await filter.test(at))) indexes.push(at);
    work.spend(1);
    at += step;
  }
  return { indexes, next: undefined };
}

/**
 * The first index at `target` or behind it where all streams meet; or one before which they do not, where the work is over.
 * Undefined: they meet no more.
 */
async function meeting(
  streams: readonly IndexStream[],
  target: number,
  work: Work,
): Promise<{ readonly index: number; readonly all: boolean } | undefined> {
  let index = target;
  for (let agreed = 0, at = 0; agreed < streams.length; at = (at + 1) % streams.length) {
    if (work.isOver) return { index, all: false };
    const found = await streams[at]!.seek(index);
    work.spend(1);
    if (found === undefined) return undefined;
    if (found === index) agreed++;
    else {
      index = found;
      agreed = 1;
    }
  }
  await work.breathe();
  return { index, all: true };
}

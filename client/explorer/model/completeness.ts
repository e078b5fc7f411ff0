/**
 * What a verifiable index proves about a page of a search: that the page leaves nothing out, and invents nothing; or what it left out.
 */
import { counted } from '../../formats/counted.ts';
import type { SearchQuery } from '../../search/types.ts';
import { claimChecked, claimFailed, claimNotChecked, type PageClaim } from './claims.ts';

/** A lookup that holds. */
interface ProvenPostings {
  readonly present: boolean;
  /** Ascending. */
  readonly indexes: readonly number[];
  /** `indexes` are all of them. */
  readonly complete: boolean;
  readonly completeThrough: number;
  /** How many rebuilders stand behind it. */
  readonly rebuilders: number;
}

/** A page of which each hit was checked. */
interface CheckedPlace {
  readonly size: number;
  /** Indexes of its hits, in the order of the query. */
  readonly hits: readonly number[];
  /** The last hit of the page before. */
  readonly after?: number;
  readonly more: boolean;
}

const WHAT = 'Nothing is left out, and nothing is invented';
const NAMED = 5;

/**
 * What is proven of the entries that the page stands for, and of which of them nothing is proven yet.
 *
 * @param query with one exact term
 */
export function completenessOf(page: CheckedPlace, query: SearchQuery, proven: ProvenPostings): readonly PageClaim[] {
  const { from = 0, to = Number.MAX_SAFE_INTEGER, order = 'ascending' } = query;
  const through = proven.complete ? proven.completeThrough : (proven.indexes.at(-1) ?? -1) + 1;
  const last = page.hits.at(-1);
  // The entries that this page stands for: behind the page before, up to its last hit, or to the end where no page follows.
  const [low, high] =
    order === 'ascending'
      ? [(page.after ?? -1) + 1, page.more ? (last ?? page.after ?? -1) + 1 : page.size]
      : [page.more ? (last ?? page.after ?? page.size) : 0, page.after ?? page.size];
  const begin = Math.max(low, from);
  const end = Math.min(high, to, page.size, through);
  const own = new Set(page.hits);
  const left = proven.indexes.filter((index) => index >= begin && index < end && !own.has(index));
  if (left.length > 0) {
    return [claimFailed(WHAT, `the verifiable index proves ${entries(left)}, which the search leaves out`)];
  }
  const known = new Set(proven.indexes);
  const extra = page.hits.filter((index) => index < through && !known.has(index));
  if (extra.length > 0) {
    const why = `the search has ${entries(extra)}, which the verifiable index proves not to be there: one of both is wrong`;
    return [claimFailed(WHAT, why)];
  }
  const until = Math.min(high, to, page.size);
  if (!proven.complete && through < until) {
    const why = `the verifiable index proves it only below entry ${through}, as there are too many hits`;
    return [claimNotChecked(WHAT, why)];
  }
  const behind = Math.max(through, low, from);
  const open =
    behind < until
      ? [claimNotChecked(`${WHAT}, from entry ${behind} on`, 'the verifiable index has not read those entries yet')]
      : [];
  if (open.length > 0 && end <= begin) return open;
  const by =
    proven.rebuilders === 0
      ? 'by the word of its operator, as nobody rebuilt it'
      : `rebuilt by ${counted(proven.rebuilders, 'other')}`;
  const first = `the first ${counted(proven.completeThrough, 'entry', 'entries')}`;
  const where = open.length > 0 ? ` in ${first}` : '';
  const what = proven.present ? `${WHAT}${where}` : `It is proven that there is no such entry${where}`;
  return [...open, claimChecked(what, `proven for ${first}, ${by}`)];
}

function entries(indexes: readonly number[]): string {
  const named = indexes.slice(0, NAMED).join(', ');
  return `${indexes.length === 1 ? 'entry' : `${indexes.length} entries:`} ${named}${indexes.length > NAMED ? ' and others' : ''}`;
}

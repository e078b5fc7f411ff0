/**
 * Checks what an index answered to a query, hit by hit, and believes it nothing. It runs in a browser.
 *
 * What holds then: each hit is in the tree that the log signed and the quorum cosigned, at its index, and has what was searched
 * for. What nobody can see from a page: a hit that the index leaves out. Only the verifiable index proves that there is none
 * (docs/index.md). Nor does a page show that an entry is in a range of time.
 */
import { equal } from '../../merkle/bytes.ts';
import { extractKeys } from '../../merkle/index/extract.ts';
import type { IndexKey } from '../../merkle/index/keys.ts';
import { printable } from '../../merkle/printable.ts';
import type { Primitives } from '../../merkle/rekor/primitives.ts';
import { leafHash } from '../../merkle/rfc6962.ts';
import { ClientError } from '../errors.ts';
import { verifyCheckpoint } from '../verify/checkpoint.ts';
import type { CheckpointMemory } from '../verify/checkpoint-memory.ts';
import { checkInclusion, sha256Of } from '../verify/leaf.ts';
import type { CheckpointTrust, VerifiedCheckpoint } from '../verify/types.ts';
import type { SearchHit, SearchPage, SearchQuery, SearchTerm } from './types.ts';

/**
 * Whether the RE2 pattern is found in the text. The caller brings it, so that a page of a browser loads RE2 only where a pattern
 * is used. It throws for a pattern that is none.
 */
export type PatternMatcher = (pattern: string, text: string) => boolean;

/** A hit that holds, or why it does not. */
export type CheckedHit = SearchHit & {
  /** RFC 6962 leaf hash of the body: 32 bytes. */
  readonly leafHash: Uint8Array;
  /** What an index finds the entry by, read from the body here. */
  readonly keys: readonly IndexKey[];
} & ({ readonly ok: true } | { readonly ok: false; readonly error: ClientError });

export interface CheckedPage {
  /** The origin of the log. */
  readonly log: string;
  readonly size: number;
  /** 32 bytes. */
  readonly root: Uint8Array;
  readonly checkpoint: string;
  /** Which key of the log signed, and which witnesses cosigned. */
  readonly verified: VerifiedCheckpoint;
  readonly hits: readonly CheckedHit[];
  readonly next?: string;
  /** The index of the last hit of this page and of those before it. */
  readonly last?: number;
}

export interface PageChecks {
  readonly primitives: Primitives;
  /** Needed where a term is a pattern. */
  readonly matches?: PatternMatcher;
  /** The page before, checked: this one must be about the same tree, and go on behind the last hit. */
  readonly before?: Pick<CheckedPage, 'log' | 'size' | 'root' | 'last'>;
  readonly memory?: CheckpointMemory;
}

/**
 * @param trust the keys of the log, and the quorum that its checkpoint needs
 * @throws ClientError about the page as a whole: `bad-checkpoint`, `quorum`, `policy`: the checkpoint does not hold, or is about
 *   another log or tree than the page; `bad-page`: a hit is outside of the range, out of order or repeated, there are more than
 *   were asked for, or the page is about another tree than the one before; `usage`: a pattern without `matches`
 */
export function checkPage(
  page: SearchPage,
  query: SearchQuery,
  trust: CheckpointTrust,
  checks: PageChecks,
): CheckedPage {
  const { primitives, before, memory } = checks;
  const { log, size, root, checkpoint, hits, next } = page;
  if (log !== query.log)
    throw badPage(`the page is about the log "${printable(log)}", and not the one that was asked for`);
  const verified = verifyCheckpoint(checkpoint, undefined, trust, primitives, memory);
  const { head } = verified;
  if (head.origin !== query.log) {
    throw badCheckpoint(`its checkpoint is of the log "${printable(head.origin)}", and not the one that was asked for`);
  }
  if (head.size !== size || !equal(head.root, root)) throw badCheckpoint('its checkpoint is about another tree');
  if (before !== undefined && (before.log !== log || before.size !== size || !equal(before.root, root))) {
    throw badPage(`the page is about a tree of ${size} entries, and the page before about one of ${before.size}`);
  }
  checkPlaces(page, query, before?.last);
  const last = hits.at(-1)?.index ?? before?.last;
  return {
    log,
    size,
    root,
    checkpoint,
    verified,
    hits: hits.map((hit) => checkHit(hit, page, query.terms, checks)),
    ...(next !== undefined && { next }),
    ...(last !== undefined && { last }),
  };
}

/** Where the hits are: in the range, in order, each once. @param last the index of the last hit before this page */
function checkPlaces({ hits, size }: SearchPage, query: SearchQuery, last: number | undefined): void {
  const { from = 0, to = size, limit, order = 'ascending' } = query;
  if (hits.length > limit) throw badPage(`it has ${hits.length} hits, and ${limit} at most were asked for`);
  let before = last;
  for (const { index } of hits) {
    if (index >= size) throw badPage(`it has entry ${index}, and its tree has ${size} entries`);
    if (index < from || index >= to)
      throw badPage(`it has entry ${index}, which is outside of the range that was asked for`);
    if (before !== undefined && (order === 'ascending' ? index <= before : index >= before)) {
      throw badPage(`entry ${index} stands behind entry ${before}: hits are ${order} and none comes twice`);
    }
    before = index;
  }
}

function checkHit(
  hit: SearchHit,
  { size, root }: SearchPage,
  terms: readonly SearchTerm[],
  { primitives, matches }: PageChecks,
): CheckedHit {
  const hash = leafHash(hit.body, sha256Of(primitives));
  const keys = extractKeys(hit.body);
  const checked = { ...hit, leafHash: hash, keys };
  try {
    checkInclusion({ index: hit.index, size, leafHash: hash, root, hashes: hit.proof }, primitives);
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    return { ...checked, ok: false, error };
  }
  const missing = terms.find((term) => !keys.some((key) => holds(key, term, matches)));
  if (missing === undefined) return { ...checked, ok: true };
  const why = `the entry at index ${hit.index} is in the log, and has no ${missing.kind} ${sentence(missing)}`;
  return { ...checked, ok: false, error: new ClientError('bad-hit', why) };
}

/** Whether the key is what the term asks for. @throws ClientError `usage` for a pattern without `matches` */
function holds({ kind, value }: IndexKey, term: SearchTerm, matches: PatternMatcher | undefined): boolean {
  if (kind !== term.kind) return false;
  // Prefixes of well-formed text in UTF-8 and in UTF-16 are the same.
  if (term.match === 'exact') return value === term.value;
  if (term.match === 'prefix') return value.startsWith(term.value);
  if (matches === undefined) throw new ClientError('usage', 'a pattern cannot be compared without an RE2 matcher');
  return matches(term.value, value);
}

function sentence({ match, value }: SearchTerm): string {
  const text = `"${printable(value)}"`;
  return match === 'exact'
    ? text
    : match === 'prefix'
      ? `that begins with ${text}`
      : `in which the pattern ${text} is found`;
}

function badPage(why: string): ClientError {
  return new ClientError('bad-page', `the index gave a wrong answer: ${why}`);
}

function badCheckpoint(why: string): ClientError {
  return new ClientError('bad-checkpoint', `the index gave a wrong answer: ${why}`);
}

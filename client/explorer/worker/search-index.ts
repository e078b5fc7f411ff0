/**
 * Asks the index of a log, and checks what it answers: each hit against the tree that the log signed, and that tree against the one
 * that the log itself shows. What an index leaves out, no answer shows; only a verifiable index proves that.
 */

import { decodeUtf8 } from '../../../merkle/bytes.ts';
import { MerkleError } from '../../../merkle/errors.ts';
import type { ExplorerLog } from '../../../merkle/explorer-config.ts';
import { parseNote } from '../../../merkle/note.ts';
import { printable } from '../../../merkle/printable.ts';
import { noblePrimitives } from '../../../merkle/rekor/noble-primitives.ts';
import { sha256 } from '../../../merkle/rfc6962.ts';
import { ClientError } from '../../errors.ts';
import { counted } from '../../formats/counted.ts';
import { type CheckedPage, checkPage } from '../../search/check-page.ts';
import { MAX_SEARCH_REPLY, parseSearchPage, searchUrl } from '../../search/search-json.ts';
import type { SearchQuery } from '../../search/types.ts';
import { isBeginning, tilesOf } from '../../tiles/tree-proofs.ts';
import type { TreeHead } from '../../tiles/types.ts';
import { isBy } from '../../trust/quorum.ts';
import type { CheckpointTrust } from '../../verify/types.ts';
import { askPatiently, openInBrowser } from '../model/browser-files.ts';
import { claimChecked, claimFailed, claimNotChecked, type PageClaim } from '../model/claims.ts';
import { completenessOf } from '../model/completeness.ts';
import { type EntryWords, entryWords } from '../model/entry-words.ts';
import { claimsOfMemory } from '../model/look-claims.ts';
import { lookAtNewest } from './look-at-log.ts';
import type { TaskContext } from './protocol.ts';
import { quorumClaim, readTrustedRoot } from './show-entry.ts';

export interface SearchInput {
  readonly log: ExplorerLog;
  readonly query: SearchQuery;
  /** What this browser made of the page before. */
  readonly before?: SearchPlace;
}

/** Where a page ends: the next one must go on there, in the same tree. */
export interface SearchPlace {
  readonly log: string;
  readonly size: number;
  readonly root: Uint8Array;
  readonly last?: number;
}

export interface ShownHit {
  readonly index: number;
  readonly leafHash: Uint8Array;
  /** That it is in the tree, and has what was searched for. */
  readonly claim: PageClaim;
  readonly words: EntryWords;
}

export interface SearchAnswer extends SearchPlace {
  readonly hits: readonly ShownHit[];
  readonly next?: string;
  /** About the answer as a whole. */
  readonly claims: readonly PageClaim[];
}

/** @throws ClientError: the index cannot be asked, or its answer as a whole does not hold, and nothing of it is shown */
export async function searchIndex({ log, query, before }: SearchInput, context: TaskContext): Promise<SearchAnswer> {
  if (log.index === undefined) throw new ClientError('usage', 'explorer.json names no index for this log');
  const needsPattern = query.terms.some(({ match }) => match === 're2');
  // A wrong pattern is told before anybody is asked.
  const matches = needsPattern ? (await import('../model/re2-matcher.ts')).re2Matcher() : undefined;
  for (const { match, value } of query.terms) if (match === 're2') matches!(value, '');
  const url = searchUrl(log.index, query);
  const reply = await askPatiently(url, MAX_SEARCH_REPLY, context.signal);
  if (reply.status !== 200) throw indexRefusal(log.index, reply);
  const page = parseSearchPage(reply.bytes);
  const trust = trustOf(log, page.checkpoint);
  const checked = checkPage(page, query, trust, {
    primitives: noblePrimitives,
    ...(matches && { matches }),
    ...(before && { before }),
  });
  const { trustedRoot, claim } = readTrustedRoot(log);
  const { size, root, last, next } = checked;
  const history = await sameHistory(log, checked, context);
  return {
    log: checked.log,
    size,
    root,
    ...(last !== undefined && { last }),
    ...(next !== undefined && { next }),
    hits: checked.hits.map((hit) => shownHit(hit, trustedRoot)),
    claims: [
      claimChecked('The log signed the tree that the index searched', counted(size, 'entry', 'entries')),
      quorumClaim(log, undefined),
      ...history.claims,
      ...(await completeness(log, query, checked, before, history.head ?? checked, context)),
      ...(claim === undefined ? [] : [claim]),
    ],
  };
}

function shownHit(
  hit: CheckedPage['hits'][number],
  trustedRoot: Parameters<typeof entryWords>[1]['trustedRoot'],
): ShownHit {
  const what = `Entry ${hit.index} is in the log and is what was searched for`;
  return {
    index: hit.index,
    leafHash: hit.leafHash,
    claim: hit.ok ? claimChecked(what) : claimFailed(what, hit.error),
    words: entryWords(hit.body, { trustedRoot }, noblePrimitives),
  };
}

/** Whether the tree of the index is the beginning of the one that the log shows now, or the other way round. */
async function sameHistory(
  log: ExplorerLog,
  page: TreeHead,
  context: TaskContext,
): Promise<{ readonly claims: readonly PageClaim[]; readonly head?: TreeHead }> {
  const what = 'The index and the log show the same history';
  try {
    const newest = await lookAtNewest(log, context.signal);
    const { head } = newest;
    const seen = claimsOfMemory(newest);
    const [older, newer] = page.size <= head.size ? [page, head] : [head, page];
    const same = await isBeginning(older, newer, tilesOf(openInBrowser(log.url), context.signal), sha256);
    if (same === undefined) {
      return { claims: [claimNotChecked(what, 'the log does not serve the tiles that would tell'), ...seen] };
    }
    if (!same) {
      const why = 'the trees of the index and of the log are two histories, and the log signed both';
      return { claims: [claimFailed(what, why), ...seen] };
    }
    const behind = head.size - page.size;
    const how =
      behind <= 0
        ? 'the index has looked at every entry that the log shows'
        : `the index has not looked at the last ${behind} of ${head.size} entries yet`;
    return { claims: [claimChecked(what, how), ...seen], head };
  } catch (error) {
    if (error instanceof ClientError && error.code !== 'cancelled') return { claims: [claimNotChecked(what, error)] };
    throw error;
  }
}

async function completeness(
  log: ExplorerLog,
  query: SearchQuery,
  page: CheckedPage,
  before: SearchPlace | undefined,
  head: TreeHead,
  context: TaskContext,
): Promise<readonly PageClaim[]> {
  const what = 'Nothing is left out';
  if (log.map === undefined) {
    const why = 'this log has no verifiable index here: that there is no more is the word of the index alone';
    return [claimNotChecked(what, why)];
  }
  const [term, ...others] = query.terms;
  if (term === undefined || others.length > 0 || term.match !== 'exact') {
    const why = 'a verifiable index proves searches for one exact value, and no prefix and no pattern';
    return [claimNotChecked(what, why)];
  }
  try {
    const { askLookup } = await import('./ask-lookup.ts');
    const { lookup, notRemembered } = await askLookup(log, { kind: term.kind, value: term.value }, head, context);
    const unseen =
      notRemembered === undefined ? [] : [claimNotChecked('Whether the verifiable index goes back', notRemembered)];
    if (!lookup.ok) {
      return [claimFailed(what, `the answer of the verifiable index does not hold: ${lookup.why}`), ...unseen];
    }
    const place = {
      size: page.size,
      hits: page.hits.filter(({ ok }) => ok).map(({ index }) => index),
      more: page.next !== undefined,
      ...(before?.last !== undefined && { after: before.last }),
    };
    return [...completenessOf(place, query, { ...lookup, rebuilders: lookup.rebuilders.length }), ...unseen];
  } catch (error) {
    if (error instanceof ClientError && error.code !== 'cancelled') return [claimNotChecked(what, error)];
    throw error;
  }
}

/** The key of the log that claims to have signed the checkpoint, and the policy. */
export function trustOf({ keys, policy }: ExplorerLog, checkpoint: string): CheckpointTrust {
  let signed: ReturnType<typeof parseNote> | undefined;
  try {
    signed = parseNote(checkpoint);
  } catch (error) {
    if (!(error instanceof MerkleError)) throw error;
  }
  const logKey = keys.find((key) => signed?.signatures.some((signature) => isBy(signature, key))) ?? keys[0]!;
  return { logKey, policy };
}

/** The error for an answer that is no page; the index says why, in a text that is not trusted. */
function indexRefusal(
  index: string,
  { status, bytes }: { readonly status: number; readonly bytes: Uint8Array },
): ClientError {
  let said = '';
  try {
    const { message } = JSON.parse(decodeUtf8(bytes.subarray(0, 65_536))) as { message?: unknown };
    if (typeof message === 'string') said = `: ${printable(message)}`;
  } catch {
    // It says nothing that a person could read.
  }
  return new ClientError(
    status >= 500 ? 'unavailable' : 'refused',
    `the index at ${index} answers with status ${status}${said}`,
  );
}

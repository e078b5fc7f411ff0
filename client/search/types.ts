/**
 * What a search of a log's entries takes and gives: the contract of the plain index, its service and its clients.
 *
 * A page is a claim of the index about one tree of the log. What it lacks, nobody can see from the page alone: only the
 * verifiable index proves that nothing is missing (docs/index.md). What it has, everybody can check: each hit has its body and
 * a proof to the checkpoint of the page.
 */
import type { KeyKind } from '../../merkle/index/keys.ts';

/** How a term compares a value of an entry. */
export type SearchMatch = 'exact' | 'prefix' | 're2';

/** One condition: the entry has a value of this kind that matches. */
export interface SearchTerm {
  readonly kind: KeyKind;
  /**
   * - `exact`: the value is `value`;
   * - `prefix`: it begins with `value`, compared byte by byte in UTF-8;
   * - `re2`: the pattern `value` (RE2) is found anywhere in it, as `MatchString` of Go does. `^` and `$` bind it to the ends.
   */
  readonly match: SearchMatch;
  /** At most 131,072 bytes of UTF-8; a prefix has one character or more, and a pattern 1 to 512. */
  readonly value: string;
}

export interface SearchQuery {
  /** The origin of the log. */
  readonly log: string;
  /** 1 to 8; an entry must hold all of them. */
  readonly terms: readonly SearchTerm[];
  /** Only entries with an index in [from, to). */
  readonly from?: number;
  readonly to?: number;
  /**
   * Only entries whose time is in [after, before), in milliseconds since 1970.
   *
   * The time of an entry is that of the first checkpoint over it that the index accepted: the time of the quorum's
   * cosignatures where the log has a policy with a quorum, else the clock of the index. So the entry was in the log at that
   * time. It may have been in the log for any time before: the time does not say when the entry was made or logged, and
   * all entries that an index finds at its start have one time. Times do not decrease with the index. Without a quorum nobody
   * but the index vouches for a time, and no client can check it.
   */
  readonly after?: number;
  readonly before?: number;
  /** Hits in the page: 1 to 1000. */
  readonly limit: number;
  /** `next` of an earlier page of the same query. */
  readonly page?: string;
  /** By index; `ascending` by default. */
  readonly order?: SearchOrder;
}

export type SearchOrder = 'ascending' | 'descending';

export interface SearchHit {
  readonly index: number;
  /** The entry as the log serves it; anybody may have written it. Its leaf hash is the one in the tree. */
  readonly body: Uint8Array;
  /** Inclusion proof (RFC 6962 section 2.1.1) of the entry in the tree of the page's checkpoint. */
  readonly proof: readonly Uint8Array[];
}

export interface SearchPage {
  /** The origin of the log. */
  readonly log: string;
  /** The signed note that the index accepted for this tree, with the cosignatures that it came with. */
  readonly checkpoint: string;
  /** The tree of the checkpoint. The index has looked at each of its entries, and at no other for this page. */
  readonly size: number;
  readonly root: Uint8Array;
  /** In the order of the query. */
  readonly hits: readonly SearchHit[];
  /**
   * There may be more: the query with `page: next` goes on behind the last hit, in the tree of this checkpoint however much
   * the log has grown. A page may have fewer hits than its limit, or none, and still have a next one: one request does only
   * so much work. Absent on the last page.
   */
  readonly next?: string;
}

/** Where the index stands with one log. */
export interface IndexedLogStatus {
  readonly origin: string;
  readonly location: string;
  /** The tree that answers are about; undefined before the index has read a whole tree of the log. */
  readonly answers:
    | {
        readonly size: number;
        readonly root: Uint8Array;
        /** Signed note. */
        readonly checkpoint: string;
        /** The time of the tree, as in `SearchQuery.after`. */
        readonly time: number;
      }
    | undefined;
  /** The index has looked at every entry below it. */
  readonly completeThrough: number;
  /** The size of the last checkpoint that the index accepted. */
  readonly accepted: number;
  /** When the index last followed the log without a fault, in ms since 1970; undefined before the first time. */
  readonly followed: number | undefined;
  /** Why the answers stand still: absent while the log can be followed. */
  readonly fault?: IndexFault;
}

export interface IndexFault {
  /** When the first of the rounds failed that have failed since the last good one, in ms since 1970. */
  readonly since: number;
  /** A fact about the log (`Fact` of the feed), or `fault` where the log or the store cannot be read. */
  readonly type: string;
  /** The log itself has shown that it lies: it takes its operator to mend this. */
  readonly proven: boolean;
  /** For a person; text of the log is escaped in it. */
  readonly message: string;
}
